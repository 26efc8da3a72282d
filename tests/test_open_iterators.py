"""A program that ends while it still reads from a stream exits silently."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TreeWriter, require_torch
from numbered_films import copied

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import sys
import dvm_hf
from dvm_hf.dataset.loading import load_arguments
from datasets import load_dataset

if __name__ == "__main__":
    data_dir, source, way = sys.argv[1:]
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
    print("end")
"""
NEED_TORCH = ("dataset loader", "ClipStream", "ClipStream loader")
ENDS = [("dataset", way, ".mp4") for way in ("break", "late", "cycle", "raise")]
ENDS += [(source, "keep", ".mp4") for source in ("shuffled", *NEED_TORCH)]
ENDS += [("dataset", "keep", ".ts"), ("ClipStream", "late", ".ts")]


@pytest.fixture
def sources(suffix: str, tree: TreeWriter) -> Path:
    """Videos whose frames are reached by seeking (MP4), or only from their start (MPEG-TS)."""
    folder, background = tree.moving("0000", frames=6), tree.background(frames=6)
    if suffix != ".mp4":
        for path in (folder / "f.mp4", folder / "a.mp4", background):
            copied(path.with_suffix(suffix), path)
            path.unlink()
    return tree.root


@pytest.mark.slow
@pytest.mark.parametrize(("source", "way", "suffix"), ENDS)
def test_an_open_stream_lets_the_interpreter_exit_silently(sources: Path, source: str, way: str) -> None:
    if source in NEED_TORCH:
        require_torch()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(sources), source, way],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    warnings = [line for line in done.stderr.splitlines() if "paired with all of them" not in line]
    assert (done.returncode, warnings) == (3 if way == "raise" else 0, [])


FORKED = """
import os, sys, time
from pathlib import Path
from dvm_hf.media.video.videos import Video

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
def test_a_forked_child_with_an_open_video_exits(sources: Path) -> None:
    (background,) = (sources / "bg/train").iterdir()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, str(background)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("4\n", "", 0)
