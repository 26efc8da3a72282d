"""Samples become tensors and batches."""

from typing import Any

import numpy as np
import pytest
from conftest import require_torch

require_torch()

import torch  # noqa: E402  where it is there

from dvm_hf.errors import ConfigError  # noqa: E402
from dvm_hf.training.collation import collate, of_full_batches, tensors  # noqa: E402


def sample(number: int, **changed: Any) -> dict[str, Any]:
    frames = torch.full((2, 3, 4, 5), number, dtype=torch.uint8)
    return {"clip_id": f"clip_{number}", "frames": frames, "seed": 2**62 + number} | changed


@pytest.mark.parametrize(("count", "kept"), [(0, 0), (2, 0), (3, 3), (5, 3), (6, 6)])
def test_the_samples_of_a_partial_batch_are_dropped(count: int, kept: int) -> None:
    assert list(of_full_batches(iter(range(count)), 3)) == list(range(kept))


def test_samples_are_yielded_batch_by_batch() -> None:
    """Not only at the end: an endless stream has none."""
    drawn = iter(range(10))
    samples = of_full_batches(drawn, 3)
    assert [next(samples) for _ in range(3)] == [0, 1, 2]
    assert next(drawn) == 3


def test_images_and_motion_are_tensors_and_the_rest_is_unchanged() -> None:
    frames = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)
    found = tensors({"clip_id": "x", "window": 3, "frames": frames, "motion": [[1, 2.5, 0, 1]]})
    assert torch.equal(found["frames"], torch.arange(24, dtype=torch.uint8).reshape(2, 3, 2, 2))
    assert (found["motion"].dtype, found["motion"].tolist()) == (torch.float32, [[1.0, 2.5, 0.0, 1.0]])
    assert (found["clip_id"], found["window"]) == ("x", 3)


def test_a_batch_has_images_numbers_and_strings() -> None:
    batch = collate([sample(1), sample(2)])
    assert batch["frames"].shape == (2, 2, 3, 4, 5)
    assert batch["frames"][:, 0, 0, 0, 0].tolist() == [1, 2]
    assert batch["seed"].tolist() == [2**62 + 1, 2**62 + 2]
    assert batch["clip_id"] == ["clip_1", "clip_2"]


@pytest.mark.parametrize(("batch", "has", "lacks"), [(["a", "a", "b"], 2, 0), (["b", "b", "a"], 0, 2)])
def test_a_column_of_some_samples_only_is_named(batch: list[str], has: int, lacks: int) -> None:
    samples = [sample(0) if one == "a" else sample(0, mask=1) for one in batch]
    with pytest.raises(ConfigError, match=f"mask: sample {has} of the batch has this column, but sample {lacks} does"):
        collate(samples)


def test_two_shapes_are_named_with_their_clips() -> None:
    other = torch.zeros(1, 3, 4, 5, dtype=torch.uint8)
    with pytest.raises(ConfigError, match=r"^frames: clip_1 has the shape \(2, 3, 4, 5\), but clip_2 has \(1, 3, 4, 5"):
        collate([sample(1), sample(2, frames=other)])
