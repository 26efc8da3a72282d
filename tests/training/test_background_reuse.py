"""A stream whose clips share decoded segments of their backgrounds: the same pixels, decoded once, in one order."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TreeWriter, require_torch

require_torch()

import torch  # noqa: E402  where it is there
from shared_segments import CountedVideo, require_rendered_alone  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

from dvm_hf import ConfigError, SourceError, render, scan  # noqa: E402
from dvm_hf.clips.plan import ClipPlan, Rendering  # noqa: E402
from dvm_hf.dataset.columns import IMAGE_COLUMNS  # noqa: E402
from dvm_hf.media.still.image_encoding import write_image  # noqa: E402
from dvm_hf.media.video import frame_sources  # noqa: E402
from dvm_hf.torch import ClipStream  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),  # fork, Python 3.12
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),  # torchdata 0.11 on torch 2.13
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),  # more workers than cores
]

FOREGROUNDS, PER_FOREGROUND, BACKGROUNDS = 10, 4, 12
CLIPS = FOREGROUNDS * PER_FOREGROUND
FIELDS: dict[str, Any] = {"clip_length": 2, "crop_size": 16, "background_reuse": 5}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight image and two video foregrounds, one of them short, over twelve backgrounds of 14 frames."""
    tree = TreeWriter(tmp_path_factory.mktemp("reuse") / "DVM")
    for number in range(FOREGROUNDS - 2):
        tree.still(f"still_{number}", value=40 + 25 * number)
    tree.moving("0000", frames=14)
    tree.moving("0001", frames=5)
    for number in range(BACKGROUNDS):
        tree.background(f"{number:04d}", size=(72 + 2 * number, 96), frames=14)
    return tree.root


def stream_over(root: Path, **fields: Any) -> ClipStream:
    return ClipStream("train", data_dir=str(root), **FIELDS | fields)


def seen(samples: Iterable[dict[str, Any]]) -> list[tuple[int, int, str, bytes]]:
    """Return what identifies a sample: epoch, index, clip, pixels."""
    return [(int(s["epoch"]), int(s["index"]), s["clip_id"], s["frames"].numpy().tobytes()) for s in samples]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[CountedVideo]:
    monkeypatch.setattr(frame_sources, "Video", CountedVideo)
    CountedVideo.reset("bg")
    return CountedVideo


@pytest.mark.parametrize(
    "rendering",
    [
        {},
        {"trimap": "dvm-train", "frame_step": 2},
        {"recipe": "reference"},
        {"background_blur": True, "clip_length": 3},
    ],
)
@pytest.mark.parametrize("samples_per_clip", [1, 3])
def test_each_sample_is_the_window_of_its_clip_rendered_alone(
    sources: Path, rendering: dict[str, Any], samples_per_clip: int
) -> None:
    rendering = {"clip_length": 2, "crop_size": 16, "columns": IMAGE_COLUMNS} | rendering
    stream = stream_over(sources, samples_per_clip=samples_per_clip, epochs=2, **rendering)
    samples = list(stream)
    assert len(samples) == 2 * CLIPS * samples_per_clip
    assert stream.left_out == 0
    require_rendered_alone(sources, samples, **rendering)


def test_moving_backgrounds_are_decoded_once_in_any_speed_and_direction(
    sources: Path, counted: type[CountedVideo]
) -> None:
    """A clip with a pause can need frames before the segment, and decodes them again."""
    rendering = {"clip_length": 2, "crop_size": 16, "columns": IMAGE_COLUMNS, "motion": "rvm"}
    samples = list(stream_over(sources, samples_per_clip=2, kinds=("image",), epochs=2, **rendering))
    assert len(samples) == 2 * 32 * 2
    assert 2 * 7 <= len(counted.decoded) <= 2 * 7 + 3
    require_rendered_alone(sources, samples[::16], **rendering)
    by_background: dict[tuple[int, str], set[bool]] = {}
    for sample in samples:
        steps = np.diff(sample["motion"][:, 15].numpy())  # the background's frames
        key = int(sample["epoch"]), sample["background_name"]
        by_background.setdefault(key, set()).update((steps > 0)[steps != 0].tolist())
    assert {True, False} <= set().union(*by_background.values())


def test_each_segment_is_decoded_once(sources: Path, counted: type[CountedVideo]) -> None:
    """32 clips in seven segments of up to five clips."""
    samples = list(stream_over(sources, samples_per_clip=2, kinds=("image",)))
    assert len(counted.decoded) == 7  # ceil(32 / 5)
    by_background = Counter(sample["background_name"] for sample in samples)
    assert sorted(by_background.values()) == [2 * 2] + [2 * 5] * 6
    for path, frames in counted.decoded:
        assert len(frames) == 8  # four windows of two frames, end to end
        starts = {sample["start"] for sample in samples if sample["background_name"] == path.stem}
        assert {frame for start in starts for frame in (start, start + 1)} <= set(frames)
        assert len(starts) > 1  # the clips of a segment have different windows
    counted.decoded.clear()
    assert len(list(stream_over(sources, samples_per_clip=2, kinds=("image",), background_reuse=1))) == len(samples)
    assert len(counted.decoded) == 32


def test_only_the_segments_that_take_turns_are_held(sources: Path, counted: type[CountedVideo]) -> None:
    stream = stream_over(sources, samples_per_clip=2, kinds=("image",), background_reuse=4, epochs=2)
    samples = iter(stream)
    for _ in samples:
        assert len(counted.held) <= 4 * 8  # segments of eight frames
    assert len(counted.decoded) == 2 * 8
    assert counted.most_held == 4 * 8
    assert len(counted.held) == 0  # at the end, and if you break out
    samples = iter(stream)
    next(samples)
    assert len(counted.held) == 8
    del samples
    assert len(counted.held) == 0


def test_a_clip_that_ends_before_the_segment_has_windows_of_its_own(
    tree: TreeWriter, counted: type[CountedVideo]
) -> None:
    tree.moving("0000", frames=4)
    tree.moving("0001", frames=30)
    for number in range(2):
        tree.background(f"{number:04d}", frames=30)
    starts: dict[str, set[int]] = {"0000": set(), "0001": set()}
    stream = stream_over(tree.root, epochs=12, backgrounds_per_foreground=2, background_reuse=2, columns=IMAGE_COLUMNS)
    samples = list(stream)
    for sample in samples:
        starts[sample["foreground_name"]].add(sample["start"])
    assert starts["0000"] == {0, 1, 2}
    assert max(starts["0001"]) > 20
    assert {frames for _, frames in counted.decoded if len(frames) == 2}  # such windows are decoded separately
    require_rendered_alone(tree.root, samples, clip_length=2, crop_size=16, columns=IMAGE_COLUMNS)


def test_an_epoch_has_every_foreground_as_often_as_without_reuse(sources: Path) -> None:
    def counts(reuse: int) -> list[Counter[str]]:
        samples = list(stream_over(sources, epochs=3, background_reuse=reuse, columns=("alpha",)))
        pairs = {(s["epoch"], s["clip_id"]) for s in samples}
        assert len(pairs) == len(samples) == 3 * CLIPS  # the backgrounds of a foreground are different
        return [Counter(s["foreground_name"] for s in samples if s["epoch"] == epoch) for epoch in range(3)]

    assert counts(5) == counts(16) == counts(1) == [dict.fromkeys(counts(1)[0], PER_FOREGROUND)] * 3


@pytest.mark.parametrize("batch_size", [2, 4])
@pytest.mark.parametrize("samples_per_clip", [1, 3, 4])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_holds_no_background_twice(sources: Path, batch_size: int, samples_per_clip: int, workers: int) -> None:
    stream = stream_over(
        sources, samples_per_clip=samples_per_clip, batch_size=batch_size, columns=("alpha",), background_reuse=3
    )
    for batch in DataLoader(stream, batch_size=batch_size, num_workers=workers):
        assert len(set(batch["background_name"])) == len(batch["background_name"])


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 2])
def test_ranks_and_workers_have_the_samples_of_one_process(sources: Path, world: int, workers: int) -> None:
    fields: dict[str, Any] = {"samples_per_clip": 2, "epochs": 2, "background_reuse": 2, "even_ranks": None}
    whole = seen(stream_over(sources, **fields))
    assert [(epoch, index) for epoch, index, *_ in whole] == [(e, i) for e in (0, 1) for i in range(2 * CLIPS)]
    shares = []
    for rank in range(world):
        stream = stream_over(sources, rank=rank, world_size=world, **fields)
        shares.append(seen(DataLoader(stream, batch_size=None, num_workers=workers)))
        assert len(shares[-1]) == 2 * stream.samples_per_epoch
    assert sorted(sample for share in shares for sample in share) == whole
    assert max(map(len, shares)) - min(map(len, shares)) <= 2  # one per epoch


def test_batches_are_the_same_for_any_number_of_workers(sources: Path) -> None:
    """In another order, because a segment belongs to one worker."""
    found = []
    for workers in (0, 1, 2, 3):
        stream = stream_over(sources, samples_per_clip=3, batch_size=4, background_reuse=2)
        loader = DataLoader(stream, batch_size=4, num_workers=workers)
        batches = [tuple(batch["index"].tolist()) for batch in loader]
        assert len(loader) == len(batches)
        found.append(batches)
    assert found[0] == found[1]
    assert sorted(found[0]) == sorted(found[2]) == sorted(found[3])
    assert found[0] != found[2]


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{"samples_per_clip": 2}, {"rank": 1, "world_size": 2, "samples_per_clip": 3}])
def test_a_stream_resumes_at_every_position(sources: Path, counted: type[CountedVideo], fields: dict[str, Any]) -> None:
    fields = {"epochs": 2, "background_reuse": 3, "kinds": ("image",), "backgrounds_per_foreground": 2} | fields
    whole = seen(stream_over(sources, **fields))
    stopped = stream_over(sources, **fields)
    samples = iter(stopped)
    for place in range(len(whole)):
        resumed = stream_over(sources, **fields)
        resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
        counted.decoded.clear()
        found = iter(resumed)
        first = seen(islice(found, 1))
        assert len(counted.decoded) == 1  # one segment
        assert first + seen(islice(found, 4)) == whole[place : place + 5]
        next(samples)
    assert list(samples) == []


def test_loaders_with_workers_resume(sources: Path) -> None:
    require_torch("torchdata")
    from torchdata.stateful_dataloader import StatefulDataLoader

    def loader() -> StatefulDataLoader:
        stream = stream_over(sources, samples_per_clip=2, batch_size=4, background_reuse=2, epochs=2)
        return StatefulDataLoader(stream, batch_size=4, num_workers=2)

    expected = [batch["index"].tolist() for batch in loader()]
    stopped = loader()
    got = [batch["index"].tolist() for batch in islice(stopped, 7)]
    resumed = loader()
    resumed.load_state_dict(stopped.state_dict())
    assert got + [batch["index"].tolist() for batch in resumed] == expected


def test_set_epoch_selects_an_epoch(sources: Path) -> None:
    whole = seen(stream_over(sources, epochs=3))
    stream = stream_over(sources)
    for epoch in (2, 0):
        stream.set_epoch(epoch)
        assert seen(stream) == whole[epoch * CLIPS : (epoch + 1) * CLIPS]


def test_unshuffled_epochs_have_the_order_of_the_plans(sources: Path) -> None:
    first, second = (
        [(s["foreground_name"], s["background_name"]) for s in stream_over(sources, shuffle=False, columns=("alpha",))]
        for _ in range(2)
    )
    assert first == second
    of_one = [foreground for foreground, background in first if background == first[0][1]]
    others = {foreground for foreground, background in first if background != first[0][1]}
    assert max(of_one) < max(others)  # those of the first plans


def test_clips_of_a_pair_list_share_only_the_backgrounds_that_it_names(
    sources: Path, tmp_path: Path, counted: type[CountedVideo]
) -> None:
    pairs = [(f"still_{number}.png", f"{background:04d}.mp4") for background in range(3) for number in range(5)]
    pairs += [("still_7.png", "0011.mp4")]
    listed = tmp_path / "pairs.txt"
    listed.write_text("".join(f"image+{foreground}+{background}\n" for foreground, background in pairs))
    samples = list(stream_over(sources, pairs=str(listed), columns=IMAGE_COLUMNS))
    assert sorted((f"{s['foreground_name']}.png", f"{s['background_name']}.mp4") for s in samples) == sorted(pairs)
    assert sorted(path.stem for path, _ in counted.decoded) == ["0000", "0001", "0002", "0011"]
    require_rendered_alone(sources, samples, clip_length=2, crop_size=16, columns=IMAGE_COLUMNS)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sources file: stills, folders of numbered pictures, and videos as backgrounds; one folder is repeated."""
    root = tmp_path_factory.mktemp("mixed")
    for name, count in {"a": 4, "b": 3}.items():
        for number in range(count):
            TreeWriter(root / name / "DVM").still(f"disc_{number}", value=60 + 30 * number)
    ramp = np.add.outer(np.arange(64), np.arange(80))
    for number in range(6):
        TreeWriter(root / "films/DVM").background(f"{number:04d}", size=(70, 90), frames=9)
        (root / "stills").mkdir(exist_ok=True)
        write_image(root / f"stills/{number}.png", np.dstack([(ramp * (number + 1)) % 256] * 3).astype(np.uint8))
        (root / f"folders/{number}").mkdir(parents=True)
        for frame in range(6):
            pixels = np.dstack([(ramp + 30 * frame + number) % 256] * 3).astype(np.uint8)
            write_image(root / f"folders/{number}/{frame:04d}.png", pixels)
    (root / "mixed.yaml").write_text(
        "train:\n  foregrounds:\n    - {path: a/DVM, name: a}\n    - {path: b/DVM, name: b, repeat: 2}\n"
        "  backgrounds:\n    - {path: films/DVM/bg/train, layout: videos, name: films, share: 0.5}\n"
        "    - {path: stills, layout: bg20k, share: 0.25}\n    - {path: folders, layout: videos, share: 0.25}\n"
    )
    return root / "mixed.yaml"


def test_shares_and_repeats_of_a_sources_file_are_the_same(mixed: Path) -> None:
    def counts(reuse: int) -> list[Counter[str]]:
        found = [Counter[str]() for _ in range(4)]
        for sample in stream_over(mixed, epochs=4, background_reuse=reuse, columns=("alpha",)):
            found[sample["epoch"]].update([sample["foreground_name"], sample["background_name"].split(".")[0]])
        return found

    assert counts(4) == counts(1)
    assert counts(4)[0]["films"] == 20  # half of (4 + 2 * 3) foregrounds over four backgrounds each


def test_stills_and_folders_as_backgrounds_are_rendered_like_without_reuse(mixed: Path) -> None:
    fields: dict[str, Any] = {"columns": IMAGE_COLUMNS, "samples_per_clip": 2, "epochs": 2, "background_reuse": 4}
    samples = list(stream_over(mixed, **fields))
    kinds = Counter(sample["background_name"].split(".")[0] for sample in samples)
    assert kinds.keys() == {"films", "stills", "folders"}
    require_rendered_alone(mixed, samples, clip_length=2, crop_size=16, columns=IMAGE_COLUMNS)


def damaged(tree: TreeWriter, broken: int) -> Path:
    """Four foregrounds over eight backgrounds, of which `broken` cannot be opened."""
    for number in range(4):
        tree.still(f"still_{number}")
    for number in range(8):
        path = tree.background(f"{number:04d}", frames=9)
        if number < broken:
            path.write_bytes(b"no video")
    return tree.root


def test_clips_over_an_unusable_background_are_skipped_one_by_one(
    tree: TreeWriter, caplog: pytest.LogCaptureFixture
) -> None:
    root = damaged(tree, broken=2)
    fields: dict[str, Any] = {"backgrounds_per_foreground": 8, "samples_per_clip": 2, "on_error": "skip"}
    stream = stream_over(root, **fields)
    with caplog.at_level(logging.WARNING):
        samples = list(stream)
    assert len(samples) == 2 * 4 * 6
    assert stream.left_out == 2 * 4 * 2
    assert {sample["background_name"] for sample in samples} == {f"{number:04d}" for number in range(2, 8)}
    skipped = [record for record in caplog.records if "skipped 2 of its samples in epoch 0" in record.getMessage()]
    assert len(skipped) == 4 * 2  # each clip, with the reason
    stopped = stream_over(root, **fields)
    iterator = iter(stopped)
    for place in range(len(samples)):
        resumed = stream_over(root, **fields)
        resumed.load_state_dict(stopped.state_dict())
        assert seen(islice(resumed, 2)) == seen(samples[place : place + 2])
        next(iterator)
    with pytest.raises(SourceError, match=r"000[01]\.mp4"):
        list(stream_over(root, backgrounds_per_foreground=8))


@pytest.mark.parametrize("even", ["drop", "pad"])
def test_ranks_stay_even_if_samples_are_skipped(tree: TreeWriter, even: str) -> None:
    root = damaged(tree, broken=1)
    made = [
        list(stream_over(root, backgrounds_per_foreground=7, rank=r, world_size=3, even_ranks=even, on_error="skip"))
        for r in range(3)
    ]
    assert len(set(map(len, made))) == 1
    assert len(made[0]) == {"drop": 28 // 3, "pad": -(-28 // 3)}[even]
    assert "0000" not in {sample["background_name"] for share in made for sample in share}


def test_a_damaged_frame_affects_only_the_clips_that_need_it(mixed: Path, tmp_path: Path) -> None:
    """A folder of numbered pictures with one that cannot be read: without reuse, other windows are rendered."""
    import shutil

    root = Path(shutil.copytree(mixed.parent, tmp_path / "mixed"))
    for number in range(6):
        (root / f"folders/{number}/0003.png").write_bytes(b"no picture")
    fields: dict[str, Any] = {"columns": ("frames",), "on_error": "skip", "epochs": 4, "samples_per_clip": 2}
    stream = stream_over(root / "mixed.yaml", background_reuse=4, **fields)
    starts = [s["start"] for s in stream if s["background_name"].startswith("folders")]
    assert stream.left_out
    assert set(starts) == {0, 1, 4}  # windows of two frames without frame 3, before and after it


def test_a_complete_clip_is_one_window_of_the_segment(sources: Path, counted: type[CountedVideo]) -> None:
    fields: dict[str, Any] = {"clip_length": "all", "crop_size": 16, "columns": IMAGE_COLUMNS, "kinds": ("image",)}
    samples = list(stream_over(sources, **fields))
    assert {len(sample["frames"]) for sample in samples} == {14}
    assert len(counted.decoded) == 7
    for sample in islice(samples, 3):
        plan_fields = {"clip_length": "all", "crop_size": 16, "columns": IMAGE_COLUMNS}
        tree = scan(sources, "train")
        foreground = next(f for f in tree.foregrounds if f.name == sample["foreground_name"])
        background = next(b for b in tree.backgrounds if b.name == sample["background_name"])
        plan = ClipPlan(sample["clip_id"], foreground, background, sample["seed"], Rendering(**plan_fields))
        (window,) = render(plan, each=lambda frame: frame.composite)
        assert np.array_equal(sample["frames"].permute(0, 2, 3, 1).numpy(), np.stack(window.frames))  # type: ignore[arg-type]


def test_a_state_of_another_reuse_is_refused(sources: Path) -> None:
    state = stream_over(sources).state_dict()
    for reuse in (1, 6):
        with pytest.raises(ConfigError, match=f"background_reuse={reuse}: the state was saved with background_reuse=5"):
            stream_over(sources, background_reuse=reuse).load_state_dict(state)


def test_a_length_needs_complete_units_in_several_epochs(sources: Path) -> None:
    assert len(stream_over(sources, batch_size=4)) == CLIPS
    with pytest.raises(TypeError, match="its epochs end with an incomplete unit"):
        len(stream_over(sources, batch_size=4, epochs=2, background_reuse=3))
    assert len(stream_over(sources, batch_size=4, epochs=2, background_reuse=10)) == 2 * CLIPS  # a unit of 40 clips


def test_rows_of_a_dataset_share_no_background(load: Callable[..., Any], few_sources: Path) -> None:
    dataset = load("train", data_dir=str(few_sources), split="train", clip_length=2)
    with pytest.raises(ConfigError, match="background_reuse=2: rows of a dataset are composited already"):
        ClipStream.from_dataset(dataset, background_reuse=2)
    assert list(ClipStream.from_dataset(dataset, background_reuse=1))


@pytest.mark.parametrize("reuse", [0, True, 2.0, None])
def test_the_number_of_clips_is_an_integer(sources: Path, reuse: Any) -> None:
    with pytest.raises(ConfigError, match=r"background_reuse=.*: not allowed; background_reuse must be an integer of"):
        stream_over(sources, background_reuse=reuse)


def test_samples_are_tensors_of_one_process_only(sources: Path) -> None:
    """Held segments are not sent to spawned workers."""
    stream = stream_over(sources)
    samples = iter(stream)
    next(samples)
    loader = DataLoader(stream, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    assert isinstance(next(iter(loader))["frames"], torch.Tensor)
