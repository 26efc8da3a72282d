"""Limit OpenCV to one thread while many small blocks are processed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import cv2


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
