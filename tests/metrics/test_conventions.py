"""Published faults are in the conventions that have them, and in no other."""

import numpy as np
import pytest
from reference_mattes import clip

from dvm_hf.metrics import CONVENTIONS, Convention, evaluate
from dvm_hf.metrics.frames import REGIONS
from dvm_hf.metrics.primitives import FRAME_PRIMITIVES, PAIR_PRIMITIVES


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
def test_a_convention_names_itself_and_uses_known_primitives(convention: Convention) -> None:
    assert (type(convention).__doc__ or "").startswith(f"`{convention.name}`: ")
    assert {*convention.rules} <= {*REGIONS}
    for primitives in convention.needs(colours=True).values():
        assert primitives <= FRAME_PRIMITIVES.keys() | PAIR_PRIMITIVES.keys()


def grad(convention: str, predicted: np.ndarray) -> float:
    mattes = clip()
    metrics = evaluate(predicted, mattes.reference, trimap=mattes.trimap, convention=convention)
    return next(iter(metrics.values()))["grad"]


def test_conventions_that_stretch_do_not_see_a_transparent_prediction() -> None:
    transparent = (clip().reference * 0.8).astype(np.uint8)
    for convention in ("default", "dvm", "rvm-hr", "gfm"):
        assert grad(convention, transparent) > 100 * grad("dim", transparent)
    for convention in ("dim", "rvm-lr", "maggie"):
        assert grad(convention, transparent) < 1e-4


def test_only_gfm_sees_no_connectivity_error_in_zeros() -> None:
    mattes = clip()
    zeros = np.zeros_like(mattes.predicted)
    found = {}
    for name in ("default", "dim", "dvm", "rvm-lr", "gfm", "maggie"):
        metrics = evaluate(zeros, mattes.reference, trimap=mattes.trimap, convention=name)
        found[name] = next(iter(metrics.values()))["conn"]
    assert {name for name, value in found.items() if value == 0} == {"gfm"}


def test_pairs_that_do_not_exist_count_only_in_vm108_and_rvm() -> None:
    mattes = clip()
    counted = {}
    for name in ("default", "vm108", "dvm", "rvm-hr"):
        for frames in (2, 5):  # a clip that repeats its first pair would have the same mean, but for missing pairs
            order = [0, 1, 0, 1, 0][:frames]
            arrays = [levels[order] for levels in mattes]
            arrays[2][:] = 128
            metrics = evaluate(*arrays[:2], trimap=arrays[2], convention=name)
            counted[name, frames] = next(iter(metrics.values()))["dtssd"]
    for name, ratio in (("default", 1), ("dvm", 1), ("vm108", (4 / 5) / (1 / 2)), ("rvm-hr", (4 / 5) / (1 / 2))):
        assert counted[name, 5] / counted[name, 2] == pytest.approx(ratio)


def test_known_pixels_count_in_gfm_as_the_trimap_has_them() -> None:
    """A reference of 0.8 in the foreground: GFM replaces the prediction by the trimap's 1."""
    reference = np.full((1, 10, 10), 204, np.uint8)
    trimap = np.full_like(reference, 255)
    trimap[:, :5] = 128
    found = evaluate(reference, reference, trimap=trimap, convention="gfm")
    assert found["unknown"]["sad"] == pytest.approx(50 * 0.2 / 1000)
    assert found["unknown"]["mad"] == pytest.approx(0.2)
    assert found["unknown"]["mse"] == pytest.approx(0.04)
    assert found["whole"]["sad"] == 0


def test_dvm_without_a_trimap_measures_soft_pixels() -> None:
    mattes = clip()
    is_soft = (mattes.reference > 0) & (mattes.reference < 255)
    error = np.abs(mattes.predicted / 255 - mattes.reference / 255)
    found = evaluate(mattes.predicted, mattes.reference, convention="dvm")["unknown"]
    assert found["sad"] == pytest.approx(np.where(is_soft, error, 0).sum(axis=(1, 2)).mean() / 1000)
