"""The primitives: sums over a region of a frame, or of two frames, from which conventions compute metrics.

Alpha is level / 255. `frame_sums` and `pair_sums` are all that touches pixels; a convention only scales these numbers.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import cv2
import numpy as np

from dvm_hf.media.pixels import Pixels
from dvm_hf.metrics.connectivity import connectivity, dim_connectivity, gfm_connectivity
from dvm_hf.metrics.frames import Errors, Frame, Mask
from dvm_hf.metrics.gradient import gfm_gradient, gradient, maggie_gradient, stretched_gradient
from dvm_hf.metrics.region_sums import RegionSum, region_norm
from dvm_hf.metrics.temporal import CompensatedErrors, FlowField, swapped_error

Sums: TypeAlias = dict[str, dict[str, float]]  # by region and primitive
Needs: TypeAlias = Mapping[str, frozenset[str]]  # primitives of each region


@dataclass(frozen=True)
class Pair:
    """Two consecutive frames. flow: the motion between them, if known. clip_second: the second frame of the clip."""

    first: Frame
    second: Frame
    flow: FlowField | None
    clip_second: Frame

    @cached_property
    def change(self) -> Errors:
        """e_t+1 - e_t, in levels."""
        return cv2.subtract(self.second.error, self.first.error)  # type: ignore[return-value]

    @cached_property
    def errors(self) -> CompensatedErrors | None:
        return None if self.flow is None else CompensatedErrors(self.first.error, self.second.error, self.flow)

    def either_mask(self, region: str) -> Mask | None:
        """Return the mask of the pixels that are in the region in either frame."""
        first, second = self.first.masks[region], self.second.masks[region]
        return None if first is None or second is None else cv2.bitwise_or(first, second)  # type: ignore[return-value]


def pixels(frame: Frame) -> RegionSum:
    return lambda mask: float(frame.reference.size if mask is None else cv2.countNonZero(mask))


def frame_pixels(frame: Frame) -> RegionSum:
    return lambda mask: float(frame.reference.size)


def absolute(frame: Frame) -> RegionSum:
    """sum_R |e|"""
    return lambda mask: cv2.norm(frame.predicted, frame.reference, cv2.NORM_L1, mask) / 255


def squared(frame: Frame) -> RegionSum:
    """sum_R e^2"""
    return lambda mask: cv2.norm(frame.predicted, frame.reference, cv2.NORM_L2SQR, mask) / 255**2


def known_sum(norm: int, scale: int) -> Callable[[Frame], RegionSum]:
    """sum |trimap - g|^n outside of the unknown region: the error of a prediction that copies the trimap there."""

    def known(frame: Frame) -> RegionSum:
        assert frame.trimap is not None
        outside = (frame.trimap != 128).view(np.uint8)
        total = cv2.norm(frame.trimap, frame.reference, norm, outside) / scale
        return lambda mask: total

    return known


def colour_sum(norm: int, scale: int) -> Callable[[Frame], RegionSum]:
    """sum_{R, g > 0, RGB} |F_p - F_g|^n"""

    def colour(frame: Frame) -> RegionSum:
        assert frame.colours is not None
        assert frame.colours.predicted is not None
        predicted, reference = frame.colours.predicted, frame.colours.reference
        return lambda mask: cv2.norm(predicted, reference, norm, _visible(frame, mask)) / scale

    return colour


def colour_values(frame: Frame) -> RegionSum:
    """Number of values in {R, g > 0, RGB}"""
    return lambda mask: 3.0 * cv2.countNonZero(_visible(frame, mask))


def _visible(frame: Frame, mask: Mask | None) -> Mask:
    visible = (frame.reference > 0).view(np.uint8)
    return visible if mask is None else cv2.bitwise_and(mask, visible)  # type: ignore[return-value]


def of_alpha(measure: Callable[[Pixels, Pixels], RegionSum]) -> Callable[[Frame], RegionSum]:
    return lambda frame: measure(frame.predicted, frame.reference)


FRAME_PRIMITIVES: dict[str, Callable[[Frame], RegionSum]] = {
    "pixels": pixels,
    "frame_pixels": frame_pixels,
    "absolute": absolute,
    "squared": squared,
    "known_absolute": known_sum(cv2.NORM_L1, 255),
    "known_squared": known_sum(cv2.NORM_L2SQR, 255**2),
    "gradient": of_alpha(gradient),
    "gradient_stretched": of_alpha(stretched_gradient),
    "gradient_gfm": of_alpha(gfm_gradient),
    "gradient_maggie": of_alpha(maggie_gradient),
    "connectivity": of_alpha(connectivity),
    "connectivity_dim": of_alpha(dim_connectivity),
    "connectivity_gfm": of_alpha(gfm_connectivity),
    "colour_values": colour_values,
    "colour_absolute": colour_sum(cv2.NORM_L1, 255),
    "colour_squared": colour_sum(cv2.NORM_L2SQR, 255**2),
}

COLOUR_PRIMITIVES = frozenset(name for name in FRAME_PRIMITIVES if name.startswith("colour_"))


def pair_pixels(pair: Pair, region: str) -> float:
    """Number of pixels that are in the region in either frame"""
    mask = pair.either_mask(region)
    return float(pair.first.reference.size if mask is None else cv2.countNonZero(mask))


def temporal(pair: Pair, region: str) -> float:
    """sum (e_t+1 - e_t)^2 over pixels that are in the region in either frame"""
    return region_norm(pair.change, cv2.NORM_L2SQR, pair.either_mask(region)) / 255**2


def temporal_first(pair: Pair, region: str) -> float:
    """sum (e_t+1 - e_t)^2 over the region of frame t"""
    return region_norm(pair.change, cv2.NORM_L2SQR, pair.first.masks[region]) / 255**2


def compensated(measure: Callable[[CompensatedErrors, Mask | None], float]) -> Callable[[Pair, str], float]:
    """A sum over the region of frame t along the motion; NaN if the motion is not known."""

    def along_motion(pair: Pair, region: str) -> float:
        return math.nan if pair.errors is None else measure(pair.errors, pair.first.masks[region])

    return along_motion


def swapped(pair: Pair, region: str) -> float:
    """What DVM's code computes for MESSDdt"""
    first, other = pair.first, pair.clip_second
    if pair.flow is None:
        return math.nan
    return swapped_error(first.error, first.masks[region], other.error, other.masks[region], pair.flow)


PAIR_PRIMITIVES: dict[str, Callable[[Pair, str], float]] = {
    "pair_pixels": pair_pixels,
    "temporal": temporal,
    "temporal_first": temporal_first,
    "compensated": compensated(CompensatedErrors.squared),
    "compensated_pixels": compensated(CompensatedErrors.pixels),
    "compensated_first_power": compensated(CompensatedErrors.first_power),
    "swapped": swapped,
}
FLOW_PRIMITIVES = frozenset({"compensated", "compensated_pixels", "compensated_first_power", "swapped"})


def frame_sums(frame: Frame, needs: Needs) -> Sums:
    """Return the sums of a frame. Those over regions that are not known are NaN."""
    measured: dict[str, RegionSum] = {}
    sums: Sums = {}
    for region, primitives in needs.items():
        sums[region] = {name: math.nan for name in FRAME_PRIMITIVES if name in primitives}
        if region in frame.masks:
            for name in sums[region]:
                measured[name] = measured.get(name) or FRAME_PRIMITIVES[name](frame)
                sums[region][name] = measured[name](frame.masks[region])
    return sums


def pair_sums(pair: Pair | None, needs: Needs) -> Sums:
    """Return the sums of two frames. Those over regions that are not known are NaN; without a pair, all are."""
    return {
        region: {
            name: PAIR_PRIMITIVES[name](pair, region) if pair is not None and region in pair.first.masks else math.nan
            for name in PAIR_PRIMITIVES
            if name in primitives
        }
        for region, primitives in needs.items()
    }
