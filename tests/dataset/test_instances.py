"""load_dataset with several foregrounds: the column instances in every encoding, facts of the foregrounds, errors."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TreeWriter
from datasets import Video
from row_videos import decoded, planes

from dvm_hf.clips.windows import render
from dvm_hf.dataset.builder import DVM
from dvm_hf.dataset.config import DVMConfig, plans, require_valid
from dvm_hf.errors import ConfigError, SourceError

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # fork

Load = Callable[..., Any]
COLUMNS = ("frames", "alpha", "instances")
FIELDS: dict[str, Any] = {
    "foregrounds_per_clip": 3,
    "columns": COLUMNS,
    "clip_length": 3,
    "backgrounds_per_foreground": 1,
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two image foregrounds, a video foreground, and a background of 6 frames."""
    tree = TreeWriter(tmp_path_factory.mktemp("several") / "DVM")
    tree.still("disc", size=(32, 24))
    tree.still("dot", size=(24, 28), value=90)
    tree.moving("0000", size=(32, 48), frames=6)
    tree.background(size=(40, 88), frames=6)
    return tree.root


@pytest.fixture(scope="module")
def expected(sources: Path) -> list[dict[str, Any]]:
    """The rendered windows: alpha (T, H, W), instances (N, T, H, W), names and losses."""
    config = DVMConfig(name="train", version=DVM.VERSION, data_dir=str(sources), **FIELDS)
    found = []
    for plan in plans(config).clips:
        for window in render(plan, each=lambda frame: frame):
            found.append(
                {
                    "clip_id": plan.clip_id,
                    "window": window.number,
                    "alpha": np.stack([frame.alpha for frame in window.frames]),
                    "instances": np.stack([frame.instances for frame in window.frames], axis=1),
                    "instance_names": [one.name for one in plan.foregrounds],
                    "instance_hidden": np.array(window.hidden, np.float32),
                    "view": (window.view.height, window.view.width),
                }
            )
    return sorted(found, key=lambda one: (one["clip_id"], one["window"]))


def by_window(rows: Any) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["clip_id"], row["window"]))


def assert_facts(row: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert row["instance_names"] == wanted["instance_names"]
    assert row["foreground_name"] == wanted["instance_names"][0]
    assert set(row["instance_names"]) == {"disc", "dot", "0000"}
    assert row["instance_kinds"] == [int(name == "0000") for name in row["instance_names"]]
    assert np.array_equal(np.float32(row["instance_hidden"]), wanted["instance_hidden"])
    assert {len(numbers) for numbers in row["motion"]} == {12}


@pytest.mark.parametrize("encoding", ["jpeg", "lossless"])
@pytest.mark.parametrize("streaming", [False, True])
def test_each_foreground_has_a_list_of_mattes(
    sources: Path, load: Load, expected: list[dict[str, Any]], encoding: str, streaming: bool
) -> None:
    rows = load("train", split="train", data_dir=str(sources), encoding=encoding, streaming=streaming, **FIELDS)
    for row, wanted in itertools.zip_longest(by_window(rows), expected):
        assert [len(mattes) for mattes in row["instances"]] == [3] * 3
        assert row["instances"][0][0].mode == row["alpha"][0].mode == "L"
        assert np.array_equal([[np.asarray(matte) for matte in one] for one in row["instances"]], wanted["instances"])
        assert np.array_equal(sum(np.asarray(one[0], int) for one in row["instances"]), np.asarray(row["alpha"][0]))
        if not streaming:
            assert_facts(row, wanted)


@pytest.mark.parametrize("streaming", [False, True])
def test_arrays_have_an_axis_for_the_foregrounds(
    sources: Path, load: Load, expected: list[dict[str, Any]], streaming: bool
) -> None:
    fields = FIELDS | {"crop_size": 20, "encoding": "array", "remainder": "drop", "split": "train"}
    rows = load("train", data_dir=str(sources), streaming=streaming, **fields)
    assert rows.features["instances"].shape == (3, 3, 20, 20)
    for row in rows if streaming else rows.with_format("numpy"):
        instances, alpha = (np.asarray(row[name], np.uint8) for name in ("instances", "alpha"))
        assert instances.shape == (3, 3, 20, 20)
        assert np.array_equal(instances.sum(axis=0, dtype=np.uint8), alpha)


def test_each_foreground_has_a_video(sources: Path, load: Load, expected: list[dict[str, Any]]) -> None:
    rows = load("train", split="train", data_dir=str(sources), encoding="video", streaming=True, **FIELDS)
    rows = rows.cast_column("alpha", Video(decode=False)).cast_column("instances", [Video(decode=False)])
    rows = rows.cast_column("frames", Video(decode=False))
    for row, wanted in itertools.zip_longest(by_window(rows), expected):
        assert [video["path"] for video in row["instances"]] == [f"instance_{number}.mp4" for number in range(3)]
        height, width = wanted["view"]
        for video, mattes in zip(row["instances"], wanted["instances"], strict=True):
            frames = [planes(frame)[0][:height, :width] for frame in decoded(video["bytes"])]
            assert np.array_equal(frames, mattes)


@pytest.mark.slow
def test_processes_build_the_same_rows(sources: Path, load: Load) -> None:
    fields = FIELDS | {"split": "train", "data_dir": str(sources), "encoding": "lossless", "motion": "rvm"}
    alone = [pixels_of(row) for row in by_window(load("train", **fields))]
    again = load("train", num_proc=2, download_mode="force_redownload", **fields)
    assert [pixels_of(row) for row in by_window(again)] == alone


def pixels_of(row: dict[str, Any]) -> dict[str, Any]:
    pictures = {name: [np.asarray(one).tobytes() for one in row[name]] for name in ("frames", "alpha")}
    instances = [[np.asarray(one).tobytes() for one in mattes] for mattes in row["instances"]]
    return row | pictures | {"instances": instances}


def test_one_foreground_has_no_columns_of_several(sources: Path, load: Load) -> None:
    fields = {"clip_length": 3, "split": "train", "data_dir": str(sources), "streaming": True}
    row = next(iter(load("train", **fields)))
    assert not [name for name in row if name.startswith("instance")]
    row = next(iter(load("train", columns=("alpha", "instances"), **fields)))
    assert np.array_equal(np.asarray(row["instances"][0][1]), np.asarray(row["alpha"][1]))
    assert [name for name in row if name.startswith("instance")] == ["instances"]


@pytest.mark.one_lane
@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"foregrounds_per_clip": 5}, "must be an integer from 1 to 4"),
        ({"foregrounds_per_clip": 2, "recipe": "reference"}, "recipe='reference' allows one foreground only"),
        ({"foregrounds_per_clip": 2, "trimap": "provided"}, "does not fit the union"),
        ({"difficulty": "hard"}, "applies to clips with several foregrounds"),
        ({"foregrounds_per_clip": 2, "difficulty": "impossible"}, "one of 'easy', 'medium', 'hard'"),
        ({"columns": ("instances",)}, "needs another image column"),
    ],
)
def test_fields_that_do_not_fit_are_one_error(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        require_valid(DVMConfig(name="train", version=DVM.VERSION, **fields))


def test_too_few_foregrounds_are_one_error(sources: Path, load: Load) -> None:
    with pytest.raises(SourceError, match="only 3 can be used"):
        load("train", split="train", data_dir=str(sources), streaming=True, foregrounds_per_clip=4)


def test_a_clip_with_an_unusable_companion_is_skipped(tree: TreeWriter, load: Load) -> None:
    for name in ("a", "b", "dot"):
        tree.still(name, size=(32, 24))
    tree.background(size=(40, 88), frames=6)
    damaged = tree.root / "fg/image/train/alpha/dot.png"
    damaged.write_bytes(damaged.read_bytes()[:-60])  # the header is valid
    fields = FIELDS | {"foregrounds_per_clip": 2, "data_dir": str(tree.root)}
    planned = plans(DVMConfig(name="train", version=DVM.VERSION, **fields))
    fields |= {"split": "train", "streaming": True}
    usable = {plan.clip_id for plan in planned.clips if "dot" not in [one.name for one in plan.foregrounds]}
    assert 0 < len(usable) < 3
    assert {row["clip_id"] for row in load("train", on_error="skip", **fields)} == usable
    with pytest.raises(SourceError, match=r"dot\.png"):
        list(load("train", **fields))
