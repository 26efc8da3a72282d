"""Lay a foreground over a background through its alpha."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]

BLOCK = 128  # px; blocks that are wholly transparent or wholly opaque need no arithmetic


# A forked child has none of its parent's threads; OpenCV would wait for them for ever when it is given another number.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: cv2.setNumThreads(0))


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """OpenCV on one thread for a while, then as it was.

    Its threads wait for work by spinning. On tiles and blocks of 128 px they cost a third more CPU and no wall time is
    saved (measured, 2 cores, 1632 x 1056 px: 33 against 25 ms a frame); cores are for decoders and for processes.
    """
    threads = cv2.getNumThreads()
    if threads == 1:  # already, or in a forked child
        yield
        return
    cv2.setNumThreads(1)  # not 0: other threads of Python may be inside OpenCV, which divides by it
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def lay_over(background: Pixels, foreground: Pixels, alpha: Pixels) -> None:
    """Lay straight colours over the background, in place, each value rounded to the nearest level.

    Parameters are uint8: foreground and background (H, W, 3), alpha (H, W).

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
    """(F * w1 + B * w2) / (w1 + w2 + 1e-5) in float32, rounded by OpenCV.

    A multiple of 1/255 is never closer than 1/510 to a half, the float error is below 1e-4: the rounding is exact.
    """
    weight = alpha.astype(np.float32)
    return cv2.blendLinear(foreground, background, weight, 255.0 - weight)  # type: ignore[return-value]
