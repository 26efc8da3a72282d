"""Metrics of the mattes that a network predicts, accumulated over batches and ranks."""

from typing import Any

import numpy as np
import torch

from dvm_hf.errors import MetricsError
from dvm_hf.metrics.clip_evaluator import ClipEvaluator
from dvm_hf.metrics.conventions import convention_named
from dvm_hf.metrics.flow import Flow, named_flow
from dvm_hf.metrics.means import MetricMeans


class MattingMetrics:
    """Mean metrics over the clips of all batches, with the interface of torchmetrics: update, compute, reset.

        metrics = MattingMetrics()
        for batch in loader:
            metrics.update(network(batch["frames"]), batch["alpha"], batch["trimap"])
        print(metrics.compute()["unknown/mad"])

    Each clip of a batch, such as a window of a `ClipStream`, counts as one clip. The state is that of
    `dvm_hf.metrics.MetricMeans`, in `means`. With torch.distributed, `compute` adds the states of all ranks up, so all
    ranks must call it; each keeps its own state. Batches are measured on the CPU.

    convention: a name of `dvm_hf.metrics.CONVENTIONS`. flow: the motion for MESSDdt, a name of `dvm_hf.metrics.FLOWS`
    or another flow; None: MESSDdt is NaN.

    Raises MetricsError for an unknown name.
    """

    def __init__(self, convention: str = "default", *, flow: Flow | str | None = None) -> None:
        self.convention = convention_named(convention).name
        self.flow = named_flow(flow) if isinstance(flow, str) else flow
        self.means = MetricMeans(self.convention)

    def update(
        self,
        predicted: torch.Tensor,
        reference: torch.Tensor,
        trimap: torch.Tensor | None = None,
        *,
        predicted_foreground: torch.Tensor | None = None,
        reference_foreground: torch.Tensor | None = None,
    ) -> None:
        """Measure a batch of clips.

        predicted, reference, trimap: (B, T, H, W) or (B, T, 1, H, W), uint8; alpha also as floats in 0 .. 1, which are
        rounded to the nearest of 256 levels. predicted_foreground, reference_foreground: RGB (B, T, 3, H, W), likewise.

        Raises MetricsError for other shapes or types.
        """
        arrays = {
            "predicted": _levels("predicted", predicted),
            "reference": _levels("reference", reference),
            "trimap": _levels("trimap", trimap),
            "predicted_foreground": _levels("predicted_foreground", predicted_foreground),
            "reference_foreground": _levels("reference_foreground", reference_foreground),
        }
        passed = {name: value for name, value in arrays.items() if value is not None}
        sizes = {name: len(value) for name, value in passed.items()}
        if len(set(sizes.values())) > 1:
            raise MetricsError(f"batch sizes differ: {sizes}; pass the same clips in each tensor")
        for clip in range(sizes["reference"]):
            evaluator = ClipEvaluator(self.convention, flow=self.flow)
            evaluator.extend(**{name: value[clip] for name, value in passed.items()})
            self.means.add(evaluator.sums())

    def compute(self) -> dict[str, torch.Tensor]:
        """Return the mean of each metric over the clips of all ranks, as float64 scalars by `region/metric`."""
        return {
            f"{region}/{name}": torch.tensor(value, dtype=torch.float64)
            for region, metrics in self._of_all_ranks().metrics().items()
            for name, value in metrics.items()
        }

    def reset(self) -> None:
        """Forget all batches."""
        self.means = MetricMeans(self.convention)

    def _of_all_ranks(self) -> MetricMeans:
        distributed = torch.distributed
        if not distributed.is_available() or not distributed.is_initialized():
            return self.means
        states: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(states, self.means)
        return sum(states, MetricMeans(self.convention))


def _levels(name: str, value: torch.Tensor | None) -> np.ndarray[Any, Any] | None:
    """Return a tensor as an array (B, T, H, W), or (B, T, H, W, 3) for colours."""
    if value is None:
        return None
    is_colour = name.endswith("foreground")
    channels = 3 if is_colour else 1
    if not isinstance(value, torch.Tensor) or value.ndim not in ((5,) if is_colour else (4, 5)):
        found = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise MetricsError(f"{name}: is {found}, but must be a tensor (clips, frames, {channels}, height, width)")
    value = value.detach().cpu()
    if value.ndim == 5:
        if value.shape[2] != channels:
            raise MetricsError(f"{name}: has {value.shape[2]} channels, but must have {channels}")
        value = value.permute(0, 1, 3, 4, 2) if is_colour else value[:, :, 0]
    if value.is_floating_point() and name != "trimap":
        value = _rounded(name, value)
    array: np.ndarray[Any, Any] = value.numpy()
    return array


def _rounded(name: str, value: torch.Tensor) -> torch.Tensor:
    """Return the nearest levels of values in 0 .. 1. Raises MetricsError for other values."""
    low, high = (float(extreme) for extreme in torch.aminmax(value.float())) if value.numel() else (0.0, 0.0)
    if not (low >= 0 and high <= 1):  # also true for NaN
        raise MetricsError(f"{name}: has values from {low:g} to {high:g}, but floats must be in 0 .. 1; clamp them")
    return (value.float() * 255).round().to(torch.uint8)
