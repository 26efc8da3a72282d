"""Composite a foreground over a background."""

import cv2
import numpy as np

from dvm_hf.media.pixels import Pixels

BLOCK = 128  # px; a fully transparent or fully opaque block needs no arithmetic


def composite_over(background: Pixels, foreground: Pixels, alpha: Pixels) -> None:
    """Composite unpremultiplied colours onto the background in place, rounding each value to the nearest level.

    All arrays are uint8: foreground and background (H, W, 3), alpha (H, W).

        I = a * F + (1 - a) * B,   a = alpha / 255
    """
    height, width = alpha.shape
    for top in range(0, height, BLOCK):
        for left in range(0, width, BLOCK):
            block = np.s_[top : top + BLOCK, left : left + BLOCK]
            lowest, highest, *_ = cv2.minMaxLoc(alpha[block])
            if lowest == 255:
                background[block] = foreground[block]
            elif highest > 0:
                background[block] = _blend(foreground[block], alpha[block], background[block])


def _blend(foreground: Pixels, alpha: Pixels, background: Pixels) -> Pixels:
    """Return (a * F + (255 - a) * B) / 255, rounded.

    This is B plus or minus a * |F - B| / 255, rounded, because B is an integer. Every step is an operation of OpenCV
    from 8 bits to 8 bits, which is faster than one with wider types. OpenCV multiplies in float32, where a * |F - B| is
    exact; no quotient is closer than 1 / 510 to a tie, because 255 is odd.
    """
    weight = cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB)
    change = cv2.multiply(cv2.absdiff(foreground, background), weight, scale=1 / 255)
    blended = cv2.add(background, change)
    cv2.copyTo(cv2.subtract(background, change), cv2.compare(foreground, background, cv2.CMP_LT), blended)
    return blended  # type: ignore[return-value]
