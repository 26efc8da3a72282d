"""Segments of video foregrounds, shared by the clips of a unit: the same pixels, decoded once, held while needed."""

import gc
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TreeWriter, require_torch, soft_disc

require_torch()

from shared_segments import CountedVideo, require_rendered_alone  # noqa: E402  where torch is there

from dvm_hf.clips.plan import Rendering, assigned_clips  # noqa: E402
from dvm_hf.dataset.columns import IMAGE_COLUMNS  # noqa: E402
from dvm_hf.errors import MachineError, SourceError  # noqa: E402
from dvm_hf.media.still.image_encoding import write_image  # noqa: E402
from dvm_hf.media.video import frame_sources  # noqa: E402
from dvm_hf.sources.tree import scan  # noqa: E402
from dvm_hf.torch import ClipStream  # noqa: E402
from dvm_hf.training import segment_windows  # noqa: E402
from dvm_hf.training.foreground_segments import HeldForegrounds, Place, foreground_segment  # noqa: E402

FRAMES = 30
FIELDS: dict[str, Any] = {
    "clip_length": 2,
    "crop_size": 16,
    "background_reuse": 4,
    "backgrounds_per_foreground": 4,
    "columns": IMAGE_COLUMNS,
}
ALONE: dict[str, Any] = {"clip_length": 2, "crop_size": 16, "columns": IMAGE_COLUMNS}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[CountedVideo]]:
    """The frames that are decoded of foregrounds. Without a garbage collector, frames in a cycle are held forever."""
    monkeypatch.setattr(frame_sources, "Video", CountedVideo)
    CountedVideo.reset("fg")
    gc.disable()
    yield CountedVideo
    gc.enable()


def moving_tree(tree: TreeWriter, *, foregrounds: int = 8, frames: int = FRAMES) -> Path:
    """Video foregrounds over twice as many backgrounds of 30 frames."""
    for number in range(foregrounds):
        tree.moving(f"{number:04d}", frames=frames)
    for number in range(2 * foregrounds):
        tree.background(f"{number:04d}", frames=FRAMES)
    return tree.root


def stream_over(root: Path, **fields: Any) -> ClipStream:
    return ClipStream("train", data_dir=str(root), **FIELDS | fields)


@pytest.mark.parametrize("samples_per_clip", [1, 3])
@pytest.mark.parametrize("recipe", ["dvm", "reference"])
def test_a_foreground_is_decoded_once_for_the_four_backgrounds_of_a_unit(
    tree: TreeWriter, counted: type[CountedVideo], samples_per_clip: int, recipe: str
) -> None:
    """8 foregrounds over 4 backgrounds: 32 clips in two units, each with 4 of the foregrounds."""
    root = moving_tree(tree)
    samples = list(stream_over(root, samples_per_clip=samples_per_clip, recipe=recipe))
    assert len(samples) == 32 * samples_per_clip
    # a segment has four windows; fewer frames are decoded to check a matte once
    files = Counter(path.parent.name + path.name for path, frames in counted.decoded if len(frames) == 2 * 4)
    assert files == Counter(f"{number:04d}{name}.mp4" for number in range(8) for name in "fa")
    assert {len(frames) for path, frames in counted.decoded if path.name == "f.mp4"} == {2 * 4}
    assert counted.most_held <= 4 * 2 * 8  # four foregrounds, of colour and alpha
    assert len(counted.held) == 0
    require_rendered_alone(root, samples[::3], recipe=recipe, **ALONE)
    starts: dict[str, set[int]] = {}
    for sample in samples:
        starts.setdefault(sample["foreground_name"], set()).add(sample["start"])
    assert sum(len(of_one) > 1 for of_one in starts.values()) > 4  # the clips have windows of their own


def test_every_combination_of_sources_is_rendered_as_alone(tree: TreeWriter) -> None:
    """Image and video foregrounds, some of them short, over backgrounds of different sizes and lengths."""
    for number in range(4):
        tree.moving(f"{number:04d}", frames=(30, 30, 5, 17)[number])
        tree.still(f"still_{number}")
    for number in range(11):
        tree.background(f"{number:04d}", size=(72 + 4 * number, 96), frames=(30, 30, 9)[number % 3])
    root = tree.root
    for number in range(3):
        write_image(root / f"bg/train/still_{number}.png", np.full((80, 100, 3), 60 * number, np.uint8))
    stream = stream_over(root, epochs=2, samples_per_clip=2, background_reuse=5)
    samples = list(stream)
    assert len(samples) == 2 * 2 * 8 * 4
    assert stream.left_out == 0
    require_rendered_alone(root, samples[::3], **ALONE)


def test_clips_over_stills_share_their_foreground_too(tree: TreeWriter, counted: type[CountedVideo]) -> None:
    sources = tree.root.parent / "sources.yaml"
    (tree.root / "stills").mkdir(parents=True)
    for number in range(4):
        tree.moving(f"{number:04d}", frames=FRAMES)
        write_image(tree.root / f"stills/{number}.png", np.full((80, 100, 3), 60 * number, np.uint8))
    sources.write_text("train:\n  foregrounds: [{path: DVM}]\n  backgrounds: [{path: DVM/stills, layout: bg20k}]\n")
    samples = list(stream_over(sources))
    assert len(samples) == 16
    assert sum(len(frames) == 2 * 4 for _, frames in counted.decoded) == 4 * 2
    assert len({sample["start"] for sample in samples}) > 4
    require_rendered_alone(sources, samples, **ALONE)


def test_clips_of_foregrounds_with_a_speed_of_their_own_are_decoded_alone(
    tree: TreeWriter, counted: type[CountedVideo]
) -> None:
    root = moving_tree(tree, foregrounds=4)
    samples = list(stream_over(root, motion="rvm"))
    assert len(counted.decoded) >= 16 * 2
    require_rendered_alone(root, samples[::5], motion="rvm", **ALONE)


@pytest.mark.parametrize("world", [1, 3])
def test_windows_do_not_depend_on_which_clip_a_process_renders_first(tree: TreeWriter, world: int) -> None:
    """Resumed at any sample, and in any rank; the backgrounds of a unit have different lengths, and some are stills."""
    sources = tree.root.parent / "sources.yaml"
    for number in range(4):
        tree.moving(f"{number:04d}", frames=FRAMES)
        tree.background(f"{number:04d}", frames=(FRAMES, 20)[number % 2])
    (tree.root / "stills").mkdir(parents=True)
    for number in range(2):
        write_image(tree.root / f"stills/{number}.png", np.full((80, 100, 3), 60 * number, np.uint8))
    sources.write_text(
        "train:\n  foregrounds: [{path: DVM}]\n  backgrounds: [{path: DVM/bg/train, layout: videos, name: films}, "
        "{path: DVM/stills, layout: bg20k}]\n"
    )
    fields: dict[str, Any] = {"columns": ("alpha",), "even_ranks": None}

    def starts(stream: Iterable[dict[str, Any]]) -> dict[int, tuple[str, int]]:
        return {sample["index"]: (sample["clip_id"], sample["start"]) for sample in stream}

    expected = starts(stream_over(sources, **fields))
    assert len(expected) == 16
    found: dict[int, tuple[str, int]] = {}
    for rank in range(world):
        stopped = stream_over(sources, rank=rank, world_size=world, **fields)
        samples = iter(stopped)
        for _ in range(stopped.samples_per_epoch):
            resumed = stream_over(sources, rank=rank, world_size=world, **fields)
            resumed.load_state_dict(stopped.state_dict())
            found |= starts(islice(resumed, 2))
            next(samples)
    assert found == expected


def test_clips_use_the_windows_that_both_of_their_segments_have(
    tree: TreeWriter, counted: type[CountedVideo], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The foregrounds are four times as large as the backgrounds, so fewer of their frames are held."""
    for number in range(4):
        tree.moving(f"{number:04d}", size=(144, 192), frames=FRAMES)
        tree.background(f"{number:04d}", frames=FRAMES)
    monkeypatch.setattr(segment_windows, "MAX_BYTES", 4 * 144 * 192 * 3 // 2)
    samples = list(stream_over(tree.root))
    assert [len(frames) for path, frames in counted.decoded if path.name == "f.mp4"] == [4] * 4  # of 8 in a background
    assert len(samples) == 16
    require_rendered_alone(tree.root, samples, **ALONE)


# A single segment


def place_in(
    root: Path, *, clips: int = 4, samples_per_clip: int = 1, window_count: int | None = 27
) -> tuple[Any, Place]:
    tree = scan(root, "train")
    plans = assigned_clips(
        tree, backgrounds_per_foreground=1, seed=5, rendering=Rendering(clip_length=4, clip_step=1, remainder="drop")
    ).clips
    return plans[0], Place(plans[0], window_count, clips, samples_per_clip)


def test_a_segment_is_limited_in_bytes(tree: TreeWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Colour and alpha of 48 x 64 px take 3 bytes per pixel: 16 frames fit, or 6, or one window of 4 at least."""
    root = moving_tree(tree, foregrounds=1)
    plan, place = place_in(root)
    for frames, limit in ((16, 16), (6, 6), (4, 1)):
        monkeypatch.setattr(segment_windows, "MAX_BYTES", limit * 48 * 64 * 3 // 2)
        segment = foreground_segment(plan, place)
        assert segment is not None
        assert len(segment.windows) == frames - 3


def test_frames_that_are_not_held_are_decoded_again(tree: TreeWriter, counted: type[CountedVideo]) -> None:
    plan, place = place_in(moving_tree(tree, foregrounds=1))
    segment = foreground_segment(plan, place)
    assert segment is not None
    first = segment.windows.start
    for wanted in ([first, first + 15], [(first + 16) % FRAMES], [first, (first + 20) % FRAMES]):
        counted.decoded.clear()
        found = [index for index, _ in segment.foreground.colour_frames.pictures(sorted(wanted))]
        assert found == sorted(wanted)
        assert len(counted.decoded) == (wanted[-1] != first + 15)


def test_numbered_pictures_are_shared_only_if_the_clips_need_as_many(tree: TreeWriter, tmp_path: Path) -> None:
    """A picture costs the same wherever it is. A segment has 16 frames, and a clip with one sample needs 4."""
    for name in ("fgr", "pha"):
        (tmp_path / f"set/train/{name}/0000").mkdir(parents=True)
        for number in range(FRAMES):
            pixels = np.full((48, 64, 3), 200, np.uint8) if name == "fgr" else soft_disc(48, 64)
            write_image(tmp_path / f"set/train/{name}/0000/{number:05d}.jpg", pixels)
    background = tree.background(frames=FRAMES)
    sources = tmp_path / "sources.yaml"
    sources.write_text(
        "train:\n  foregrounds: [{path: set, layout: fgr-pha}]\n"
        f"  backgrounds: [{{path: {background.parent}, layout: videos}}]\n"
    )
    plan, place = place_in(sources, clips=3)
    assert foreground_segment(plan, place) is None
    plan, place = place_in(sources, clips=4)
    assert foreground_segment(plan, place) is not None
    plan, place = place_in(sources, clips=2, samples_per_clip=2)
    assert foreground_segment(plan, place) is not None


def test_a_fault_is_left_to_the_clips_that_need_the_frames(tree: TreeWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    root = moving_tree(tree, foregrounds=1)
    plan, place = place_in(root)

    class Failing(CountedVideo):
        error: Exception = SourceError("a frame has another size")

        def pictures(self, wanted: Any) -> Iterator[tuple[int, Any]]:
            yield from islice(super().pictures(wanted), 3)
            raise self.error

    monkeypatch.setattr(frame_sources, "Video", Failing)
    assert foreground_segment(plan, place) is None
    Failing.error = MachineError("no memory")
    with pytest.raises(MachineError):
        foreground_segment(plan, place)


def test_a_foreground_that_ends_before_the_segment_has_none(tree: TreeWriter) -> None:
    root = moving_tree(tree, foregrounds=1, frames=5)
    plan, place = place_in(root, window_count=1000)
    assert foreground_segment(plan, place) is None


def test_foregrounds_are_held_until_their_last_clip(tree: TreeWriter, counted: type[CountedVideo]) -> None:
    root = moving_tree(tree, foregrounds=1)
    plan, place = place_in(root, clips=3)
    held = HeldForegrounds()
    found = [held.get("key", plan, place) for _ in range(3)]
    assert found[0] is found[1] is found[2]
    del found
    assert len(counted.held) == 0
    for number in range(20):  # clips that do not come: at most eight foregrounds are held
        held.get(number, plan, place)
    assert len(counted.held) == 8 * 2 * 16
    held.release()
    assert len(counted.held) == 0
