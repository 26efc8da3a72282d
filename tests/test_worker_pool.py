"""A pool of workers ends, whatever happens to a worker, a call, or the process that uses it."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from pathlib import Path
from typing import Any

import pool_calls
import pytest
from pebble import ProcessPool
from pebble.pool.process import PoolManager

from dvm_hf.worker_pool import Death, _LeanContext, _WorkerPool, pooled_results
from dvm_hf.worker_processes import LEAN, ignore_interrupts

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(30)]


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    others = {*multiprocessing.active_children()}
    yield
    assert {*multiprocessing.active_children()} <= others


def results(function: Callable[[Any], Any], *calls: Any) -> list[tuple[Any, Any]]:
    return list(pooled_results(function, iter(calls), processes=1))


@pytest.mark.parametrize("code", [0, 3, -9])
def test_the_death_of_a_worker_is_reported_with_its_code(code: int) -> None:
    assert results(pool_calls.ended, code) == [(code, Death(code))]


def test_a_worker_imports_no_more_than_it_needs() -> None:
    """`datasets` would take as much memory as the rest of a worker, and Arrow's own allocator keeps what is freed."""
    assert results(pool_calls.libraries_of_shards, 1) == [(1, (False, "system"))]


def test_a_worker_that_is_killed_while_it_sends_a_result_is_a_death() -> None:
    assert results(pool_calls.killed_while_it_sends, 1) == [(1, Death(-9))]


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (pool_calls.one_way, pytest.raises(LookupError, match="not here")),
        (pool_calls.raises_one_way, pytest.raises(RuntimeError, match=r"(?s)in raises_one_way.*OneWay: not here")),
        (pool_calls.raises_a_function, pytest.raises(RuntimeError, match=r"(?s)in raises_a_function.*ValueError")),
    ],
)
def test_a_result_that_cannot_be_sent_is_an_error(function: Callable[[int], Any], error: Any) -> None:
    with error:
        results(function, 1)


def test_a_worker_that_is_killed_between_two_calls_is_replaced() -> None:
    others = {*multiprocessing.active_children()}

    def calls() -> Iterator[float]:
        yield 0
        (worker,) = {*multiprocessing.active_children()} - others
        worker.kill()
        while any("pool_manager_loop" in thread.name for thread in threading.enumerate()):
            time.sleep(0.05)  # until Pebble finds it dead
        yield 0.1

    assert list(pooled_results(pool_calls.slept, calls(), processes=1)) == [(0, None), (0.1, None)]


def test_a_call_that_its_pool_loses_is_a_death(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the worker were found dead when the call has been accepted, but is not registered yet."""

    def lost(manager: object, task: object) -> None:
        raise BrokenProcessPool("All workers expired")

    def calls() -> Iterator[float]:
        yield 0
        monkeypatch.setattr(PoolManager, "schedule", lost)
        yield 1

    found = list(pooled_results(pool_calls.slept, calls(), processes=1))
    assert found == [(0, None), (1, Death(None))]


def test_an_interrupt_while_a_dead_worker_is_replaced_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    join = ProcessPool.join

    def interrupted(pool: ProcessPool) -> None:
        monkeypatch.setattr(ProcessPool, "join", join)
        raise KeyboardInterrupt

    monkeypatch.setattr(ProcessPool, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        results(pool_calls.ended, -9)


def test_results_that_are_not_read_to_their_end_end_all() -> None:
    calls = iter([0.0, 60.0, 60.0])
    with closing(pooled_results(pool_calls.slept, calls, processes=2)) as made:
        assert next(made) == (0, None)
        start = time.monotonic()
    assert time.monotonic() < start + 10


PROGRAM = """
import pool_calls
from dvm_hf.worker_pool import pooled_results

if __name__ == "__main__":
    kept = pooled_results(pool_calls.slept, iter([0, 60, 60]), processes=2)
    next(kept)
"""


def test_a_program_that_ends_before_its_calls_exits_silently(tmp_path: Path) -> None:
    """Threads of the pool no longer run when the globals of a program are deleted, so nothing may wait for them."""
    (tmp_path / "program.py").write_text(PROGRAM)
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    command = [sys.executable, str(tmp_path / "program.py")]
    done = subprocess.run(
        command, env=os.environ | LEAN | {"PYTHONPATH": paths}, capture_output=True, text=True, timeout=25
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_forked_process_does_not_keep_the_pool_open() -> None:
    """It inherits the end of the pipe that reports are written to."""
    pool = _WorkerPool[int, int](_LeanContext(), 1, ignore_interrupts)
    inherited = os.dup(pool._writer.fileno())
    pool.end()
    os.close(inherited)
