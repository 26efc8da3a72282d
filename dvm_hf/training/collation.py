"""Samples of a ClipStream -> a batch."""

from typing import Any

import torch
from torch.utils.data import default_collate

from dvm_hf.errors import ConfigError


def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch: tensors stacked (B, T, C, H, W), numbers as tensors (B,), names as lists.

    As torch's default_collate, which may be used as well; but where samples differ in size it says which, and why.
    Raises ConfigError there.
    """
    for name in [name for name, value in samples[0].items() if isinstance(value, torch.Tensor)]:
        shapes = {tuple(sample[name].shape): sample["clip_id"] for sample in samples}
        if len(shapes) > 1:
            (first, one), (second, other) = list(shapes.items())[:2]
            raise ConfigError(
                f"{name}: {one} has the shape {first}, {other} {second}; the samples of a batch must have one shape; "
                "give crop_size or a transform that resizes (another length: remainder='drop'), or use batch_size=1"
            )
    batch: dict[str, Any] = default_collate(samples)
    return batch
