"""Easing functions at values that were computed with the library that RobustVideoMatting uses."""

import numpy as np
import pytest

from dvm_hf.clips.moving.easing import EASINGS, drawn_easing, linear

pytestmark = pytest.mark.one_lane

VALUES = {  # at 0.25, 0.5 and 0.75
    "BackIn": (-0.16115, -0.375, -0.10846),
    "ElasticIn": (-0.00510, -0.02210, 0.06765),
    "BounceOut": (0.47266, 0.71875, 0.95886),
    "SineIn": (0.07612, 0.29289, 0.61732),
    "ExponentialIn": (0.00552, 0.03125, 0.17678),
    "QuadIn": (1 / 16, 1 / 4, 9 / 16),
    "QuinticIn": (1 / 1024, 1 / 32, 243 / 1024),
    "CircularIn": (1 - 15**0.5 / 4, 1 - 3**0.5 / 2, 1 - 7**0.5 / 4),
    "Step": (0, 1, 1),
}


@pytest.mark.parametrize("name", VALUES)
def test_an_easing_has_the_published_values(name: str) -> None:
    assert [EASINGS[name](t) for t in (0.25, 0.5, 0.75)] == pytest.approx(VALUES[name], abs=6e-6)


def test_there_are_three_forms_of_ten_functions_and_the_step() -> None:
    assert len(EASINGS) == 31
    for name in {name.removesuffix("In") for name in EASINGS if name.endswith("In")}:
        for t in np.linspace(0, 1, 41).tolist():
            assert EASINGS[f"{name}Out"](t) == pytest.approx(1 - EASINGS[f"{name}In"](1 - t))
            half = EASINGS[f"{name}In"](2 * t) / 2 if t < 0.5 else 1 - EASINGS[f"{name}In"](2 - 2 * t) / 2
            assert EASINGS[f"{name}InOut"](t) == pytest.approx(half)


@pytest.mark.parametrize("name", EASINGS)
def test_an_easing_leads_from_0_to_1(name: str) -> None:
    ends = EASINGS[name](0.0), EASINGS[name](1.0)
    assert ends == pytest.approx((0, 1), abs=1e-3)  # 2^-10 if exponential


@pytest.mark.parametrize("name", ["Back", "Elastic"])
def test_only_two_functions_leave_their_range(name: str) -> None:
    times = np.linspace(0, 1, 1001).tolist()
    for easing in EASINGS:
        values = [EASINGS[easing](t) for t in times]
        leaves = min(values) < -1e-3 or max(values) > 1 + 1e-3
        assert leaves == easing.startswith(("Back", "Elastic")), easing
        assert -0.38 < min(values)
        assert max(values) < 1.38


def test_a_fifth_of_the_easings_is_linear_and_the_others_are_equally_likely() -> None:
    rng = np.random.default_rng(0)
    drawn = [drawn_easing(rng) for _ in range(31_000)]
    assert drawn.count(linear) / 31_000 == pytest.approx(0.2, abs=0.01)
    counts = [drawn.count(easing) for easing in EASINGS.values()]
    assert max(abs(count - 800) for count in counts) < 4 * 800**0.5
