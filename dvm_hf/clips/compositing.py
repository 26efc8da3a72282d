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
    """Return (a * F + (255 - a) * B) / 255, rounded. 16-bit arithmetic is exact and twice as fast as float32.

    With v = a * F + (255 - a) * B and x = v + 128 <= 65153, v / 255 rounded is (x + x // 256) // 256.
    """
    weight = cv2.merge((alpha, alpha, alpha))
    total = np.multiply(foreground, weight, dtype=np.uint16)
    total += np.multiply(background, cv2.bitwise_not(weight), dtype=np.uint16)
    total += 128
    total += total >> 8
    total >>= 8
    return total.astype(np.uint8)
