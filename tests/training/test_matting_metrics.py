"""Metrics over batches and ranks: those of dvm_hf.metrics over the same clips."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import TreeWriter, require_torch
from reference_mattes import VALUES, clip, colours

require_torch()

import numpy as np  # noqa: E402
import torch  # noqa: E402

from dvm_hf.errors import MetricsError  # noqa: E402
from dvm_hf.metrics import ClipEvaluator, MetricMeans  # noqa: E402
from dvm_hf.torch import MattingMetrics  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


def batches(count: int = 2) -> list[dict[str, torch.Tensor]]:
    """Return batches of two clips: predicted, reference and trimap as a ClipStream has them, (B, T, 1, H, W)."""
    predicted, reference, trimap = clip()
    found = []
    for number in range(count):
        shifted = np.stack([np.roll(predicted, 2 * number + index, axis=2) for index in range(2)])
        arrays = {"predicted": shifted, "reference": np.stack([reference] * 2), "trimap": np.stack([trimap] * 2)}
        found.append({name: torch.from_numpy(value)[:, :, None] for name, value in arrays.items()})
    return found


def expected(convention: str = "default", flow: str | None = None, count: int = 2) -> dict[str, float]:
    means = MetricMeans(convention)
    for batch in batches(count):
        for index in range(2):
            evaluator = ClipEvaluator(convention, flow=flow)
            evaluator.extend(**{name: value[index, :, 0].numpy() for name, value in batch.items()})
            means.add(evaluator.sums())
    return {f"{region}/{name}": value for region, found in means.metrics().items() for name, value in found.items()}


def numbers(metrics: MattingMetrics) -> dict[str, float]:
    computed = metrics.compute()
    assert {(value.dtype, value.shape) for value in computed.values()} <= {(torch.float64, ())}
    return {name: float(value) for name, value in computed.items()}


@pytest.mark.parametrize(("convention", "flow"), [("default", "dis-alpha"), ("vm108", "none"), ("rvm-lr", None)])
def test_batches_give_the_mean_over_their_clips(convention: str, flow: str | None) -> None:
    metrics = MattingMetrics(convention, flow=flow)
    for batch in batches():
        metrics.update(batch["predicted"], batch["reference"], batch["trimap"])
    assert numbers(metrics) == pytest.approx(expected(convention, flow), nan_ok=True)
    metrics.reset()
    assert metrics.compute() == {}
    assert metrics.means.clips == 0


def test_floats_are_rounded_to_levels() -> None:
    (batch,) = batches(1)
    levels, floats = MattingMetrics(), MattingMetrics()
    levels.update(**batch)
    soft = batch["predicted"].float() / 255 + 0.4 / 255 * (batch["predicted"] < 255)
    floats.update(soft.requires_grad_(), batch["reference"][:, :, 0].double() / 255, batch["trimap"][:, :, 0])
    assert numbers(floats) == pytest.approx(numbers(levels), nan_ok=True)
    halves = MattingMetrics()
    halves.update(torch.full((1, 1, 4, 4), 0.5, dtype=torch.bfloat16), torch.zeros(1, 1, 4, 4))
    assert numbers(halves)["whole/mad"] == pytest.approx(1000 * 128 / 255)


def test_foreground_colours() -> None:
    (batch,) = batches(1)
    predicted, reference = (torch.from_numpy(layer).permute(0, 3, 1, 2) for layer in colours())
    metrics = MattingMetrics("rvm-lr")
    metrics.update(
        **{name: value[:1] for name, value in batch.items()},
        predicted_foreground=predicted[None],
        reference_foreground=reference[None].float() / 255,
    )
    published = [frame["rvm_fgr_mad"] for frame in VALUES["clip"]["frames"]]
    assert numbers(metrics)["whole/fgr_mad"] == pytest.approx(np.mean(published))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"predicted": torch.zeros(48, 64)}, r"predicted: is \(48, 64\), but must be a tensor \(clips, frames, 1,"),
        ({"predicted": np.zeros((1, 1, 48, 64))}, "predicted: is ndarray, but must be a tensor"),
        ({"predicted": torch.zeros(2, 5, 3, 48, 64)}, "predicted: has 3 channels, but must have 1"),
        ({"predicted": torch.full((2, 5, 48, 64), 1.01)}, "predicted: has values from 1.01 to 1.01, but floats must"),
        ({"predicted": torch.full((2, 5, 48, 64), math.nan)}, "predicted: has values from nan to nan"),
        ({"predicted": torch.zeros(1, 5, 48, 64)}, "batch sizes differ: {'predicted': 1, 'reference': 2, 'trimap': 2}"),
        ({"predicted": torch.zeros(2, 4, 48, 64)}, r"predicted: has the shape \(4, 48, 64\), but the reference"),
        ({"trimap": torch.zeros(2, 5, 48, 64)}, "trimap: has the dtype float32"),
        ({"reference_foreground": torch.zeros(2, 5, 48, 64)}, r"reference_foreground: is .* \(clips, frames, 3,"),
    ],
)
def test_other_tensors_are_errors_and_measure_nothing(changes: dict[str, Any], text: str) -> None:
    metrics = MattingMetrics()
    with pytest.raises(MetricsError, match=text):
        metrics.update(**(batches(1)[0] | changes))
    assert metrics.means.clips == 0


def test_unknown_names_are_errors_at_once() -> None:
    with pytest.raises(MetricsError, match="convention='sane'"):
        MattingMetrics("sane")
    with pytest.raises(MetricsError, match="flow='farneback'"):
        MattingMetrics(flow="farneback")


def test_the_example_of_the_documentation_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = TreeWriter(tmp_path / "DVM")
    tree.still("still", size=(90, 100))
    tree.background("0000", size=(100, 120), frames=8)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    (code,) = [code for code in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL) if "dvm_hf.torch" in code]
    exec(compile(code, "docs/metrics.md", "exec"), {})
    assert capsys.readouterr().out.startswith("tensor(0., dtype=torch.float64)")


# argv: rendezvous file, rank. Rank 0 measures the first batch, rank 1 the other two; each prints what it computes.
PROGRAM = """
import json, sys
import torch.distributed as dist
from dvm_hf.torch import MattingMetrics
from test_matting_metrics import batches

meeting, rank = sys.argv[1], int(sys.argv[2])
dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
metrics = MattingMetrics(flow="none")
for batch in batches(3)[rank : 1 + 2 * rank]:
    metrics.update(**batch)
first, again = ({name: float(value) for name, value in metrics.compute().items()} for _ in range(2))
dist.barrier()
dist.destroy_process_group()
print(json.dumps([first, again, metrics.means.clips]))
"""


@pytest.mark.slow
def test_states_of_two_ranks_add_up(tmp_path: Path) -> None:
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests", Path(__file__).parent)))
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": paths}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "meeting"), str(rank)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for rank in range(2)
    ]
    try:
        outputs = [rank.communicate(timeout=200) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, 0], [errors[-2000:] for _, errors in outputs]
    for (output, _), clips in zip(outputs, (2, 4), strict=True):
        first, again, own = json.loads(output)
        assert first == again == pytest.approx(expected(flow="none", count=3))
        assert own == clips
