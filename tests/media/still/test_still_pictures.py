"""Stills that are held as backgrounds are decoded and resized once, within a limit of bytes."""

import os
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
from media_arrays import noise
from PIL import Image

from dvm_hf.media.bounded_memory import BoundedMemory
from dvm_hf.media.pixels import Box, Size
from dvm_hf.media.still import still_pictures
from dvm_hf.media.still.still_pictures import STILLS, StillMemory, StillPicture, held_picture

PIXELS = noise(20, 30, 3)  # 1,800 bytes


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> BoundedMemory:
    found = BoundedMemory(4000)
    monkeypatch.setattr(STILLS, "backgrounds", found)
    return found


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the decoded files."""
    names: list[str] = []
    original = still_pictures.read_colour
    monkeypatch.setattr(still_pictures, "read_colour", lambda path: (names.append(path.name), original(path))[1])
    return names


def saved(folder: Path, name: str, pixels: np.ndarray = PIXELS) -> Path:
    Image.fromarray(pixels).save(folder / name)
    return folder / name


def test_a_still_is_decoded_and_resized_once(
    tmp_path: Path, cache: BoundedMemory, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, "a.png")
    resized: list[int] = []
    original = cv2.resize
    monkeypatch.setattr(cv2, "resize", lambda *given, **options: (resized.append(1), original(*given, **options))[1])
    for _ in range(3):
        assert held_picture(path).resized(Size(22, 33)).size == (22, 33)
    assert (read, len(resized)) == (["a.png"], 1)


def test_the_least_recently_used_stills_are_released(tmp_path: Path, cache: BoundedMemory, read: list[str]) -> None:
    a, b, c = (saved(tmp_path, name) for name in ("a.png", "b.png", "c.png"))  # two fit
    for path in (a, b, a, c, a, b):
        held_picture(path)
        assert cache.size_in_bytes <= 4000
    assert read == ["a.png", "b.png", "c.png", "b.png"]


def test_a_still_above_the_limit_is_kept_alone(tmp_path: Path, cache: BoundedMemory, read: list[str]) -> None:
    large, small = saved(tmp_path, "large.png", noise(40, 40, 3)), saved(tmp_path, "small.png")
    for path in (small, large, large, small):
        held_picture(path)
    assert read == ["small.png", "large.png", "small.png"]


def test_a_still_above_the_limit_is_released_before_the_next_is_read() -> None:
    """Two stills of the maximum size do not fit into the memory of a small machine."""
    cache, held = BoundedMemory(1000), StillPicture(noise(20, 30, 3))
    former = weakref.ref(cache.get("first", lambda: Still(held)))

    def read() -> Still:
        assert former() is None
        assert cache.size_in_bytes == 0
        return Still(held)

    assert cache.get("second", read).nbytes == cache.size_in_bytes == 1800


def test_backgrounds_and_foregrounds_can_share_one_limit() -> None:
    memory = StillMemory()
    assert memory.backgrounds is not memory.foregrounds
    memory.share(4000)
    shared = memory.backgrounds
    assert shared is memory.foregrounds
    for name in ("a", "b", "c"):
        (memory.backgrounds if name == "b" else memory.foregrounds).get(name, lambda: np.zeros(1800, np.uint8))
    assert shared.size_in_bytes == 3600
    memory.share(2000)
    assert shared is memory.foregrounds  # what it keeps stays
    assert shared.get("c", lambda: pytest.fail("is kept")).nbytes == 1800
    memory.foregrounds.get("d", lambda: np.zeros(10, np.uint8))
    assert shared.size_in_bytes <= 2000


class Still:
    """A value of a cache, which a weak reference can name."""

    def __init__(self, picture: StillPicture) -> None:
        self.nbytes = picture.rgb(Box(0, 0, *picture.size)).nbytes


def test_a_changed_still_is_decoded_again(tmp_path: Path, cache: BoundedMemory) -> None:
    path = saved(tmp_path, "a.png")
    held_picture(path)
    saved(tmp_path, "a.png", 255 - PIXELS)
    os.utime(path, ns=(1, 1))
    assert np.array_equal(held_picture(path).rgb(Box(0, 0, 20, 30)), 255 - PIXELS)


def test_what_is_returned_may_be_changed(tmp_path: Path, cache: BoundedMemory) -> None:
    """Foregrounds are composited onto the returned pixels."""
    picture = held_picture(saved(tmp_path, "a.png"))
    for source in (picture, picture.resized(Size(20, 30))):
        box = Box(0, 0, 20, 30)
        source.rgb(box)[:] = 7
        assert np.array_equal(source.rgb(box), PIXELS)


def test_exif_orientation_and_odd_sizes(tmp_path: Path, cache: BoundedMemory) -> None:
    exif = Image.Exif()
    exif[0x112] = 3
    pixels = noise(21, 33, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    picture = held_picture(tmp_path / "a.png")
    assert picture.size == (21, 33)
    assert np.array_equal(picture.rgb(Box(5, 6, 20, 33)), pixels[::-1, ::-1][5:20, 6:33])
