"""The sums of a clip can be stored, and those of its parts can be joined."""

import json

import numpy as np
import pytest
from reference_mattes import clip, flow

from dvm_hf.errors import MetricsError
from dvm_hf.metrics import CONVENTIONS, ClipEvaluator, ClipSums, StoredFlow


def sums(convention: str = "default", *, start: int = 0, stop: int = 5, has_trimap: bool = True) -> ClipSums:
    predicted, reference, trimap = (levels[start:stop] for levels in clip())
    evaluator = ClipEvaluator(convention, flow=StoredFlow(lambda index: flow()[start + index]))
    evaluator.extend(predicted, reference, trimap=trimap if has_trimap else None)
    return evaluator.sums()


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_stored_sums_give_the_same_metrics(convention: str) -> None:
    measured = sums(convention, has_trimap=convention != "default")
    text = json.dumps(measured.to_json(), allow_nan=False)
    read = ClipSums.from_json(json.loads(text))
    assert repr(read.metrics()) == repr(measured.metrics())
    assert read.counts() == measured.counts()
    assert (read.convention, read.flow, read.frames) == (convention, measured.flow, 5)


def test_only_conventions_with_a_flow_name_it() -> None:
    names = {convention: sums(convention, stop=2).flow for convention in CONVENTIONS}
    assert {name for name, found in names.items() if found == "stored"} == {"default", "vm108"}
    assert {name for name, found in names.items() if found == "farneback-alpha"} == {"dvm", "maggie"}
    assert {name for name, found in names.items() if found is None} == {"dim", "rvm-lr", "rvm-hr", "gfm"}


def test_parts_of_a_clip_add_up_but_have_no_pair_across_the_cut() -> None:
    whole, joined = sums(), sums(stop=2) + sums(start=2)
    assert joined.frames == 5
    for name in ("sad", "mad", "mse", "grad", "conn"):
        assert joined.metrics()["unknown"][name] == whole.metrics()["unknown"][name]
    assert [joined.counts()["unknown"][name] for name in ("dtssd", "messddt")] == [3, 3]
    pairs = whole.values()["unknown"]["dtssd"]
    assert joined.metrics()["unknown"]["dtssd"] == pytest.approx(np.mean(pairs[[1, 3, 4]]))


def test_parts_that_were_measured_differently_cannot_be_joined() -> None:
    with pytest.raises(MetricsError, match="these parts were measured differently: default with the flow stored, and"):
        sums() + sums("dim")


def test_other_content_is_an_error() -> None:
    stored = sums().to_json()
    del stored["frames"]
    with pytest.raises(MetricsError, match=r"stored sums: have the fields .*, but must have convention, flow, frames"):
        ClipSums.from_json(stored)


def test_there_is_one_number_for_each_frame() -> None:
    for primitives in sums().sums.values():
        for name, numbers in primitives.items():
            assert len(numbers) == 5
            is_of_pairs = name in ("pair_pixels", "temporal", "compensated", "compensated_pixels")
            assert [np.isnan(number) for number in numbers] == [is_of_pairs, *[False] * 4]
