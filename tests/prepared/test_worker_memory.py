"""What the processes of `dvm prepare` import, and the memory that they take."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from process_memory import peak_memory
from reporting_task import ReportingTask
from stored_plans import plan_in, written

from dvm_hf.dataset.config import rendering_of
from dvm_hf.prepared.engines.local_engine import local_outcomes
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.synthetic.camera_like import write_video_foreground

FRAMES = 32
LIMIT = (
    850_000_000  # bytes; 930 MB if the workers import `datasets`, use Arrow's pool, and collect two windows of 19 MB
)
NOT_NEEDED = {"datasets", "pandas", "torch", "huggingface_hub", "fsspec", "yaml", "click", "tqdm", "scipy", "pymatting"}


FIELDS: tuple[dict[str, Any], ...] = (
    {"encoding": "jpeg"},
    {"encoding": "video"},
    {"encoding": "lossless", "trimap": "dvm-train", "columns": ("frames", "foreground", "background", "trimap")},
    {"encoding": "array", "crop_size": 16, "columns": ("frames", "alpha")},
    {"recipe": "reference"},
)


@pytest.mark.slow
def test_a_worker_imports_only_what_renders(few_sources: Path, prepared_once: Path, tmp_path: Path) -> None:
    whole = plan_in(prepared_once)
    tasks = []
    for number, fields in enumerate(FIELDS):
        out = tmp_path / str(number)
        for folder in PreparedFolder(out).folders:
            folder.mkdir(parents=True)
        config = dataclasses.replace(whole.config, **fields)
        clips = tuple(dataclasses.replace(clip, rendering=rendering_of(config)) for clip in whole.clips)
        plan = written(dataclasses.replace(whole, config=config, clips=clips), out)
        tasks.append(ReportingTask(plan.shard(0), out, few_sources))
    built = list(local_outcomes(tasks, num_proc=2, on_progress=lambda progress: None))
    assert len(built) == len(tasks)
    reports = list(tmp_path.glob("*/imported/*"))
    assert reports
    for path in reports:
        imported = set(json.loads(path.read_text()))
        assert {"cv2", "av", "pyarrow", "dvm_hf"} <= imported
        assert NOT_NEEDED & imported == set()
    for path in tmp_path.glob("*/data/*"):
        path.unlink()
    again = [task.outcome(lambda progress: None) for task in tasks]  # here, where `datasets` is imported
    assert sorted(repr(one.sidecar) for one in built) == sorted(repr(one.sidecar) for one in again)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the memory is read from /proc")
def test_two_processes_stay_within_their_memory(tmp_path: Path) -> None:
    """1080p: the frames of three decoders, a window and its row in Arrow are 150 MB of each worker."""
    tree, out = tmp_path / "DVM", tmp_path / "out"
    write_video_foreground(tree / "fg/video/train/1080p", frames=FRAMES)
    (tree / "bg/train").mkdir(parents=True)
    for number in range(2):
        (tree / f"bg/train/{number:04d}.mp4").hardlink_to(tree / "fg/video/train/1080p/f.mp4")
    command = [sys.executable, "-m", "dvm_hf", "prepare", str(tree), str(out), "--config", "train", "--num-proc", "2"]
    command += ["--num-shards", "2", "--backgrounds-per-foreground", "2", "--json"]
    peak, printed = peak_memory(command)
    assert '"rows": 4, "frames": 64' in printed
    assert peak < LIMIT
