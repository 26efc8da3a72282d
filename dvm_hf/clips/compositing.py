"""Composite a foreground over a background."""

from collections.abc import Iterator

import cv2

from dvm_hf.media.pixels import Pixels

BLOCK = 128  # px
UNDIVIDED = 384  # px; up to this size, calls for several blocks cost more than arithmetic on pixels that need none


def blocks(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Yield the parts of an area that are composited at once. A transparent or opaque one needs no arithmetic."""
    size = BLOCK if max(height, width) > UNDIVIDED else UNDIVIDED
    for top in range(0, height, size):
        for left in range(0, width, size):
            yield slice(top, top + size), slice(left, left + size)


def composite_over(background: Pixels, foreground: Pixels, alpha: Pixels) -> None:
    """Composite unpremultiplied colours onto the background in place, rounding each value to the nearest level.

    All arrays are uint8: foreground and background (H, W, 3), alpha (H, W).

        I = a * F + (1 - a) * B,   a = alpha / 255
    """
    for block in blocks(*alpha.shape):
        lowest, highest, *_ = cv2.minMaxLoc(alpha[block])
        if lowest == 255:
            background[block] = foreground[block]
        elif highest > 0:
            _blend_over(background[block], foreground[block], alpha[block])


def _blend_over(background: Pixels, foreground: Pixels, alpha: Pixels) -> None:
    """Replace the background B by (a * F + (255 - a) * B) / 255, rounded.

    This is B plus or minus a * |F - B| / 255, rounded, because B is an integer. Every step is an operation of OpenCV
    from 8 bits to 8 bits, which is faster than one with wider types. OpenCV multiplies in float32, where a * |F - B| is
    exact; no quotient is closer than 1 / 510 to a tie, because 255 is odd.
    """
    weight = cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB)
    change = cv2.absdiff(foreground, background)
    cv2.multiply(change, weight, dst=change, scale=1 / 255)
    is_darker, darker = cv2.compare(foreground, background, cv2.CMP_LT), cv2.subtract(background, change)
    cv2.add(background, change, dst=background)
    cv2.copyTo(darker, is_darker, dst=background)
