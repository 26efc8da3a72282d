"""Detect alphas whose matte is in only some of the colour channels."""

import cv2
import numpy as np

from dvm_hf.errors import SourceError
from dvm_hf.media.pixels import Pixels

COLOURS = ("red", "green", "blue")
MIN_DEVIATION = 0.1  # of the largest standard deviation; compression noise in a constant channel stays below it


class SplitMatte(SourceError):
    """The matte is in only some of the colour channels."""


class SplitChannels:
    """Detect a matte that is in only some of the colour channels, so that the luma is a fraction of it."""

    def __init__(self) -> None:
        self._count, self._sums = 0, np.zeros((2, 3))  # sums of the values and of their squares, per channel

    def add(self, pixels: Pixels) -> None:
        """Add a part of the picture, (h, w, 3)."""
        count = pixels.shape[0] * pixels.shape[1]
        mean, deviation = (part.ravel() for part in cv2.meanStdDev(np.ascontiguousarray(pixels)))
        self._count += count
        self._sums += [count * mean, count * (deviation**2 + mean**2)]

    @property
    def fault(self) -> str:
        """Error text without the path; empty if all channels vary."""
        mean, square = self._sums / max(self._count, 1)
        deviations = np.sqrt(np.maximum(square - mean**2, 0))
        if deviations.min() > MIN_DEVIATION * deviations.max() or deviations.max() < 1:
            return ""
        names = [name for name, one in zip(COLOURS, deviations, strict=True) if one > MIN_DEVIATION * deviations.max()]
        shown = f"{' and '.join(names)} channel{'s' if len(names) > 1 else ''}"
        return f"has a matte only in its {shown}, so its luma is not the matte; save that channel as grey"
