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
    is_near = (cv2.dilate(alpha, np.ones((side, side), np.uint8)) > 0) & (alpha == 0)
    rows = np.flatnonzero(is_near.any(axis=1))
    if not len(rows):
        return colour
    result = colour.copy()
    for top in range(rows[0], rows[-1] + 1, BAND):  # bounds memory
        bottom = min(top + BAND, rows[-1] + 1)
        above = min(reach, top)
        around = np.s_[top - above : bottom + reach]
        weights = alpha[around].astype(np.float32)
        sums = [
            _sums(values, side)[above : above + bottom - top]
            for values in (weights, colour[around] * weights[..., None])
        ]
        hidden = is_near[top:bottom]
        result[top:bottom][hidden] = np.rint(sums[1][hidden] / sums[0][hidden][:, None])
    return result


def _sums(values: np.ndarray, side: int) -> np.ndarray:
    """Return the sums over squares of `side` px, outside of the picture 0; exact, as they are integers below 2^24."""
    return cv2.boxFilter(values, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
