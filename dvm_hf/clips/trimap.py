"""From an alpha to its trimap: background 0, unknown 128, foreground 255.

Pixels outside of the array count for nothing: they neither widen nor narrow a band.
"""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from dvm_hf.media.pixels import Pixels

BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255
TRAIN_KERNEL_SIZES = (2, 3, 4)  # published training trimap: kernel size and iterations are drawn
TRAIN_ITERATIONS = (5, 14)


class Band(Protocol):
    """How far the unknown region reaches into the certain ones."""

    @property
    def margin(self) -> int:
        """Pixels around a region that its trimap depends on."""

    def trimap(self, alpha: Pixels) -> Pixels:
        """Trimap (H, W) uint8 of an alpha (H, W) uint8.

        foreground: alpha is 255 all over the band's reach; background: 0 all over it; else unknown.
        """


@dataclass(frozen=True)
class EuclideanBand:
    """A band of `radius` px on each side, as the crow flies."""

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
    """A band by erosion and dilation with OpenCV's ellipse of `size` px, `iterations` times.

    A size of 3 is a cross, hence a diamond of `iterations` px; an even size leans to the upper left.
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
    """Band of a training clip, drawn once, so that the trimap does not flicker.

    The published bands (`published_training_band`) move each border by iterations * (size - 1) / 2 px on average, even
    sizes more on one side than on the other. Here every side gets that average.
    """
    drawn = published_training_band(rng)
    return EuclideanBand(drawn.iterations * (drawn.size - 1) / 2)


def published_training_band(rng: np.random.Generator) -> MorphologicalBand:
    """Band of one training frame as the published loader draws it, with even kernels that lean."""
    return MorphologicalBand(int(rng.choice(TRAIN_KERNEL_SIZES)), int(rng.integers(*TRAIN_ITERATIONS, endpoint=True)))


def from_provided(trimap_file: Pixels) -> Pixels:
    """Trimap in this package's values from a drawn one: 0 and 255 are certain, every grey between is unknown."""
    result = np.full(trimap_file.shape, UNKNOWN, np.uint8)
    result[trimap_file == 0] = BACKGROUND
    result[trimap_file == 255] = FOREGROUND
    return result


def _distance(is_certain: np.ndarray) -> np.ndarray:
    """Euclidean distance of each pixel to the nearest one that is not certain, in px; huge where all are certain."""
    return cv2.distanceTransform(is_certain.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
