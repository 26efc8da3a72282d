"""Compute a trimap from an alpha: background 0, unknown 128, foreground 255.

Pixels outside the array have no effect: they neither widen nor narrow the unknown band.
"""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from dvm_hf.media.pixels import Pixels

BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255
TRAIN_KERNEL_SIZES = (2, 3, 4)  # published training trimap: random kernel size and iterations
TRAIN_ITERATIONS = (5, 14)


class Band(Protocol):
    """The width of the unknown band, and the trimap that it gives."""

    @property
    def margin(self) -> int:
        """Width of the border, in px, that the trimap of a region depends on."""

    def trimap(self, alpha: Pixels) -> Pixels:
        """Return the trimap (H, W) uint8 of an alpha (H, W) uint8.

        A pixel is foreground if alpha is 255 everywhere within the band's width, background if it is 0 everywhere, else
        unknown.
        """


@dataclass(frozen=True)
class EuclideanBand:
    """A band of `radius` px on each side, by Euclidean distance."""

    radius: float

    @property
    def margin(self) -> int:
        return int(np.ceil(self.radius))

    def trimap(self, alpha: Pixels) -> Pixels:
        result = np.full(alpha.shape, UNKNOWN, np.uint8)
        result[_distance(alpha == 255) > self.radius] = FOREGROUND
        result[_distance(alpha == 0) > self.radius] = BACKGROUND
        return result


@dataclass(frozen=True)
class MorphologicalBand:
    """A band by `iterations` erosions and dilations with OpenCV's ellipse of `size` px.

    A size of 3 is a cross, which gives a diamond of `iterations` px. A kernel of an even size is asymmetric: it extends
    further to the upper left.
    """

    size: int
    iterations: int

    @property
    def margin(self) -> int:
        return self.iterations * (self.size // 2)

    def trimap(self, alpha: Pixels) -> Pixels:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (self.size, self.size))
        lowest = cv2.erode(alpha, kernel, iterations=self.iterations)
        highest = cv2.dilate(alpha, kernel, iterations=self.iterations)
        is_fg = cv2.threshold(lowest, 254, FOREGROUND, cv2.THRESH_BINARY)[1]
        is_not_bg = cv2.threshold(highest, 0, UNKNOWN, cv2.THRESH_BINARY)[1]
        return cv2.max(is_fg, is_not_bg)  # type: ignore[return-value]


TEST_BAND = MorphologicalBand(size=3, iterations=5)  # the published test trimap


def training_band(rng: np.random.Generator) -> EuclideanBand:
    """Draw the band of a training clip. One band for all frames keeps the trimap from flickering.

    The published bands (`published_training_band`) move each border by iterations * (size - 1) / 2 px on average; an
    even size moves one side more than the other. This band has the average width on every side.
    """
    band = published_training_band(rng)
    return EuclideanBand(band.iterations * (band.size - 1) / 2)


def published_training_band(rng: np.random.Generator) -> MorphologicalBand:
    """Draw the band of one training frame as the published loader does; even kernel sizes are asymmetric."""
    return MorphologicalBand(int(rng.choice(TRAIN_KERNEL_SIZES)), int(rng.integers(*TRAIN_ITERATIONS, endpoint=True)))


def from_provided(trimap_file: Pixels) -> Pixels:
    """Convert a trimap file to the values of this package: 0 and 255 stay, every value in between becomes unknown."""
    result = np.full(trimap_file.shape, UNKNOWN, np.uint8)
    result[trimap_file == 0] = BACKGROUND
    result[trimap_file == 255] = FOREGROUND
    return result


def _distance(is_certain: np.ndarray) -> np.ndarray:
    """Return each pixel's Euclidean distance, px, to the nearest uncertain pixel; huge if all pixels are certain."""
    return cv2.distanceTransform(is_certain.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
