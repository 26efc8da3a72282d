"""Foregrounds that a clip shows small: no pixel is skipped, and they stay where their placements say."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import TreeWriter
from stacked_clips import layers_alone, plan_of, windows

from dvm_hf.clips.motion import Placement
from dvm_hf.clips.stacked.reduced_layers import reduction
from dvm_hf.media.still.image_encoding import write_image
from dvm_hf.media.video.video_writing import write_video


@pytest.fixture(scope="module")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three stills and a video whose alpha changes from 0 to 255 in every row, over a small background."""
    tree = TreeWriter(tmp_path_factory.mktemp("stripes"))
    alpha = np.tile(np.repeat(np.array([[0], [255]], np.uint8), 200, axis=1), (100, 1))
    for name in "abc":
        tree.still(name, size=alpha.shape)
        write_image(tree.root / f"fg/image/train/alpha/{name}.png", alpha)
    folder = tree.moving(size=alpha.shape, frames=3)
    write_video(folder / "a.mp4", [alpha] * 3)
    tree.background(size=(240, 244), frames=3)
    return tree.root


def test_fine_stripes_become_their_mean(stripes: Path) -> None:
    plan = plan_of(stripes, count=4, motion="none", difficulty="easy")
    (window,) = windows(plan)
    assert {kind for kind in (one.kind for one in plan.foregrounds)} == {"image", "video"}
    zooms = [pose[3] for pose in np.array(window.motion[0]).reshape(4, 4)]
    assert max(zooms) < 0.5
    for frame in window.frames:
        for number, part in enumerate(frame.instances):
            inside = cv2.erode((part > 40).astype(np.uint8), np.ones((7, 7))) > 0
            assert inside.sum() > 500
            deviation = np.abs(part[inside].astype(float) - 127.5)
            assert deviation.max() < 40, number  # without a reduction, 100 and more
            assert abs(part[inside].mean() - 127.5) < 3


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{"motion": "dvm"}, {"motion": "rvm"}, {"motion": "dvm", "shutter": 1.0}], ids=str)
def test_reduced_layers_stay_in_their_places(tmp_path: Path, fields: dict[str, Any]) -> None:
    """Smooth discs, which have the same pixels whether they are reduced or not."""
    tree = TreeWriter(tmp_path / "DVM")
    for name in "abc":
        tree.still(name, size=(301, 240))
        smooth = cv2.GaussianBlur(np.pad(np.full((181, 120), 255, np.uint8), 60), (0, 0), 14)
        write_image(tree.root / f"fg/image/train/alpha/{name}.png", smooth)
    tree.moving(size=(300, 240), frames=3)
    write_video(tree.root / "fg/video/train/0000/a.mp4", [smooth[:300]] * 3)
    tree.background(size=(302, 244), frames=3)
    plan = plan_of(tree.root, "0000", count=4, difficulty="easy", **fields)
    (window,) = windows(plan)
    for index, frame in enumerate(window.frames):
        clear = np.ones(frame.alpha.shape)
        for part, (alpha, _) in zip(frame.instances[::-1], layers_alone(plan, window, index)[::-1], strict=True):
            assert np.abs(part - clear * alpha).max() < 6
            clear = clear * (1 - alpha / 255)


@pytest.mark.one_lane
@pytest.mark.parametrize(
    ("zooms", "factor"), [((0.51, 0.2), 1), ((0.5,), 2), ((0.3, 0.26), 2), ((0.24,), 4), ((1.2,), 1)]
)
def test_the_largest_zoom_of_a_clip_decides(zooms: tuple[float, ...], factor: int) -> None:
    assert reduction(tuple(Placement(0, 0, 0, zoom) for zoom in zooms)) == factor
