"""Metrics of mattes: SAD, MAD, MSE, Grad, Conn, dtSSD and MESSDdt, as this package or a published system defines them.

In: uint8 arrays of predicted and reference mattes, with trimaps and motion. Out: numbers for each region of a clip.
Read `evaluation` first, then `conventions` and `clip_evaluator`; docs/metrics.md defines every number.
"""

from dvm_hf.media.still.flow_images import read_flow
from dvm_hf.metrics.clip_evaluator import ClipEvaluator
from dvm_hf.metrics.clip_processes import Clip, Progress, evaluate_clips
from dvm_hf.metrics.clip_sums import ClipSums
from dvm_hf.metrics.convention import Convention
from dvm_hf.metrics.conventions import CONVENTIONS
from dvm_hf.metrics.evaluation import evaluate
from dvm_hf.metrics.flow import FLOWS, AffineFlow, Flow, StoredFlow
from dvm_hf.metrics.means import MetricMeans

__all__ = [
    "CONVENTIONS",
    "FLOWS",
    "AffineFlow",
    "Clip",
    "ClipEvaluator",
    "ClipSums",
    "Convention",
    "Flow",
    "MetricMeans",
    "Progress",
    "StoredFlow",
    "evaluate",
    "evaluate_clips",
    "read_flow",
]
