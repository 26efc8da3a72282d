"""Epochs of an epoch run: those after the previous run, for any timing, workers and loader."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from conftest import require_torch

require_torch("torchdata")

import torch  # noqa: E402  where it is there
from torch.utils.data import DataLoader  # noqa: E402
from torchdata.stateful_dataloader import StatefulDataLoader  # noqa: E402

from dvm_hf.torch import ClipStream, collate  # noqa: E402
from dvm_hf.training.epoch_runs import LOGGED, EpochRuns  # noqa: E402
from dvm_hf.training.processes import Process  # noqa: E402
from dvm_hf.training.sample_assignment import StartOffset  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),  # fork, Python 3.12
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),  # more workers than cores
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),  # torchdata 0.11 on torch 2.13
]

FIELDS: dict[str, Any] = {"clip_length": 1, "crop_size": 8, "columns": ("alpha",), "shuffle": False}
CLIPS = 12
Batch = list[tuple[int, int]]
LOADERS: dict[str, Callable[..., Any]] = {
    "plain": DataLoader,
    "persistent": lambda *args, **kwargs: DataLoader(*args, persistent_workers=True, **kwargs),
    "stateful": StatefulDataLoader,
    "stateful persistent": lambda *args, **kwargs: StatefulDataLoader(*args, persistent_workers=True, **kwargs),
}
GRID = [(kind, workers) for kind in LOADERS for workers in (0, 1, 3) if workers or "persistent" not in kind]


def stream_over(root: Path, **fields: Any) -> ClipStream:
    return ClipStream("train", data_dir=str(root), **FIELDS | fields)


def loader_of(stream: ClipStream, kind: str, workers: int, **arguments: Any) -> Any:
    return LOADERS[kind](stream, num_workers=workers, collate_fn=collate, **{"batch_size": 2} | arguments)


def places(batches: Iterable[dict[str, Any]]) -> list[Batch]:
    return [list(zip(batch["epoch"].tolist(), batch["index"].tolist(), strict=True)) for batch in batches]


def epochs(batches: Iterable[dict[str, Any]]) -> set[int]:
    return {epoch for batch in places(batches) for epoch, _ in batch}


def late(worker: int) -> None:
    time.sleep(0.1 * worker)


@pytest.mark.parametrize(("kind", "workers"), GRID)
def test_an_interrupted_epoch_run_counts(training_sources: Path, kind: str, workers: int) -> None:
    """Interrupted before all workers have begun; after they have prefetched everything; and not interrupted."""
    loader = loader_of(stream_over(training_sources, batch_size=2), kind, workers, worker_init_fn=late)
    first = [[(number, 0), (number, 1)] for number in range(6)]
    assert places(islice(loader, 1)) == first[:1]
    iterator = iter(loader)
    assert places(islice(iterator, 1)) == first[1:2]
    time.sleep(0.3)
    del iterator
    assert epochs(loader) == {2}
    assert places(islice(loader, 1)) == first[3:4]
    loader.dataset.set_epoch(4)
    assert places(islice(loader, 1)) == first[4:5]
    assert epochs(loader) == {5}


@pytest.mark.parametrize(("kind", "workers"), GRID)
def test_epoch_runs_count_even_if_each_is_seeded_alike(training_sources: Path, kind: str, workers: int) -> None:
    """Then the loader's workers have the same seed in each run, and only they know that it is a new one."""
    loader = loader_of(stream_over(training_sources, epochs=2, batch_size=2), kind, workers)
    for number in range(4):
        torch.manual_seed(7)
        found = places(islice(loader, 2) if number % 2 else loader)
        assert found[0] == [(2 * number, 0), (2 * number, 1)]
        assert sum(map(len, found)) == (4 if number % 2 else 2 * CLIPS)


@pytest.mark.parametrize("workers", [1, 3])
def test_an_iterator_kept_during_the_next_run_takes_no_epoch(training_sources: Path, workers: int) -> None:
    """`batches = iter(loader)` repeatedly: the workers of the previous run live until the next has begun."""
    loader = loader_of(stream_over(training_sources, batch_size=2), "plain", workers, worker_init_fn=late)
    batches = iter(loader)
    for number in range(4):
        assert places([next(batches)]) == [[(number, 0), (number, 1)]]
        batches = iter(loader)


def test_an_unused_iterator_is_not_an_epoch_run_without_workers(training_sources: Path) -> None:
    stream = stream_over(training_sources)
    iter(stream)
    state = stream.state_dict()
    assert (state["first_epoch"], state["epoch"]) == (0, 0)
    assert next(iter(stream))["epoch"] == 0
    assert next(iter(stream))["epoch"] == 1


def test_a_second_run_of_an_endless_stream_is_one_epoch_later(training_sources: Path) -> None:
    for workers in (0, 2):
        loader = loader_of(stream_over(training_sources, epochs=None, batch_size=2), "plain", workers)
        assert [places(islice(loader, 7))[::6] for _ in range(3)] == [
            [[(number, 0), (number, 1)], [(number + 1, 0), (number + 1, 1)]] for number in range(3)
        ]


@pytest.mark.parametrize(("kind", "workers"), [(kind, workers) for kind, workers in GRID if "stateful" in kind])
def test_a_resumed_epoch_run_counts_as_the_saved_one(training_sources: Path, kind: str, workers: int) -> None:
    def loader() -> Any:
        return loader_of(stream_over(training_sources, epochs=2, batch_size=2), kind, workers)

    stopped = loader()
    assert epochs(islice(stopped, 3)) == {0}  # left early
    iterator = iter(stopped)
    before = places(islice(iterator, 8))
    state = stopped.state_dict()
    resumed = loader()
    resumed.load_state_dict(state)
    after = places(islice(resumed, 3))
    assert before + after == [[(2 + n // 6, n % 6 * 2), (2 + n // 6, n % 6 * 2 + 1)] for n in range(11)]
    assert epochs(resumed) == {4, 5}
    again = loader()
    again.load_state_dict(resumed.state_dict())
    assert epochs(again) == {6, 7}


@pytest.mark.parametrize("workers", [0, 2, 3])
@pytest.mark.parametrize("knows_batches", [False, True])
def test_a_finished_epoch_run_resumes_with_the_next_one(
    training_sources: Path, workers: int, knows_batches: bool
) -> None:
    """12 samples in batches of five, or one by one if the stream does not know the batch size."""

    def loader() -> Any:
        stream = stream_over(training_sources, drop_last=knows_batches, **({"batch_size": 5} if knows_batches else {}))
        return loader_of(stream, "stateful", workers, batch_size=5, drop_last=True)

    finished = loader()
    passes = [places(finished) for _ in range(2)]
    assert [{epoch for batch in found for epoch, _ in batch} for found in passes if found] == (
        [{0}, {1}] if knows_batches or workers < 3 else []
    )
    resumed = loader()
    state = finished.state_dict()
    resumed.load_state_dict(state)
    expected = [[(2, index) for _, index in batch] for batch in passes[0]]
    assert [places(resumed), places(resumed)] == [expected, [[(3, i) for _, i in batch] for batch in expected]]


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_drop_last_drops_the_last_batch_only(training_sources: Path, workers: int) -> None:
    """Of 24 samples of two epochs in batches of five, the last four are dropped, without being rendered."""
    stream = stream_over(training_sources, epochs=2, batch_size=5, drop_last=True)
    found = places(loader_of(stream, "plain", workers, batch_size=5, drop_last=True))
    expected = [(number // CLIPS, number % CLIPS) for number in range(20)]
    assert [place for batch in found for place in batch] == expected
    alone = stream_over(training_sources, epochs=2, batch_size=5, drop_last=True)
    assert [(s["epoch"], s["index"]) for s in alone] == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_every_stop_with_drop_last_resumes_with_the_next_batch(training_sources: Path, workers: int) -> None:
    def loader() -> Any:
        stream = stream_over(training_sources, batch_size=5, epochs=2, drop_last=True)
        return loader_of(stream, "stateful", workers, batch_size=5, drop_last=True)

    whole = places(loader())
    for taken in range(len(whole) + 1):
        stopped, resumed = loader(), loader()
        iterator = iter(stopped)
        assert places(islice(iterator, taken)) == whole[:taken]
        resumed.load_state_dict(stopped.state_dict())
        del iterator
        assert places(resumed) == whole[taken:]
        assert places(resumed) == [[(epoch + 2, index) for epoch, index in batch] for batch in whole]


def test_the_state_between_epoch_runs_is_that_of_the_next(training_sources: Path) -> None:
    for workers in (0, 2):
        stream = stream_over(training_sources, epochs=2, batch_size=2)
        loader = loader_of(stream, "plain", workers)
        for _ in loader:
            pass
        assert (stream.state_dict()["first_epoch"], stream.state_dict()["origin"]) == (2, [2, 0])
        again = stream_over(training_sources, epochs=2, batch_size=2)
        again.load_state_dict(stream.state_dict())
        assert epochs(loader_of(again, "plain", 2 - workers)) == {2, 3}


def test_persistent_workers_resume_from_a_stream_state(training_sources: Path) -> None:
    """The workers are copies from before the state was loaded."""
    stopped = stream_over(training_sources, batch_size=2)
    samples = iter(stopped)
    for _ in range(6):
        next(samples)
    stream = stream_over(training_sources, batch_size=2)
    loader = loader_of(stream, "persistent", 2)
    assert epochs(loader) == {0}
    stream.load_state_dict(stopped.state_dict())
    assert [place for batch in places(loader) for place in batch] == [(0, index) for index in range(6, 12)]
    assert epochs(loader) == {1}


# The log of passes by itself, with processes that begin in any order


def group(workers: int, seed: int) -> list[Process]:
    return [Process(worker, workers, seed) for worker in range(workers)]


def begun(runs: EpochRuns, processes: Iterable[Process]) -> list[int]:
    return [runs.begin(process) for process in processes]


def test_the_processes_of_an_epoch_run_agree_in_any_order() -> None:
    runs = EpochRuns()
    for number, seed in enumerate([5, 99, 0, 2**62], start=1):
        processes = group(4, seed)
        assert begun(runs, processes[number % 4 :] + processes[: number % 4]) == [number] * 4


def test_processes_agree_over_more_epoch_runs_than_are_logged() -> None:
    runs = EpochRuns()
    for number in range(1, 3 * LOGGED):
        assert begun(runs, group(2, 7 if number % 3 else number)) == [number] * 2
    assert runs.begin(Process(0, 0, 0)) == 3 * LOGGED


def test_a_late_worker_joins_its_epoch_run_only() -> None:
    runs = EpochRuns()
    first, second = group(3, 5), group(3, 6)
    assert begun(runs, first[:1]) == [1]
    assert begun(runs, second[:2]) == [2, 2]
    assert begun(runs, first[2:]) == [1]
    assert begun(runs, second[2:]) == [2]
    assert begun(runs, group(3, 8)) == [3] * 3


def test_equal_seeds_still_distinguish_epoch_runs() -> None:
    runs = EpochRuns()
    processes = group(3, 5)
    assert begun(runs, processes) == [1] * 3
    assert begun(runs, reversed(processes)) == [2] * 3
    assert begun(runs, group(2, 5)) == [3] * 2  # another loader, with fewer workers
    assert begun(runs, reversed(processes)) == [4] * 3  # although the third took part in neither of these two
    assert runs.begin(Process(0, 0, 0)) == 5
    assert runs.begin(Process(0, 0, 0)) == 6


def test_persistent_workers_can_begin_late() -> None:
    """The first run is consumed before the third worker has started; that worker still takes part in both."""
    runs = EpochRuns()
    early, (late,) = group(3, 5)[:2], group(3, 5)[2:]
    assert begun(runs, early) == [1, 1]
    assert begun(runs, early) == [2, 2]
    assert begun(runs, [late, late]) == [1, 2]
    assert begun(runs, [late, *early]) == [3, 3, 3]


def test_a_set_position_applies_from_the_next_epoch_run() -> None:
    runs = EpochRuns()
    assert runs.start(begun(runs, group(2, 1))[0], 3) == (0, StartOffset(0, 0))
    assert runs.start(begun(runs, group(2, 2))[0], 3) == (3, StartOffset(3, 0))
    runs.set_next(7, StartOffset(8, 5))
    assert runs.start(begun(runs, group(2, 3))[0], 3) == (7, StartOffset(8, 5))
    assert runs.start(begun(runs, group(2, 4))[0], 3) == (10, StartOffset(10, 0))
    assert runs.start(begun(runs, group(2, 5))[0], None) == (9, StartOffset(9, 0))


def test_an_epoch_run_is_active_until_all_workers_have_ended(training_sources: Path) -> None:
    stream = stream_over(training_sources, batch_size=2)
    for taken, leaves in ((1, True), (6, False)):
        iterator: Iterator[Any] = iter(loader_of(stream, "plain", 3, prefetch_factor=1))
        next(iterator)
        if leaves:
            with pytest.raises(RuntimeError, match="StatefulDataLoader"):
                stream.state_dict()
        else:
            assert len(list(iterator)) == taken - 1
            assert stream.state_dict()["first_epoch"] == 2
