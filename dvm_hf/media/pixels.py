"""Types for pixel arrays, sizes and boxes."""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]


class Size(NamedTuple):
    """Height and width in pixels. Its text form is `WIDTH x HEIGHT px`, as in all messages of the package."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width} x {self.height} px"


class Box(NamedTuple):
    """Rows [top, bottom) and columns [left, right) of a frame in pixels; can be empty."""

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
        """Return the box extended by `margin` pixels on each side."""
        return Box(self.top - margin, self.left - margin, self.bottom + margin, self.right + margin)

    def intersection(self, other: "Box") -> "Box":
        """Return the intersection of both boxes; an empty box if they do not overlap."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Box(top, left, max(top, bottom), max(left, right))

    def within(self, outer: "Box") -> tuple[slice, slice]:
        """Return the slices of this box in an array that contains exactly the pixels of `outer`."""
        rows = slice(self.top - outer.top, self.bottom - outer.top)
        return rows, slice(self.left - outer.left, self.right - outer.left)


class Layers(NamedTuple):
    """Colour (H, W, 3) and alpha (H, W) of a picture."""

    colour: Pixels
    alpha: Pixels


BAND = 256  # rows per conversion step


def scaled_to_8_bit(pixels: np.ndarray) -> Pixels:
    """Scale values 0 .. 65535 to 0 .. 255, rounded to nearest."""
    scaled = np.empty(pixels.shape, np.uint8)
    for row in range(0, len(pixels), BAND):
        scaled[row : row + BAND] = (pixels[row : row + BAND].astype(np.uint32) * 255 + 32767) // 65535
    return scaled
