"""Build shards in several processes that may be killed: another worker rebuilds an unfinished shard.

The process pools of the standard library and of `datasets` fail when a worker dies.
"""

import multiprocessing
import os
import random
import signal
import socket
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from dvm_hf.errors import ConfigError, PreparedError, SourceError
from dvm_hf.machine_faults import HINTS
from dvm_hf.prepared.atomic_io import leftovers
from dvm_hf.prepared.folder import PreparedFolder, shard_name
from dvm_hf.prepared.shard_plan import ShardPlan
from dvm_hf.prepared.shards import Progress, Recorded, Sidecar, build_shard, finished
from dvm_hf.worker_processes import deferred_interrupts, no_worker

GRACE = 10  # seconds for a worker to exit by itself
MAX_DEATHS = 3  # workers that die at one shard before the build stops


class Job(NamedTuple):
    """A shard to build."""

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
    """The parameters of a build that all workers share.

    recorded: the recorded state of each shard to rebuild. A shard without one is built only if it is not finished.
    """

    plans: Mapping[str, ShardPlan]
    out: Path
    data_dir: Path
    on_error: str = "raise"
    recorded: Mapping[Job, Recorded] = field(default_factory=dict)

    def shard(self, job: Job, on_progress: Callable[[Progress], None]) -> Outcome:
        plan, recorded = self.plans[job.split], self.recorded.get(job)
        existing = None if recorded is not None else finished(plan, job.shard, out=self.out)
        if existing is not None:  # another builder finished it after the jobs were chosen
            on_progress(Progress(clips=len(existing.clips)))
            return Outcome(job, existing, False)
        built = build_shard(
            plan,
            job.shard,
            out=self.out,
            data_dir=self.data_dir,
            on_error=self.on_error,
            recorded=recorded,
            on_progress=on_progress,
        )
        return Outcome(job, built, True)


def pooled_shards(
    task: Task, jobs: Sequence[Job], *, num_proc: int, on_progress: Callable[[Progress], None]
) -> Iterator[Outcome]:
    """Yield each shard when it is finished, built by up to `num_proc` processes; by this process if that is 1.

    Raises the first SourceError or PreparedError and stops the other workers. Finished shards are kept.
    """
    jobs = shuffled_jobs(jobs)
    if min(num_proc, len(jobs)) <= 1:
        for job in jobs:
            yield task.shard(job, on_progress)
        return
    pool = _Pool(task, jobs, on_progress)
    try:
        pool.start(min(num_proc, len(jobs)))
        yield from pool.results()
    finally:
        pool.end()


def shuffled_jobs(jobs: Sequence[Job]) -> Sequence[Job]:
    """Return the jobs in a random order that differs per process, so that builders of one folder seldom collide.

    Different starting points in one common order are not enough: a builder that catches up with another one would then
    collide with it at every shard.
    """
    return random.Random(f"{socket.gethostname()}-{os.getpid()}").sample(jobs, len(jobs))


class _Pool:
    """The workers with their pipes, and the queue of shards."""

    def __init__(self, task: Task, jobs: Sequence[Job], on_progress: Callable[[Progress], None]) -> None:
        self._task, self._waiting, self._on_progress = task, deque(jobs), on_progress
        self._context = multiprocessing.get_context("spawn")  # a fork would inherit decoders and locks
        self._workers: dict[Connection, BaseProcess] = {}
        self._at_work: dict[Connection, Job] = {}
        self._deaths: Counter[Job] = Counter()
        self._has_run = False  # whether any worker started successfully

    def start(self, count: int) -> None:
        for _ in range(count):
            parent_end, worker_end = self._context.Pipe()
            process = self._context.Process(target=_work, args=(worker_end, self._task), daemon=True)
            try:
                with deferred_interrupts():
                    process.start()
            except OSError as error:
                parent_end.close()
                worker_end.close()
                if error.errno not in HINTS and not isinstance(error, BrokenPipeError):  # the child exited at once
                    raise
                raise no_worker(error) from error
            worker_end.close()  # so that reading from the parent's end fails when the worker exits
            self._workers[parent_end] = process
            self._send_job(parent_end)

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
                    self._send_job(ready)
                    yield message
                elif isinstance(message, Crash):
                    raise RuntimeError(f"a worker failed at {self._at_work[ready]}:\n{message.text}")
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

    def _send_job(self, connection: Connection) -> None:
        if not self._waiting:
            return
        job = self._waiting.popleft()
        self._at_work[connection] = job
        try:
            connection.send(job)
        except OSError:
            pass  # the worker is dead; the next read detects it

    def _replace(self, connection: Connection) -> None:
        """Replace a dead worker, and put its shard back at the front of the queue."""
        process, job = self._workers.pop(connection), self._at_work.pop(connection)
        process.join()
        connection.close()
        self._sweep()
        if not self._has_run:
            raise no_worker()
        self._deaths[job] += 1
        if self._deaths[job] >= MAX_DEATHS:
            name = shard_name(job.split, job.shard, self._task.plans[job.split].num_shards)
            code = process.exitcode or 0
            how = f"by signal {-code}" if code < 0 else f"with code {code}"
            raise PreparedError(
                f"{name}: {MAX_DEATHS} workers ended unexpectedly at this shard, the last {how}; if memory ran out, "
                "use a smaller --num-proc or --clip-length. Finished shards are kept"
            )
        self._waiting.appendleft(job)
        self.start(1)

    def _sweep(self) -> None:
        folder = PreparedFolder(self._task.out)
        for path in (path for parent in folder.folders for path in leftovers(parent)):
            path.unlink(missing_ok=True)


def _work(connection: Connection, task: Task) -> None:
    """Build the shards that the parent sends and report progress, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # sent by the terminal; the parent stops its workers
    with suppress(ConnectionError):  # the parent is gone; the next receive detects it
        connection.send(Ready(os.getpid()))
    while True:
        try:
            job = connection.recv()
        except (EOFError, ConnectionError):
            return
        try:
            connection.send(_outcome(connection, task, job))
        except ConnectionError:  # the parent is gone
            return


def _outcome(connection: Connection, task: Task, job: Job) -> Any:
    """Build a shard; return its outcome, an expected error, or the traceback of an unexpected one."""
    try:
        return task.shard(job, connection.send)
    except (ConfigError, PreparedError, SourceError) as error:
        return error
    except (ConnectionError, MemoryError):  # the parent is gone, or this worker must exit to free its memory
        raise
    except Exception:  # a bug: its traceback is reported by the parent
        return Crash(traceback.format_exc())
