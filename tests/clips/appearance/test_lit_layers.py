"""Light of layers: statistics, shadows and spill against NumPy and SciPy, and the equation of compositing."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy import ndimage
from textured_clips import LAYERS, draw_textured_sources, pixels, plan_of, windows

from dvm_hf.clips.appearance.layer_statistics import KEPT
from dvm_hf.clips.appearance.random_appearance import drawn_light
from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.scene import Frame
from dvm_hf.media.video.video_writing import write_video

pytestmark = pytest.mark.one_lane
LIGHTS = ("matched", "exposure", "shadow=0.5", "greenscreen", "matched,exposure,shadow", "greenscreen,exposure,shadow")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_textured_sources(tmp_path_factory.mktemp("lit"))


def first_frame(plan: ClipPlan) -> Any:
    (window,) = windows(replace(plan, rendering=replace(plan.rendering, clip_length=1)), numbers=[0])
    return window.frames[0]


def middle_frames(plan: ClipPlan) -> tuple[Frame, ...]:
    (window,) = windows(plan, numbers=[2])
    return window.frames


def moments(colour: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel, weighted by alpha."""
    weights = alpha.ravel().astype(float)
    mean = np.average(colour.reshape(-1, 3), axis=0, weights=weights)
    return mean, np.sqrt(np.average((colour.reshape(-1, 3) - mean) ** 2, axis=0, weights=weights))


@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize("light", LIGHTS)
def test_the_composite_is_the_blend_of_the_stored_layers(sources: Path, kind: str, light: str) -> None:
    for motion in ("dvm", "rvm"):
        for frame in middle_frames(plan_of(sources, kind, light=light, motion=motion, clip_length=2)):
            alpha = pixels(frame, "alpha")[..., None] / 255
            blend = alpha * pixels(frame, "foreground") + (1 - alpha) * pixels(frame, "background")
            assert np.abs(pixels(frame, "composite") - blend).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize("light", LIGHTS)
def test_light_changes_neither_alpha_nor_trimap_nor_motion(sources: Path, kind: str, light: str) -> None:
    (plain,), (lit,) = (
        windows(plan_of(sources, kind, light=text, clip_length=3), numbers=[1]) for text in ("none", light)
    )
    assert (plain.motion, plain.view) == (lit.motion, lit.view)
    changed = False
    for one, other in zip(plain.frames, lit.frames, strict=True):
        assert np.array_equal(pixels(one, "alpha"), pixels(other, "alpha"))
        assert np.array_equal(pixels(one, "trimap"), pixels(other, "trimap"))
        changed |= not np.array_equal(pixels(one, "composite"), pixels(other, "composite"))
    assert changed


@pytest.mark.parametrize("kind", ["image", "video"])
def test_a_matched_foreground_has_moments_between_those_of_both_layers(sources: Path, kind: str) -> None:
    """At the first frame, without motion. No level of the disc is near 0 or 255, so that none is clipped."""
    plan = plan_of(sources, kind, light="matched=0.4", motion="none")
    plain, lit = first_frame(plan_of(sources, kind, motion="none")), first_frame(plan)
    alpha = pixels(plain, "alpha")
    (mean, deviation), (found_mean, found_deviation) = (
        moments(pixels(frame, "foreground"), alpha) for frame in (plain, lit)
    )
    behind = cv2.cvtColor(cv2.VideoCapture(str(plan.background.path)).read()[1], cv2.COLOR_BGR2RGB)
    target_mean, target_deviation = moments(behind, np.ones(behind.shape[:2]))
    ratio = np.clip(target_deviation / deviation, 0.5, 2)
    assert found_mean == pytest.approx(0.6 * mean + 0.4 * target_mean, abs=0.3)
    assert found_deviation == pytest.approx((0.6 + 0.4 * ratio) * deviation, abs=0.3)
    assert np.abs(found_mean - mean).min() > 3


@pytest.mark.parametrize("kind", ["image", "video"])
def test_statistics_do_not_depend_on_what_a_process_rendered_before(sources: Path, kind: str) -> None:
    plans = [plan_of(sources, kind, light="matched=1", motion=motion) for motion in ("dvm", "rvm")]
    together = [first_frame(plan) for plan in plans]
    for plan, frame in zip(plans, together, strict=True):
        KEPT.clear()
        assert np.array_equal(pixels(first_frame(plan), "foreground"), pixels(frame, "foreground"))


def test_a_clip_without_a_visible_first_frame_is_not_matched(tmp_path: Path) -> None:
    """The first frame of the foreground is transparent."""
    root = draw_textured_sources(tmp_path)
    mattes = [np.zeros((90, 110), np.uint8), *[np.full((90, 110), 255, np.uint8)] * 15]
    write_video(root / "fg/video/train/0000/a.mp4", mattes)
    found = [windows(plan_of(root, "video", light=light))[0].frames[3] for light in ("none", "matched=1")]
    assert np.array_equal(pixels(found[0], "composite"), pixels(found[1], "composite"))


def test_a_shadow_is_the_blurred_warped_alpha(sources: Path) -> None:
    """Against SciPy, from the numbers that are drawn: B' = (1 - darkness * box(warp(alpha))) * B."""
    for seed in range(5):
        plain, lit = (
            first_frame(plan_of(sources, "image", light=text, seed=seed, motion="none"))
            for text in ("none", "shadow=0.6")
        )
        drawn = drawn_light(plan_of(sources, "image", light="shadow=0.6", seed=seed))
        assert drawn is not None
        assert drawn.shadow is not None
        angle, right, down, scale, shear = drawn.shadow.pose
        height, width = pixels(plain, "alpha").shape
        pad = 120  # so that the array contains what is outside of the frame
        alpha = np.pad(pixels(plain, "alpha").astype(float), pad)
        t, s = math.radians(angle), math.tan(math.radians(shear))
        rotated = np.array([[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]])
        linear = scale * rotated @ np.array([[1, -s], [0, 1]])  # of (x, y)
        inverse = np.linalg.inv(linear)[::-1, ::-1]  # of (row, column)
        middle = np.array([height / 2, width / 2]) + pad - 0.5
        offset = middle - inverse @ (middle + np.array([down * height, right * width]))
        warped = ndimage.affine_transform(alpha, inverse, offset, order=1)
        side = 2 * math.floor(drawn.shadow.box * min(height, width) / 2) + 1
        shadow = 0.6 * ndimage.uniform_filter(warped, side, mode="constant")[pad:-pad, pad:-pad] / 255
        expected = (1 - shadow[..., None]) * pixels(plain, "background")
        assert shadow.max() > 0.2
        assert np.abs(pixels(lit, "background") - expected).max() < 1.5


def test_spill_is_a_mix_with_the_backing_by_the_soft_alpha(sources: Path) -> None:
    """F' = (1 - w) F + w K, w = spill * (1 - box(alpha)), against SciPy."""
    plain, lit = (
        first_frame(plan_of(sources, "image", light=text, motion="none")) for text in ("none", "greenscreen=0.4")
    )
    drawn = drawn_light(plan_of(sources, "image", light="greenscreen=0.4"))
    assert drawn is not None
    assert drawn.screen is not None
    alpha = pixels(plain, "alpha").astype(float)
    side = 2 * math.floor(drawn.screen.spill_box * min(alpha.shape) / 2) + 1
    weights = 0.4 * (1 - ndimage.uniform_filter(alpha, side, mode="constant") / 255)[..., None]
    expected = (1 - weights) * pixels(plain, "foreground") + weights * np.array(drawn.screen.colour)
    shown = alpha > 0
    assert np.abs(pixels(lit, "foreground") - expected)[shown].max() < 1.5
    core = ndimage.minimum_filter(alpha, side) == 255
    assert np.array_equal(pixels(lit, "foreground")[core], pixels(plain, "foreground")[core])


def test_a_backing_is_a_clean_plate_of_one_hue_with_uneven_light(sources: Path) -> None:
    for seed in range(6):
        (window,) = windows(plan_of(sources, "video", light="greenscreen", seed=seed, clip_length=4), numbers=[1])
        plates = [pixels(frame, "background") for frame in window.frames]
        assert all(np.array_equal(plate, plates[0]) for plate in plates)  # the subject leaves no trace in it
        red, green, blue = (plates[0][..., channel] for channel in range(3))
        assert ((green > red + 20) & (green > blue + 20)).all() or ((blue > red + 20) & (blue > green + 20)).all()
        assert plates[0].max(axis=2).std() > 1


def test_exposure_is_a_gain_of_linear_light(sources: Path) -> None:
    """Pixels of both layers, against sRGB's transfer function."""
    plan = plan_of(sources, "video", light="exposure=0.5")
    drawn = drawn_light(plan)
    assert drawn is not None
    assert drawn.exposure is not None
    plain, lit = windows(plan_of(sources, "video"))[0].frames, windows(plan)[0].frames

    def linear(levels: np.ndarray) -> np.ndarray:
        values = levels / 255
        return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)

    for index, stops in ((0, drawn.exposure.first), (15, None)):
        if stops is None:  # the clip has 150 frames at most, of which the sources have 16
            part = (1 - math.cos(math.pi * index / 149)) / 2
            stops = tuple((1 - part) * np.array(drawn.exposure.first) + part * np.array(drawn.exposure.last))
        for layer in ("foreground", "background"):
            expected = linear(pixels(plain[index], layer)) * 2 ** np.array(stops)
            found = pixels(lit[index], layer)
            middle = (found > 20) & (found < 250)
            low, high = linear(found - 0.51), linear(found + 0.51)
            assert ((low <= expected) & (expected <= high))[middle].all()


@pytest.mark.parametrize(("kind", "motion"), [("image", "dvm"), ("image", "rvm"), ("video", "dvm"), ("video", "rvm")])
def test_a_window_alone_has_the_bits_of_the_clip_and_a_crop_those_of_the_frame(
    sources: Path, kind: str, motion: str
) -> None:
    for seed, light in enumerate(LIGHTS[-2:]):
        fields: dict[str, Any] = {"light": light, "motion": motion, "seed": seed, "clip_length": 4, "clip_step": 6}
        every, crops = (windows(plan_of(sources, kind, crop_size=side, **fields)) for side in (None, 44))
        (alone,) = windows(plan_of(sources, kind, **fields), numbers=[1])
        for one, other in zip(alone.frames, every[1].frames, strict=True):
            assert all(np.array_equal(pixels(one, layer), pixels(other, layer)) for layer in LAYERS)
        for whole, crop in zip(every, crops, strict=True):
            cut = crop.view.within(whole.view)
            for one, other in zip(crop.frames, whole.frames, strict=True):
                for layer in LAYERS:
                    assert np.abs(pixels(one, layer) - pixels(other, layer)[cut]).max() <= 1, (light, layer)
