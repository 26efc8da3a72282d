"""The windows of a clip's samples, and what identifies a stream."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TreeWriter

from dvm_hf import ConfigError
from dvm_hf.clips import image_foregrounds
from dvm_hf.clips.plan import ClipPlan, Rendering
from dvm_hf.dataset.builder import DVM
from dvm_hf.dataset.config import DVMConfig
from dvm_hf.media.bounded_memory import BoundedMemory
from dvm_hf.media.still.still_pictures import STILLS
from dvm_hf.sources.records import Background, Foreground
from dvm_hf.training.composed_clips import ComposedClips, stacked_planes, window_numbers


def numbers(seed: int, windows: int, samples: int, **rendering: Any) -> list[int]:
    foreground = Foreground("image", "cat", Path("fg"), Path("alpha"))
    plan = ClipPlan("image_cat_0", foreground, Background("0", Path("bg")), seed, Rendering(**rendering))
    return list(window_numbers(plan, samples)(windows))


@pytest.mark.parametrize(
    ("rendering", "apart"),
    [
        ({"clip_length": 3, "clip_step": 1}, 3),
        ({"clip_length": 3, "clip_step": 2}, 2),  # windows 0 and 1 share a frame, 0 and 2 do not
        ({"clip_length": 2, "clip_step": 1, "frame_step": 2}, 4),
        ({"clip_length": 3}, 1),
        ({"clip_length": "all"}, 1),
    ],
)
def test_samples_come_from_a_segment_in_which_they_would_fit_end_to_end(rendering: dict[str, Any], apart: int) -> None:
    spans, firsts, lasts = set(), set(), set()
    for seed in range(150):
        found = numbers(seed, 20, 3, **rendering)
        assert found == sorted(set(found))
        assert len(found) == 3
        spans.add(found[-1] - found[0])
        firsts.add(found[0])
        lasts.add(found[-1])
    assert max(spans) == 2 * apart
    assert (min(firsts), max(lasts)) == (0, 19)  # the segment can be anywhere in the clip


def test_every_window_is_used_before_one_is_repeated() -> None:
    """7 samples of 3 windows: each twice and one three times; a repetition has the number of its crop."""
    for seed in range(10):
        found = numbers(seed, 3, 7, clip_length=2, clip_step=1)
        assert [number % 3 for number in found] == sorted(number % 3 for number in found)
        (third,) = set(found) - {0, 1, 2, 3, 4, 5}
        assert third in {6, 7, 8}
        assert all(one < other for one, other in pairwise(found) if one % 3 == other % 3)
    assert numbers(0, 3, 3, clip_length=2, clip_step=1) == [0, 1, 2]
    assert numbers(0, 1, 4, clip_length="all") == [0, 1, 2, 3]


def test_images_become_planes() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), np.uint8)
    assert np.array_equal(stacked_planes([*pixels]), pixels.transpose(0, 3, 1, 2))
    assert np.array_equal(stacked_planes([*pixels[..., 0]]), pixels[:, None, ..., 0])


def composed(
    root: Path, *, context: int = 0, samples_per_clip: int = 2, still_memory: int = 2**29, **fields: Any
) -> ComposedClips:
    fields = {"clip_length": 2, "columns": ("frames", "alpha"), "backgrounds_per_foreground": 1} | fields
    config = DVMConfig(name="train", version=DVM.VERSION, data_dir=str(root), **fields)
    return ComposedClips(config, context=context, samples_per_clip=samples_per_clip, still_memory=still_memory)


def test_windows_start_at_every_nth_frame_if_clip_step_is_n(tree: TreeWriter) -> None:
    tree.still(size=(16, 16))
    tree.background(size=(20, 20), frames=8)
    for fields, expected in (({"clip_step": 3}, [0, 3, 6]), ({}, [0, 1, 2, 3, 4, 5, 6])):
        source = composed(tree.root, samples_per_clip=len(expected), **fields)
        found = list(source.samples(0, 0, range(len(expected))))
        assert [row and row["start"] for row in found] == expected


def test_an_epoch_is_planned_once(tree: TreeWriter) -> None:
    """A stream asks for the plans of its epoch with every clip."""
    tree.still()
    tree.background()
    source = composed(tree.root)
    first, second = source.plans(0), source.plans(1)
    assert source.plans(1) is second
    assert [plan.seed for plan in source.plans(0)] == [plan.seed for plan in first] != [plan.seed for plan in second]


def test_the_identity_contains_whatever_changes_the_samples(tree: TreeWriter) -> None:
    tree.still()
    tree.background()
    whole = composed(tree.root).identity
    for same in ({"columns": ("alpha", "frames")}, {"on_error": "skip"}, {"encoding": "lossless"}, {"preset": "dvm"}):
        assert composed(tree.root, **same).identity == whole, same
    for other in (
        {"context": 1},
        {"frame_step": 2},
        {"clip_step": 2},
        {"remainder": "keep"},
        {"trimap": 3},
        {"recipe": "reference"},
        {"max_size": 64},
        {"max_image_frames": 9},
        {"max_video_frames": 9},
        {"background_blur": True},
        {"motion": "rvm"},
        {"light": "shadow"},
        {"camera": "noise"},
    ):
        assert composed(tree.root, **other).identity != whole, other  # type: ignore[arg-type]


def test_a_copy_of_the_sources_has_the_same_identity_until_a_size_changes(tree: TreeWriter, tmp_path: Path) -> None:
    copy = TreeWriter(tmp_path / "copy")
    for one in (tree, copy):
        one.still()
        one.background()
    colour = copy.root / "fg/image/train/fg/disc.png"
    assert composed(copy.root).identity == composed(tree.root).identity
    colour.write_bytes(colour.read_bytes() + b"\0")
    assert composed(copy.root).identity != composed(tree.root).identity


def test_a_complete_clip_has_no_context(tree: TreeWriter) -> None:
    tree.still()
    tree.background()
    composed(tree.root, clip_length="all")
    with pytest.raises(ConfigError, match="context=1: a complete clip"):
        composed(tree.root, clip_length="all", context=1)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the foregrounds whose files are decoded; nothing is kept before."""
    names: list[str] = []
    original = image_foregrounds.read_image
    monkeypatch.setattr(
        image_foregrounds, "read_image", lambda plan: (names.append(plan.foreground.name), original(plan))[1]
    )
    for kind in ("backgrounds", "foregrounds"):
        monkeypatch.setattr(STILLS, kind, BoundedMemory(0))
    return names


def rows_of(source: ComposedClips, *, epochs: int = 3) -> list[Any]:
    return [
        {column: np.array(value) for column, value in row.items() if column in ("frames", "alpha")}
        for epoch in range(epochs)
        for clip in range(source.clips)
        for row in source.samples(epoch, clip, range(2))
        if row is not None
    ]


@pytest.mark.parametrize(
    ("still_memory", "times"), [(2**29, 1), (0, 3), (2 * 5 * 18 * 18, 3)], ids=["all", "one", "two of three"]
)
def test_decoded_foregrounds_are_kept_for_later_epochs(
    tree: TreeWriter, decoded: list[str], still_memory: int, times: int
) -> None:
    """In the same order in each epoch, the least recently used of three is the next one, if two are kept."""
    for number in range(3):
        tree.still(f"still_{number}", size=(16, 16), value=60 * number)
    tree.background()
    kept = rows_of(composed(tree.root, still_memory=still_memory))
    assert sorted(decoded) == sorted([f"still_{number}" for number in range(3)] * times)
    assert STILLS.foregrounds.size_in_bytes <= max(still_memory, 5 * 18 * 18)
    expected = rows_of(composed(tree.root, still_memory=0))
    assert len(kept) == len(expected) > 6
    for one, other in zip(kept, expected, strict=True):
        assert one.keys() == other.keys() == {"frames", "alpha"}
        assert all(np.array_equal(one[column], other[column]) for column in one)


def test_a_foreground_that_changes_is_decoded_again(tree: TreeWriter, decoded: list[str]) -> None:
    tree.still(value=20)
    tree.background()
    source = composed(tree.root)
    rows_of(source, epochs=1)
    tree.still(value=240)
    rows_of(source, epochs=1)
    assert decoded == ["disc", "disc"]


def test_the_memory_of_stills_is_a_number_of_bytes(tree: TreeWriter) -> None:
    with pytest.raises(ConfigError, match="still_memory=-1"):
        composed(tree.root, still_memory=-1)
