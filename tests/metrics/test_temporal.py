"""Errors between two frames against plain code with SciPy's interpolation."""

import cv2
import numpy as np
import plain_metrics
import pytest

from dvm_hf.metrics.region_sums import region_norm
from dvm_hf.metrics.temporal import CompensatedErrors

RNG = np.random.default_rng(3)
FIRST, SECOND = RNG.integers(-255, 256, (2, 31, 44)).astype(np.int16)
MASK = (RNG.random(FIRST.shape) < 0.4).astype(np.uint8) * 255


def plain(flow: np.ndarray, mask: np.ndarray | None) -> tuple[float, int]:
    found = plain_metrics.compensated((FIRST / 255, SECOND / 255), flow)
    inside = found[np.isfinite(found) & (np.True_ if mask is None else mask > 0)]
    return inside.sum(), inside.size


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "mask"])
@pytest.mark.parametrize("reach", [0.3, 4, 60])
def test_compensated_errors_are_those_of_plain_code(reach: float, mask: np.ndarray | None) -> None:
    flow = RNG.uniform(-reach, reach, (*FIRST.shape, 2)).astype(np.float32)
    flow[RNG.random(FIRST.shape) < 0.1] = np.nan
    flow[3, 3] = np.inf, 0
    errors = CompensatedErrors(FIRST, SECOND, flow)
    expected, valid = plain(flow.astype(float), mask)
    assert errors.pixels(mask) == valid
    assert errors.squared(mask) == pytest.approx(expected, rel=1e-5)


def test_motion_to_the_last_pixel_centre_is_valid_and_beyond_it_is_not() -> None:
    flow = np.zeros((*FIRST.shape, 2), np.float32)
    errors = CompensatedErrors(FIRST, SECOND, flow)
    assert errors.pixels(None) == FIRST.size
    assert errors.squared(None) == pytest.approx(
        (np.abs(FIRST.astype(int) ** 2 - SECOND.astype(int) ** 2)).sum() / 255**2
    )
    for moved, valid in (([0.25, 0], 43 * 31), ([0, -1], 44 * 30), ([-2, 3], 42 * 28), ([44, 0], 0)):
        assert CompensatedErrors(FIRST, SECOND, flow + np.float32(moved)).pixels(None) == valid


@pytest.mark.parametrize("size", [(31, 44), (4320, 7680)])
def test_sums_over_regions_are_exact(size: tuple[int, int]) -> None:
    values = np.full(size, -510, np.int16)
    values[1, 2] = 7
    mask = np.zeros(size, np.uint8)
    mask[1:, 1:] = 1
    inside = mask.sum(dtype=int)
    for region, number in ((mask, inside), (None, values.size)):
        assert region_norm(values, cv2.NORM_L1, region) == 510 * (number - 1) + 7
        assert region_norm(values, cv2.NORM_L2SQR, region) == pytest.approx(510**2 * (number - 1) + 49, rel=1e-14)
