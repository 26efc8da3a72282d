"""Decoded stills as pictures of a video, and a cache of the stills that are held as backgrounds."""

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np

from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.still.stills import read_colour

CACHE_BYTES = 2**28  # of the decoded and the resized stills of a process

Version: TypeAlias = tuple[int, ...] | None
Key: TypeAlias = tuple[Path, Version, Size | None]  # without a size: as decoded


def file_version(path: Path) -> Version:
    """Return inode, size and times of a file or folder, to detect a change; None if it is missing."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class StillPicture:
    """Decoded colours (H, W, 3) as a picture. size: (height, width)."""

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels
        self.size = Size(*pixels.shape[:2])

    def rgb(self, box: Box) -> Pixels:
        """Return the RGB pixels (h, w, 3) in a box, as a new array."""
        return self._pixels[box.within(Box(0, 0, *self.size))].copy()


class HeldPicture(StillPicture):
    """A still that is shown in all frames of a clip. `resized` is computed once per size and process."""

    def __init__(self, path: Path, version: Version, pixels: Pixels) -> None:
        super().__init__(pixels)
        self._path, self._version = path, version

    def resized(self, size: Size) -> StillPicture:
        """Return the picture at another size, by bilinear interpolation."""
        return StillPicture(STILLS.pixels((self._path, self._version, size), lambda: _resized(self._pixels, size)))


class StillCache:
    """Decoded and resized stills, read-only; the least recently used ones are released first.

    max_bytes: size of all stills. One that is larger than that is kept alone.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._held: OrderedDict[Key, Pixels] = OrderedDict()

    def pixels(self, key: Key, read: Callable[[], Pixels]) -> Pixels:
        """Return the pixels of a still; `read` is called if the cache does not hold them."""
        found = self._held.pop(key, None)
        if found is None:
            found = read()
            found.setflags(write=False)
        self._held[key] = found
        while len(self._held) > 1 and self.size_in_bytes > self.max_bytes:
            self._held.popitem(last=False)
        return found

    @property
    def size_in_bytes(self) -> int:
        return sum(pixels.nbytes for pixels in self._held.values())


STILLS = StillCache(CACHE_BYTES)


def held_picture(path: Path) -> HeldPicture:
    """Return a still as a picture, from the cache of this process if the file has not changed."""
    version = file_version(path)
    pixels = STILLS.pixels((path, version, None), lambda: np.ascontiguousarray(read_colour(path)))
    return HeldPicture(path, version, pixels)


def _resized(pixels: Pixels, size: Size) -> Pixels:
    return cv2.resize(pixels, (size.width, size.height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]
