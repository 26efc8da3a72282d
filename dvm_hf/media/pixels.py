"""Pixel arrays, sizes and boxes: what every module that handles pictures shares."""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]


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


BAND = 256  # rows that are converted in one step


def scaled_to_8_bit(pixels: np.ndarray) -> Pixels:
    """Rounded from 0 .. 65535 to 0 .. 255."""
    scaled = np.empty(pixels.shape, np.uint8)
    for row in range(0, len(pixels), BAND):
        scaled[row : row + BAND] = (pixels[row : row + BAND].astype(np.uint32) * 255 + 32767) // 65535
    return scaled
