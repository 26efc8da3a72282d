"""Measure a clip that is in memory."""

from typing import Any

import numpy as np

from dvm_hf.errors import MetricsError
from dvm_hf.metrics.clip_evaluator import ClipEvaluator
from dvm_hf.metrics.convention import Metrics
from dvm_hf.metrics.flow import Flow, StoredFlow
from dvm_hf.metrics.frames import require_uint8


def evaluate(
    predicted: Any,
    reference: Any,
    *,
    trimap: Any = None,
    convention: str = "default",
    flow: Any = None,
    predicted_foreground: Any = None,
    reference_foreground: Any = None,
) -> Metrics:
    """Return the metrics of a predicted clip: `{region: {metric: number}}`.

        evaluate(predicted, reference, trimap=trimap)["unknown"]["mad"]

    Parameters
    ----------
    predicted, reference: alpha, uint8 (T, H, W).
    trimap: uint8 (T, H, W) of 0 (background), 128 (unknown) and 255 (foreground). Without it, the metrics of all
        regions but the whole frame are NaN.
    convention: a name of `CONVENTIONS`; its docstring defines the numbers. docs/metrics.md compares them.
    flow: the motion for MESSDdt: an array (T-1, H, W, 2) in px, x then y, from each frame to the next one, NaN where it
        is unknown; or a flow or its name, as for `ClipEvaluator`. None: MESSDdt is NaN, unless the convention has its
        own flow.
    predicted_foreground, reference_foreground: RGB colours, not premultiplied, uint8 (T, H, W, 3): adds `fgr_mad` and
        `fgr_mse` in conventions that have them. The reference alone is enough for flow="dis".

    In the default convention, a metric is NaN if its region is empty in every frame, and dtSSD and MESSDdt are NaN for
    a single frame.

    Raises MetricsError, a ValueError, if an array has another dtype, shape or levels, or if a name is unknown.
    """
    evaluator = ClipEvaluator(convention, flow=_flow(flow, reference) if isinstance(flow, np.ndarray) else flow)
    evaluator.extend(
        predicted,
        reference,
        trimap=trimap,
        predicted_foreground=predicted_foreground,
        reference_foreground=reference_foreground,
    )
    return evaluator.sums().metrics()


def _flow(flow: Any, reference: Any) -> Flow:
    require_uint8("reference", reference)
    shape = (len(reference) - 1, *reference.shape[1:], 2)
    if flow.shape != shape:
        raise MetricsError(
            f"flow: has the shape {flow.shape}, but must be {shape}: x and y in px from each frame to the next one"
        )
    return StoredFlow(flow.__getitem__, name="given")
