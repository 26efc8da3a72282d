"""Convert rows to samples, and samples to a batch."""

from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch.utils.data import default_collate

from dvm_hf.errors import ConfigError

T = TypeVar("T")


def tensors(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its image columns, its motion, and the numbers of its instances as tensors."""
    images = {name: torch.from_numpy(value) for name, value in row.items() if hasattr(value, "dtype")}
    numbers = {"motion": torch.float32, "instance_kinds": torch.int64, "instance_hidden": torch.float32}
    return (
        row
        | images
        | {name: torch.tensor(row[name], dtype=dtype, device="cpu") for name, dtype in numbers.items() if name in row}
    )


def of_full_batches(samples: Iterator[T], batch_size: int) -> Iterator[T]:
    """Yield the samples of full batches, one by one; drop those of the last, partial batch."""
    batch: list[T] = []
    for sample in samples:
        batch.append(sample)
        if len(batch) == batch_size:
            yield from batch
            batch = []


def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Collate samples into a batch: images as tensors (B, T, C, H, W), numbers as tensors (B,), strings as lists.

    Same as torch's default_collate, except that samples of different sizes or columns raise a ConfigError that names
    them.
    """
    for number, sample in enumerate(samples):
        for name in sample.keys() ^ samples[0].keys():
            has, lacks = (number, 0) if name in sample else (0, number)
            raise ConfigError(
                f"{name}: sample {has} of the batch has this column, but sample {lacks} does not; all must have the "
                "same columns; check the transform"
            )
    for name in [name for name, value in samples[0].items() if isinstance(value, torch.Tensor)]:
        shapes = {
            tuple(sample[name].shape): sample.get("clip_id", f"sample {number}")
            for number, sample in enumerate(samples)
        }
        if len(shapes) > 1:
            (first, one), (second, other) = list(shapes.items())[:2]
            raise ConfigError(
                f"{name}: {one} has the shape {first}, but {other} has {second}; samples of a batch must have the same "
                "shape; pass crop_size or a transform that resizes (if the lengths differ: remainder='drop'), or use "
                "batch_size=1"
            )
    with torch.device("cpu"):  # also for numbers, regardless of the default device
        batch: dict[str, Any] = default_collate(samples)
    return batch
