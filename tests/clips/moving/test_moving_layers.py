"""Clips with motion="rvm" and "none": pixels by the placements, and the same pixels in any window."""

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from layer_maps import to_frame, warped_by_map
from moving_clips import decoded, draw_layers, placement, plan_of, windows

from dvm_hf.clips.motion import LAYER_COLUMNS, MOTION_COLUMNS, Placement
from dvm_hf.clips.scene import Frame
from dvm_hf.clips.windows import Window
from dvm_hf.media.pixels import Size
from dvm_hf.media.still.image_encoding import write_image
from dvm_hf.media.still.stills import read_colour, read_grey
from dvm_hf.sources.records import Background

LAYERS = ("composite", "alpha", "trimap", "foreground", "background")


def numbers(window: Window[Any]) -> list[dict[str, float]]:
    """The numbers of each frame by the names of their columns."""
    return [dict(zip(LAYER_COLUMNS, row, strict=True)) for row in window.motion]


def warped(pixels: np.ndarray, place: Placement, frame: Size) -> np.ndarray:
    """Warp float values by the equation of `Placement`."""
    return warped_by_map(pixels, to_frame(place, Size(*pixels.shape[:2])), frame)


def assert_same(one: Frame, other: Frame) -> None:
    for layer in LAYERS:
        found, expected = getattr(one, layer), getattr(other, layer)
        assert (found is None) == (expected is None)
        assert found is None or np.array_equal(found, expected), layer


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_layers(tmp_path_factory.mktemp("layers"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize(
    "fields",
    [
        {"clip_length": 4},
        {"clip_length": 3, "frame_step": 2, "clip_step": 1, "crop_size": 40},
        {"clip_length": 5, "clip_step": 2, "trimap": "dvm-train", "background_blur": True},
        {"clip_length": 4, "crop_size": 48, "trimap": 6, "columns": ("alpha", "trimap")},
        {"clip_length": 4, "max_size": 70, "columns": ("foreground", "background")},
        {"clip_length": 6, "crop_size": 44, "shutter": 0.9},
        {"clip_length": 6, "crop_size": 44, "shutter": 1, "motion": "dvm", "trimap": "dvm-train"},
    ],
    ids=lambda fields: "-".join(fields),
)
def test_a_window_alone_has_the_bits_of_the_complete_clip(sources: Path, kind: str, fields: dict[str, Any]) -> None:
    for seed in range(4):
        plan = plan_of(sources, kind, seed=seed, **fields)
        every = windows(plan)
        assert len(every) > 3
        for number in (len(every) - 1, 1):
            (alone,) = windows(plan, numbers=[number])
            assert (alone.motion, alone.view, alone.placements) == (
                every[number].motion,
                every[number].view,
                every[number].placements,
            )
            for one, other in zip(alone.frames, every[number].frames, strict=True):
                assert_same(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{}, {"shutter": 0.9}, {"motion": "dvm", "shutter": 1}], ids=str)
@pytest.mark.parametrize("kind", ["image", "video"])
def test_a_crop_has_the_bits_of_the_complete_frame(sources: Path, kind: str, fields: dict[str, Any]) -> None:
    for seed in range(4):
        full, crops = (
            windows(plan_of(sources, kind, seed=seed, clip_length=6, crop_size=side, **fields)) for side in (None, 44)
        )
        for whole, crop in zip(full, crops, strict=True):
            cut = crop.view.within(whole.view)
            for one, other in zip(crop.frames, whole.frames, strict=True):
                for layer in LAYERS:
                    assert np.array_equal(getattr(one, layer), getattr(other, layer)[cut]), layer


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["image", "video"])
def test_each_layer_is_one_warp_of_the_source_frame_that_the_row_names(sources: Path, kind: str) -> None:
    """Against float warps of the decoded frames, by the numbers of the column `motion` alone."""
    for seed in range(6):
        plan = plan_of(sources, kind, seed=seed)
        (window,) = windows(plan)
        size = Size(window.view.height, window.view.width)
        backgrounds = decoded(plan.background.path)
        if kind == "video":
            colours, mattes = decoded(plan.foreground.colour), [f[..., 0] for f in decoded(plan.foreground.alpha)]
        else:
            colours, mattes = [read_colour(plan.foreground.colour)], [read_grey(plan.foreground.alpha)]
        for frame, row in list(zip(window.frames, numbers(window), strict=True))[::5]:
            behind = backgrounds[int(row["background source frame"])]
            shown = warped(behind, placement(row, "background"), size)
            inner = np.s_[1:-1, 1:-1]  # OpenCV's border is constant there
            assert frame.background is not None
            assert frame.alpha is not None
            assert frame.foreground is not None
            assert np.abs(frame.background[inner] - shown[inner]).max() < 1.6  # a float warp, and fixed-point colours
            number = int(row["foreground source frame"])
            alpha = mattes[number].astype(np.float32)[..., None] / 255
            exact = warped(np.dstack([alpha * colours[number], alpha]), placement(row, "foreground"), size)
            assert np.abs(frame.alpha - 255 * exact[..., 3]).max() < 1.6
            soft = frame.alpha > 40
            assert np.abs(frame.foreground[soft] - exact[soft, :3] / exact[soft, 3:]).max() < 4


@pytest.mark.parametrize("kind", ["image", "video"])
def test_frames_are_composited_from_the_other_columns(sources: Path, kind: str) -> None:
    for seed in range(3):
        for frame in windows(plan_of(sources, kind, seed=seed))[0].frames[::6]:
            alpha, colour, behind = (np.float64(getattr(frame, name)) for name in ("alpha", "foreground", "background"))
            a = alpha[..., None] / 255
            assert np.abs(frame.composite - (a * colour + (1 - a) * behind)).max() <= 0.5 + 1e-9


@pytest.mark.slow
def test_a_still_background_moves_as_a_camera_over_a_picture(sources: Path, tmp_path: Path) -> None:
    picture = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 256, (140, 170, 3)).astype(np.uint8), (0, 0), 4)
    write_image(tmp_path / "still.png", picture)
    moved = 0
    for seed in range(24):
        plan = plan_of(sources, "image", seed=seed, columns=("background",), max_image_frames=30)
        plan = dataclasses.replace(plan, background=Background("still", tmp_path / "still.png"))
        (window,) = windows(plan)
        first, last = (frame.background for frame in (window.frames[0], window.frames[-1]))
        rows = numbers(window)
        is_moving = placement(rows[0], "background") != placement(rows[-1], "background")
        assert is_moving == (not np.array_equal(first, last))
        assert {row["background source frame"] for row in rows} == {0}
        moved += is_moving
    assert 2 <= moved <= 14  # 28 % of the clips


def test_a_provided_trimap_is_moved_like_its_alpha(sources: Path) -> None:
    for seed in range(4):
        plan = plan_of(sources, "image", split="test", seed=seed, trimap="provided")
        for frame in windows(plan)[0].frames[::8]:
            assert frame.trimap is not None
            assert frame.alpha is not None
            assert (frame.alpha[frame.trimap == 0] < 100).all()  # both are sampled, at up to 80 levels per px
            assert (frame.alpha[frame.trimap == 255] > 155).all()
            assert (frame.trimap == 128).any()


def test_without_motion_every_frame_has_the_same_foreground_in_the_centre(sources: Path) -> None:
    (window,) = windows(plan_of(sources, "image", motion="none"))
    first, last = window.frames[0], window.frames[-1]
    assert first.alpha is not None
    assert np.array_equal(first.alpha, last.alpha)
    assert len(set(window.placements)) == 1
    alpha = read_grey(plan_of(sources, "image").foreground.alpha)
    top, left = window.view.height // 2 - 45, window.view.width // 2 - 55
    assert np.array_equal(first.alpha[top : top + 90, left : left + 110], alpha)
    assert not np.array_equal(first.background, last.background)  # a video goes on


def test_a_row_has_the_numbers_of_its_motion(sources: Path) -> None:
    for motion, columns in MOTION_COLUMNS.items():
        (window,) = windows(plan_of(sources, "video", motion=motion))
        assert {len(row) for row in window.motion} == {len(columns)}
        assert [row[:4] for row in window.motion] == [place.pose for place in window.placements]
    assert MOTION_COLUMNS["dvm"] == tuple(f"foreground {name}" for name in ("row", "column", "angle", "zoom"))
