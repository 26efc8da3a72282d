"""Means over clips, as each convention averages, against plain tables."""

import math
from functools import reduce

import numpy as np
import pytest
from reference_mattes import clip

from dvm_hf.errors import MetricsError
from dvm_hf.metrics import CONVENTIONS, ClipEvaluator, ClipSums, MetricMeans

LENGTHS = (3, 5, 2, 4)


def clips(convention: str, *, empty: bool = False) -> list[ClipSums]:
    """Return the sums of clips of different lengths and errors; with `empty`, one of them without an unknown region."""
    found = []
    for number, length in enumerate(LENGTHS):
        predicted, reference, trimap = (levels[:length] for levels in clip())
        predicted = np.roll(predicted, number, axis=2)
        if empty and number == 1:
            trimap = np.where(trimap == 128, np.uint8(0), trimap)
        evaluator = ClipEvaluator(convention, flow="none")
        evaluator.extend(predicted, reference, trimap=trimap)
        found.append(evaluator.sums())
    return found


def test_default_averages_clips_and_skips_those_without_a_region() -> None:
    found = clips("default", empty=True)
    means = MetricMeans("default", found)
    for region, metrics in means.metrics().items():
        for name, value in metrics.items():
            of_clips = np.array([clip.metrics()[region][name] for clip in found])
            assert value == pytest.approx(np.nanmean(of_clips)), (region, name)
            assert means.counts()[region][name] == np.isfinite(of_clips).sum()
    assert means.counts()["unknown"]["mad"] == 3
    assert means.flow == "none"
    assert means.clips == 4


@pytest.mark.parametrize("convention", ["dim", "dvm", "gfm"])
def test_conventions_of_images_average_all_frames(convention: str) -> None:
    found = clips(convention)
    for region, metrics in MetricMeans(convention, found).metrics().items():
        for name, value in metrics.items():
            assert value == pytest.approx(np.concatenate([clip.values()[region][name] for clip in found]).mean())


def test_an_empty_region_spoils_the_means_of_conventions_with_that_fault() -> None:
    for convention in ("dim", "vm108"):
        assert math.isnan(MetricMeans(convention, clips(convention, empty=True)).metrics()["unknown"]["mse"])
    assert MetricMeans("dvm", clips("dvm", empty=True)).metrics()["unknown"]["mse"] > 0


def test_maggie_averages_frames_but_temporal_metrics_by_clip() -> None:
    found = clips("maggie")
    means = MetricMeans("maggie", found).metrics()["unknown"]
    assert means["mad"] == pytest.approx(np.concatenate([clip.values()["unknown"]["mad"] for clip in found]).mean())
    for name in ("dtssd", "messddt"):
        assert means[name] == pytest.approx(np.mean([clip.metrics()["unknown"][name] for clip in found]))


@pytest.mark.parametrize("convention", ["rvm-lr", "rvm-hr"])
def test_rvm_averages_the_columns_of_its_table_which_the_first_clip_sets(convention: str) -> None:
    found = clips(convention)
    means = MetricMeans(convention, found).metrics()["whole"]
    for name, value in means.items():
        rows = [clip.values()["whole"][name] for clip in found]
        columns = [[row[index] for row in rows if index < len(row)] for index in range(LENGTHS[0])]
        assert value == pytest.approx(np.mean([np.mean(column) for column in columns])), name


def test_rvm_has_at_most_700_columns() -> None:
    values = [1.0] * 700 + [9.0] * 10
    names = ("pixels", "absolute", "squared", "gradient", "temporal", "pair_pixels")
    sums = ClipSums("rvm-hr", None, 710, {"whole": dict.fromkeys(names, values) | {"pixels": [1.0] * 710}})
    means = MetricMeans("rvm-hr", [sums])
    assert means.metrics()["whole"]["mad"] == 1000
    assert means.counts()["whole"]["mad"] == 700


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_means_of_several_processes_add_up(convention: str) -> None:
    found = clips(convention)
    at_once = MetricMeans(convention, found)
    parts = [MetricMeans(convention, part) for part in (found[:1], found[1:3], [], found[3:])]
    added = reduce(MetricMeans.__add__, parts)
    for region, metrics in at_once.metrics().items():
        assert added.metrics()[region] == pytest.approx(metrics, nan_ok=True)
    assert added.counts() == at_once.counts()
    assert (added.clips, added.flow) == (4, at_once.flow)


def test_without_clips_there_is_no_metric() -> None:
    assert MetricMeans().metrics() == {}


def test_conventions_are_not_mixed() -> None:
    with pytest.raises(MetricsError, match="measured with the convention 'dim', but these means are of 'default'"):
        MetricMeans("default", clips("dim"))
    with pytest.raises(MetricsError, match="means of the conventions 'default' and 'dim' cannot be added"):
        MetricMeans() + MetricMeans("dim", clips("dim"))
    with pytest.raises(MetricsError, match="not a known convention"):
        MetricMeans("sane")
