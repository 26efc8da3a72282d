"""Connectivity error: differences in how far pixels are from the largest connected part of two mattes.

    Conn = sum_R |phi(p) - phi(g)|,   phi(a) = 1 - d [d >= 0.15],   d = a - l

l is the highest threshold (0, 0.1 .. 1) up to which a pixel belongs, at each threshold, to the largest 4-connected
component of [p >= threshold and g >= threshold] (Rhemann et al., CVPR 2009, with theta = 0.15 and p = 1). Alpha is
level / 255; thresholds are compared in levels, so that no rounding of floats decides.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from dvm_hf.media.pixels import Pixels
from dvm_hf.metrics.frames import Errors, Mask
from dvm_hf.metrics.region_sums import RegionSum, region_norm

LEVELS = tuple(math.ceil(255 * k / 10) for k in range(1, 11))
FLOAT64_LEVELS = tuple(154 if level == 153 else level for level in LEVELS)  # np.arange: 0.6 is 0.6000000000000001
STEPS = len(LEVELS)
UNIT = 2550  # d = (10 level - 255 step) / 2550
BLOCK = 16  # px
IGNORED = 382  # the largest such numerator below 0.15

Labels: TypeAlias = npt.NDArray[Any]  # int32, in OpenCV's types unknown
First: TypeAlias = Callable[[Labels, Sequence[int]], int]  # which of several components comes first


def first_by_rows(labels: Labels, candidates: Sequence[int]) -> int:
    """Return the candidate with the first pixel, row by row. OpenCV numbers components in this order."""
    return min(candidates)


def first_by_columns(labels: Labels, candidates: Sequence[int]) -> int:
    """Return the candidate with the first pixel, column by column, as MATLAB's bwconncomp orders components."""
    return min(candidates, key=lambda label: int(np.argmax(labels.T == label)))


def connectivity(predicted: Pixels, reference: Pixels) -> RegionSum:
    """Return the connectivity error of mattes (H, W). Of equally large components, the first by rows counts."""
    return _difference(predicted, reference, connected_steps(np.minimum(predicted, reference)))


def dim_connectivity(predicted: Pixels, reference: Pixels) -> RegionSum:
    """Return the connectivity error of DIM's MATLAB code: of equally large components, the first by columns counts."""
    steps = connected_steps(np.minimum(predicted, reference), first=first_by_columns)
    return _difference(predicted, reference, steps)


def gfm_connectivity(predicted: Pixels, reference: Pixels) -> RegionSum:
    """Return the connectivity error of GFM, P3M and AIM: float64 thresholds, and thresholds that no pixel reaches are
    skipped. The remaining pixels then count as fully connected, so a prediction of zeros has no error.
    """
    steps = connected_steps(np.minimum(predicted, reference), levels=FLOAT64_LEVELS, skips_empty=True)
    return _difference(predicted, reference, steps)


def connected_steps(
    low: Pixels, *, levels: Sequence[int] = LEVELS, first: First = first_by_rows, skips_empty: bool = False
) -> Pixels:
    """Return 10 l of each pixel: the number of thresholds up to which it belongs to the largest component.

    low: the minimum of both mattes. A component of a threshold is part of one of the lower threshold. So a flood from a
    pixel of the last component usually finds the next one. It is the largest if no other one can have as many pixels:
    neither in the rest of the last component, nor elsewhere. Only if that is uncertain, all components are labelled.
    """
    steps = np.zeros(low.shape, np.uint8)
    area, rivals = low.size, 0  # of the last component; upper bound for the others
    seed = _densest(low)
    for step, level in enumerate(levels):
        total = int(np.count_nonzero(low >= level))
        if total == 0:
            if skips_empty:
                steps[steps == step] = STEPS
            break
        flood = _flood(low, seed, level)
        rivals = min(total - flood.area, max(rivals, area - flood.area))
        if flood.area <= rivals:
            flood, seed, rivals = _labelled(low, level, first)
            if steps[seed[1], seed[0]] != step:  # no part of the last component, so nothing remains of it
                break
        area = flood.area
        part = steps[flood.rows, flood.columns]
        cv2.add(part, flood.mask, dst=part)
    return steps


class Component(NamedTuple):
    """A connected component: number of pixels, the box around it, and its mask (0 or 1) in this box."""

    area: int
    rows: slice
    columns: slice
    mask: Mask


def _densest(low: Pixels) -> tuple[int, int]:
    """Return (x, y) of a bright pixel where the surroundings are bright, too: most likely in the largest component."""
    samples = np.ascontiguousarray(low[::BLOCK, ::BLOCK])
    _, _, _, (column, row) = cv2.minMaxLoc(cv2.blur(samples, (5, 5)))
    top, left = row * BLOCK, column * BLOCK
    x, y = _brightest(low[top : top + BLOCK, left : left + BLOCK])
    return left + x, top + y


def _brightest(low: Pixels, mask: Mask | None = None) -> tuple[int, int]:
    """Return (x, y) of the highest level within a mask."""
    _, _, _, location = cv2.minMaxLoc(low, mask)
    return location[0], location[1]


def _flood(low: Pixels, seed: tuple[int, int], level: int) -> Component:
    """Return the component of [low >= level] that contains the seed; empty if its level is lower."""
    start = int(low[seed[1], seed[0]])
    if start < level:
        return Component(0, slice(0), slice(0), np.zeros((0, 0), np.uint8))
    mask = np.zeros((low.shape[0] + 2, low.shape[1] + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY | 1 << 8  # 4 neighbours; 1 in the mask
    area, _, _, box = cv2.floodFill(low, mask, seed, 0, start - level, 255 - start, flags)
    return _component(area, box, mask[1:-1, 1:-1])


def _component(area: int, box: Sequence[int], mask: Mask) -> Component:
    left, top, width, height = box
    rows, columns = slice(top, top + height), slice(left, left + width)
    return Component(area, rows, columns, mask[rows, columns])


def _labelled(low: Pixels, level: int, first: First) -> tuple[Component, tuple[int, int], int]:
    """Return the largest component of [low >= level], its brightest pixel (x, y), and the second largest area."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((low >= level).view(np.uint8), connectivity=4)
    areas = stats[1:, cv2.CC_STAT_AREA]
    largest = int(areas.max())
    candidates = [int(label) + 1 for label in np.flatnonzero(areas == largest)]
    chosen = first(labels, candidates) if len(candidates) > 1 else candidates[0]
    mask = (labels == chosen).astype(np.uint8)
    rest = np.delete(areas, chosen - 1)
    component = _component(largest, stats[chosen, : cv2.CC_STAT_AREA].tolist(), mask)
    return component, _brightest(low, mask), int(rest.max()) if rest.size else 0


def _difference(predicted: Pixels, reference: Pixels, steps: Pixels) -> RegionSum:
    distances = []
    for alpha in (predicted, reference):
        d = cv2.addWeighted(alpha, 10, steps, -255, 0, dtype=cv2.CV_16S)
        distances.append(cv2.threshold(d, IGNORED, 0, cv2.THRESH_TOZERO)[1])
    difference: Errors = cv2.subtract(distances[0], distances[1])  # type: ignore[assignment]
    return lambda mask: region_norm(difference, cv2.NORM_L1, mask) / UNIT
