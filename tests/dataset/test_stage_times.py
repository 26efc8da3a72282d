"""Stage times: which stages are timed, not their duration."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import TreeWriter

from dvm_hf.cli import main
from dvm_hf.commands.bench import in_words
from dvm_hf.commands.config_options import config
from dvm_hf.dataset import stage_times
from dvm_hf.dataset.config import plans
from dvm_hf.dataset.stage_times import StageTimes, differences, first_of_each_kind, views_times
from dvm_hf.media.video.videos import Video

FILES = [
    "encode frames (jpeg)",
    "encode alpha (png)",
    "encode trimap (png)",
    "write an Arrow row",
    "read a row back (PIL)",
]
STILL = ["decode", "convert to RGB, crop, resize", "composite the foreground", "trimap", *FILES]
MOVING = ["decode", "convert to RGB, crop, resize", "decode the foreground", *STILL[2:]]


def test_the_cost_of_a_stage_is_its_increment_in_the_same_run() -> None:
    runs = {"decode": [1.0, 2.0, 9.0], "composite": [4.0, 6.0, 11.0], "trimap": [4.0, 5.5, 11.0]}
    assert differences(runs) == {"decode": 2.0, "composite": 3.0, "trimap": 0.0}  # +3, +4, +2; 0, -0.5, 0


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a clock on which every measurement takes a second."""
    seconds = itertools.count()
    monkeypatch.setattr(stage_times.time, "process_time", lambda: float(next(seconds)))


@pytest.mark.usefixtures("ticking")
def test_every_stage_of_image_and_video_foregrounds_is_timed(drawn_sources: Path) -> None:
    wanted = config("train", str(drawn_sources), {"max_image_frames": "5", "max_video_frames": "6", "crop_size": "64"})
    ticks = []
    (still,), (moving,) = (
        views_times(plan, encoding="jpeg", runs=2, tick=lambda: ticks.append(1))
        for plan in first_of_each_kind(plans(wanted).clips)
    )
    assert len(ticks) == 4
    assert (still.frames, still.height, still.width) == (5, 64, 64)
    assert list(still.stages) == STILL
    assert list(moving.stages) == MOVING
    assert still.stages["decode"] == still.whole == 1000 / 5  # a second in 5 frames
    assert still.stages["encode alpha (png)"] == 1000 / 4  # 4 frames are encoded again and again
    assert moving.stages["decode the foreground"] == 1000 / 6
    assert moving.stages["composite the foreground"] == 0  # the same second as the two before it took together


def test_the_first_clip_of_each_kind_is_timed(drawn_sources: Path) -> None:
    clips = plans(config("train", str(drawn_sources), {})).clips
    firsts = [next(clip for clip in clips if clip.foreground.kind == kind) for kind in ("image", "video")]
    assert [plan.clip_id for plan in first_of_each_kind(clips)] == [plan.clip_id for plan in firsts]


def test_full_frames_are_also_timed_as_a_crop_if_large_enough(
    few_sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = first_of_each_kind(plans(config("train", str(few_sources), {"max_image_frames": "2"})).clips)[0]
    for size, expected in (
        (8, [(38, 28), (8, 8)]),
        (28, [(38, 28), (28, 28)]),
        (29, [(38, 28)]),
    ):  # 24 x 32 px, a fifth more on each side
        monkeypatch.setattr(stage_times, "CROP_SIZE", size)
        found = views_times(plan, encoding="array", runs=1, tick=lambda: None)
        assert sorted(((times.height, times.width) for times in found), reverse=True) == expected


@pytest.mark.parametrize("size", [320, 321])
def test_a_requested_crop_that_does_not_fit_is_an_error(few_sources: Path, size: int) -> None:
    result = CliRunner().invoke(main, ["bench", str(few_sources), "--runs", "1", "--crop-size", str(size)])
    assert result.exit_code == 2
    assert f"crop_size is {size}" in result.output


def test_only_frames_of_the_clip_are_decoded_each_video_in_its_role(
    tree: TreeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.moving("0000", frames=3)
    tree.background("0000", frames=12)
    (plan,) = first_of_each_kind(plans(config("train", str(tree.root), {"backgrounds_per_foreground": "1"})).clips)
    asked: list[tuple[str, str, int]] = []

    def pictures(video: Video, wanted: range) -> Iterator[None]:
        asked.append((video.path.name, video.role, len(wanted)))
        return iter(())

    monkeypatch.setattr(Video, "pictures", pictures)
    functions = stage_times.stage_functions(plan, "array", 3)
    functions["decoded first"]()
    functions["colours"]()
    assert asked == [("0000.mp4", "colour", 3), ("a.mp4", "alpha", 3), ("f.mp4", "colour", 3)]


def test_the_command_times_the_given_sources(drawn_sources: Path) -> None:
    arguments = ["bench", str(drawn_sources), "--runs", "1", "--max-image-frames", "2", "--kinds", "image"]
    result = CliRunner().invoke(main, [*arguments, "--json", "--columns", "frames,foreground", "--crop-size", "48"])
    assert result.exit_code == 0, result.output
    (crop,) = json.loads(result.stdout)["clips"]
    assert (crop["frames"], crop["height"], crop["width"]) == (2, 48, 48)
    assert {"other columns", "encode foreground (jpeg)"} <= crop["stages"].keys()
    first = min(path.stem for path in (drawn_sources / "fg/image/train/fg").iterdir())
    assert crop["clip_id"].startswith(f"image_{first}_")
    table = CliRunner().invoke(main, arguments)
    assert table.exit_code == 0, table.output
    for stage in STILL:
        assert f"\n{stage} " in table.stdout


def test_the_table_lists_the_stages_in_pipeline_order() -> None:
    times = [StageTimes("x", 8, 8, 1, dict.fromkeys(stages, 1.0), 9.0) for stages in (STILL, MOVING)]
    lines = in_words(times, runs=1).splitlines()
    named = [line[:30].strip() for line in lines if line[:30].strip() in MOVING]
    assert named == MOVING


def test_the_command_draws_sources_without_a_folder(drawn_sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dvm_hf.commands.bench.draw_camera_like_sources", lambda folder: drawn_sources)
    result = CliRunner().invoke(main, ["bench", "--runs", "1", "--max-image-frames", "1", "--kinds", "image", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["machine"].keys() >= {"cores", "Python", "OpenCV", "PyAV"}
