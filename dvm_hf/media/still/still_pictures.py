"""Decoded stills as pictures of a video, and the stills that a process keeps."""

import os
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np

from dvm_hf.media.bounded_memory import BoundedMemory
from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.still.stills import read_colour

BACKGROUND_BYTES = 2**28  # of the decoded and the resized background stills of a process

Version: TypeAlias = tuple[int, ...] | None


def file_version(path: Path) -> Version:
    """Return inode, size and times of a file or folder, to detect a change; None if it is missing."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class StillPicture:
    """A decoded picture: colours (H, W, 3), with or without an alpha (H, W), or an alpha alone.

    size: (height, width).
    """

    def __init__(self, pixels: Pixels, alpha: Pixels | None = None) -> None:
        """Hold colours and their alpha. An alpha alone is passed as `pixels`, (H, W)."""
        self._pixels, self._alpha = pixels, pixels if pixels.ndim == 2 else alpha
        self.size = Size(*pixels.shape[:2])

    @property
    def nbytes(self) -> int:
        parts = {id(part): part.nbytes for part in (self._pixels, self._alpha) if part is not None}
        return sum(parts.values())

    @property
    def bytes_per_pixel(self) -> float:
        return self.nbytes / (self.size.height * self.size.width)

    def rgb(self, box: Box) -> Pixels:
        """Return the RGB pixels (h, w, 3) in a box, as a new array; of an alpha alone, three equal channels."""
        pixels = self._pixels[box.within(Box(0, 0, *self.size))]
        return np.dstack([pixels] * 3) if pixels.ndim == 2 else pixels.copy()

    def alpha(self, box: Box) -> Pixels:
        """Return the alpha (h, w) in a box, as a new array."""
        assert self._alpha is not None
        return self._alpha[box.within(Box(0, 0, *self.size))].copy()


class HeldPicture(StillPicture):
    """A still that is shown in all frames of a clip. `resized` is computed once per size and process."""

    def __init__(self, path: Path, version: Version, pixels: Pixels) -> None:
        super().__init__(pixels)
        self._path, self._version = path, version

    def resized(self, size: Size) -> StillPicture:
        """Return the picture at another size, by bilinear interpolation."""
        key = self._path, self._version, size
        return StillPicture(STILLS.backgrounds.get(key, lambda: _resized(self._pixels, size)))


class StillMemory:
    """The stills that this process keeps.

    Backgrounds recur in many clips. The clips of an image foreground are consecutive in a build, so that keeping the
    latest image is enough; in the shuffled epochs of a training stream, both share one limit.
    """

    def __init__(self) -> None:
        self.backgrounds = BoundedMemory(BACKGROUND_BYTES)
        self.foregrounds = BoundedMemory(0)

    def share(self, max_bytes: int) -> None:
        """Keep backgrounds and image foregrounds within one limit of bytes from now on."""
        if self.foregrounds is not self.backgrounds:
            self.backgrounds = self.foregrounds = BoundedMemory(max_bytes)
        self.backgrounds.max_bytes = max_bytes


STILLS = StillMemory()


def held_picture(path: Path) -> HeldPicture:
    """Return a still as a picture, from the cache of this process if the file has not changed."""
    version = file_version(path)
    pixels = STILLS.backgrounds.get((path, version, None), lambda: read_only(np.ascontiguousarray(read_colour(path))))
    return HeldPicture(path, version, pixels)


def _resized(pixels: Pixels, size: Size) -> Pixels:
    return read_only(cv2.resize(pixels, (size.width, size.height), interpolation=cv2.INTER_LINEAR))  # type: ignore[arg-type]


def read_only(pixels: Pixels) -> Pixels:
    """Return the array, which can no longer be changed."""
    pixels.setflags(write=False)
    return pixels
