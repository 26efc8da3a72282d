"""Metrics of a clip in the default convention: closed forms, orders that must hold, empty regions, and errors."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import plain_metrics
import pytest
from reference_mattes import CASES, Mattes, case, clip, colours, flow
from scipy import ndimage

import dvm_hf
from dvm_hf.metrics import CONVENTIONS, AffineFlow, ClipEvaluator, evaluate

METRICS = ("sad", "mad", "mse", "grad", "conn", "dtssd", "messddt")
FRAME_METRICS = METRICS[:5]
STEP = (4, 12, 40, 20)  # frames, height, width, column of the edge


def step_edge(*, moving: int = 0) -> np.ndarray:
    """Return mattes (T, H, W) that are opaque from a column on, which moves by some px per frame."""
    frames, height, width, column = STEP
    x = np.arange(width)
    rows = np.array([x >= column + moving * t for t in range(frames)])
    return np.repeat(rows[:, None] * np.uint8(255), height, axis=1)


def all_unknown(mattes: np.ndarray) -> np.ndarray:
    return np.full_like(mattes, 128)


def test_a_blurred_step_has_the_errors_of_its_ramp() -> None:
    """A box of 5 px turns the step into 0, 1/5 .. 4/5, 1, which are levels: errors of 1/5, 2/5, 2/5, 1/5 in each row.

    Conn: outside, l = 0, so 1/5 and 2/5 count in full; inside, 3/5 and 4/5 are connected up to themselves, so the
    reference is 2/5 and 1/5 further away.
    """
    reference = step_edge()
    blurred = ndimage.uniform_filter1d(reference.astype(float), 5, axis=2, mode="nearest").round().astype(np.uint8)
    found = evaluate(blurred, reference, trimap=all_unknown(reference))
    _, height, width, _ = STEP
    for region in ("whole", "unknown"):
        assert found[region]["sad"] == pytest.approx(height * 1.2 / 1000)
        assert found[region]["mad"] == pytest.approx(1000 * 1.2 / width)
        assert found[region]["mse"] == pytest.approx(1000 * 0.4 / width)
        assert found[region]["conn"] == pytest.approx(height * 1.2 / 1000)
        assert found[region]["dtssd"] == 0


def test_a_shift_by_one_pixel() -> None:
    reference = step_edge()
    shifted = np.roll(reference, 1, axis=2)
    shifted[:, :, 0] = 0
    _, height, width, _ = STEP
    found = evaluate(shifted, reference)["whole"]
    assert found["sad"] == pytest.approx(height / 1000)
    assert found["mad"] == found["mse"] == pytest.approx(1000 / width)
    assert found["conn"] == pytest.approx(height / 1000)
    smoothing, derivative = plain_metrics.kernels()
    profile = smoothing.sum() * np.array([derivative[max(0, 4 - u) :].sum() for u in range(-4, 4)])
    change = np.diff(np.pad(profile, 1))
    assert found["grad"] == pytest.approx(height * (change**2).sum() / 1000)


def test_motion_compensation_cancels_an_error_that_moves_with_the_foreground() -> None:
    """Shifted by 1 px, and moving by 3 px per frame: the error leaves a column, and enters another one."""
    reference = step_edge(moving=3)
    shifted = np.roll(reference, 1, axis=2)
    shifted[:, :, 0] = 0
    motion = np.zeros((3, 12, 40, 2), np.float32)
    motion[..., 0] = 3
    followed = evaluate(shifted, reference, flow=motion)["whole"]
    assert followed["messddt"] == 0
    assert followed["dtssd"] == pytest.approx(100 * math.sqrt(2 / 40))
    still = evaluate(shifted, reference, flow=np.zeros_like(motion))["whole"]
    assert still["messddt"] == pytest.approx(1000 * 2 / 40)
    named = evaluate(shifted, reference, flow="none")["whole"]
    assert named == still
    exact = AffineFlow([[6.0, 20.0 + 3 * t, 0.0, 1.0] for t in range(4)])
    assert evaluate(shifted, reference, flow=exact)["whole"] == followed


def test_motion_by_a_fraction_of_a_pixel_is_interpolated_before_it_is_squared() -> None:
    """e(x) = x levels in both frames, v = 1/2 px: |x^2 - (x + 1/2)^2| = x + 1/4."""
    width, height = 40, 12
    predicted = np.broadcast_to(np.arange(width, dtype=np.uint8), (2, height, width))
    motion = np.full((1, height, width, 2), [0.5, 0])
    found = evaluate(predicted, np.zeros_like(predicted), flow=motion)["whole"]
    x = np.arange(width - 1)  # the last column's motion leaves the frame
    assert found["messddt"] == pytest.approx(1000 * (x + 0.25).mean() / 255**2, rel=1e-6)


def test_a_constant_error_has_no_temporal_error_and_a_flickering_one_has() -> None:
    reference = np.full((4, 10, 10), 100, np.uint8)
    constant, flickering = reference + np.uint8(5), reference + np.array([5, -5, 5, -5]).astype(np.uint8)[:, None, None]
    steady, restless = (evaluate(p, reference, flow="none")["whole"] for p in (constant, flickering))
    assert steady["mad"] == restless["mad"] == pytest.approx(1000 * 5 / 255)
    assert steady["dtssd"] == steady["messddt"] == 0
    assert restless["dtssd"] == pytest.approx(100 * 10 / 255)
    assert restless["messddt"] == 0  # of squared errors: the sign is lost


def soft_clip(seed: int) -> Mattes:
    """A soft, uneven shape that moves by (1, 2) px per frame; its trimap is unknown around it."""
    rng = np.random.default_rng(seed)
    shape = ndimage.gaussian_filter(rng.normal(0, 1, (60, 80)), 3)
    y, x = np.mgrid[:60, :80]
    shape = 520 - 22 * np.hypot(y - 28, x - 34) + 60 * shape / np.abs(shape).max()
    reference = np.array([np.clip(ndimage.shift(shape, (t, 2 * t), order=1, mode="nearest"), 0, 255) for t in range(5)])
    reference = reference.round().astype(np.uint8)
    near = ndimage.maximum_filter((reference > 0) & (reference < 255), (1, 9, 9))
    return Mattes(reference, reference, np.where(near, 128, np.where(reference == 255, 255, 0)).astype(np.uint8))


def late(mattes: np.ndarray, frames: int) -> np.ndarray:
    return np.concatenate([mattes[:1]] * frames + [mattes[:-frames]])


def times(mattes: np.ndarray, factor: float) -> np.ndarray:
    return np.rint(mattes * factor).astype(np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_worse_predictions_have_larger_errors(seed: int) -> None:
    _, reference, trimap = soft_clip(seed)

    def errors(predicted: np.ndarray) -> dict[str, float]:
        return evaluate(predicted, reference, trimap=trimap, flow="dis-alpha")["unknown"]

    assert set(errors(reference).values()) == {0}
    chains = {
        "scaled": [times(reference, factor) for factor in (0.95, 0.8, 0.5, 0)],
        "shifted": [np.roll(reference, shift, axis=2) for shift in (1, 2, 4)],
        "late": [late(reference, frames) for frames in (1, 2)],
    }
    for name, chain in chains.items():
        found = [errors(predicted) for predicted in chain]
        for metric in (*FRAME_METRICS, "dtssd"):
            values = [0.0, *(metrics[metric] for metrics in found)]
            if (name, metric) == ("scaled", "conn"):  # does not see errors below 0.15
                assert values.pop(1) == 0
            assert values == sorted(set(values)), (name, metric)
    assert errors(late(reference, 1))["messddt"] > 0


@pytest.mark.parametrize("seed", range(2))
def test_zeros_and_ones(seed: int) -> None:
    """Zeros are right in the background and as wrong as possible in the foreground; ones are the opposite."""
    _, reference, trimap = soft_clip(seed)
    zeros, ones = (evaluate(np.full_like(reference, level), reference, trimap=trimap) for level in (0, 255))
    for found, right, wrong in ((zeros, "background", "foreground"), (ones, "foreground", "background")):
        for metric in ("sad", "mad", "mse", "conn"):
            assert found[right][metric] == 0
        assert [found[wrong]["mad"], found[wrong]["mse"]] == pytest.approx([1000, 1000])
        assert found[wrong]["conn"] == pytest.approx(found[wrong]["sad"])
    alpha = reference / 255
    assert zeros["whole"]["mad"] == pytest.approx(1000 * alpha.mean())
    assert ones["whole"]["mse"] == pytest.approx(1000 * ((1 - alpha) ** 2).mean())
    # the prediction does not move: its error changes as the reference does
    changes = [math.sqrt((np.diff(alpha, axis=0)[t] ** 2).mean()) for t in range(4)]
    assert zeros["whole"]["dtssd"] == ones["whole"]["dtssd"] == pytest.approx(100 * np.mean(changes))


def test_all_metrics_are_those_of_plain_code() -> None:
    mattes = clip()
    found = evaluate(*mattes[:2], trimap=mattes.trimap, flow=flow())
    levels = {"unknown": 128, "foreground": 255, "background": 0}
    frames = [*zip(*mattes[:2], strict=True)]
    maps = {name: [getattr(plain_metrics, name)(*frame) for frame in frames] for name in PLAIN}
    errors = [plain_metrics.error(*frame) for frame in frames]
    pairs = [*pairwise(errors)]
    for region, metrics in found.items():
        masks = np.full(mattes.trimap.shape, True) if region == "whole" else mattes.trimap == levels[region]
        pixels = masks.sum(axis=(1, 2))
        plain = {
            name: np.array([found[mask].sum() for found, mask in zip(maps[name], masks, strict=True)]) for name in PLAIN
        }
        assert metrics["sad"] == pytest.approx(plain["absolute"].mean() / 1000)
        assert metrics["mad"] == pytest.approx(1000 * (plain["absolute"] / pixels).mean())
        assert metrics["mse"] == pytest.approx(1000 * (plain["squared"] / pixels).mean())
        assert metrics["grad"] == pytest.approx(plain["gradient"].mean() / 1000)
        assert metrics["conn"] == pytest.approx(plain["connectivity"].mean() / 1000)
        either = masks[:-1] | masks[1:]
        changes = [math.sqrt(plain_metrics.temporal(pairs[t])[either[t]].mean()) for t in range(4)]
        assert metrics["dtssd"] == pytest.approx(100 * np.mean(changes))
        moved = [np.nanmean(plain_metrics.compensated(pairs[t], flow()[t])[masks[t]]) for t in range(4)]
        assert metrics["messddt"] == pytest.approx(1000 * np.mean(moved))


PLAIN = ("absolute", "squared", "gradient", "connectivity")


def test_a_result_has_the_regions_and_metrics_of_the_contract() -> None:
    mattes = clip()
    found = dvm_hf.metrics.evaluate(mattes.predicted, mattes.reference, trimap=mattes.trimap, flow=flow())
    assert [*found] == ["whole", "unknown", "foreground", "background"]
    for metrics in found.values():
        assert tuple(metrics) == METRICS
        assert all(type(value) is float and math.isfinite(value) for value in metrics.values())


def test_without_trimap_or_flow_their_metrics_are_nan() -> None:
    mattes = clip()
    found = evaluate(mattes.predicted, mattes.reference)
    assert all(math.isnan(found[region][metric]) for region in [*found][1:] for metric in METRICS)
    assert [metric for metric, value in found["whole"].items() if math.isnan(value)] == ["messddt"]
    single = evaluate(mattes.predicted[:1], mattes.reference[:1], flow="none")["whole"]
    assert [metric for metric, value in single.items() if math.isnan(value)] == ["dtssd", "messddt"]


def test_frames_with_an_empty_region_do_not_count() -> None:
    mattes = clip()
    trimap = mattes.trimap.copy()
    trimap[1:3][trimap[1:3] == 128] = 0
    evaluator = ClipEvaluator(flow="none")
    evaluator.extend(mattes.predicted, mattes.reference, trimap=trimap)
    sums = evaluator.sums()
    counts, found = sums.counts()["unknown"], sums.metrics()["unknown"]
    assert {counts[name] for name in FRAME_METRICS} == {3}
    assert counts["dtssd"] == 3  # either frame has it: not the pair of the second and third frame
    assert counts["messddt"] == 2  # the first frame has it
    kept = [0, 3, 4]
    alone = evaluate(mattes.predicted[kept], mattes.reference[kept], trimap=trimap[kept])["unknown"]
    assert [found[name] for name in FRAME_METRICS] == pytest.approx([alone[name] for name in FRAME_METRICS])


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("shape", [(2, 1, 1), (2, 1, 9), (2, 4, 1), (2, 1, 4), (2, 2, 2), (1, 30, 20)])
def test_every_convention_takes_small_frames(convention: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    predicted, reference = rng.integers(0, 256, (2, *shape), np.uint8)
    trimap = rng.choice(np.array([0, 128, 255], np.uint8), shape)
    found = evaluate(predicted, reference, trimap=trimap, convention=convention, flow="none")
    assert set(found) == set(CONVENTIONS[convention].rules)
    error = np.abs(predicted / 255 - reference / 255)
    region = next(iter(found))
    if convention != "gfm" and "sad" in found[region]:
        inside = np.where((trimap == 128) | (region == "whole"), error, 0)
        assert found[region]["sad"] == pytest.approx(inside.sum(axis=(1, 2)).mean() / 1000)


@pytest.mark.parametrize("name", CASES)
def test_arrays_may_be_views_and_are_not_changed(name: str) -> None:
    mattes = case(name)
    expected = evaluate(*mattes[:2], trimap=mattes.trimap)
    wide = [np.repeat(levels[:, ::-1], 2, axis=2)[:, ::-1, ::2] for levels in mattes]
    for levels in wide:
        levels.flags.writeable = False
    assert repr(evaluate(*wide[:2], trimap=wide[2])) == repr(expected)


def test_frames_can_be_passed_in_one_buffer() -> None:
    mattes = clip()
    evaluator, buffer = ClipEvaluator(flow="dis-alpha"), np.empty((3, 48, 64), np.uint8)
    for frame in zip(*mattes, strict=True):
        buffer[:] = frame
        evaluator.update(buffer[0], buffer[1], trimap=buffer[2])
    assert evaluator.sums().metrics() == evaluate(*mattes[:2], trimap=mattes.trimap, flow="dis-alpha")


def test_flow_of_the_foreground_uses_its_colours() -> None:
    mattes, (predicted, reference) = clip(), colours()
    options = {"trimap": mattes.trimap, "flow": "dis"}
    found = evaluate(*mattes[:2], reference_foreground=reference, **options)
    assert "fgr_mad" not in found["whole"]
    both = evaluate(*mattes[:2], predicted_foreground=predicted, reference_foreground=reference, **options)
    assert both["whole"]["fgr_mad"] > 0
    assert both["whole"]["messddt"] == found["whole"]["messddt"] > 0


P, G = np.zeros((2, 2, 8, 8), np.uint8)
ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"predicted": P / 255}, "predicted: has the dtype float64, but metrics compare levels 0 to 255"),
    ({"reference": G > 0}, "reference: has the dtype bool"),
    ({"predicted": P.tolist()}, "predicted: is a list, but must be a NumPy array"),
    ({"predicted": P[:1]}, r"predicted: has the shape \(1, 8, 8\), but the reference requires \(2, 8, 8\)"),
    (
        {"predicted": P[0], "reference": G[0]},
        r"reference: has the shape \(8, 8\), but must be \(frames, height, width\)",
    ),
    ({"predicted": P[:0], "reference": G[:0]}, r"reference: has the shape \(0, 8, 8\)"),
    ({"trimap": G[:, :4]}, r"trimap: has the shape \(2, 4, 8\)"),
    ({"trimap": G + np.uint8(127)}, "trimap: has a pixel of level 127; allowed are 0 .* 128 .* and 255"),
    ({"convention": "sane"}, "convention='sane': not a known convention; pass one of default, dim, vm108"),
    ({"convention": "dim"}, "trimap: missing, but the convention 'dim' requires it"),
    ({"convention": "vm108"}, "trimap: missing, but the convention 'vm108' requires it"),
    ({"flow": "farneback"}, "flow='farneback': not a known flow; pass one of dis, dis-alpha, farneback-alpha, none"),
    ({"flow": np.zeros((2, 8, 8, 2))}, r"flow: has the shape \(2, 8, 8, 2\), but must be \(1, 8, 8, 2\)"),
    ({"flow": np.zeros((1, 8, 8, 2), int)}, "flow: is int64"),
    ({"predicted_foreground": np.zeros((2, 8, 8, 3), np.uint8)}, "reference_foreground: missing"),
    ({"reference_foreground": P}, r"reference_foreground: has the shape \(2, 8, 8\), but the reference requires"),
]


@pytest.mark.parametrize(("arguments", "text"), ERRORS, ids=[text[:30] for _, text in ERRORS])
def test_invalid_arguments_are_named(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text) as raised:
        evaluate(**({"predicted": P, "reference": G} | arguments))
    assert isinstance(raised.value, dvm_hf.MetricsError)


def test_frames_of_a_clip_must_be_alike() -> None:
    frame, colour = np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.uint8)
    both = {"predicted_foreground": colour, "reference_foreground": colour}
    for arguments, text in (
        (
            {"predicted": frame[:4], "reference": frame[:4]},
            "reference: frame 1 has 8 x 4 px, but .* before have 8 x 8 px",
        ),
        ({"trimap": frame}, "trimap: frame 1 has it, but the frames before have none"),
        (both, "predicted_foreground, reference_foreground: frame 1 has it"),
        (
            {"predicted": P, "reference": G},
            r"reference: has the shape \(2, 8, 8\), but a frame must be \(height, width\)",
        ),
    ):
        evaluator = ClipEvaluator()
        evaluator.update(frame, frame)
        with pytest.raises(dvm_hf.MetricsError, match=text):
            evaluator.update(**({"predicted": frame, "reference": frame} | arguments))
        assert evaluator.sums().frames == 1
    with pytest.raises(dvm_hf.MetricsError, match="the clip has no frames"):
        ClipEvaluator().sums()
