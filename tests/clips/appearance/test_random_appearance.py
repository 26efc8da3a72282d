"""Shares, ranges and independence of what is drawn for light and camera."""

import dataclasses

import numpy as np
import pytest
from textured_clips import drawn_plan

from dvm_hf.clips.appearance.random_appearance import LightParameters, drawn_camera, drawn_light

pytestmark = pytest.mark.one_lane


def test_a_value_is_uniform_in_its_range() -> None:
    found = [drawn_camera(drawn_plan(seed, camera="noise=2-6:0.5,jpeg=22-80")) for seed in range(2000)]
    noise = np.array([one.noise for one in found if one])
    quality = np.array([one.jpeg for one in found if one])
    assert (noise > 0).mean() == pytest.approx(0.5, abs=0.06)
    assert (2 <= noise[noise > 0]).all()
    assert noise[noise > 0].mean() == pytest.approx(4, abs=0.2)
    assert np.corrcoef(noise > 0, quality)[0, 1] == pytest.approx(0, abs=0.11)
    assert np.corrcoef(noise[noise > 0], quality[noise > 0])[0, 1] == pytest.approx(0, abs=0.16)
    assert (quality.min(), quality.max()) == (22, 80)
    assert quality.mean() == pytest.approx(51, abs=2)


def test_an_effect_changes_no_draw_of_another() -> None:
    for seed in range(40):
        alone = drawn_light(drawn_plan(seed, light="shadow:0.5"))
        with_others = drawn_light(drawn_plan(seed, light="matched,exposure,shadow:0.5"))
        assert with_others is not None
        assert with_others.shadow == (alone.shadow if alone else None)
        darker = drawn_light(drawn_plan(seed, light="shadow=1"))
        assert darker is not None
        assert darker.shadow is not None
        if alone is not None and alone.shadow is not None:
            assert dataclasses.replace(alone.shadow, darkness=1.0) == darker.shadow


def test_a_clip_without_effects_has_no_parameters() -> None:
    assert drawn_light(drawn_plan(3)) is None
    assert drawn_camera(drawn_plan(3)) is None
    assert drawn_light(drawn_plan(3, light="shadow:0")) is None


def test_a_foreground_is_not_matched_to_a_backing() -> None:
    drawn = drawn_light(drawn_plan(3, light="matched=0.5,greenscreen"))
    assert drawn is not None
    assert drawn.mix == 0
    assert drawn.screen is not None
    assert drawn_light(drawn_plan(3, light="matched=0.5")) == LightParameters(mix=0.5)


def test_half_of_the_exposures_drift() -> None:
    found = [drawn_light(drawn_plan(seed, light="exposure=0-0.5")) for seed in range(1000)]
    exposures = [one.exposure for one in found if one and one.exposure]
    assert np.mean([one.first != one.last for one in exposures]) == pytest.approx(0.5, abs=0.08)
    greens = np.array([one.first[1] for one in exposures])
    assert np.abs(greens).max() <= 0.5
    assert np.mean(greens > 0) == pytest.approx(0.5, abs=0.08)
