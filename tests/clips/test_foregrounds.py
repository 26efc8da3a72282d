"""A still is read once for the clips that follow one another, and never in an old state."""

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TreeWriter
from PIL import Image

from dvm_hf.clips.plan import ClipPlan, Rendering
from dvm_hf.clips.scene import Frame
from dvm_hf.clips.still_foregrounds import DecodedImage, latest_still
from dvm_hf.clips.windows import render
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


@pytest.fixture
def still_tree(tree: TreeWriter) -> TreeWriter:
    tree.still("disc", value=200)
    tree.background()
    return tree


def test_a_still_that_has_changed_is_read_again(still_tree):
    assert red_inside(first_frame(still_tree.root)) == {200}
    colour = still_tree.root / "fg/image/train/fg/disc.png"
    Image.fromarray(np.full((48, 40, 3), 77, np.uint8)).save(colour)
    assert red_inside(first_frame(still_tree.root)) == {77}
    matte = still_tree.root / "fg/image/train/alpha/disc.png"
    Image.fromarray(np.full((48, 40), 99, np.uint8) * (np.arange(40) > 3)).save(matte)
    assert first_frame(still_tree.root).alpha.max() == 99


def test_stills_in_turn_keep_to_themselves(still_tree):
    still_tree.still("other", value=20)
    for _ in range(2):
        assert red_inside(first_frame(still_tree.root)) == {200}
        assert red_inside(first_frame(still_tree.root, name="other")) == {20}


def test_a_still_of_another_size_is_resized_anew(still_tree):
    covered = [(first_frame(still_tree.root, max_size=size).alpha > 0).sum() for size in (1920, 24, 1920)]
    assert covered[0] == covered[2] > 2 * covered[1]


def test_a_still_is_decoded_once_for_clips_that_follow_one_another(still_tree, monkeypatch):
    read = []
    original = Image.Image.load
    monkeypatch.setattr(Image.Image, "load", lambda image: (read.append(1), original(image))[1])
    first_frame(still_tree.root)
    once = len(read)
    assert once
    first_frame(still_tree.root, background_blur=True)
    assert len(read) == once


def test_a_still_is_let_go_before_the_next_is_read() -> None:
    """Two at the limit of size do not fit into the memory of a small machine."""
    former: list[weakref.ref[DecodedImage]] = []

    def read(path: Path) -> np.ndarray:
        assert all(still() is None for still in former), path
        return np.zeros((4, 4), np.uint8)

    for name in ("a", "b"):
        files = Path(f"{name}.png"), Path(f"{name}_alpha.png")
        former.append(weakref.ref(latest_still(files, (None, None), read=(read, read))))
    assert former[1]() is not None
