"""Sizes and boxes of one composite; every rule from the published pipeline's geometry.

Sizes are (height, width) in whole pixels. A `Box` holds the pixels rows [top, bottom) x columns [left, right).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt


class Size(NamedTuple):
    """Height and width in pixels; in words the width comes first, as in every text that the package writes."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width} x {self.height} px"


class Box(NamedTuple):
    """Rows [top, bottom) and columns [left, right) of a frame, in pixels; may be empty."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def is_empty(self) -> bool:
        return self.bottom <= self.top or self.right <= self.left

    def grown(self, margin: int) -> "Box":
        """The box with `margin` more pixels on each side."""
        return Box(self.top - margin, self.left - margin, self.bottom + margin, self.right + margin)

    def intersection(self, other: "Box") -> "Box":
        """The pixels in both boxes; an empty box where there are none."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Box(top, left, max(top, bottom), max(left, right))

    def within(self, outer: "Box") -> tuple[slice, slice]:
        """Index of this box in an array that holds exactly the pixels of `outer`."""
        rows = slice(self.top - outer.top, self.bottom - outer.top)
        return rows, slice(self.left - outer.left, self.right - outer.left)


def occupied_box(alpha: npt.NDArray[np.uint8]) -> Box:
    """Smallest box that holds every pixel of an alpha (H, W) that is not 0; empty where all are."""
    left, top, width, height = cv2.boundingRect(alpha)
    return Box(top, left, top + height, left + width)


def turned_apart(first: int, second: int, *, sideways: Collection[int], size: Size) -> bool:
    """Whether the tags of two pictures that belong together, both of this size when upright, turn them differently in
    a way that the size does not tell of: one of them may be upright already. `sideways`: tags that exchange the sides.
    """
    is_same_size = (first in sideways) == (second in sideways) or size.height == size.width
    return first != second and is_same_size


@dataclass(frozen=True)
class Geometry:
    """Sizes of one composite: the foreground and the background after resizing, and the frame."""

    foreground: Size
    background: Size
    frame: Size

    @property
    def frame_box(self) -> Box:
        return Box(0, 0, *self.frame)


def geometry(foreground: Size, background: Size, *, max_size: int) -> Geometry:
    """Sizes of the composite of a foreground over a background, from their sizes in the files.

    fr = min(max_size / fw0, max_size / fh0); where fr < 1 the foreground shrinks by it.
    br = max(fw / bw0, fh / bh0);             where br > 1 the background grows by it.
    k  = min(1.2 * f, b, max_size, 2 * f) in each direction, every product cut to an integer.
    """
    fh, fw = _scaled(foreground, min(1.0, min(max_size / foreground.width, max_size / foreground.height)))
    bh, bw = _scaled(background, max(1.0, max(fw / background.width, fh / background.height)))
    kh = min(int(fh * 1.2), bh, max_size, fh * 2)
    kw = min(int(fw * 1.2), bw, max_size, fw * 2)
    return Geometry(Size(fh, fw), Size(bh, bw), Size(kh, kw))


def centred_box(row: int, column: int, *, side: int, frame: Size) -> Box:
    """Square box of `side` px around a pixel, moved inwards where it would leave the frame.

    The frame must be at least `side` px high and wide.
    """
    top = min(max(row - side // 2, 0), frame.height - side)
    left = min(max(column - side // 2, 0), frame.width - side)
    return Box(top, left, top + side, left + side)


def _scaled(size: Size, ratio: float) -> Size:
    return size if ratio == 1.0 else Size(max(1, int(size.height * ratio)), max(1, int(size.width * ratio)))
