"""Display geometry of a decoded frame: clean aperture, pixel aspect ratio, display matrix, in FFmpeg's order.

Orientations are EXIF's 1 .. 8 for both videos and stills; 1 is upright.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import cv2
import numpy as np

from dvm_hf.media.pixels import Box, Pixels, Size

SIDEWAYS = (5, 6, 7, 8)  # orientations that swap height and width
UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {  # orientation: function that turns the picture upright
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}
ORIENTATION_NAMES = {  # orientation: description; degrees are counterclockwise
    1: "0 degrees",
    2: "mirrored",
    3: "180 degrees",
    4: "180 degrees, mirrored",
    5: "90 degrees, mirrored",
    6: "270 degrees",
    7: "270 degrees, mirrored",
    8: "90 degrees",
}
ROTATIONS = (1, 3, 6, 8)  # orientations that OpenCV's reader undoes
ANGLE_TOLERANCE = math.sin(math.radians(1))  # FFmpeg rounds an angle within 1 degree of a right angle
NEARLY_SQUARE = Fraction(1, 100)  # encoders that preserve the aspect ratio of an odd size write e.g. 1280:1281
MAX_ASPECT = 4
IDENTITY = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)  # display matrix


class UnsupportedRotation(ValueError):
    """A display matrix rotates the picture by an angle that is not a multiple of 90 degrees, or skews it."""


@dataclass(frozen=True)
class Declared:
    """Geometry that a stream declares for all its frames.

    aspect: pixel width / height.
    aperture: part of the stored frame that is displayed; None for the complete frame.
    """

    aspect: Fraction = Fraction(1)
    aperture: Box | None = None


AS_STORED = Declared()


@dataclass(frozen=True)
class Display:
    """Display geometry of a frame with the size `stored`."""

    stored: Size
    orientation: int = 1
    declared: Declared = AS_STORED

    @cached_property
    def is_stored(self) -> bool:
        """Whether the stored pixels are displayed unchanged."""
        return self.orientation == 1 and self.unrotated == self.stored and self.aperture == Box(0, 0, *self.stored)

    @cached_property
    def aperture(self) -> Box:
        full = Box(0, 0, *self.stored)
        part = full if self.declared.aperture is None else self.declared.aperture.intersection(full)
        return full if part.is_empty else part

    @cached_property
    def unrotated(self) -> Size:
        """Size before rotation. Frames are only enlarged to get square pixels, so that no detail is lost."""
        part, aspect = self.aperture, self.declared.aspect
        if aspect == 1 or abs(aspect - 1) <= NEARLY_SQUARE:
            return Size(part.height, part.width)
        if aspect > 1:
            return Size(part.height, round(part.width * aspect))
        return Size(round(part.height / aspect), part.width)

    @cached_property
    def size(self) -> Size:
        """Displayed size, after rotation."""
        height, width = self.unrotated
        return Size(width, height) if self.orientation in SIDEWAYS else Size(height, width)

    @property
    def changes(self) -> str:
        """Description of the changes that OpenCV's reader does not apply; empty if there are none."""
        found, (height, width) = [], (self.aperture.height, self.aperture.width)
        if (height, width) != self.stored:
            found.append(f"cropped to {Size(height, width)}")
        if self.unrotated != (height, width):
            found.append(f"its pixels are {self.declared.aspect.numerator}:{self.declared.aspect.denominator}")
        if self.orientation not in ROTATIONS:
            found.append(f"turned by {ORIENTATION_NAMES[self.orientation]}" if self.orientation != 2 else "mirrored")
        return ", ".join(found)

    def shown(self, pixels: Pixels) -> Pixels:
        """Return the pixels of a stored frame, (H, W) or (H, W, 3), as displayed, resized by bicubic interpolation."""
        if self.is_stored:
            return pixels
        part, size = pixels[self.aperture.within(Box(0, 0, *self.stored))], self.unrotated
        if part.shape[:2] != size:
            part = cv2.resize(part, (size.width, size.height), interpolation=cv2.INTER_CUBIC)  # type: ignore[assignment]
        return np.ascontiguousarray(UPRIGHT[self.orientation](part) if self.orientation in UPRIGHT else part)


def orientation(matrix: tuple[int, ...]) -> int:
    """Return the EXIF orientation of a display matrix (a, b, u, c, d, v, x, y, w).

    x' = a * x + c * y; y' = b * x + d * y, with y downwards. Scale factors are ignored, because FFmpeg converts them to
    a pixel aspect ratio. A matrix with a zero row counts as upright, as in FFmpeg. Raises UnsupportedRotation if the
    angle is not a multiple of 90 degrees, or if the picture's sides are not at right angles.
    """
    across, down = math.hypot(*matrix[:2]), math.hypot(*matrix[3:5])
    if not across or not down:
        return 1
    (a, b), (c, d) = (value / across for value in matrix[:2]), (value / down for value in matrix[3:5])
    if max(abs(b), abs(c)) < ANGLE_TOLERANCE:
        return {(True, True): 1, (False, True): 2, (False, False): 3, (True, False): 4}[a > 0, d > 0]
    if max(abs(a), abs(d)) < ANGLE_TOLERANCE:
        return {(True, True): 5, (True, False): 6, (False, False): 7, (False, True): 8}[b > 0, c > 0]
    if abs(a * c + b * d) >= ANGLE_TOLERANCE:
        raise UnsupportedRotation(
            "skews it, which is not supported; re-encode it as it is to be shown, without a display matrix"
        )
    raise UnsupportedRotation(
        f"rotates it by {math.degrees(math.atan2(-b, a)) % 360:.3g} degrees, but only multiples of 90 degrees are "
        "supported; re-encode it upright, as ffmpeg does by default"
    )


def matrix_product(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    """Return the product of two display matrices: 16.16 fixed point, with 2.30 in the last column."""
    if second == IDENTITY:
        return first
    shifts = (16, 16, 30)
    return tuple(
        sum((first[3 * row + inner] * second[3 * inner + column]) >> shifts[inner] for inner in range(3))
        for row in range(3)
        for column in range(3)
    )


def is_valid_aspect(aspect: Fraction) -> bool:
    """Return whether a pixel aspect ratio is valid. 0 means unknown and is not."""
    return Fraction(1, MAX_ASPECT) <= aspect <= MAX_ASPECT


def orientations_conflict(first: int, second: int, *, sideways: Collection[int], size: Size) -> bool:
    """Return whether the orientation tags of two matching pictures contradict each other without changing the size.

    Then the pixels of one picture may be upright already, and the size cannot show which one.

    sideways: tags that swap height and width.
    size: upright size of both pictures.
    """
    is_same_size = (first in sideways) == (second in sideways) or size.height == size.width
    return first != second and is_same_size
