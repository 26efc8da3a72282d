"""Gaussian noise of a sensor: a function of the clip's key, the frame and the position, in any box of a frame."""

import functools
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from dvm_hf.media.pixels import Box

TILE = 64  # px; each tile of a frame has its own random numbers
CHANNELS = 3
LEVELS = 2**16  # equally likely values of the noise


def sensor_noise(deviation: float, *, key: int, frame: int, view: Box) -> npt.NDArray[np.int16]:
    """Return noise (h, w, 3) for a view of a frame, rounded to whole levels, with this standard deviation.

    Pixels and channels are independent. The view must not extend beyond the upper and left edges of the frame.
    """
    levels = np.rint(deviation * _quantiles()).astype(np.int16)
    noise = np.empty((view.height, view.width, CHANNELS), np.int16)
    for row in range(view.top // TILE, -(-view.bottom // TILE)):
        for column in range(view.left // TILE, -(-view.right // TILE)):
            tile = Box(row * TILE, column * TILE, (row + 1) * TILE, (column + 1) * TILE)
            part = tile.intersection(view)
            noise[part.within(view)] = levels[_numbers(key, frame, row, column)[part.within(tile)]]
    return noise


def _numbers(key: int, frame: int, row: int, column: int) -> npt.NDArray[np.uint16]:
    """Return the random numbers (TILE, TILE, 3) of a tile, 0 .. LEVELS - 1."""
    words = np.random.Philox(key=key, counter=[0, column, row, frame]).random_raw(TILE * TILE * CHANNELS // 4)
    return words.astype("<u8", copy=False).view("<u2").reshape(TILE, TILE, CHANNELS)


@functools.cache
def _quantiles() -> npt.NDArray[np.float64]:
    """Return the quantiles of the normal distribution in the middle of `LEVELS` equal parts of probability."""
    upper = [NormalDist().inv_cdf((number + 0.5) / LEVELS) for number in range(LEVELS // 2, LEVELS)]
    return np.array([*(-value for value in reversed(upper)), *upper])
