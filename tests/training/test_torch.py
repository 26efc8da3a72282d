"""The training stream: the clips of load_dataset as tensors, new ones each epoch, distributed without loss."""

import hashlib
import logging
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import TreeWriter, require_torch
from numbered_films import film, voided

require_torch()

import torch  # noqa: E402  where it is there
from torch.utils.data import DataLoader  # noqa: E402

from dvm_hf import ConfigError, SourceError, render, scan  # noqa: E402
from dvm_hf.clips.plan import ClipPlan, Rendering, clip_seed  # noqa: E402
from dvm_hf.dataset.columns import IMAGE_COLUMNS  # noqa: E402
from dvm_hf.torch import ClipStream, MattingTransform, collate  # noqa: E402
from dvm_hf.training.processes import this_process  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),  # fork, Python 3.12
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),  # more workers than cores
]

ROOT = Path(__file__).resolve().parents[2]
FIELDS: dict[str, Any] = {"clip_length": 3, "crop_size": 16}
GRID_FIELDS: dict[str, Any] = {"clip_length": 1, "crop_size": 8, "epochs": 2}
CLIPS = 12  # of the training sources, with four backgrounds for each of three foregrounds


def stream_over(root: Path, **fields: Any) -> ClipStream:
    return ClipStream("train", data_dir=str(root), **FIELDS | fields)


def places(samples: Iterable[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(int(sample["epoch"]), int(sample["index"])) for sample in samples]


def digest(sample: dict[str, Any]) -> str:
    """Hash the contents of a sample."""
    sha = hashlib.sha256()
    for name in sorted(sample):
        value = sample[name]
        is_tensor = isinstance(value, torch.Tensor)
        sha.update(repr((name, value.shape, value.dtype, value.numpy().tobytes()) if is_tensor else value).encode())
    return sha.hexdigest()


def loaded(stream: ClipStream, workers: int, **arguments: Any) -> list[dict[str, Any]]:
    """Return the samples of a DataLoader, one by one."""
    return list(DataLoader(stream, batch_size=None, num_workers=workers, **arguments))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"crop_size": None, "clip_step": 2, "light": "matched,exposure,shadow", "camera": "noise"},
        {"trimap": "dvm-train", "frame_step": 2},
        {"motion": "rvm", "light": "greenscreen:0.5,shadow", "camera": "defocus,jpeg"},
    ],
)
def test_the_first_epoch_has_the_clips_of_load_dataset(
    load: Callable[..., Any], training_sources: Path, fields: dict[str, Any]
) -> None:
    fields = FIELDS | fields | {"columns": IMAGE_COLUMNS}
    rows = load(
        "train",
        data_dir=str(training_sources),
        split="train",
        streaming=True,
        encoding="lossless",
        **{"clip_step": 1} | fields,
    )
    by_window = {(row["clip_id"], row["window"]): row for row in rows}
    samples = list(stream_over(training_sources, **fields))
    assert len({sample["clip_id"] for sample in samples}) == CLIPS
    for sample in samples:
        row = by_window[sample["clip_id"], sample["window"]]
        for column in IMAGE_COLUMNS:
            pictures = np.stack([np.atleast_3d(np.asarray(picture)) for picture in row[column]])
            assert sample[column].dtype == torch.uint8
            assert np.array_equal(sample[column].permute(0, 2, 3, 1).numpy(), pictures), column
        for name in row.keys() - {*IMAGE_COLUMNS, "motion"}:
            assert sample[name] == row[name], name
        assert np.array_equal(sample["motion"].numpy(), np.float32(row["motion"]))
    assert set(samples[0]) == set(row) | {"epoch", "index", "root_seed", "recipe"}
    assert {(sample["root_seed"], sample["recipe"]) for sample in samples} == {(2019, "dvm")}


def test_a_later_epoch_has_clips_of_another_seed(training_sources: Path) -> None:
    """Computed independently: root seed of the epoch, seed of the clip, window number `window` of that plan."""
    tree = scan(training_sources, "train")
    foregrounds = {(f.kind, f.name): f for f in tree.foregrounds}
    backgrounds = {b.name: b for b in tree.backgrounds}
    stream = stream_over(training_sources, seed=7)
    stream.set_epoch(3)
    root_seed = int.from_bytes(hashlib.blake2b(b"epoch/7/3", digest_size=8).digest(), "big") // 2
    rendering = Rendering(clip_length=3, crop_size=16, clip_step=1, remainder="drop")
    for sample in stream:
        foreground = foregrounds["image" if sample["foreground_kind"] == 0 else "video", sample["foreground_name"]]
        clip_id = f"{foreground.kind}_{foreground.name}_{sample['background_name']}"
        seed = clip_seed(root_seed, clip_id)
        plan = ClipPlan(clip_id, foreground, backgrounds[sample["background_name"]], seed, rendering)
        (window,) = render(plan, each=lambda frame: frame, numbers={sample["window"]})
        frames = np.stack([frame.composite for frame in window.frames if frame.composite is not None])
        assert np.array_equal(sample["frames"].permute(0, 2, 3, 1).numpy(), frames)
        assert (sample["clip_id"], sample["seed"], sample["epoch"]) == (clip_id, seed, 3)


def test_every_epoch_has_new_data_and_the_same_in_every_run(training_sources: Path) -> None:
    runs = [list(stream_over(training_sources, epochs=4, backgrounds_per_foreground=2)) for _ in range(2)]
    assert [digest(sample) for sample in runs[0]] == [digest(sample) for sample in runs[1]]
    pictures = [sample["frames"].numpy().tobytes() for sample in runs[0]]
    assert len(set(pictures)) == len(pictures)
    pairings = [frozenset(sample["clip_id"] for sample in runs[0] if sample["epoch"] == epoch) for epoch in range(4)]
    assert len(set(pairings)) == 4
    by_seed = {sample["seed"] for sample in stream_over(training_sources, seed=1, backgrounds_per_foreground=2)}
    assert not by_seed & {sample["seed"] for sample in runs[0]}


def test_a_pair_list_fixes_the_pairing_but_not_the_rest(training_sources: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("image+still_1.png+0003.mp4\nvideo+0000+0001.mp4\n", encoding="utf-8")
    samples = list(stream_over(training_sources, pairs=str(pairs), epochs=3))
    assert {sample["clip_id"] for sample in samples} == {"image_still_1_0003", "video_0000_0001"}
    assert len({sample["seed"] for sample in samples}) == len(samples) == 6


def test_context_frames_come_before_the_window(training_sources: Path) -> None:
    """2 + 2 frames are the window of 4 of load_dataset; the crop is around an unknown pixel of the third."""
    samples = list(stream_over(training_sources, clip_length=2, context=2))
    assert [digest(sample) for sample in samples] == [
        digest(sample) for sample in stream_over(training_sources, clip_length=4)
    ]
    assert all(sample["frames"].shape == (4, 3, 16, 16) for sample in samples)
    assert all((sample["trimap"][2] == 128).any() for sample in samples)


@pytest.mark.parametrize(("per_clip", "distinct"), [(4, 4), (10, 10), (25, 10)])
def test_samples_of_a_clip_have_different_windows_and_crops(
    training_sources: Path, per_clip: int, distinct: int
) -> None:
    """A still over 12 frames has ten windows of three."""
    samples = list(stream_over(training_sources, kinds=("image",), samples_per_clip=per_clip))
    assert [sample["index"] for sample in samples] == list(range(8 * per_clip))
    for start in range(0, len(samples), per_clip):
        clip = samples[start : start + per_clip]
        assert len({sample["clip_id"] for sample in clip}) == 1
        assert len({sample["start"] for sample in clip}) == distinct
        assert [sample["start"] for sample in clip] == sorted(sample["start"] for sample in clip)
        assert all(sample["window"] % 10 == sample["start"] for sample in clip)
        pictures = {(sample["start"], sample["frames"].numpy().tobytes()) for sample in clip}
        assert len(pictures) > distinct * 0.8  # now and then two crops of one window are the same


def test_window_starts_cover_the_complete_clip(training_sources: Path) -> None:
    starts = [sample["start"] for sample in stream_over(training_sources, kinds=("image",), epochs=15)]
    counts = np.bincount(starts, minlength=10)
    assert len(counts) == 10
    assert counts.min() > 0
    assert counts.max() < 30  # of 120, where 12 are expected


@pytest.fixture(scope="module")
def one_process(training_sources: Path) -> list[str]:
    """Two epochs in their global order."""
    return list(map(digest, stream_over(training_sources, **GRID_FIELDS)))


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
@pytest.mark.parametrize("world", [1, 2, 3, 4, 8])
def test_ranks_and_workers_make_the_same_samples_in_the_global_order(
    training_sources: Path, one_process: list[str], workers: int, world: int
) -> None:
    """Sample i goes to rank i % world; ranks differ by one sample at most."""
    for rank in range(world):
        stream = stream_over(training_sources, rank=rank, world_size=world, even_ranks=None, **GRID_FIELDS)
        per_epoch = [one_process[begin : begin + CLIPS][rank::world] for begin in (0, CLIPS)]
        assert list(map(digest, loaded(stream, workers))) == per_epoch[0] + per_epoch[1]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_are_the_same_for_any_number_of_workers(training_sources: Path, workers: int) -> None:
    """Across the border between two epochs of 12 samples."""
    stream = stream_over(training_sources, epochs=2, batch_size=5)
    batches = list(DataLoader(stream, batch_size=5, num_workers=workers))
    expected = list(stream_over(training_sources, epochs=2, batch_size=5))
    assert [place for batch in batches for place in zip(batch["epoch"], batch["index"], strict=True)] == places(
        expected
    )
    assert [len(batch["index"]) for batch in batches] == [5, 5, 5, 5, 4]
    assert torch.equal(torch.cat([batch["frames"] for batch in batches]), torch.stack([s["frames"] for s in expected]))


@pytest.mark.parametrize("workers", [0, 2])
def test_samples_are_neither_dropped_nor_duplicated_among_ranks_and_workers(
    training_sources: Path, workers: int
) -> None:
    everything = []
    for rank in range(5):  # 12 clips of 3 samples
        stream = stream_over(training_sources, samples_per_clip=3, rank=rank, world_size=5, even_ranks=None)
        samples = loaded(stream, workers)
        assert len(samples) == stream.samples_per_epoch
        assert abs(len(samples) - 36 / 5) < 1
        everything += samples
    everything.sort(key=lambda sample: sample["index"])
    assert [digest(s) for s in everything] == [digest(s) for s in stream_over(training_sources, samples_per_clip=3)]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_can_use_any_start_method(training_sources: Path, method: str) -> None:
    expected = list(map(digest, stream_over(training_sources, backgrounds_per_foreground=1)))
    stream = stream_over(training_sources, backgrounds_per_foreground=1)
    assert list(map(digest, loaded(stream, 2, multiprocessing_context=method))) == expected
    assert places(stream)[0] == (1, 0)  # the main process knows that the pass was gone through


@pytest.mark.parametrize(
    "arguments", [{"num_workers": 0}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}]
)
def test_each_epoch_run_has_new_epochs(training_sources: Path, arguments: dict[str, Any]) -> None:
    stream = stream_over(training_sources, epochs=2, backgrounds_per_foreground=1)
    loader = DataLoader(stream, batch_size=None, **arguments)
    passes = [[epoch for epoch, _ in places(loader)] for _ in range(3)]
    assert passes == [[2 * number] * 3 + [2 * number + 1] * 3 for number in range(3)]
    stream.set_epoch(1)
    assert places(loader)[:1] == [(1, 0)]


def test_epoch_runs_continue_with_another_number_of_workers(training_sources: Path) -> None:
    stream = stream_over(training_sources, backgrounds_per_foreground=1)
    assert [{epoch for epoch, _ in places(loaded(stream, workers))} for workers in (2, 0, 1, 4, 2)] == [
        {number} for number in range(5)
    ]


def test_an_endless_stream(training_sources: Path) -> None:
    stream = stream_over(training_sources, epochs=None, backgrounds_per_foreground=1)
    samples = [sample for sample, _ in zip(stream, range(8), strict=False)]
    assert places(samples) == [(number // 3, number % 3) for number in range(8)]


def test_plan_order_without_shuffling(training_sources: Path) -> None:
    ordered = [sample["clip_id"] for sample in stream_over(training_sources, shuffle=False)]
    shuffled = [sample["clip_id"] for sample in stream_over(training_sources)]
    assert sorted(shuffled) == sorted(ordered) != shuffled
    assert [clip.split("_")[0] for clip in ordered] == ["image"] * 8 + ["video"] * 4


def test_the_stream_of_the_contract(training_sources: Path) -> None:
    stream = ClipStream(
        "train",
        data_dir=str(training_sources),
        clip_length=4,
        crop_size=16,
        epochs=2,
        shuffle=True,
        rank=0,
        world_size=1,
    )
    shapes = set()
    for sample in torch.utils.data.DataLoader(stream, batch_size=4, num_workers=2):
        assert sample["frames"].dtype == torch.uint8
        shapes.add(tuple(sample["frames"].shape))
    assert shapes == {(4, 4, 3, 16, 16)}
    state = stream.state_dict()
    stream.load_state_dict(state)
    assert places(stream)[0] == (2, 0)


def test_transforms_are_applied_in_the_workers(training_sources: Path) -> None:
    transform = MattingTransform(size=8, flip=0.5)
    here = [digest(sample) for sample in stream_over(training_sources, transform=transform)]
    there = loaded(stream_over(training_sources, transform=transform), 2)
    assert [digest(sample) for sample in there] == here
    assert there[0]["frames"].shape == (3, 3, 8, 8)


def test_an_unusable_source_is_named_through_the_worker(tree: TreeWriter) -> None:
    tree.still()
    tree.background("0000")
    bad = tree.background("0001")
    bad.write_bytes(b"no video")
    for workers in (0, 2):
        with pytest.raises(SourceError, match=r"0001\.mp4: cannot be read as a video"):
            loaded(stream_over(tree.root), workers)


def test_an_unusable_source_is_skipped_logged_and_counted(tree: TreeWriter, caplog: pytest.LogCaptureFixture) -> None:
    tree.still()
    tree.background("0000")
    tree.background("0001").write_bytes(b"no video")
    for workers in (0, 2):
        stream = stream_over(tree.root, on_error="skip", samples_per_clip=3)
        with caplog.at_level(logging.WARNING):
            samples = loaded(stream, workers)
        assert [sample["background_name"] for sample in samples] == ["0000"] * 3
        assert stream.left_out == 3
    assert "image_disc_0001: skipped 3 of its samples in epoch 0" in caplog.text


@pytest.mark.parametrize("workers", [0, 2])
def test_samples_lost_to_damaged_frames_are_counted(
    tree: TreeWriter, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Windows of frames 0 to 3, 4 to 7 and 8 to 11: from frame 5 on, each references the damaged frame."""
    tree.still(size=(32, 24))
    film(tree.root / "bg/train/0000.mp4", range(12), bf="0", g="12", **{"x264-params": "scenecut=0"})
    voided(tree.root / "bg/train/0000.mp4", 5)
    fields = {"clip_length": 4, "clip_step": 4, "max_image_frames": 12, "samples_per_clip": 3}
    stream = stream_over(tree.root, on_error="skip", **fields)
    with caplog.at_level(logging.WARNING):
        assert [sample["start"] for sample in loaded(stream, workers)] == [0]
    assert stream.left_out == 2
    if not workers:  # a worker logs elsewhere
        assert "image_disc_0000: skipped 2 of its samples in epoch 0" in caplog.text


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_clip_shorter_than_a_window_is_skipped_and_counted(
    tree: TreeWriter, on_error: str, caplog: pytest.LogCaptureFixture
) -> None:
    tree.still()
    tree.background("0000", frames=12)
    tree.background("0001", frames=2)
    stream = stream_over(tree.root, on_error=on_error)
    assert [sample["background_name"] for sample in stream] == ["0000"]
    assert stream.left_out == 1
    assert "image_disc_0001: skipped 1 of its samples in epoch 0: the clip is shorter" in caplog.text


@pytest.mark.parametrize("workers", [0, 2])  # two: only both together know that there is no sample
def test_a_stream_without_samples_raises_an_error(tree: TreeWriter, workers: int) -> None:
    tree.still()
    tree.background("0000", frames=2)
    tree.background("0001", frames=2)
    with pytest.raises(SourceError, match="rank 0: all samples of the first epoch run were skipped"):
        loaded(stream_over(tree.root), workers)
    with pytest.raises(SourceError, match=r"rank 0: none of the last 1\d\d samples, up to epoch .*could be rendered"):
        next(iter(stream_over(tree.root, epochs=None)))


def test_a_later_epoch_run_may_be_empty(tree: TreeWriter) -> None:
    """Two backgrounds, one of them too short; each epoch uses one of them."""
    tree.still()
    tree.background("0000", frames=12)
    tree.background("0001", frames=2)
    stream = stream_over(tree.root, backgrounds_per_foreground=1)
    stream.set_epoch(next(epoch for epoch in range(50) if len(list(at_epoch(stream, epoch)))))
    assert len(list(stream)) == 1
    assert {len(list(stream)) for _ in range(20)} == {0, 1}


def at_epoch(stream: ClipStream, epoch: int) -> Iterable[dict[str, Any]]:
    """Return the samples of an epoch; empty if there are none."""
    stream.set_epoch(epoch)
    try:
        return list(stream)
    except SourceError:
        return []


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_an_endless_stream_continues_past_skipped_samples(tree: TreeWriter, workers: int) -> None:
    """Three of four clips are unusable, and there are more workers than usable ones: each waits for its epochs."""
    tree.still()
    for number in range(4):
        path = tree.background(f"{number:04d}", frames=4)
        if number:
            path.write_bytes(b"no video")
    stream = stream_over(tree.root, epochs=None, on_error="skip")
    loader = DataLoader(stream, batch_size=None, num_workers=workers, timeout=60 if workers else 0)
    samples = [sample for sample, _ in zip(loader, range(6), strict=False)]
    assert {sample["background_name"] for sample in samples} == {"0000"}
    assert len(set(places(samples))) == 6


def test_an_endless_stream_resumes_if_only_unusable_clips_remain(tree: TreeWriter) -> None:
    tree.still()
    for number in range(3):
        path = tree.background(f"{number:04d}", frames=4)
        if number == 2:
            path.write_bytes(b"no video")
    fields = {"epochs": None, "on_error": "skip", "shuffle": False}
    stopped = stream_over(tree.root, **fields)
    whole = [sample for sample, _ in zip(stopped, range(4), strict=False)]
    assert [epoch for epoch, _ in places(whole)] == [0, 0, 1, 1]
    for taken in range(1, 4):
        stopped = stream_over(tree.root, **fields)
        samples = iter(stopped)
        for _ in range(taken):
            next(samples)
        resumed = stream_over(tree.root, **fields)
        resumed.load_state_dict(stopped.state_dict())
        assert digest(next(iter(resumed))) == digest(next(samples))


def test_a_rank_without_samples_is_reported(training_sources: Path, caplog: pytest.LogCaptureFixture) -> None:
    fields: dict[str, Any] = {"backgrounds_per_foreground": 1, "rank": 3, "world_size": 4}
    with caplog.at_level(logging.WARNING):
        stream = stream_over(training_sources, **fields)
    assert "rank 3 of 4 has no samples, because there are only 3 clips" in caplog.text
    assert list(stream) == []
    with pytest.raises(SourceError, match="rank 3: none"):
        next(iter(stream_over(training_sources, epochs=None, **fields)))


def test_a_pickled_stream_yields_the_same_samples(training_sources: Path) -> None:
    stream = stream_over(training_sources)
    again = pickle.loads(pickle.dumps(stream))
    assert list(map(digest, again)) == list(map(digest, stream))


def test_sizes_that_differ_in_a_batch_are_named(training_sources: Path) -> None:
    stream = stream_over(training_sources, crop_size=None)
    with pytest.raises(ConfigError, match=r"frames: .* has the shape \(3, 3, .*crop_size"):
        list(DataLoader(stream, batch_size=12, collate_fn=collate))
    cropped = next(iter(DataLoader(stream_over(training_sources), batch_size=2, collate_fn=collate)))
    assert cropped["frames"].shape == (2, 3, 3, 16, 16)
    assert cropped["motion"].shape == (2, 3, 4)
    assert len(cropped["clip_id"]) == 2


def test_columns_that_differ_in_a_batch_are_named_without_clip_names() -> None:
    one, other = {"frames": torch.zeros(1, 3, 4, 4)}, {"frames": torch.zeros(1, 3, 5, 5)}
    with pytest.raises(ConfigError, match=r"frames: sample 0 has the shape .*, but sample 1 has "):
        collate([one, other])
    for pair in ([one, {}], [{}, one]):
        with pytest.raises(
            ConfigError, match=r"frames: sample \d of the batch has this column, but sample \d does not"
        ):
            collate(pair)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"clip_lenght": 3}, "did you mean 'clip_length'"),
        ({"clip_length": 0}, "clip_length=0: not allowed"),
        ({"clip_length": "all", "context": 2}, "context=2: a complete clip"),
        ({"context": -1}, "context=-1: not allowed; context must be an integer of at least 0"),
        ({"samples_per_clip": 0}, "samples_per_clip=0"),
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 1.5}, "batch_size=1.5"),
        ({"name": None}, "name=None: not allowed; name must be one of 'train', 'test'"),
        ({"name": ["train"]}, r"name=\['train'\]: not allowed"),
        ({"cache_dir": "/x"}, "cache_dir='/x': ClipStream does not have this argument"),
        ({"data_files": "a.mp4"}, "data_files='a.mp4': ClipStream does not have this argument"),
        ({"transform": 5}, "transform=5: not callable"),
        ({"shuffle": "no"}, "shuffle='no': not allowed; shuffle must be True or False"),
        ({"drop_last": 1}, "drop_last=1: not allowed; drop_last must be True or False"),
        ({"rank": 1}, "rank=1, world_size=None: pass both"),
        ({"rank": 2, "world_size": 2}, "rank=2: there are 2 ranks"),
    ],
)
def test_an_invalid_field_is_named(training_sources: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ClipStream(**{"name": "train", "data_dir": str(training_sources)} | FIELDS | fields)


def test_too_many_workers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dvm_hf.training.processes.get_worker_info", lambda: SimpleNamespace(id=3, num_workers=65))
    with pytest.raises(ConfigError, match="num_workers=65: a ClipStream has at most 64"):
        this_process()


def test_sources_are_scanned_once_for_all_epochs(training_sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = stream_over(training_sources, epochs=3)
    monkeypatch.setattr("dvm_hf.dataset.config.scan", lambda *args, **kwargs: pytest.fail("scanned again"))
    assert {epoch for epoch, _ in places(stream)} == {0, 1, 2}


def test_without_torch_the_error_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import dvm_hf\n"
        "try:\n    import dvm_hf.torch\nexcept ImportError as error:\n    print(error)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert 'python -m pip install -e ".[torch]"' in result.stdout


def test_nothing_else_imports_torch() -> None:
    """Neither the package nor the builder imports it; only `datasets` itself may, if it is installed."""
    modules = "sys, dvm_hf, dvm_hf.cli, dvm_hf.training.dataset_rows, dvm_hf.training.composed_clips"
    code = f"import {modules}\nprint('dvm_hf.training.epoch_runs' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.split() == ["False"]
