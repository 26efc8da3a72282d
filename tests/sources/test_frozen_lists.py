"""Which JSON files are lists of frozen clips: by their content, so that any program may have written them again."""

import json
from pathlib import Path
from typing import Any

import pytest

from dvm_hf.sources import frozen_lists
from dvm_hf.sources.frozen_lists import has_frozen_clips

pytestmark = pytest.mark.one_lane
CLIPS = [{"pair": f"image+{number}.png+0.mp4", "kind": "image"} for number in range(30)]
LIST: dict[str, Any] = {"format": 1, "kind": "frozen clips", "split": "train", "config": {}, "clips": CLIPS}


@pytest.mark.parametrize("chunk", [7, 1 << 20])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps(LIST),
        json.dumps(LIST, sort_keys=True),
        json.dumps(LIST, indent=4, sort_keys=True),
        json.dumps(LIST, separators=(",", ":")),
        "\ufeff" + json.dumps(LIST),
        json.dumps({"clips": CLIPS, "note": '"kind": [', "kind": "frozen clips"}),
    ],
    ids=["as exported", "sorted", "indented", "without spaces", "byte order mark", "another key"],
)
def test_a_list_is_known_by_its_content(text: str, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_lists, "CHUNK", chunk)
    path = tmp_path / "clips.json"
    path.write_text(text, encoding="utf-8")
    assert has_frozen_clips(path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        json.dumps({"notes": LIST}),
        json.dumps([LIST]),
        json.dumps({"kind": "other", "text": "frozen clips"}),
        json.dumps(LIST)[:-1],
        "[" * 100_000 + "frozen clips",
    ],
    ids=["empty", "in another object", "in an array", "another kind", "cut off", "nested deeply"],
)
def test_other_files_are_no_lists(text: str, tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    path.write_text(text)
    assert not has_frozen_clips(path)


def test_a_large_file_without_the_kind_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_lists, "CHUNK", 10)
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps({"images": list(range(1000))}))
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("reads a complete file"))
    assert not has_frozen_clips(path)
