"""Curves that change the colours of a layer, one table for each channel.

A curve maps each level by itself, so that a crop is the crop of the complete layer, and is rounded once.
"""

import math
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from dvm_hf.clips.appearance.random_appearance import Exposure
from dvm_hf.media.pixels import Pixels

Levels: TypeAlias = npt.NDArray[np.float64]  # (256, 3): the new level, 0 .. 255, of each level and channel

CONTRAST = (0.5, 2.0)  # allowed change of the standard deviation, so that a flat foreground is not torn apart


class ColourStatistics(NamedTuple):
    """Mean and standard deviation of each channel (3,), in levels."""

    mean: npt.NDArray[np.float64]
    deviation: npt.NDArray[np.float64]


def colour_statistics(colour: Pixels, alpha: Pixels) -> ColourStatistics | None:
    """Return the statistics of colours (H, W, 3), weighted by alpha (H, W); None if alpha is 0 everywhere."""
    weights = alpha.astype(np.float64) / 255
    total = float(weights.sum())
    if not total:
        return None
    mean = np.einsum("hwc,hw->c", colour, weights) / total
    deviation = np.sqrt(np.einsum("hwc,hw->c", (colour - mean) ** 2, weights) / total)
    return ColourStatistics(mean, deviation)


def unchanged_levels() -> Levels:
    return np.arange(256.0)[:, None].repeat(3, axis=1)


def matched_levels(foreground: ColourStatistics, background: ColourStatistics, mix: float) -> Levels:
    """Return the curve that moves mean m and standard deviation s of a foreground to those of a background:

    F' = m + mix * (M - m) + (F - m) * (1 + mix * (S / s - 1)),   S / s limited to `CONTRAST`
    """
    ratio = np.clip(background.deviation / np.maximum(foreground.deviation, 1e-3), *CONTRAST)
    mean = foreground.mean + mix * (background.mean - foreground.mean)
    return mean + (unchanged_levels() - foreground.mean) * (1 + mix * (ratio - 1))


def exposed_levels(levels: Levels, stops: npt.NDArray[np.float64]) -> Levels:
    """Return a curve with an exposure: each channel is multiplied by 2^stops in linear light; sRGB's transfer."""
    return 255 * _encoded(_linear(levels.clip(0, 255) / 255) * np.exp2(stops))


def stops_at(exposure: Exposure, index: int, *, frames: int) -> npt.NDArray[np.float64]:
    """Return the stops (3,) of a frame in a clip of `frames` frames, moving smoothly from the first to the last."""
    progress = (1 - math.cos(math.pi * index / max(frames - 1, 1))) / 2
    return np.asarray(exposure.first) * (1 - progress) + np.asarray(exposure.last) * progress


def table_of(levels: Levels) -> Pixels:
    """Return the table (1, 256, 3) of a curve, for `curved`."""
    return np.rint(levels).clip(0, 255).astype(np.uint8)[None]


def curved(colour: Pixels, table: Pixels) -> Pixels:
    """Return colours (h, w, 3) changed by a table."""
    return cv2.LUT(colour, table) if colour.size else colour  # type: ignore[return-value]


def _linear(values: Levels) -> Levels:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _encoded(values: Levels) -> Levels:
    return np.where(values <= 0.0031308, 12.92 * values, 1.055 * values ** (1 / 2.4) - 0.055).clip(0, 1)
