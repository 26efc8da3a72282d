"""A resumed stream continues with the next sample: in one process, in workers, repeatedly, in a later epoch."""

import json
import logging
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from conftest import TreeWriter, require_torch

require_torch("torchdata")

from torch.utils.data import DataLoader  # noqa: E402  where it is there
from torchdata.stateful_dataloader import StatefulDataLoader  # noqa: E402

from dvm_hf import ConfigError  # noqa: E402
from dvm_hf.clips import windows as clip_module  # noqa: E402
from dvm_hf.torch import ClipStream, MattingTransform  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),  # fork, Python 3.12
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),  # more workers than cores
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),  # torchdata 0.11 on torch 2.13
]

FIELDS: dict[str, Any] = {"clip_length": 2, "crop_size": 16, "epochs": 3, "backgrounds_per_foreground": 3}
CLIPS = 9


def stream_over(root: Path, **fields: Any) -> ClipStream:
    return ClipStream("train", data_dir=str(root), **FIELDS | fields)


def seen(samples: Iterable[dict[str, Any]]) -> list[tuple[int, int, bytes]]:
    """Return what identifies a sample: epoch, index, pixels."""
    return [(int(s["epoch"]), int(s["index"]), s["frames"].numpy().tobytes()) for s in samples]


def through_json(state: dict[str, Any]) -> dict[str, Any]:
    """Convert a state like a checkpoint would."""
    again: dict[str, Any] = json.loads(json.dumps(state))
    return again


@pytest.mark.parametrize("fields", [{}, {"samples_per_clip": 3}, {"rank": 1, "world_size": 2, "samples_per_clip": 3}])
def test_a_stream_resumes_at_every_position(training_sources: Path, fields: dict[str, Any]) -> None:
    """Stop a stream before each of its samples, and resume each stop in a new stream."""
    fields = {"epochs": 2} | fields
    whole = seen(stream_over(training_sources, **fields))
    stopped = stream_over(training_sources, **fields)
    samples = iter(stopped)
    for place in range(len(whole)):
        resumed = stream_over(training_sources, **fields)
        resumed.load_state_dict(through_json(stopped.state_dict()))
        assert seen(islice(resumed, 2)) == whole[place : place + 2]
        next(samples)
    assert list(samples) == []


def test_a_second_resume_in_a_later_epoch_and_the_next_epoch_run(training_sources: Path) -> None:
    whole = seen(stream_over(training_sources, epochs=6))
    got, state = [], None
    for take in (4, 11, 7):  # into the third epoch of 9 samples
        stream = stream_over(training_sources)
        if state is not None:
            stream.load_state_dict(state)
        samples = iter(stream)
        got += seen(islice(samples, take))
        state = through_json(stream.state_dict())
    assert (state["epoch"], state["origin"]) == (2, [2, 4])
    stream = stream_over(training_sources)
    stream.load_state_dict(state)
    got += seen(stream)  # the rest of the pass
    assert got == whole[: 3 * CLIPS]
    assert seen(stream) == whole[3 * CLIPS :]


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("begun", [0, 4, 13])
def test_a_loader_resumes_from_a_stream_state_without_workers(training_sources: Path, workers: int, begun: int) -> None:
    whole = seen(stream_over(training_sources))
    stopped = stream_over(training_sources)
    samples = iter(stopped)
    assert seen(islice(samples, begun)) == whole[:begun]
    resumed = stream_over(training_sources)
    resumed.load_state_dict(stopped.state_dict())
    loader = DataLoader(resumed, batch_size=None, num_workers=workers)
    assert seen(loader) == whole[begun:]
    assert {epoch for epoch, *_ in seen(loader)} == {3, 4, 5}  # once gone through, the pass is not resumed again


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("persistent", [False, True])
def test_a_stateful_loader_resumes_twice_and_into_later_epochs(
    training_sources: Path, workers: int, persistent: bool
) -> None:
    def loader() -> StatefulDataLoader:
        arguments = {"persistent_workers": True} if persistent and workers else {}
        stream = stream_over(training_sources, batch_size=2)
        return StatefulDataLoader(stream, batch_size=2, num_workers=workers, **arguments)

    def batches(found: Iterable[dict[str, Any]]) -> list[tuple[list[int], list[int], bytes]]:
        return [(b["epoch"].tolist(), b["index"].tolist(), b["frames"].numpy().tobytes()) for b in found]

    whole = loader()
    expected = [batches(whole), batches(whole)]  # two runs of three epochs of 9 samples
    assert [epoch for batch in expected[0] for epoch in batch[0]] == [0] * 9 + [1] * 9 + [2] * 9
    got, state = [], None
    for take in (3, 4, 5):
        stopped = loader()
        if state is not None:
            stopped.load_state_dict(state)
        iterator = iter(stopped)
        got += batches(islice(iterator, take))
        state = stopped.state_dict()
        del iterator
    resumed = loader()
    resumed.load_state_dict(state)
    got += batches(resumed)
    assert got == expected[0]
    assert batches(resumed) == expected[1]
    finished = loader()
    for _ in finished:
        pass
    after = loader()
    after.load_state_dict(finished.state_dict())
    assert batches(after) == expected[1]


def test_a_resume_decodes_one_clip_at_most(training_sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    scene = clip_module.Scene

    def counted(plan: Any, stack: Any, **arguments: Any) -> Any:
        opened.append(plan.clip_id)
        return scene(plan, stack, **arguments)

    stopped = stream_over(training_sources, samples_per_clip=4)
    samples = iter(stopped)
    assert len(list(islice(samples, 30))) == 30
    resumed = stream_over(training_sources, samples_per_clip=4)
    monkeypatch.setattr(clip_module, "Scene", counted)
    resumed.load_state_dict(stopped.state_dict())
    assert seen([next(iter(resumed))]) == seen([next(samples)])
    assert len(opened) == 1


def test_augmentation_resumes_too(training_sources: Path) -> None:
    transform = MattingTransform.preset("strong", crop_sizes=(8, 12), size=8)
    fields = {"transform": transform, "columns": ("frames", "alpha", "trimap", "foreground", "background")}
    whole = seen(stream_over(training_sources, **fields))
    stopped = stream_over(training_sources, **fields)
    samples = iter(stopped)
    for _ in range(12):
        next(samples)
    resumed = stream_over(training_sources, **fields)
    resumed.load_state_dict(stopped.state_dict())
    assert seen(resumed) == whole[12:]


def test_skipped_samples_do_not_shift_a_resume(tree: TreeWriter) -> None:
    tree.still()
    for number in range(6):
        path = tree.background(f"{number:04d}", frames=6)
        if number % 2:
            path.write_bytes(b"no video")
    fields: dict[str, Any] = {"on_error": "skip", "backgrounds_per_foreground": 6, "epochs": 1, "samples_per_clip": 2}
    whole = seen(stream_over(tree.root, **fields))
    assert len(whole) == 6
    for place in range(6):
        stopped = stream_over(tree.root, **fields)
        samples = iter(stopped)
        assert seen(islice(samples, place)) == whole[:place]
        resumed = stream_over(tree.root, **fields)
        resumed.load_state_dict(stopped.state_dict())
        assert seen(resumed) == whole[place:]


def test_windows_lost_to_damage_do_not_shift_a_resume(tree: TreeWriter) -> None:
    """A damaged frame in the middle of a background: some of the samples around it are skipped."""
    tree.still()
    path = tree.root / "bg/train/0000.mp4"
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as container:
        options = {"bf": "0", "g": "8", "x264-params": "scenecut=0"}
        stream: Any = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width = 72, 96
        for index in range(24):
            flat = np.full((72, 96, 3), 20 + 8 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(flat, format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][12]
    data = bytearray(path.read_bytes())
    data[packet.pos + 4 : packet.pos + packet.size] = bytes(packet.size - 4)
    path.write_bytes(data)
    fields: dict[str, Any] = {"epochs": 2, "samples_per_clip": 12, "backgrounds_per_foreground": 1}
    whole = seen(stream_over(tree.root, **fields))
    indices = [index for epoch, index, _ in whole if epoch == 0]
    assert {0, 11} < set(indices) < set(range(12))  # windows of 2 frames, end to end or nearly so
    for place in range(len(whole)):
        stopped = stream_over(tree.root, **fields)
        samples = iter(stopped)
        assert seen(islice(samples, place)) == whole[:place]
        resumed = stream_over(tree.root, **fields)
        resumed.load_state_dict(stopped.state_dict())
        assert seen(resumed) == whole[place:]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 1),
        ("clip_length", 3),
        ("crop_size", 8),
        ("columns", ("frames",)),
        ("kinds", ("image",)),
        ("backgrounds_per_foreground", 2),
        ("samples_per_clip", 2),
        ("context", 1),
        ("shuffle", False),
        ("batch_size", 4),
    ],
)
def test_a_state_of_another_config_is_refused_by_field_name(training_sources: Path, name: str, value: Any) -> None:
    state = stream_over(training_sources, **{name: value}).state_dict()
    with pytest.raises(ConfigError, match=rf"^{name}=.*saved with {name}="):
        stream_over(training_sources).load_state_dict(state)


def test_a_state_over_other_sources_is_refused(training_sources: Path, tree: TreeWriter) -> None:
    tree.still()
    tree.background()
    state = stream_over(tree.root).state_dict()
    with pytest.raises(ConfigError, match=r"^data_dir="):
        stream_over(training_sources).load_state_dict(state)


def test_a_state_of_another_rank_or_world_size_is_refused(training_sources: Path) -> None:
    state = stream_over(training_sources, rank=1, world_size=2).state_dict()
    with pytest.raises(ConfigError, match=r"^rank=0: the state was saved with rank=1"):
        stream_over(training_sources, rank=0, world_size=2).load_state_dict(state)
    with pytest.raises(ConfigError, match=r"^world_size=3: the state was saved with world_size=2"):
        stream_over(training_sources, rank=1, world_size=3).load_state_dict(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: None, "state=None: not a ClipStream state"),
        (lambda state: state | {"version": 0}, "version=0: not a ClipStream state"),
        (lambda state: {"version": 1}, "state: is damaged"),
        (lambda state: state | {"origin": [0]}, "state: is damaged"),
        (lambda state: state | {"position": None}, "state: is damaged"),
        (lambda state: state | {"epoch": -1}, "state: is damaged"),
        (lambda state: state | {"config": "train"}, "state: is damaged"),
    ],
)
def test_an_invalid_state_is_refused(training_sources: Path, change: Callable[[Any], Any], message: str) -> None:
    stream = stream_over(training_sources)
    with pytest.raises(ConfigError, match=message):
        stream.load_state_dict(change(stream.state_dict()))


def test_a_resume_can_change_epochs_and_on_error(training_sources: Path) -> None:
    state = stream_over(training_sources, epochs=1).state_dict()
    longer = stream_over(training_sources, epochs=2, on_error="skip")
    longer.load_state_dict(state)
    assert len(seen(longer)) == 2 * CLIPS


def test_a_worker_refuses_the_state_of_another_worker(training_sources: Path) -> None:
    stateful = StatefulDataLoader(stream_over(training_sources), batch_size=None, num_workers=2)
    iterator = iter(stateful)
    next(iterator)
    snapshot = stateful.state_dict()["_snapshot"]["_worker_snapshots"]["worker_0"]["dataset_state"]
    del iterator
    with pytest.raises(ConfigError, match="num_workers=0: the state was saved by worker 0 of 2"):
        stream_over(training_sources).load_state_dict(snapshot)


def test_a_stream_does_not_guess_the_position_of_a_loader(training_sources: Path) -> None:
    stream = stream_over(training_sources)
    iterator = iter(DataLoader(stream, batch_size=None, num_workers=2))
    next(iterator)
    with pytest.raises(RuntimeError, match="StatefulDataLoader"):
        stream.state_dict()
    del iterator
    stream.set_epoch(0)
    assert stream.state_dict()["epoch"] == 0


def test_a_state_is_small_and_has_plain_types(training_sources: Path) -> None:
    stream = stream_over(training_sources)
    next(iter(stream))
    text = json.dumps(stream.state_dict())
    assert len(text) < 1500
    assert str(training_sources) not in text
    assert json.loads(text) == stream.state_dict()


def test_the_log_of_a_resumed_stream_is_quiet(training_sources: Path, caplog: pytest.LogCaptureFixture) -> None:
    stream = stream_over(training_sources)
    with caplog.at_level(logging.WARNING):
        stream.load_state_dict(stream.state_dict())
        assert len(seen(stream)) == 3 * CLIPS
    assert not caplog.records
