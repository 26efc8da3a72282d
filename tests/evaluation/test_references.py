"""Reference clips: rendered ones have the pixels of the dataset's rows, stored ones the frames of their windows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_runs import run

from dvm_hf.dataset.builder import DVM
from dvm_hf.dataset.config import DVMConfig
from dvm_hf.dataset.row_sources import row_source
from dvm_hf.dataset.stored_rows import StoredRow
from dvm_hf.evaluation.predictions import predictions
from dvm_hf.evaluation.references import StoredClip, rendered_clips, stored_clips

COLUMNS = ("frames", "alpha", "trimap", "foreground")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"motion": "rvm"},
        {"foregrounds_per_clip": 2},
        {"recipe": "reference"},
        {"frame_step": 2, "trimap": 2, "max_size": 40},
    ],
    ids=lambda fields: "+".join(fields) or "default",
)
def test_rendered_clips_have_the_pixels_and_motion_of_rows(
    few_sources: Path, load: Callable[..., Any], fields: dict[str, Any]
) -> None:
    config = DVMConfig(name="test", version=DVM.VERSION, data_dir=str(few_sources), remainder="keep", **fields)
    clips = rendered_clips(config)
    options = {"encoding": "lossless", "columns": COLUMNS, "clip_length": 3, "remainder": "keep"}
    rows = load("test", data_dir=str(few_sources), split="test", streaming=True, **options, **fields)
    seen = dict.fromkeys(clips, 0)
    for row in rows:
        clip, step = clips[row["clip_id"]], fields.get("frame_step", 1)
        indices = [row["start"] + step * number for number in range(len(row["alpha"]))]
        for number, layers in enumerate(clip.frames(indices, COLUMNS)):
            for column in COLUMNS:
                assert np.array_equal(layers[column], np.asarray(row[column][number])), (row["clip_id"], column)
            assert np.float32(clip.motion[indices[number]]).tolist() == pytest.approx(row["motion"][number])
        assert clip.size == (row["height"], row["width"])
        assert clip.is_image == (row["foreground_kind"] == 0 and "instance_names" not in row)
        seen[row["clip_id"]] += len(indices)
    assert seen == {name: len(clip.indices) for name, clip in clips.items()}
    assert min(seen.values()) > 1


@pytest.mark.parametrize(
    ("fields", "runs"),
    [
        (("--clip-length", "2", "--frame-step", "2"), ((0, 2, 4),)),
        (("--clip-length", "2", "--crop-size", "16"), ((0, 1), (2, 3), (4,))),
    ],
    ids=["frame_step", "crop_size"],
)
def test_frames_of_a_prepared_folder_are_numbered_as_it_was_planned(
    few_sources: Path, tmp_path: Path, fields: tuple[str, ...], runs: tuple[tuple[int, ...], ...]
) -> None:
    out = str(tmp_path / "out")
    result = run("prepare", str(few_sources), out, "--config", "test", "--remainder", "keep", *fields)
    assert result.exit_code == 0, result.stderr
    clips = stored_clips(row_source(out, fields={}), config=None, split=None)
    (name,) = (name for name in clips if name.startswith("video") and name.endswith("1"))
    assert clips[name].runs == runs
    assert predictions(out)[name].indices(()) == {index for part in runs for index in part}


def row(start: int, frames: int) -> StoredRow:
    facts = {"clip_id": "a", "start": start, "height": 8, "width": 9, "foreground_kind": 0}
    return StoredRow("a.parquet", 0, start, facts, frames, frozenset({"alpha"}))


@pytest.mark.parametrize(
    ("rows", "step", "is_cropped", "runs"),
    [
        ([(0, 3), (3, 2)], 1, False, [(0, 1, 2, 3, 4)]),
        ([(0, 3), (3, 2)], 1, True, [(0, 1, 2), (3, 4)]),  # each row has its own crop
        ([(0, 3), (2, 3)], 1, False, [(0, 1, 2, 3, 4)]),  # windows that overlap
        ([(0, 2), (4, 2)], 1, False, [(0, 1), (4, 5)]),  # windows that leave frames out
        ([(0, 2), (4, 2)], 2, False, [(0, 2, 4, 6)]),
    ],
)
def test_frames_of_a_clip_form_runs(
    rows: list[tuple[int, int]], step: int, is_cropped: bool, runs: list[tuple[int, ...]]
) -> None:
    clip = StoredClip(tuple(row(*each) for each in rows), step, is_cropped)
    assert list(clip.runs) == runs
    assert clip.indices == tuple(index for run in runs for index in run)
    assert clip.size == (8, 9)
    assert clip.is_image != is_cropped  # the position of a crop is not known, so that the motion is not exact
