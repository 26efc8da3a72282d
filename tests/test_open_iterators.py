"""A program that ends while it still reads from a stream exits silently."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TreeWriter, require_torch
from numbered_films import copied

from dvm_hf.worker_processes import LEAN

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import importlib
import json
import os
import sys
import dvm_hf
from dvm_hf.dataset.loading import load_arguments
from datasets import load_dataset

if __name__ == "__main__":
    codes = []
    for module in ("dvm_hf.cli", "dvm_hf.dataset.builder", "scipy.io"):
        importlib.import_module(module)  # once, instead of in each process
    for data_dir, source, way, errors in json.loads(sys.argv[1]):
        child = os.fork()
        if child == 0:
            os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT), 2)
            break
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    else:
        print(json.dumps(codes))
        sys.exit()
    if source.startswith("ClipStream"):
        from dvm_hf.torch import ClipStream
        stream = ClipStream("train", data_dir=data_dir, clip_length=2)
    else:
        fields = {"split": "train", "streaming": True, "data_dir": data_dir, "clip_length": 2}
        stream = load_dataset(name="train", **load_arguments(), **fields)
    if source.endswith("loader"):
        from torch.utils.data import DataLoader
        stream = DataLoader(stream, batch_size=None, num_workers=0)
    if source == "shuffled":
        stream = stream.shuffle(buffer_size=2)
    if way == "break":
        for sample in stream:
            break
    else:
        kept = iter(stream)
        next(kept)
        if way == "late":
            sys.kept = kept  # lives longer than the modules of this package
        if way == "cycle":
            kept = [kept]
            kept.append(kept)
            del kept
        if way == "raise":
            sys.exit(3)
"""
NEED_TORCH = ("dataset loader", "ClipStream", "ClipStream loader")
ENDS = [("dataset", way, ".mp4") for way in ("break", "late", "cycle", "raise")]
ENDS += [(source, "keep", ".mp4") for source in ("shuffled", *NEED_TORCH)]
ENDS += [("dataset", "keep", ".ts"), ("ClipStream", "late", ".ts")]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Videos whose frames are reached by seeking (MP4), or only from their start (MPEG-TS)."""
    trees = {suffix: TreeWriter(tmp_path_factory.mktemp("open") / "DVM") for suffix in (".mp4", ".ts")}
    for suffix, tree in trees.items():
        folder, background = tree.moving("0000", frames=6), tree.background(frames=6)
        if suffix != ".mp4":
            for path in (folder / "f.mp4", folder / "a.mp4", background):
                copied(path.with_suffix(suffix), path)
                path.unlink()
    return {suffix: tree.root for suffix, tree in trees.items()}


@pytest.fixture(scope="module")
def ends(
    drawn: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str, str], tuple[int, str]]:
    """The exit code and standard error of a program for each of ENDS, forked when everything is imported."""
    folder = tmp_path_factory.mktemp("ends")
    cases = [case for case in ENDS if case[0] not in NEED_TORCH or importlib.util.find_spec("torch")]
    calls = [
        [str(drawn[suffix]), source, way, str(folder / f"{source} {way}{suffix}")] for source, way, suffix in cases
    ]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, json.dumps(calls)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    errors = [Path(call[-1]).read_text(encoding="utf-8") for call in calls]
    return dict(zip(cases, zip(json.loads(done.stdout), errors, strict=True), strict=True))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize(("source", "way", "suffix"), ENDS)
def test_an_open_stream_lets_the_interpreter_exit_silently(
    ends: dict[tuple[str, str, str], tuple[int, str]], source: str, way: str, suffix: str
) -> None:
    if source in NEED_TORCH:
        require_torch()
    code, errors = ends[source, way, suffix]
    warnings = [line for line in errors.splitlines() if "paired with all of them" not in line]
    assert (code, warnings) == (3 if way == "raise" else 0, [])


FORKED = """
import os, sys, time
from pathlib import Path
from dvm_hf.media.video.videos import Video

for _ in range(2):  # the first is dropped without being closed
    video = Video(Path(sys.argv[1]))
    frames = video.colours(range(6))
    next(frames)
child = os.fork()
if child == 0:
    sys.exit(4)
ended = time.monotonic() + 60
while (found := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < ended:
    time.sleep(0.01)
if found == (0, 0):
    os.kill(child, 9)
print(os.waitstatus_to_exitcode(found[1]) if found[0] else "hangs")
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
def test_a_forked_child_with_an_open_video_exits(drawn: dict[str, Path], suffix: str) -> None:
    (background,) = (drawn[suffix] / "bg/train").iterdir()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, str(background)],
        env=os.environ | LEAN | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("4\n", "", 0)
