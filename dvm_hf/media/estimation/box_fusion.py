"""Estimate the foreground colour with box filters: fusion of local mean colours, from coarse to fine.

The method continues the blur fusion of Forte (Approximate Fast Foreground Colour Estimation, ICIP 2021). Each step
replaces the foreground F and the background B by their local means, and adds the part of the picture that the means do
not explain. Three changes make it a solver of least squares, which reduces the error to a third or less:

- Means are weighted by a^2 and (1 - a)^2 instead of a and 1 - a, as in the normal equations of I = a F + (1 - a) B.
- F and B share the remainder, so that a F + (1 - a) B = I is met exactly before clipping and rounding.
- The sides of the boxes are powers of 3, each twice, instead of 90 and 6. F and B begin as the picture's mean colours.
"""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from dvm_hf.media.pixels import Pixels, Size

Plane: TypeAlias = npt.NDArray[np.float32]

EDITION = 1  # of the arithmetic; raise it with any change of a pixel
FACTOR = 3  # from one side of a box to the next, and the smallest side
PRIOR = np.float32(0.65)  # weight of the previous estimate, where 255^2 is that of an opaque pixel


@dataclass(frozen=True)
class Mixture:
    """The constants of a picture, each (H, W): a, 1 - a; weights a^2 and (1 - a)^2 as integers up to 255^2; the parts
    of the remainder that F and B get.
    """

    a: Plane
    b: Plane
    foreground_weight: Plane
    background_weight: Plane
    foreground_part: Plane
    background_part: Plane


def fused_foreground(picture: Pixels, alpha: Pixels) -> Pixels:
    """Estimate the foreground colour (H, W, 3) of a picture (H, W, 3) from its alpha (H, W), all uint8.

    Each step, with box means near a pixel, a = alpha / 255 and I = picture:

        bF = mean(a^2 F) / mean(a^2)              F <- bF + a (I - a bF - (1 - a) bB) / (a^2 + (1 - a)^2)
        bB = mean((1 - a)^2 B) / mean((1 - a)^2)  B <- bB + (1 - a) (I - a bF - (1 - a) bB) / (a^2 + (1 - a)^2)

    F and B are rounded to the nearest level after each step. So the sums in the boxes are integers that floats hold
    exactly, and the result does not depend on threads or on the order of a sum. Where no foreground is near, F keeps
    the value of the coarser step. Memory: about 60 bytes per pixel.
    """
    mixture = _mixture(alpha)
    planes = [np.ascontiguousarray(picture[..., channel]) for channel in range(3)]
    foreground = [_filled(plane, mixture.foreground_weight) for plane in planes]
    background = [_filled(plane, mixture.background_weight) for plane in planes]
    for side in box_sides(Size(*alpha.shape)):
        means = _means(mixture.foreground_weight, side), _means(mixture.background_weight, side)
        for channel, plane in enumerate(planes):
            near = (
                _near(foreground[channel], mixture.foreground_weight, means[0], side),
                _near(background[channel], mixture.background_weight, means[1], side),
            )
            foreground[channel], background[channel] = _explained(plane, *near, mixture)
    return np.dstack(foreground)


def box_sides(size: Size) -> list[int]:
    """Return the side of the boxes of each step, px: powers of 3, each twice, from the first that reaches half of the
    picture's longer side down to 3.

    729, 729, 243, 243, ..., 3, 3 for 680 x 440 px. All are odd, so that a mirrored picture has a mirrored estimate.
    """
    sides = [FACTOR]
    while sides[0] < max(size) / 2:
        sides.insert(0, sides[0] * FACTOR)
    return [side for side in sides for _ in range(2)]


def _mixture(alpha: Pixels) -> Mixture:
    levels, rest = alpha.astype(np.float32), (255 - alpha).astype(np.float32)
    a, b = levels / np.float32(255), rest / np.float32(255)
    total = a * a + b * b  # at least 1/2
    return Mixture(a, b, levels * levels, rest * rest, a / total, b / total)


def _filled(plane: Pixels, weight: Plane) -> Pixels:
    """Return a plane of the weighted mean of `plane`."""
    mean = (plane * weight).sum(dtype=np.float64) / max(weight.sum(dtype=np.float64), 1)
    return np.full_like(plane, round(mean))


def _means(values: Plane, side: int) -> Plane:
    """Return the means in boxes; what is outside of the picture counts as 0."""
    box = (side, side)
    return cv2.boxFilter(values, cv2.CV_32F, box, borderType=cv2.BORDER_CONSTANT)  # type: ignore[return-value]


def _near(estimate: Pixels, weight: Plane, mean_weight: Plane, side: int) -> Plane:
    """Return the weighted mean of an estimate in boxes; the estimate itself where no weight is near."""
    # exact: 255^3 < 2^24
    found = _means(estimate * weight, side)
    found += PRIOR * estimate
    found /= mean_weight + PRIOR
    return found


def _explained(plane: Pixels, foreground: Plane, background: Plane, mixture: Mixture) -> tuple[Pixels, Pixels]:
    """Return F and B with their parts of the remainder I - a F - (1 - a) B."""
    remainder = plane - mixture.a * foreground
    remainder -= mixture.b * background
    foreground += mixture.foreground_part * remainder
    background += mixture.background_part * remainder
    return _rounded(foreground), _rounded(background)


def _rounded(values: Plane) -> Pixels:
    np.clip(values, 0, 255, out=values)
    return np.rint(values, out=values).astype(np.uint8)
