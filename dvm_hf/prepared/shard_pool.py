"""Build shards in several processes that may be killed: another worker rebuilds an unfinished shard.

The process pools of the standard library and of `datasets` fail when a worker dies. A worker imports this module and
what rendering needs, but not `datasets`.
"""

import multiprocessing
import os
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from dvm_hf.errors import ConfigError, PreparedError, SourceError
from dvm_hf.machine_faults import HINTS
from dvm_hf.prepared.atomic_io import leftovers
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.shards import PlannedShard, Progress, Recorded, Sidecar, build_shard, finished
from dvm_hf.worker_processes import (
    deferred_interrupts,
    lean_environment,
    no_worker,
    release_free_memory,
    without_pandas,
)

GRACE = 10  # seconds for a worker to exit by itself
MAX_DEATHS = 3  # workers that die at one shard before the build stops


class Job(NamedTuple):
    """The name of a shard in a build."""

    split: str
    shard: int


class Outcome(NamedTuple):
    """A finished shard. is_new: whether this build built it; False if another builder finished it meanwhile."""

    job: Job
    sidecar: Sidecar
    is_new: bool


class Ready(NamedTuple):
    """A worker has started."""

    pid: int


class Crash(NamedTuple):
    """The traceback of an unexpected exception in a worker."""

    text: str


@dataclass(frozen=True)
class Task:
    """A shard to build, as sent to a worker.

    recorded: the recorded state of a shard to rebuild. A shard without one is built only if it is not finished.
    """

    shard: PlannedShard
    out: Path
    data_dir: Path
    on_error: str = "raise"
    recorded: Recorded | None = None

    @property
    def job(self) -> Job:
        return Job(self.shard.split, self.shard.index)

    def outcome(self, on_progress: Callable[[Progress], None]) -> Outcome:
        existing = None if self.recorded is not None else finished(self.shard, out=self.out)
        if existing is not None:  # another builder finished it after the tasks were chosen
            on_progress(Progress(clips=len(existing.clips)))
            return Outcome(self.job, existing, False)
        built = build_shard(
            self.shard,
            out=self.out,
            data_dir=self.data_dir,
            on_error=self.on_error,
            recorded=self.recorded,
            on_progress=on_progress,
        )
        return Outcome(self.job, built, True)


def pooled_shards(
    tasks: Iterable[Task], *, num_proc: int, on_progress: Callable[[Progress], None]
) -> Iterator[Outcome]:
    """Yield each shard when it is finished, built by up to `num_proc` processes; by this process if that is 1.

    tasks: each is made when a process is free for it, so that only those at work take memory.

    Raises the first SourceError or PreparedError and stops the other workers. Finished shards are kept.
    """
    waiting = iter(tasks)
    first = list(islice(waiting, num_proc))
    if len(first) <= 1:
        for task in chain(first, waiting):
            yield task.outcome(on_progress)
        return
    pool = _Pool(chain(first, waiting), on_progress)
    release_free_memory()  # that of planning
    try:
        pool.start(len(first))
        yield from pool.results()
    finally:
        pool.end()


class _Pool:
    """The workers with their pipes, and the queue of tasks."""

    def __init__(self, tasks: Iterator[Task], on_progress: Callable[[Progress], None]) -> None:
        self._waiting, self._on_progress = tasks, on_progress
        self._folders: set[PreparedFolder] = set()
        self._context = multiprocessing.get_context("spawn")  # a fork would inherit decoders and locks
        self._workers: dict[Connection, BaseProcess] = {}
        self._at_work: dict[Connection, Task] = {}
        self._deaths: Counter[Job] = Counter()
        self._has_run = False  # whether any worker started successfully

    def start(self, count: int) -> None:
        for _ in range(count):
            parent_end, worker_end = self._context.Pipe()
            process = self._context.Process(target=_work, args=(worker_end,), daemon=True)
            try:
                with deferred_interrupts(), lean_environment():
                    process.start()
            except OSError as error:
                parent_end.close()
                worker_end.close()
                if error.errno not in HINTS and not isinstance(error, BrokenPipeError):  # the child exited at once
                    raise
                raise no_worker(error) from error
            worker_end.close()  # so that reading from the parent's end fails when the worker exits
            self._workers[parent_end] = process
            self._send_task(parent_end)

    def results(self) -> Iterator[Outcome]:
        while self._at_work:
            for ready in wait(list(self._at_work)):
                assert isinstance(ready, Connection)
                try:
                    message = ready.recv()
                except (EOFError, OSError):
                    self._replace(ready)
                    continue
                if isinstance(message, Ready):
                    self._has_run = True
                elif isinstance(message, Progress):
                    self._on_progress(message)
                elif isinstance(message, Outcome):
                    self._at_work.pop(ready)
                    self._send_task(ready)
                    yield message
                elif isinstance(message, Crash):
                    raise RuntimeError(f"a worker failed at {self._at_work[ready].shard.name}:\n{message.text}")
                else:
                    raise message

    def end(self) -> None:
        """Stop all workers, even during a shard, and remove their temporary files."""
        for connection in self._workers:
            connection.close()  # a worker exits when it cannot report its next window
        for process in self._workers.values():
            process.join(GRACE)
            process.terminate()
            process.join()
        self._sweep()

    def _send_task(self, connection: Connection) -> None:
        task = next(self._waiting, None)
        if task is None:
            return
        self._folders.add(PreparedFolder(task.out))
        self._at_work[connection] = task
        try:
            connection.send(task)
        except OSError:
            pass  # the worker is dead; the next read detects it

    def _replace(self, connection: Connection) -> None:
        """Replace a dead worker, and put its shard back at the front of the queue."""
        process, task = self._workers.pop(connection), self._at_work.pop(connection)
        process.join()
        connection.close()
        self._sweep()
        if not self._has_run:
            raise no_worker()
        self._deaths[task.job] += 1
        if self._deaths[task.job] >= MAX_DEATHS:
            code = process.exitcode or 0
            how = f"by signal {-code}" if code < 0 else f"with code {code}"
            raise PreparedError(
                f"{task.shard.name}: {MAX_DEATHS} workers ended unexpectedly at this shard, the last {how}; if memory "
                "ran out, use a smaller --num-proc or --clip-length. Finished shards are kept"
            )
        self._waiting = chain([task], self._waiting)
        self.start(1)

    def _sweep(self) -> None:
        for path in (path for folder in self._folders for parent in folder.folders for path in leftovers(parent)):
            path.unlink(missing_ok=True)


def _work(connection: Connection) -> None:
    """Build the shards that the parent sends and report progress, until the pipe is closed."""
    with without_pandas():
        pa.array([0])  # pyarrow's first array
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # sent by the terminal; the parent stops its workers
    with suppress(ConnectionError):  # the parent is gone; the next receive detects it
        connection.send(Ready(os.getpid()))
    while True:
        try:
            task = connection.recv()
        except (EOFError, ConnectionError):
            return
        try:
            connection.send(_outcome(connection, task))
        except ConnectionError:  # the parent is gone
            return


def _outcome(connection: Connection, task: Task) -> Any:
    """Build a shard; return its outcome, an expected error, or the traceback of an unexpected one."""
    try:
        return task.outcome(connection.send)
    except (ConfigError, PreparedError, SourceError) as error:
        return error
    except (ConnectionError, MemoryError):  # the parent is gone, or this worker must exit to free its memory
        raise
    except Exception:  # a bug: its traceback is reported by the parent
        return Crash(traceback.format_exc())
