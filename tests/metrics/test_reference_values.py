"""Every convention gives what its published code gave on the same mattes, and what its formulas give."""

import hashlib
import math
from typing import Any

import numpy as np
import pytest
from reference_mattes import CASES, FRAMES, VALUES, Mattes, case, clip, colours, flow

from dvm_hf.metrics import ClipEvaluator, ClipSums, StoredFlow
from dvm_hf.metrics.connectivity import FLOAT64_LEVELS, LEVELS
from dvm_hf.metrics.gradient import kernels

REGIONS = {"whole": "whole", "unknown": "unknown", "foreground": "opaque", "background": "clear"}
PUBLISHED = {name: VALUES["published"][name] for name in ("dim", "dvm", "rvm-lr", "rvm-hr", "vm108")}
FRAME_OF_CLIP = [f"clip{index}" for index in range(FRAMES)]


def near(value: float) -> Any:
    """1e-5 relative; sums of zeros may differ by rounding."""
    return pytest.approx(value, rel=1e-5, abs=1e-12)


def measured(convention: str, mattes: Mattes, **options: Any) -> ClipSums:
    evaluator = ClipEvaluator(convention, **options)
    evaluator.extend(mattes.predicted, mattes.reference, trimap=mattes.trimap)
    return evaluator.sums()


def renamed(name: str) -> str:
    return {"msad": "mad"}.get(name, name)


@pytest.mark.parametrize("name", CASES)
def test_mattes_are_those_that_the_published_code_measured(name: str) -> None:
    mattes = case(name)
    drawn = {"gt": mattes.reference, "pred": mattes.predicted, "trimap": mattes.trimap}
    assert {key: sha256(levels[0]) for key, levels in drawn.items()} == VALUES["sums"][name]["sha256"]


def test_the_clip_is_that_which_the_published_code_measured() -> None:
    drawn = {"gt": clip().reference, "pred": clip().predicted, "trimap": clip().trimap}
    assert {key: sha256(levels) for key, levels in drawn.items()} == VALUES["clip"]["sha256"]


def sha256(levels: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(levels).tobytes()).hexdigest()


def test_kernel_and_thresholds() -> None:
    smoothing, derivative = kernels()
    assert smoothing == pytest.approx(VALUES["kernel"]["gauss"], rel=1e-9)
    assert derivative == pytest.approx(VALUES["kernel"]["derivative_normalised"], rel=1e-9)
    assert [[*LEVELS], [*FLOAT64_LEVELS]] == [*VALUES["levels"].values()]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("convention", ["dim", "dvm", "vm108", "rvm-lr", "rvm-hr", "maggie"])
def test_conventions_are_scalings_of_the_formulas(convention: str, name: str) -> None:
    region = "whole" if convention in ("rvm-lr", "rvm-hr", "maggie") else "unknown"
    metrics = measured(convention, case(name)).metrics()[region]
    for metric, value in VALUES["conventions"][name][convention].items():
        assert metrics[renamed(metric)] == near(value), metric


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("convention", ["dim", "dvm", "rvm-lr", "rvm-hr"])
def test_conventions_give_what_published_code_gives(convention: str, name: str) -> None:
    region = "whole" if convention.startswith("rvm") else "unknown"
    metrics = measured(convention, case(name)).metrics()[region]
    for metric, value in PUBLISHED[convention][name].items():
        is_sum = convention == "dim" and metric in ("grad", "conn")
        assert metrics[metric] == near(value / 1000 if is_sum else value), metric


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("published", ["gfm whole", "gfm unknown", "maggie whole", "maggie unknown"])
def test_conventions_of_several_regions_give_what_published_code_gives(published: str, name: str) -> None:
    convention, region = published.split()
    metrics = measured(convention, case(name)).metrics()[region]
    for metric, value in VALUES["published"][published][name].items():
        if (convention, metric) == ("maggie", "grad"):  # its code adds 1e-6 to a divisor
            assert metrics[metric] == pytest.approx(value, rel=1e-4)
        else:
            assert metrics[metric] == near(value), metric


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("region", REGIONS)
def test_default_scales_the_sums_of_each_region(region: str, name: str) -> None:
    expected = VALUES["sums"][name][REGIONS[region]]
    sums = measured("default", case(name))
    metrics, pixels = sums.metrics()[region], expected["pixels"]
    assert sums.sums[region]["pixels"] == [pixels]
    if pixels == 0:
        assert all(math.isnan(value) for value in metrics.values())
        assert set(sums.counts()[region].values()) == {0}
        return
    assert metrics["sad"] == near(expected["abs"] / 1000)
    assert metrics["mad"] == near(1000 * expected["abs"] / pixels)
    assert metrics["mse"] == near(1000 * expected["squared"] / pixels)
    assert metrics["grad"] == near(expected["grad"] / 1000)
    assert metrics["conn"] == near(expected["conn"] / 1000)


def test_vm108_frame_by_frame_and_its_mean() -> None:
    sums = measured("vm108", clip(), flow=StoredFlow(flow().__getitem__))
    values = sums.values()["unknown"]
    for index, frame in enumerate(FRAME_OF_CLIP):
        for metric, value in PUBLISHED["vm108"][frame].items():
            if metric != "flow_pixel_count":
                assert values[renamed(metric)][index] == near(value), (frame, metric)
    pairs = [frame["to_next"] for frame in VALUES["clip"]["frames"][:-1]]
    assert [*values["dtssd"][:-1]] == [near(pair["dtssd_unknown_of_this"]) for pair in pairs]
    assert [*values["messddt"][:-1]] == [near(pair["messddt_formula_flow"]) for pair in pairs]
    assert [*values["messddt_fix"][:-1]] == [near(pair["messddt_formula_flow_first_power"]) for pair in pairs]
    assert values["dtssd"][-1] == values["messddt"][-1] == 0
    means = VALUES["clip"]["means"]["vm108 (last frame's dtSSD and MESSDdt counted as 0)"]
    for metric, value in means.items():
        assert sums.metrics()["unknown"][renamed(metric)] == near(value), metric


@pytest.mark.parametrize(
    ("motion", "key"),
    [
        (flow(), "messddt_formula_flow"),
        (np.full_like(flow(), [2, 0]), "messddt_flow_2_0"),
        ("farneback-alpha", "messddt_farneback_on_gt_alpha"),
    ],
    ids=["formula", "true", "farneback"],
)
def test_default_divides_motion_compensated_sums_by_their_valid_pixels(motion: Any, key: str) -> None:
    sums = measured("default", clip(), flow=motion if isinstance(motion, str) else StoredFlow(motion.__getitem__))
    pairs = [frame["to_next"] for frame in VALUES["clip"]["frames"][:-1]]
    found = sums.sums["unknown"]
    assert found["compensated"][1:] == [near(pair[key]) for pair in pairs]
    if key == "messddt_formula_flow":
        assert found["compensated_pixels"][1:] == [pair["valid_pixels"] for pair in pairs]
    quotients = np.array(found["compensated"][1:]) / found["compensated_pixels"][1:]
    assert sums.metrics()["unknown"]["messddt"] == near(1000 * quotients.mean())
    assert sums.counts()["unknown"]["messddt"] == FRAMES - 1


def test_default_dtssd_is_that_of_rvm_over_pairs_and_of_ftp_vm_by_region() -> None:
    sums = measured("default", clip())
    assert sums.metrics()["whole"]["dtssd"] == near(VALUES["clip"]["means"]["over pairs"]["rvm_dtssd"])
    names = {"whole": "all", "foreground": "fg", "unknown": "tran", "background": "bg"}
    for index, frame in enumerate(FRAME_OF_CLIP[1:], 1):
        for region, name in names.items():
            expected = VALUES["published"]["ftp-vm"][frame][f"dtssd_{name}"]
            assert sums.values()[region]["dtssd"][index] == near(expected)


@pytest.mark.parametrize("convention", ["rvm-lr", "rvm-hr"])
def test_rvm_counts_the_first_frame_as_a_pair_without_error(convention: str) -> None:
    sums = measured(convention, clip())
    values = sums.values()["whole"]["dtssd"]
    pairs = [frame["to_next"] for frame in VALUES["clip"]["frames"][:-1]]
    assert [*values] == [0, *(near(pair["rvm_dtssd"]) for pair in pairs)]
    mean = VALUES["clip"]["means"]["rvm (first frame's dtSSD counted as 0)"]["dtssd"]
    assert sums.metrics()["whole"]["dtssd"] == near(mean)


@pytest.mark.parametrize("convention", ["rvm-lr", "rvm-hr", "default"])
def test_foreground_colours(convention: str) -> None:
    predicted, reference = colours()
    evaluator = ClipEvaluator(convention)
    evaluator.extend(clip().predicted, clip().reference, predicted_foreground=predicted, reference_foreground=reference)
    values = evaluator.sums().values()["whole"]
    frames = VALUES["clip"]["frames"]
    assert [*values["fgr_mse"]] == [near(frame["rvm_fgr_mse"]) for frame in frames]
    if convention != "rvm-hr":
        assert [*values["fgr_mad"]] == [near(frame["rvm_fgr_mad"]) for frame in frames]


def test_dvm_frame_by_frame() -> None:
    sums = measured("dvm", clip())
    values, pixels = sums.values()["unknown"], sums.sums["unknown"]["pixels"]
    for index, frame in enumerate(FRAME_OF_CLIP):
        for metric, value in PUBLISHED["dvm"][frame].items():
            if metric.endswith("_count"):
                assert pixels[index] + 1 == value
            else:
                assert values[metric][index] == near(value), (frame, metric)
    assert sums.flow == "farneback-alpha"


@pytest.mark.parametrize("region", ["whole", "unknown"])
def test_maggie_over_a_clip(region: str) -> None:
    metrics = measured("maggie", clip()).metrics()[region]
    for metric, value in VALUES["published"][f"maggie {region}"]["clip"].items():
        assert metrics[metric] == near(value), metric
