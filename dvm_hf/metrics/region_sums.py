"""The type of a measurement: a function from a region's mask to a sum over that region."""

from collections.abc import Callable
from typing import TypeAlias

import cv2

from dvm_hf.metrics.frames import Errors, Mask

RegionSum: TypeAlias = Callable[[Mask | None], float]


def region_norm(values: Errors, norm: int, mask: Mask | None) -> float:
    """Return the sum of |values| or of their squares (cv2.NORM_L1, cv2.NORM_L2SQR) over a region.

    Zeros elsewhere cost a quarter of the time that OpenCV takes for int16 with a mask.
    """
    return cv2.norm(values if mask is None else cv2.copyTo(values, mask), norm)
