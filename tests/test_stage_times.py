"""Stage times: what is timed, not how long it takes."""

import dataclasses
import itertools
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dvm_hf import SourceError, stage_times
from dvm_hf.cli import main
from dvm_hf.commands.bench import in_words
from dvm_hf.commands.config_options import config
from dvm_hf.config import plans
from dvm_hf.stage_times import StageTimes, benchmarked_plans, differences

FILES = [
    "encode frames (jpeg)",
    "encode alpha (png)",
    "encode trimap (png)",
    "a row into Arrow",
    "a row read back (PIL)",
]
STILL = ["decode", "to RGB, cut, resized", "foreground laid over", "trimap", *FILES]
MOVING = ["decode", "to RGB, cut, resized", "decode the foreground", *STILL[2:]]


def test_a_stage_costs_what_it_adds_to_the_one_before_it_in_the_same_run() -> None:
    runs = {"decode": [1.0, 2.0, 9.0], "composite": [4.0, 6.0, 11.0], "trimap": [4.0, 5.5, 11.0]}
    assert differences(runs) == {"decode": 2.0, "composite": 3.0, "trimap": 0.0}  # +3, +4, +2; 0, -0.5, 0


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock on which every measurement takes a second."""
    seconds = itertools.count()
    monkeypatch.setattr(stage_times.time, "process_time", lambda: float(next(seconds)))


@pytest.mark.usefixtures("ticking")
def test_every_stage_of_a_still_and_of_a_moving_foreground_is_timed(drawn_sources: Path) -> None:
    wanted = config("train", str(drawn_sources), {"max_image_frames": "5", "max_video_frames": "6", "crop_size": "64"})
    ticks = []
    still, moving = (
        stage_times.stage_times(plan, encoding="jpeg", runs=2, tick=lambda: ticks.append(1))
        for plan in benchmarked_plans(wanted, plans(wanted).clips)
    )
    assert still is not None
    assert moving is not None
    assert len(ticks) == 4
    assert (still.frames, still.height, still.width) == (5, 64, 64)
    assert list(still.stages) == STILL
    assert list(moving.stages) == MOVING
    assert still.stages["decode"] == still.whole == 1000 / 5  # a second in 5 frames
    assert still.stages["encode alpha (png)"] == 1000 / 4  # 4 frames are encoded again and again
    assert moving.stages["decode the foreground"] == 1000 / 6
    assert moving.stages["foreground laid over"] == 0  # the same second as the two before it took together


def test_one_clip_of_each_kind_is_timed_whole_and_as_a_crop(drawn_sources: Path) -> None:
    wanted = config("train", str(drawn_sources), {})
    chosen = benchmarked_plans(wanted, plans(wanted).clips)
    assert [(plan.foreground.kind, plan.rendering.crop_size) for plan in chosen] == [
        ("image", None),
        ("image", 320),
        ("video", None),
        ("video", 320),
    ]


def test_a_crop_that_nobody_asked_for_and_that_does_not_fit_is_passed_over(few_sources: Path) -> None:
    wanted = config("train", str(few_sources), {"max_image_frames": "2", "max_video_frames": "2"})
    whole, crop, *_ = benchmarked_plans(wanted, plans(wanted).clips)
    assert stage_times.stage_times(whole, encoding="array", runs=1) is not None
    assert stage_times.stage_times(crop, encoding="array", runs=1) is None
    asked_for = dataclasses.replace(crop, rendering=dataclasses.replace(crop.rendering, crop_size=321))
    with pytest.raises(SourceError, match="crop_size is 321"):
        stage_times.stage_times(asked_for, encoding="array", runs=1)


def test_the_command_times_the_sources_it_is_given(drawn_sources: Path) -> None:
    arguments = ["bench", str(drawn_sources), "--runs", "1", "--max-image-frames", "2", "--kinds", "image"]
    told = CliRunner().invoke(main, [*arguments, "--json", "--columns", "frames,foreground", "--crop-size", "48"])
    assert told.exit_code == 0, told.output
    (crop,) = json.loads(told.stdout)["clips"]
    assert (crop["frames"], crop["height"], crop["width"]) == (2, 48, 48)
    assert {"other columns", "encode foreground (jpeg)"} <= crop["stages"].keys()
    first = min(path.stem for path in (drawn_sources / "fg/image/train/fg").iterdir())
    assert crop["clip_id"].startswith(f"image_{first}_")
    table = CliRunner().invoke(main, arguments)
    assert table.exit_code == 0, table.output
    for stage in STILL:
        assert f"\n{stage} " in table.stdout


def test_the_table_has_the_stages_in_the_order_of_the_way() -> None:
    times = [StageTimes("x", 8, 8, 1, dict.fromkeys(stages, 1.0), 9.0) for stages in (STILL, MOVING)]
    lines = in_words(times, runs=1).splitlines()
    named = [line[:30].strip() for line in lines if line[:30].strip() in MOVING]
    assert named == MOVING


def test_the_command_draws_what_it_times_where_no_folder_is_given(
    drawn_sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dvm_hf.commands.bench.draw_filmed_sources", lambda folder: drawn_sources)
    told = CliRunner().invoke(main, ["bench", "--runs", "1", "--max-image-frames", "1", "--kinds", "image", "--json"])
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["machine"].keys() >= {"cores", "Python", "OpenCV", "PyAV"}
