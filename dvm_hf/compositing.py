"""Lay a foreground over a background through its alpha."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]

BLOCK = 128  # px; blocks that are wholly transparent or wholly opaque need no arithmetic


class _OneThread:
    """How many are inside `one_opencv_thread`, and what the first of them found."""

    lock = Lock()
    inside = 0
    threads_before = 0


def _without_threads() -> None:
    _OneThread.lock, _OneThread.inside = Lock(), 0
    cv2.setNumThreads(0)


# A forked child has none of its parent's threads; OpenCV would wait for them for ever when it is given another number.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_without_threads)


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """OpenCV on one thread for a while, then as it was; the setting is the process's, for all of its threads.

    Its threads wait for work by spinning. On tiles and blocks of 128 px they cost a third more CPU and no wall time is
    saved (measured, 2 cores, 1632 x 1056 px: 33 against 25 ms a frame); cores are for decoders and for processes.
    """
    with _OneThread.lock:
        if not _OneThread.inside:
            _OneThread.threads_before = cv2.getNumThreads()
            if _OneThread.threads_before != 1:
                cv2.setNumThreads(1)  # not 0: other threads of Python may be inside OpenCV, which divides by it
        _OneThread.inside += 1
    try:
        yield
    finally:
        with _OneThread.lock:
            _OneThread.inside -= 1
            if not _OneThread.inside and _OneThread.threads_before != 1:
                cv2.setNumThreads(_OneThread.threads_before)


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
    """a * F + (255 - a) * B, divided by 255 and rounded, in 16 bits: twice as fast as in float32, and exact.

    With v = a * F + (255 - a) * B and x = v + 128 <= 65153, v / 255 rounded is (x + x // 256) // 256.
    """
    weight = cv2.merge((alpha, alpha, alpha))
    total = np.multiply(foreground, weight, dtype=np.uint16)
    total += np.multiply(background, cv2.bitwise_not(weight), dtype=np.uint16)
    total += 128
    total += total >> 8
    total >>= 8
    return total.astype(np.uint8)
