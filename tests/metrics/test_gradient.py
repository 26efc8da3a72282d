"""Gradient errors against SciPy's filters."""

import numpy as np
import plain_metrics
import pytest
from scipy import ndimage

from dvm_hf.metrics.gradient import gfm_gradient, gradient, maggie_gradient, stretched_gradient

RNG = np.random.default_rng(5)


def mattes(height: int = 40, width: int = 30) -> tuple[np.ndarray, np.ndarray]:
    smooth = ndimage.gaussian_filter(RNG.normal(0, 900, (2, height, width)), (0, 3, 3))
    return tuple(np.clip(smooth + 128, 0, 255).astype(np.uint8))


def masks(shape: tuple[int, ...]) -> list[np.ndarray | None]:
    return [None, (RNG.random(shape) < 0.3).astype(np.uint8) * 255, np.zeros(shape, np.uint8)]


def test_gradient_is_that_of_a_plain_filter() -> None:
    predicted, reference = mattes()
    measured = gradient(predicted, reference)
    for mask in masks(reference.shape):
        is_inside = np.ones(reference.shape, bool) if mask is None else mask > 0
        expected = plain_metrics.gradient(predicted, reference)[is_inside].sum()
        assert measured(mask) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("box", [(10, 12, 8, 9), (0, 3, 0, 4), (37, 40, 20, 30), (0, 40, 0, 30), (20, 21, 15, 16)])
def test_only_the_surroundings_of_changed_pixels_are_filtered_without_a_difference(box: tuple[int, ...]) -> None:
    predicted, reference = mattes()
    top, bottom, left, right = box
    changed = reference.copy()
    changed[top:bottom, left:right] = predicted[top:bottom, left:right]
    expected = plain_metrics.gradient(changed, reference).sum()
    assert gradient(changed, reference)(None) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2), (5, 40)])
def test_small_frames(shape: tuple[int, int]) -> None:
    predicted, reference = mattes(*shape)
    expected = plain_metrics.gradient(predicted, reference).sum()
    assert gradient(predicted, reference)(None) == pytest.approx(expected, rel=1e-11, abs=1e-20)


def test_equal_mattes_have_no_error() -> None:
    _, reference = mattes()
    for measure in (gradient, stretched_gradient, maggie_gradient, gfm_gradient):
        assert measure(reference, reference)(None) == 0


def test_stretched_mattes_are_compared_by_their_own_extremes() -> None:
    predicted, reference = mattes()
    predicted = predicted // 2 + 10
    magnitudes = []
    for alpha in (predicted, reference):
        low, high = int(alpha.min()), int(alpha.max())
        magnitudes.append(plain_metrics.magnitude((alpha - low) / (high - low)))
    expected = ((magnitudes[0] - magnitudes[1]) ** 2).sum()
    assert stretched_gradient(predicted, reference)(None) == pytest.approx(expected, rel=1e-11)
    for flat in (0, 7, 255):  # without any gradient
        expected = (plain_metrics.magnitude((reference - float(reference.min())) / np.ptp(reference)) ** 2).sum()
        assert stretched_gradient(np.full_like(reference, flat), reference)(None) == pytest.approx(expected, rel=1e-11)


def test_gfm_uses_the_gaussian_filter_of_scipy() -> None:
    predicted, reference = mattes()
    magnitudes = [
        np.hypot(*(ndimage.gaussian_filter(alpha / 255.0, 1.4, order=order) for order in ((1, 0), (0, 1))))
        for alpha in (predicted, reference)
    ]
    expected = ((magnitudes[0] - magnitudes[1]) ** 2).sum()
    assert gfm_gradient(predicted, reference)(None) == pytest.approx(expected, rel=1e-10)


def test_an_edge_has_the_gradient_of_its_kernel() -> None:
    """At distance u from a step, the filter gives the sum of the kernel from u on."""
    reference = np.zeros((30, 40), np.uint8)
    reference[:, 20:] = 255
    smoothing, derivative = plain_metrics.kernels()
    rows = smoothing.sum() * derivative
    amplitudes = np.array([rows[max(0, 4 - u) :].sum() for u in range(-4, 5)])[:8]  # pixels 16 .. 23
    expected = 30 * (amplitudes**2).sum()
    assert gradient(np.zeros_like(reference), reference)(None) == pytest.approx(expected, rel=1e-11)
