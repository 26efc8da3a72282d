"""Rows -> samples -> a batch."""

from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch.utils.data import default_collate

from dvm_hf.errors import ConfigError

T = TypeVar("T")


def tensors(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its image columns and its motion as tensors."""
    images = {name: torch.from_numpy(value) for name, value in row.items() if hasattr(value, "dtype")}
    return row | images | {"motion": torch.tensor(row["motion"], dtype=torch.float32, device="cpu")}


def whole_batches(samples: Iterator[T], batch_size: int) -> Iterator[T]:
    """The samples, one by one, without those at the end that fill no batch."""
    batch: list[T] = []
    for sample in samples:
        batch.append(sample)
        if len(batch) == batch_size:
            yield from batch
            batch = []


def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch: tensors stacked (B, T, C, H, W), numbers as tensors (B,), names as lists.

    As torch's default_collate, which may be used as well; but where samples differ in size or columns it says which,
    and why. Raises ConfigError there.
    """
    for number, sample in enumerate(samples):
        for name in sample.keys() ^ samples[0].keys():
            has, lacks = (number, 0) if name in sample else (0, number)
            raise ConfigError(
                f"{name}: sample {has} of the batch has it and sample {lacks} has not; all must have the same columns; "
                "see to it in the transform"
            )
    for name in [name for name, value in samples[0].items() if isinstance(value, torch.Tensor)]:
        shapes = {
            tuple(sample[name].shape): sample.get("clip_id", f"sample {number}")
            for number, sample in enumerate(samples)
        }
        if len(shapes) > 1:
            (first, one), (second, other) = list(shapes.items())[:2]
            raise ConfigError(
                f"{name}: {one} has the shape {first}, {other} {second}; the samples of a batch must have one shape; "
                "give crop_size or a transform that resizes (another length: remainder='drop'), or use batch_size=1"
            )
    with torch.device("cpu"):  # numbers too, whatever the default device is
        batch: dict[str, Any] = default_collate(samples)
    return batch
