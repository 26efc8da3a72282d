"""Colours of transparent pixels that a resize or a warp blends into the edge of the matte."""

import cv2
import numpy as np

from dvm_hf.media.pixels import BAND, Pixels

RESIZED = 3  # px: bicubic interpolation mixes pixels that are at most 3 px apart
WARPED = 1  # px: bilinear interpolation mixes neighbours


def continued(colour: Pixels, alpha: Pixels, reach: int) -> Pixels:
    """Return colours (H, W, 3) uint8 that continue beyond the matte (H, W) uint8; the given array if nothing changes.

    A pixel with alpha 0 gets the mean of the colours within `reach` px in each direction, weighted by their alpha and
    rounded to nearest; if all of these have alpha 0, it keeps its colour. Every other pixel is unchanged. What a file
    has there, often black, is not part of the foreground. Interpolating straight colours would make the edge darker;
    interpolating premultiplied ones, which is exact, would round the colours where alpha is low to few levels.
    """
    side = 2 * reach + 1
    hidden = cv2.inRange(alpha, 0, 0)
    near = cv2.bitwise_and(cv2.dilate(alpha, np.ones((side, side), np.uint8)), hidden)
    left, top, width, height = cv2.boundingRect(near)
    if not width:
        return colour
    result = colour.copy()
    for start in range(top, top + height, BAND):  # bounds memory
        stop = min(start + BAND, top + height)
        first, outermost = max(start - reach, 0), max(left - reach, 0)
        around = np.s_[first : stop + reach, outermost : left + width + reach]
        weights = cv2.merge([alpha[around]] * 3)
        weighted = cv2.multiply(colour[around], weights, dtype=cv2.CV_16U)
        means = cv2.divide(_sums(weighted, side), _sums(weights, side), dtype=cv2.CV_8U)
        inner = np.s_[start - first : stop - first, left - outermost : left - outermost + width]
        band = np.s_[start:stop, left : left + width]
        cv2.copyTo(means[inner], near[band], result[band])
    return result


def _sums(values: np.ndarray, side: int) -> np.ndarray:
    """Return the sums over squares of `side` px, outside of the picture 0; exact, as they are integers below 2^24."""
    return cv2.boxFilter(values, cv2.CV_32F, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
