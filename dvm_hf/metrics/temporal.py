"""Errors between two frames of a clip, t and t+1; e = p - g is the error of alpha (level / 255).

    temporal:     sum_R (e_t+1(x) - e_t(x))^2                   of dtSSD, in `primitives`
    compensated:  sum_R |e_t(x)^2 - e_t+1(x + v(x))^2|          of MESSDdt, v the motion from t to t+1 in px

Both are of Erofeev et al., "Perceptually Motivated Benchmark for Video Matting", BMVC 2015.
"""

from functools import cached_property, lru_cache
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from dvm_hf.media.pixels import Size
from dvm_hf.metrics.frames import Errors, Mask

FlowField: TypeAlias = npt.NDArray[np.float32]  # (H, W, 2): x, then y; NaN where unknown
Moved: TypeAlias = npt.NDArray[np.float32]


class CompensatedErrors:
    """Errors of two frames, compared along the motion between them.

    A pixel is valid if its motion is known and ends within the frame, at a pixel centre or between four of them. Errors
    of the second frame are interpolated bilinearly, and then squared.
    """

    def __init__(self, first: Errors, second: Errors, flow: FlowField) -> None:
        size = Size(*first.shape)
        target = cv2.add(flow, pixel_grid(size))
        self.valid: Mask = cv2.inRange(target, (0, 0, 0, 0), (size.width - 1, size.height - 1, 0, 0))  # type: ignore[assignment]
        if not cv2.checkRange(target)[0]:
            target[self.valid == 0] = -2  # outside of the frame; converting NaN to an index is undefined
        self.first: Moved = first.astype(np.float32)
        self.second: Moved = cv2.remap(second.astype(np.float32), target, None, cv2.INTER_LINEAR)  # type: ignore[call-overload]

    def pixels(self, mask: Mask | None) -> float:
        """Return the number of valid pixels."""
        return float(cv2.countNonZero(self._valid(mask)))

    def first_power(self, mask: Mask | None) -> float:
        """Return the sum of |e_t(x) - e_t+1(x + v(x))| over valid pixels."""
        return cv2.norm(self.first, self.second, cv2.NORM_L1, self._valid(mask)) / 255

    def squared(self, mask: Mask | None) -> float:
        """Return the sum of |e_t(x)^2 - e_t+1(x + v(x))^2| over valid pixels."""
        return cv2.norm(*self._squares, cv2.NORM_L1, self._valid(mask)) / 255**2

    @cached_property
    def _squares(self) -> tuple[Moved, Moved]:
        return self.first * self.first, self.second * self.second

    def _valid(self, mask: Mask | None) -> Mask:
        return self.valid if mask is None else cv2.bitwise_and(self.valid, mask)  # type: ignore[return-value]


def swapped_error(
    first: Errors, first_mask: Mask | None, other: Errors, other_mask: Mask | None, flow: FlowField
) -> float:
    """Return what DVM's and MaGGIe's code computes for `compensated`, which ignores the motion it estimates.

    It rounds the flow, exchanges x and y of the target, clamps them to the frame's height and width, and multiplies
    both squared errors by the masks of their frames. `other` is the second frame of the clip, for every pair.
    """
    size = Size(*first.shape)
    rounded = np.rint(flow).astype(np.int64)
    rows = np.clip(np.arange(size.width) + rounded[..., 0], 0, size.height - 1)
    columns = np.clip(np.arange(size.height)[:, None] + rounded[..., 1], 0, size.width - 1)
    here, there = _masked_squares(first, first_mask), _masked_squares(other, other_mask)
    return float(np.abs(here - there[rows, columns]).sum()) / 255**2


def _masked_squares(error: Errors, mask: Mask | None) -> npt.NDArray[np.int64]:
    squares = error.astype(np.int64) ** 2
    return squares if mask is None else np.where(mask, squares, 0)


@lru_cache(maxsize=2)
def pixel_grid(size: Size) -> FlowField:
    """Return the coordinates (x, y) of each pixel (H, W, 2)."""
    grid = np.empty((*size, 2), np.float32)
    grid[..., 0], grid[..., 1] = np.arange(size.width), np.arange(size.height)[:, None]
    grid.flags.writeable = False
    return grid
