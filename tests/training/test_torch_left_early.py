"""An interrupted stream lets the interpreter exit; samples stay on the CPU; ranks stay even with skipped samples."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import TreeWriter, require_torch

require_torch()

import torch  # noqa: E402  where it is there
from torch.utils.data import DataLoader  # noqa: E402

from dvm_hf import SourceError  # noqa: E402
from dvm_hf.torch import ClipStream, collate  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # fork

ROOT = Path(__file__).resolve().parents[2]
FIELDS: dict[str, Any] = {"clip_length": 2, "crop_size": 16}
PROGRAM = """
import sys
from torch.utils.data import DataLoader
from dvm_hf.torch import ClipStream, collate
if __name__ == "__main__":
    data_dir, workers, way = sys.argv[1:]
    source = ClipStream("train", data_dir=data_dir, clip_length=2, crop_size=16, kinds=("video",), samples_per_clip=3)
    if workers != "none":
        source = DataLoader(source, batch_size=2, num_workers=int(workers), collate_fn=collate)
    if way == "break":
        for sample in source:
            break
    else:
        kept = iter(source)
        next(kept)
    if way == "raise":
        sys.exit(3)
    print("end")
"""


@pytest.mark.parametrize("way", ["break", "keep", "raise"])
@pytest.mark.parametrize("workers", ["none", "0", "2"])
def test_the_interpreter_exits_silently(training_sources: Path, workers: str, way: str) -> None:
    """With an open video, whose decoder has threads: no abort, hang or message."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(training_sources), workers, way],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (3 if way == "raise" else 0, "")


@pytest.mark.parametrize("workers", [0, 2])
def test_samples_and_counters_stay_on_the_cpu(training_sources: Path, workers: int) -> None:
    """The device "meta" stands for a GPU: tensors created without a device are on it."""
    made_before = ClipStream("train", data_dir=str(training_sources), **FIELDS)
    torch.set_default_device("meta")
    try:
        for stream in (made_before, ClipStream("train", data_dir=str(training_sources), **FIELDS)):
            stream.set_epoch(3)
            for sample in (next(iter(stream)), collate([next(iter(stream))])):
                assert {v.device.type for v in sample.values() if isinstance(v, torch.Tensor)} == {"cpu"}
            stream.load_state_dict(stream.state_dict())
            assert next(iter(stream))["epoch"] == 4
    finally:
        torch.set_default_device(None)
    batch = next(iter(DataLoader(made_before, batch_size=2, num_workers=workers, collate_fn=collate)))
    assert batch["epoch"].tolist() == [5, 5]


@pytest.fixture
def half_bad(tree: TreeWriter) -> Path:
    """An image foreground over five backgrounds: one cannot be read, one is shorter than a window."""
    tree.still()
    for number in range(5):
        tree.background(f"{number:04d}", frames=1 if number == 1 else 6)
    (tree.root / "bg/train/0003.mp4").write_bytes(b"no video")
    return tree.root


def ranks(root: Path, **fields: Any) -> list[ClipStream]:
    given = FIELDS | {"on_error": "skip", "backgrounds_per_foreground": 5, "world_size": 2} | fields
    return [ClipStream("train", data_dir=str(root), rank=rank, **given) for rank in range(2)]


def indices(stream: Any) -> list[tuple[int, str]]:
    return [(int(sample["index"]), sample["clip_id"]) for sample in stream]


@pytest.mark.parametrize("even", ["drop", "pad"])
@pytest.mark.parametrize("per_clip", [1, 3])
def test_skipped_samples_are_replaced_if_ranks_must_stay_even(half_bad: Path, even: str, per_clip: int) -> None:
    expected = {"drop": 5 * per_clip // 2, "pad": -(-5 * per_clip // 2)}[even]
    for epoch in range(3):
        for stream in ranks(half_bad, even_ranks=even, samples_per_clip=per_clip):
            stream.set_epoch(epoch)
            found = indices(stream)
            assert len(found) == stream.samples_per_epoch == expected
            assert {clip[-4:] for _, clip in found} <= {"0000", "0002", "0004"}
            for workers in (0, 2):
                stream.set_epoch(epoch)
                loaded = indices(DataLoader(stream, batch_size=None, num_workers=workers))
                assert sorted(loaded) == sorted(found)


def test_a_resume_has_the_same_replacements(half_bad: Path) -> None:
    for stream, again in zip(ranks(half_bad, samples_per_clip=3), ranks(half_bad, samples_per_clip=3), strict=True):
        whole = indices(stream)
        for place in range(len(whole)):
            stream.set_epoch(0)
            samples = iter(stream)
            for _ in range(place):
                next(samples)
            again.load_state_dict(stream.state_dict())
            assert indices(again) == whole[place:]


def test_without_even_ranks_nothing_is_replaced(half_bad: Path) -> None:
    found = [index for stream in ranks(half_bad, even_ranks=None) for index, _ in indices(stream)]
    assert len(found) == len(set(found)) == 3


def test_a_rank_without_usable_clips_raises_an_error(tree: TreeWriter) -> None:
    tree.still()
    for number in range(4):
        tree.background(f"{number:04d}").write_bytes(b"no video")
    for stream in ranks(tree.root, backgrounds_per_foreground=4):
        with pytest.raises(SourceError, match=r"no clip of epoch 0 can replace a skipped sample"):
            next(iter(stream))


def test_the_length_is_the_number_of_batches_or_none(training_sources: Path) -> None:
    """12 clips of 3 samples."""

    def stream(**fields: Any) -> ClipStream:
        return ClipStream("train", data_dir=str(training_sources), samples_per_clip=3, **FIELDS | fields)

    assert len(stream(batch_size=5)) == 36
    assert len(stream(batch_size=5, drop_last=True)) == 35
    assert len(stream(batch_size=5, epochs=2)) == 72
    assert len(stream(batch_size=5, rank=1, world_size=5)) == 7
    assert len(stream(batch_size=5, rank=1, world_size=5, even_ranks="pad")) == 8
    for unknown in ({}, {"batch_size": 5, "epochs": None}, {"batch_size": 5, "epochs": 2, "rank": 1, "world_size": 5}):
        with pytest.raises(TypeError, match="no length"):
            len(stream(**unknown))
    for workers in (0, 2):
        loader = DataLoader(stream(batch_size=5), batch_size=5, num_workers=workers, collate_fn=collate)
        assert len(list(loader)) == len(loader) == 8
