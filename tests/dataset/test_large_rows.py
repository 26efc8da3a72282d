"""docs/large-rows.md: its code, and its statements about `datasets`."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import TreeWriter
from datasets import Image, IterableDataset

PAGE = Path(__file__).resolve().parents[2] / "docs" / "large-rows.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def stored(rows: Any, column: str) -> list[bytes]:
    """The bytes of every image of a column, as they are stored."""
    plain = rows.select_columns([column]).cast_column(column, [Image(decode=False)])
    return [image["bytes"] for row in plain for image in row[column]]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A still over two backgrounds, large enough for crops of 128 px."""
    tree = TreeWriter(tmp_path_factory.mktemp("rows") / "DVM")
    tree.still("disc", size=(150, 170))
    for number in range(2):
        tree.background(f"{number:04d}", size=(180, 200 + 10 * number), frames=13)
    return tree.root


@pytest.fixture
def load_as_shown(load: Callable[..., Any], sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the page's load_dataset call work on every version of `datasets`, with a temporary cache."""
    monkeypatch.setattr(
        "datasets.load_dataset", lambda path, name, **fields: load(name, **(fields | {"data_dir": str(sources)}))
    )


@pytest.mark.slow
@pytest.mark.usefixtures("load_as_shown")
def test_documented_map_and_filter_calls_keep_stored_images() -> None:
    as_bytes, with_columns, filtered, _ = (names_after(block) for block in BLOCKS)
    for column in ("frames", "alpha", "trimap"):
        built = stored(with_columns["rows"], column)
        assert stored(as_bytes["measured"], column) == built
        assert stored(with_columns["covered"], column) == built
    assert as_bytes["measured"].features["frames"] == with_columns["rows"].features["frames"]
    assert as_bytes["measured"][0]["frame_bytes"] == sum(map(len, stored(with_columns["rows"], "frames")[:4]))
    assert all(0 < share < 1 for share in with_columns["covered"]["coverage"])
    assert filtered["first_windows"]["window"][:] == [0, 0]
    assert stored(filtered["first_windows"], "frames")[:4] == stored(with_columns["rows"], "frames")[:4]


@pytest.mark.usefixtures("load_as_shown")
def test_a_function_that_reads_images_causes_reencoding() -> None:
    rows = names_after(BLOCKS[1])["rows"]
    mapped = rows.map(lambda row: {"n": len(row["frames"])})
    assert all(new != old for new, old in zip(stored(mapped, "frames"), stored(rows, "frames"), strict=True))
    untouched = rows.map(lambda row: {"n": row["window"]})
    assert stored(untouched, "frames") == stored(rows, "frames")


@pytest.mark.usefixtures("load_as_shown")
def test_the_documented_stream_yields_a_row() -> None:
    assert len(names_after(BLOCKS[3])["first"]["frames"]) == 4


@pytest.mark.parametrize("size", [1, 8, 30])
def test_shuffle_holds_as_many_rows_as_its_buffer(size: int) -> None:
    made = []

    def rows() -> Iterator[dict[str, int]]:
        for n in range(100):
            made.append(n)
            yield {"n": n}

    next(iter(IterableDataset.from_generator(rows).shuffle(seed=1, buffer_size=size)))
    assert size <= len(made) <= size + 2  # the buffer, and the row that replaces the first


def names_after(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(block, PAGE.name, "exec"), names)
    return names
