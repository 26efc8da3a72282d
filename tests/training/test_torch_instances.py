"""Samples of clips with several foregrounds: composed and from rows, batched, transformed, with shared backgrounds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TreeWriter, require_torch

require_torch()

import torch  # noqa: E402  where it is there
from torch.utils.data import DataLoader  # noqa: E402

from dvm_hf.torch import ClipStream, MattingTransform, collate  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),  # fork, Python 3.12
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),  # more workers than cores
]

COLUMNS = ("frames", "alpha", "instances")
FIELDS: dict[str, Any] = {"clip_length": 2, "crop_size": 16, "columns": COLUMNS, "foregrounds_per_clip": 3}


def stream_over(root: Path, **fields: Any) -> ClipStream:
    return ClipStream("train", data_dir=str(root), **FIELDS | fields)


def identity(sample: dict[str, Any]) -> list[Any]:
    return [value.numpy().tobytes() if isinstance(value, torch.Tensor) else value for value in sample.values()]


def assert_sums(sample: dict[str, Any]) -> None:
    total = sample["instances"].sum(dim=-3, keepdim=True, dtype=torch.uint8)
    assert torch.equal(total, sample["alpha"])


@pytest.mark.parametrize("motion", ["dvm", "rvm"])
def test_samples_have_a_channel_for_each_foreground_as_rows_have_a_list(
    training_sources: Path, load: Callable[..., Any], motion: str
) -> None:
    fields = FIELDS | {"motion": motion, "backgrounds_per_foreground": 1}
    rows = load(
        "train",
        split="train",
        data_dir=str(training_sources),
        streaming=True,
        encoding="lossless",
        clip_step=1,
        **fields,
    )
    by_window = {(row["clip_id"], row["window"]): row for row in rows}
    samples = list(stream_over(training_sources, **fields))
    assert len(samples) == 3
    for sample in samples:
        row = by_window[sample["clip_id"], sample["window"]]
        assert sample["instances"].shape == (2, 3, 16, 16)
        mattes = np.array([[np.asarray(matte) for matte in one] for one in row["instances"]])
        assert np.array_equal(sample["instances"].numpy(), mattes.swapaxes(0, 1))
        assert_sums(sample)
        assert sample["instance_names"] == row["instance_names"]
        assert sample["instance_kinds"].tolist() == [int(name == "0000") for name in row["instance_names"]]
        assert np.array_equal(sample["instance_hidden"].numpy(), np.float32(row["instance_hidden"]))
        assert len(sample["motion"][0]) == (38 if motion == "rvm" else 12)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_stacked_and_do_not_depend_on_workers(training_sources: Path, workers: int) -> None:
    loader = DataLoader(stream_over(training_sources), batch_size=3, num_workers=workers, collate_fn=collate)
    batches = list(loader)
    for batch in batches:
        count = len(batch["clip_id"])
        assert batch["instances"].shape == (count, 2, 3, 16, 16)
        assert batch["instance_hidden"].shape == batch["instance_kinds"].shape == (count, 3)
        assert [len(names) for names in batch["instance_names"]] == [count] * 3
        assert_sums(batch)
    found = {clip for batch in batches for clip in batch["clip_id"]}
    assert len(found) == 12


def test_a_stream_resumes_with_the_same_samples(training_sources: Path) -> None:
    expected = [identity(sample) for sample in stream_over(training_sources, shuffle=True)]
    stream = stream_over(training_sources, shuffle=True)
    started = iter(stream)
    before = [identity(next(started)) for _ in range(5)]
    resumed = stream_over(training_sources, shuffle=True)
    resumed.load_state_dict(stream.state_dict())
    assert before + [identity(sample) for sample in resumed] == expected


def test_rows_of_a_dataset_give_the_same_samples(training_sources: Path, load: Callable[..., Any]) -> None:
    dataset = load(
        "train",
        split="train",
        data_dir=str(training_sources),
        encoding="lossless",
        backgrounds_per_foreground=1,
        **FIELDS | {"crop_size": None, "clip_length": 5},
    )
    for sample, row in zip(ClipStream.from_dataset(dataset, shuffle=False), dataset, strict=True):
        mattes = np.array([[np.asarray(matte) for matte in one] for one in row["instances"]])
        assert np.array_equal(sample["instances"].numpy(), mattes.swapaxes(0, 1))
        assert sample["instance_names"] == row["instance_names"]
    for sample in ClipStream.from_dataset(dataset, clip_length=2, crop_size=16):
        assert sample["instances"].shape == (2, 3, 16, 16)
        assert_sums(sample)


def test_transforms_move_instances_like_the_alpha(training_sources: Path) -> None:
    def samples(transform: MattingTransform | None) -> list[dict[str, Any]]:
        return list(stream_over(training_sources, crop_size=24, backgrounds_per_foreground=1, transform=transform))

    for sample in samples(MattingTransform(flip=1, crop_sizes=(16,))):
        assert sample["instances"].shape == (2, 3, 16, 16)
        assert_sums(sample)
    for one, other in zip(samples(None), samples(MattingTransform(flip=1)), strict=True):
        assert torch.equal(one["instances"].flip(-1), other["instances"])
    for sample in samples(MattingTransform(size=36)):
        total = sample["instances"].sum(dim=1, keepdim=True).int()
        assert (total - sample["alpha"].int()).abs().max() <= 12  # cubic interpolation clips overshoots


@pytest.mark.parametrize("motion", ["dvm", "rvm"])
def test_clips_that_share_backgrounds_have_the_pixels_of_the_formula(tree: TreeWriter, motion: str) -> None:
    for number in range(5):
        tree.still(f"still_{number}", value=60 + 30 * number)
    tree.moving("0000", frames=12)
    for number in range(3):
        tree.background(f"{number:04d}", size=(72, 96))
    columns = ("frames", "alpha", "foreground", "background", "instances")
    stream = stream_over(tree.root, background_reuse=4, motion=motion, columns=columns)
    samples = list(stream)
    assert len(samples) == 18
    for sample in samples:
        a = sample["alpha"].double() / 255
        expected = a * sample["foreground"] + (1 - a) * sample["background"]
        assert (sample["frames"] - expected).abs().max() <= 0.5 + 1e-9
        assert_sums(sample)
