"""Connectivity errors against a plain implementation with SciPy's labels."""

from functools import partial

import numpy as np
import plain_metrics
import pytest
from scipy import ndimage

from dvm_hf.metrics.connectivity import connected_steps, connectivity, dim_connectivity, gfm_connectivity

VARIANTS = {
    connectivity: plain_metrics.connectivity,
    dim_connectivity: partial(plain_metrics.connectivity, by_columns=True),
    gfm_connectivity: partial(plain_metrics.connectivity, float64_thresholds=True, skips_empty=True),
}


def mattes(kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Mattes whose largest components are clear, contested, equal, or many; or that have no high levels."""
    rng = np.random.default_rng(seed)
    sigma, gain = {"smooth": (6, 4000), "patchy": (2, 700), "noise": (0, 90), "dim": (3, 300)}[kind]
    levels = ndimage.gaussian_filter(rng.normal(0, gain, (2, 37, 45)), (0, sigma, sigma)) + 120
    predicted, reference = np.clip(levels, 0, 140 if kind == "dim" else 255).astype(np.uint8)
    if seed % 2:  # steps of few levels make equal components likely
        predicted, reference = (alpha // 51 * 51 for alpha in (predicted, reference))
    return predicted, reference if seed % 3 else np.where(rng.random(predicted.shape) < 0.95, predicted, reference)


@pytest.mark.parametrize("measure", VARIANTS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("kind", ["smooth", "patchy", "noise", "dim"])
def test_connectivity_is_that_of_plain_code(kind: str, measure: object) -> None:
    for seed in range(12):
        predicted, reference = mattes(kind, seed)
        mask = (np.random.default_rng(seed).random(reference.shape) < 0.4).astype(np.uint8) * 255
        measured = measure(predicted, reference)
        for region in (None, mask):
            is_inside = np.ones(mask.shape, bool) if region is None else region > 0
            expected = VARIANTS[measure](predicted, reference)[is_inside].sum()
            assert measured(region) == pytest.approx(expected, rel=1e-12), (kind, seed)


def test_equal_squares_are_chosen_in_the_order_of_each_convention() -> None:
    """The one on the right comes first by rows, the one on the left by columns; only the chosen one is connected."""
    reference = np.zeros((20, 20), np.uint8)
    reference[2:6, 12:16] = reference[10:14, 3:7] = 255
    by_rows, by_columns = np.zeros((2, 20, 20), bool)
    by_rows[2:6, 12:16] = by_columns[10:14, 3:7] = True
    assert ((connected_steps(reference) == 10) == by_rows).all()
    predicted = reference - 55 * (reference > 0).astype(np.uint8)  # 200: below the ninth threshold
    for measure, chosen in ((connectivity, by_rows), (dim_connectivity, by_columns)):
        # connected up to 0.7: d = 200/255 - 0.7 < 0.15 counts as 0, and 1 - 0.7; others: 200/255 and 1
        whole = 16 * (0.3 + (255 - 200) / 255)
        assert measure(predicted, reference)(None) == pytest.approx(whole)
        assert measure(predicted, reference)(chosen.astype(np.uint8) * 255) == pytest.approx(16 * 0.3)


def test_corners_do_not_connect() -> None:
    reference = np.zeros((20, 20), np.uint8)
    reference[2:10, 2:10] = reference[10:14, 10:14] = 255
    steps = connected_steps(reference)
    assert steps[5, 5] == 10
    assert steps[12, 12] == 0


def test_a_component_outside_of_the_last_one_ends_the_map() -> None:
    """The large area ends at the fifth threshold, and the small, bright one then is the largest, but was not before."""
    low = np.zeros((20, 40), np.uint8)
    low[2:18, 2:20] = 130
    low[5:10, 25:30] = 255
    steps = connected_steps(low)
    assert steps[5, 5] == 5
    assert steps[7, 27] == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 1)])
def test_small_frames(shape: tuple[int, int]) -> None:
    predicted, reference = np.random.default_rng(1).integers(0, 256, (2, *shape), np.uint8)
    expected = plain_metrics.connectivity(predicted, reference).sum()
    assert connectivity(predicted, reference)(None) == pytest.approx(expected, rel=1e-12)


def test_large_sums_are_exact() -> None:
    """On 4K, the sum of numerators exceeds 32 bits."""
    reference = np.full((2160, 3840), 255, np.uint8)
    assert connectivity(np.zeros_like(reference), reference)(None) == reference.size
