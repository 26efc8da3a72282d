"""A still is read once for consecutive clips, and again after a change."""

import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TreeWriter, soft_disc
from PIL import Image
from scipy import ndimage

from dvm_hf.clips import image_foregrounds
from dvm_hf.clips.image_foregrounds import CELL, Bordered
from dvm_hf.clips.plan import ClipPlan, Rendering
from dvm_hf.clips.scene import Frame
from dvm_hf.clips.windows import render
from dvm_hf.media.bounded_memory import BoundedMemory
from dvm_hf.media.pixels import Layers
from dvm_hf.media.still.still_pictures import STILLS
from dvm_hf.sources.tree import scan


def first_frame(root: Path, *, name: str = "disc", **fields: Any) -> Frame:
    found = scan(root, "train")
    foreground = next(foreground for foreground in found.foregrounds if foreground.name == name)
    rendering = Rendering(columns=("frames", "alpha", "foreground"), clip_length=1, **fields)
    plan = ClipPlan(f"image_{name}", foreground, found.backgrounds[0], 5, rendering)
    (window,) = render(plan, each=lambda frame: frame, numbers=[0])
    return window.frames[0]


def red_inside(frame: Frame) -> set[int]:
    assert frame.alpha is not None
    assert frame.composite is not None
    return set(frame.composite[frame.alpha == 255][:, 0].tolist())


@pytest.fixture(autouse=True)
def _no_kept_stills(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits of a process without a training stream."""
    monkeypatch.setattr(STILLS, "foregrounds", BoundedMemory(0))


@pytest.fixture
def still_tree(tree: TreeWriter) -> TreeWriter:
    tree.still("disc", value=200)
    tree.background()
    return tree


def test_a_changed_still_is_reread(still_tree):
    assert red_inside(first_frame(still_tree.root)) == {200}
    colour = still_tree.root / "fg/image/train/fg/disc.png"
    Image.fromarray(np.full((48, 40, 3), 77, np.uint8)).save(colour)
    assert red_inside(first_frame(still_tree.root)) == {77}
    matte = still_tree.root / "fg/image/train/alpha/disc.png"
    Image.fromarray(np.full((48, 40), 99, np.uint8) * (np.arange(40) > 3)).save(matte)
    assert first_frame(still_tree.root).alpha.max() == 99


def test_alternating_stills_do_not_affect_each_other(still_tree):
    still_tree.still("other", value=20)
    for _ in range(2):
        assert red_inside(first_frame(still_tree.root)) == {200}
        assert red_inside(first_frame(still_tree.root, name="other")) == {20}


def test_a_still_of_another_size_is_resized_again(still_tree):
    covered = [(first_frame(still_tree.root, max_size=size).alpha > 0).sum() for size in (1920, 24, 1920)]
    assert covered[0] == covered[2] > 2 * covered[1]


def test_a_still_is_decoded_once_for_consecutive_clips(still_tree, monkeypatch):
    read = []
    original = Image.Image.load
    monkeypatch.setattr(Image.Image, "load", lambda image: (read.append(1), original(image))[1])
    first_frame(still_tree.root)
    once = len(read)
    assert once
    first_frame(still_tree.root, background_blur=True)
    assert len(read) == once


def test_the_same_files_with_other_colours_are_another_still(still_tree, monkeypatch):
    monkeypatch.setattr(STILLS, "foregrounds", BoundedMemory(2**20))
    found = scan(still_tree.root, "train")
    rendering = Rendering(columns=("foreground",), clip_length=1)
    shown = []
    for colours in ("straight", "premultiplied", "straight"):
        foreground = replace(found.foregrounds[0], colours=colours)
        plan = ClipPlan("image_disc", foreground, found.backgrounds[0], 5, rendering)
        (window,) = render(plan, each=lambda frame: frame, numbers=[0])
        shown.append(window.frames[0].foreground)
    assert np.array_equal(shown[0], shown[2])
    assert not np.array_equal(shown[0], shown[1])  # divided by alpha, the soft edge is brighter


def test_only_the_latest_still_is_kept_outside_of_streams(still_tree, monkeypatch):
    """It is released before the next one is read, and the pixels at the size of the file are not kept."""
    still_tree.still("other", size=(60, 50))
    images, original = [], image_foregrounds.read_image

    def read(plan: ClipPlan) -> Layers:
        assert all(image() is None for image in images)
        layers = original(plan)
        images.append(weakref.ref(layers.alpha))
        return layers

    monkeypatch.setattr(image_foregrounds, "read_image", read)
    for name in ("disc", "other", "disc"):
        first_frame(still_tree.root, name=name, max_size=24)
        assert 0 < STILLS.foregrounds.size_in_bytes <= 26 * 26 * 5
    assert len(images) == 3


def mixed_pixels(matte: np.ndarray, reach: int, around: int) -> set[tuple[int, int]]:
    """Pixels, up to `around` px outside of the matte, with both kinds of alpha within `reach` px in each direction."""
    wide = np.pad(matte, around + reach)
    lowest, highest = (find(wide, size=2 * reach + 1) for find in (ndimage.minimum_filter, ndimage.maximum_filter))
    found = np.argwhere((lowest < 255) & (highest > 0)) - (around + reach)
    return {(int(row), int(column)) for row, column in found}


@pytest.mark.parametrize("shape", [(91, 70), (64, 96), (5, 3)])
@pytest.mark.parametrize("reach", [1, 3, 8, 11, 16, 30])
def test_mixed_cells_contain_every_pixel_with_both_kinds_of_alpha_nearby(shape: tuple[int, int], reach: int) -> None:
    matte = soft_disc(*shape)
    image = Bordered(np.zeros((*shape, 3), np.uint8), matte)
    cells = [(int(top), int(left)) for top, left in image.mixed_cells(reach)]
    assert all(top % 8 == left % 8 == 0 for top, left in cells)
    inside = {(top + row, left + column) for top, left in cells for row in range(8) for column in range(8)}
    assert len(inside) == 64 * len(cells)
    assert mixed_pixels(image.matte, reach, around=40) <= inside


@pytest.mark.parametrize("reach", [8, 16])
def test_other_cells_are_not_mixed(reach: int) -> None:
    """A reach of full cells gives exactly the cells that have both kinds of alpha within reach of their edges."""
    image = Bordered(np.zeros((160, 200, 3), np.uint8), soft_disc(160, 200))
    wide, margin = np.pad(image.matte, 80), 80
    expected = {
        (top, left)
        for top in range(-40, 200, CELL)
        for left in range(-40, 240, CELL)
        for near in [wide[margin + top - reach :, margin + left - reach :][: 2 * reach + 8, : 2 * reach + 8]]
        if near.min() < 255 and near.max() > 0
    }
    assert {(int(top), int(left)) for top, left in image.mixed_cells(reach)} == expected
    assert (80, 96) not in expected  # inside of the disc, all is opaque
