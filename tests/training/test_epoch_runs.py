"""The shared log of epoch runs, used by processes in turn."""

import pytest
from conftest import require_torch

require_torch()

from dvm_hf.training.epoch_runs import EpochRuns  # noqa: E402
from dvm_hf.training.processes import MAX_WORKERS, Process  # noqa: E402
from dvm_hf.training.sample_assignment import StartOffset  # noqa: E402
from dvm_hf.training.stream_state import Run  # noqa: E402


def run_of(worker: int, workers: int, number: int) -> Run:
    return Run(0, StartOffset(0, 0), worker, workers, 0, number=number)


@pytest.mark.parametrize("workers", [1, 3, MAX_WORKERS])
def test_a_run_has_ended_when_its_last_worker_has(workers: int) -> None:
    runs = EpochRuns()
    numbers = {runs.begin(Process(worker, workers, 5)) for worker in range(workers)}
    assert numbers == {1}
    assert runs.workers_are_running()
    for worker in reversed(range(workers)):
        assert not runs.is_ended(1)
        runs.end(run_of(worker, workers, 1))
    assert runs.is_ended(1)
    assert not runs.workers_are_running()


def test_a_run_without_workers_is_not_waited_for() -> None:
    runs = EpochRuns()
    assert not runs.workers_are_running()
    runs.begin(Process(0, 0, 0))
    assert not runs.workers_are_running()


def test_a_set_epoch_forgets_workers_that_were_left_behind() -> None:
    runs = EpochRuns()
    runs.begin(Process(0, 2, 5))
    assert runs.workers_are_running()
    runs.set_next(4, StartOffset(4, 0))
    assert not runs.workers_are_running()
    runs.begin(Process(0, 2, 6))
    assert runs.workers_are_running()


def test_samples_are_counted_over_all_processes() -> None:
    runs = EpochRuns()
    for worker, workers in ((0, 0), (0, 2), (1, 2), (1, 2)):
        runs.count(run_of(worker, workers, 1), made=3, skipped=worker)
    assert (runs.made, runs.skipped) == (12, 2)


@pytest.mark.parametrize("seed", [-(2**63), -1, 0, 2**63 - 1, 2**64])
def test_any_seed_of_a_loader_identifies_its_run(seed: int) -> None:
    runs = EpochRuns()
    assert [runs.begin(Process(worker, 2, seed)) for worker in range(2)] == [1, 1]
    assert runs.begin(Process(0, 2, seed + 1)) == 2


def test_a_resumed_run_keeps_its_start_and_later_runs_follow_it() -> None:
    runs = EpochRuns()
    for _ in range(3):
        runs.begin(Process(0, 0, 0))
    runs.resume(3, 8, StartOffset(9, 5))
    assert runs.start(3, 4) == (8, StartOffset(9, 5))
    assert runs.start(2, 4) == (8, StartOffset(9, 5))
    assert runs.start(4, 4) == (12, StartOffset(12, 0))
    assert runs.start(6, None) == (11, StartOffset(11, 0))
