"""Clips with several foregrounds: pixels by the placements in the column motion, and the same pixels in any window."""

import os
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import TreeWriter, soft_disc
from stacked_clips import layers_alone, plan_of, windows

from dvm_hf.clips.plan import ClipPlan
from dvm_hf.media.still.image_encoding import write_image
from dvm_hf.media.video.video_writing import write_video

LAYERS = ("composite", "alpha", "trimap", "foreground", "background", "instances")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two soft discs with noise as stills and one as video, over a background whose frames differ."""
    tree, rng = TreeWriter(tmp_path_factory.mktemp("stacked")), np.random.default_rng(0)
    noise = [cv2.GaussianBlur(rng.integers(0, 256, (90, 110, 3)).astype(np.uint8), (0, 0), 3) for _ in range(3)]
    noise = [cv2.normalize(one, None, 0, 255, cv2.NORM_MINMAX) for one in noise]
    for name, (height, width), colour in (("a", (90, 70), noise[0]), ("b", (80, 110), noise[1])):
        tree.still(name, size=(height, width))
        write_image(tree.root / f"fg/image/train/fg/{name}.png", colour[:height, :width])
    folder = tree.moving(size=(90, 110), frames=14)
    write_video(folder / "f.mp4", (np.roll(noise[2], 3 * index, axis=1) for index in range(14)))
    path = tree.background(size=(140, 230), frames=16)
    big = cv2.resize(noise[1], (340, 280), interpolation=cv2.INTER_CUBIC)
    write_video(path, (big[index * 3 : index * 3 + 140, index : index + 230] for index in range(16)))
    return tree.root


@pytest.mark.parametrize(
    ("name", "fields"),
    [(name, {"motion": motion}) for name in ("a", "0000") for motion in ("dvm", "rvm", "none")]
    + [("a", {"shutter": 1.0})],
)
def test_layers_lie_one_over_the_other_as_the_motion_column_says(
    sources: Path, name: str, fields: dict[str, Any]
) -> None:
    plan = plan_of(sources, name, seed=11, **fields)
    (window,) = windows(plan)
    hidden = np.zeros(3)
    for index in range(0, len(window.frames), 3):
        frame, alone = window.frames[index], layers_alone(plan, window, index)
        clear, visible, colour = np.ones_like(alone[0][0]), [], np.zeros((*alone[0][0].shape, 3))
        for alpha, premultiplied in reversed(alone):
            visible.insert(0, clear * alpha)
            colour += clear[..., None] * premultiplied
            clear = clear * (1 - alpha / 255)
        total = sum(visible)
        assert np.abs(frame.alpha - total).max() < 1.6  # each layer's alpha is rounded, and then their union
        for part, expected in zip(frame.instances, visible, strict=True):
            assert np.abs(part - expected).max() < 2.6
        solid = total > 60
        straight = colour[solid] / (total[solid] / 255)[:, None]
        assert np.abs(frame.foreground[solid] - straight).max() < 4
        hidden = np.maximum(hidden, [1 - v.sum() / a.sum() for v, (a, _) in zip(visible, alone, strict=True)])
    assert (np.array(window.hidden) >= hidden - 0.01).all()


@pytest.mark.parametrize("motion", ["dvm", "rvm"])
def test_frames_are_composites_and_instances_sum_to_alpha(sources: Path, motion: str) -> None:
    for count in (2, 3):
        for window in windows(plan_of(sources, "b", count=count, motion=motion, clip_length=4)):
            for frame in window.frames:
                a = frame.alpha[..., None] / 255
                expected = a * frame.foreground + (1 - a) * frame.background
                assert np.abs(frame.composite - expected).max() <= 0.5 + 1e-9
                assert np.array_equal(frame.instances.astype(int).sum(axis=0), frame.alpha)
                assert frame.instances.shape[0] == count


@pytest.mark.parametrize(
    "fields",
    [
        {"clip_length": 4},
        {"clip_length": 3, "frame_step": 2, "clip_step": 1, "crop_size": 40, "motion": "rvm"},
        {"clip_length": 5, "clip_step": 2, "trimap": "dvm-train", "background_blur": True},
        {"clip_length": 1, "clip_step": 3, "crop_size": 48, "trimap": 6, "columns": ("alpha", "trimap")},
        {"clip_length": 4, "max_size": 70, "columns": ("foreground", "instances")},
        {"clip_length": 4, "crop_size": 40, "light": "matched,exposure,shadow", "camera": "noise,jpeg=60"},
        {"clip_length": 4, "crop_size": 40, "light": "greenscreen", "motion": "rvm", "shutter": 0.8},
    ],
)
def test_any_window_alone_has_the_pixels_of_the_whole_clip(sources: Path, fields: dict[str, Any]) -> None:
    fields = fields | {"max_image_frames": 8}
    plan = plan_of(sources, "a", remainder="keep", **fields)
    together = windows(plan)
    all_frames = {"clip_length": "all", "frame_step": 1, "clip_step": None, "crop_size": None}
    (complete,) = windows(plan_of(sources, "a", **fields | all_frames))
    step = plan.rendering.frame_step
    for window in together:
        (alone,) = windows(plan, numbers=[window.number])
        assert (alone.view, alone.motion, alone.hidden) == (window.view, window.motion, window.hidden)
        for position, (frame, twin) in enumerate(zip(window.frames, alone.frames, strict=True)):
            whole = complete.frames[window.start + position * step]
            for layer in LAYERS:
                found, expected = getattr(frame, layer), getattr(whole, layer)
                assert (found is None) == (expected is None)
                if found is not None:
                    assert np.array_equal(found, getattr(twin, layer))
                    part = window.view.within(complete.view)
                    expected = expected[:, *part] if layer == "instances" else expected[part]
                    if layer in ("composite", "background"):
                        assert np.abs(found.astype(int) - expected).max() <= 1  # an enlarged background may differ
                    else:
                        assert np.array_equal(found, expected), layer


def test_crops_show_an_unknown_pixel_of_the_union(sources: Path) -> None:
    for seed in range(4):
        for window in windows(plan_of(sources, seed=seed, crop_size=24, clip_length=4)):
            assert (window.frames[len(window.frames) // 2].trimap == 128).any()


def test_one_foreground_has_itself_as_instance(sources: Path) -> None:
    (window,) = windows(plan_of(sources, count=1))
    assert window.hidden == ()
    for frame in window.frames:
        assert np.array_equal(frame.instances, frame.alpha[None])


def test_a_clip_ends_with_its_shortest_video(sources: Path) -> None:
    assert len(windows(plan_of(sources, "0000", count=2))[0].frames) == 14
    only_images = [plan for seed in range(9) if "0000" not in names(plan := plan_of(sources, "a", count=2, seed=seed))]
    assert only_images
    assert len(windows(only_images[0])[0].frames) == 16
    assert len(windows(plan_of(sources, "a", max_image_frames=5))[0].frames) == 5


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A still, and a video with 36 frames over a background of as many, last changed an hour ago."""
    tree = TreeWriter(tmp_path_factory.mktemp("long"))
    tree.still("a", size=(24, 24))
    folder, background = tree.moving(size=(24, 24), frames=36), tree.background(size=(40, 60), frames=36)
    write_video(folder / "a.mp4", (soft_disc(24, 24) * (np.arange(24) < 4 + index // 2) for index in range(36)))
    files = [*folder.iterdir(), background]
    hour_ago = time.time() - 3600  # facts about files that changed just now are not kept
    for path in files:
        os.utime(path, (hour_ago, hour_ago))
    return tree.root


def test_a_clip_does_not_depend_on_shorter_clips_of_the_same_video(
    long_video: Path, caplog: pytest.LogCaptureFixture
) -> None:
    windows(plan_of(long_video, "0000", count=2, max_video_frames=1))  # keeps facts about the video's mattes
    assert not caplog.messages  # does not claim that the video ends there
    after = windows(plan_of(long_video, "0000", count=2))[0].motion
    os.utime(plan_of(long_video, "0000", count=2).foreground.alpha)  # forgets them
    assert windows(plan_of(long_video, "0000", count=2))[0].motion == after


def test_a_companion_is_read_up_to_the_maximum_of_its_clip(long_video: Path) -> None:
    plan = plan_of(long_video, "a", count=2, max_image_frames=36, max_video_frames=3)
    assert names(plan) == ["a", "0000"]
    assert len(windows(plan)[0].frames) == 36


def names(plan: ClipPlan) -> list[str]:
    return [one.name for one in plan.foregrounds]
