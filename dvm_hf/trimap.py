"""From an alpha to its trimap: background 0, unknown 128, foreground 255.

A band is told by a `Band`: how far, in pixels, the unknown region reaches from the fractional pixels into the
certain ones. Pixels outside of the array count for nothing: they neither widen nor narrow a band.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from dvm_hf.compositing import Pixels

BACKGROUND, UNKNOWN, FOREGROUND = 0, 128, 255
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)  # what OpenCV calls an ellipse of 3 x 3
TEST_ITERATIONS = 5  # published test trimap: 3 x 3 ellipse, 5 iterations
TRAIN_KERNEL_SIZES = (2, 3, 4)  # published training trimap: kernel size and iterations are drawn
TRAIN_ITERATIONS = (5, 14)


@dataclass(frozen=True)
class Band:
    """Reach of the unknown region: `radius` px, measured along rows and columns ("steps") or as the crow flies."""

    radius: float
    steps: bool = False

    @property
    def margin(self) -> int:
        """Pixels around a region that its trimap depends on."""
        return int(np.ceil(self.radius))


TEST_BAND = Band(TEST_ITERATIONS, steps=True)


def training_band(rng: np.random.Generator) -> Band:
    """Band of a training clip, drawn once, so that the trimap does not flicker.

    The published loader erodes and dilates `iterations` times with a kernel of `size` px, which moves each border by
    iterations * (size - 1) / 2 px on average (even kernels: more on one side than on the other). Here every side
    gets that average.
    """
    size = int(rng.choice(TRAIN_KERNEL_SIZES))
    iterations = int(rng.integers(*TRAIN_ITERATIONS, endpoint=True))
    return Band(iterations * (size - 1) / 2)


def trimap(alpha: Pixels, band: Band) -> Pixels:
    """Trimap (H, W) uint8 of an alpha (H, W) uint8.

    foreground: alpha is 255 at every pixel within the band; background: 0 at every pixel within it; else unknown.
    """
    if band.steps:
        lowest = cv2.erode(alpha, CROSS, iterations=int(band.radius))
        highest = cv2.dilate(alpha, CROSS, iterations=int(band.radius))
        is_fg = cv2.threshold(lowest, 254, FOREGROUND, cv2.THRESH_BINARY)[1]
        is_not_bg = cv2.threshold(highest, 0, UNKNOWN, cv2.THRESH_BINARY)[1]
        return cv2.max(is_fg, is_not_bg)  # type: ignore[return-value]
    result = np.full(alpha.shape, UNKNOWN, np.uint8)
    result[_distance(alpha == 255) > band.radius] = FOREGROUND
    result[_distance(alpha == 0) > band.radius] = BACKGROUND
    return result


def from_provided(trimap_file: Pixels) -> Pixels:
    """Trimap in this package's values from a drawn one: 0 and 255 are certain, every grey between is unknown."""
    result = np.full(trimap_file.shape, UNKNOWN, np.uint8)
    result[trimap_file == 0] = BACKGROUND
    result[trimap_file == 255] = FOREGROUND
    return result


def _distance(is_certain: np.ndarray) -> np.ndarray:
    """Euclidean distance of each pixel to the nearest one that is not certain, in px; huge where all are certain."""
    return cv2.distanceTransform(is_certain.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
