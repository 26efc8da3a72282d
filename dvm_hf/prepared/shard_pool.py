"""Shards made by several processes that may be killed: what one leaves unfinished, another makes again.

The pools of the standard library give up when a worker dies, and `datasets`' too.
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
from dvm_hf.machine_faults import ADVICE
from dvm_hf.prepared.atomic_io import leftovers
from dvm_hf.prepared.folder import PreparedFolder, shard_name
from dvm_hf.prepared.shard_plan import ShardPlan
from dvm_hf.prepared.shards import Progress, Recorded, Sidecar, build_shard, finished
from dvm_hf.worker_processes import interrupts_held_back, no_worker

GRACE = 10  # seconds for a worker to end by itself
MOST_DEATHS = 3  # of workers at one shard, before it is taken to be the reason


class Job(NamedTuple):
    """A shard to make."""

    split: str
    shard: int


class Outcome(NamedTuple):
    """A shard that is there now. is_new: whether it was made now; else another builder has finished it meanwhile."""

    job: Job
    sidecar: Sidecar
    is_new: bool


class Ready(NamedTuple):
    """A worker has started."""

    pid: int


class Crash(NamedTuple):
    """What a worker did not foresee: the traceback."""

    text: str


@dataclass(frozen=True)
class Task:
    """What every worker must know: plans by split, where to, out of what, and what of bad sources.

    recorded: of shards that are to be made again, what each must become; others are made where they are not finished.
    """

    plans: Mapping[str, ShardPlan]
    out: Path
    data_dir: Path
    on_error: str = "raise"
    recorded: Mapping[Job, Recorded] = field(default_factory=dict)

    def shard(self, job: Job, on_progress: Callable[[Progress], None]) -> Outcome:
        plan, recorded = self.plans[job.split], self.recorded.get(job)
        there = None if recorded is not None else finished(plan, job.shard, out=self.out)
        if there is not None:  # by another builder, since the jobs were chosen
            on_progress(Progress(clips=len(there.clips)))
            return Outcome(job, there, False)
        made = build_shard(
            plan,
            job.shard,
            out=self.out,
            data_dir=self.data_dir,
            on_error=self.on_error,
            recorded=recorded,
            on_progress=on_progress,
        )
        return Outcome(job, made, True)


def pooled_shards(
    order: Task, jobs: Sequence[Job], *, num_proc: int, on_progress: Callable[[Progress], None]
) -> Iterator[Outcome]:
    """Each shard as soon as it is finished, made by up to `num_proc` processes; by this one where that is 1.

    Raises the first error, SourceError or PreparedError; what was finished stays. The others' work is broken off.
    """
    jobs = _in_its_own_order(jobs)
    if min(num_proc, len(jobs)) <= 1:
        for job in jobs:
            yield order.shard(job, on_progress)
        return
    pool = _Pool(order, jobs, on_progress)
    try:
        pool.start(min(num_proc, len(jobs)))
        yield from pool.results()
    finally:
        pool.end()


def _in_its_own_order(jobs: Sequence[Job]) -> Sequence[Job]:
    """The same jobs in an order of this process's own, so that builders of one folder seldom meet at a shard.

    A common order begun in different places would not do: who comes upon another is at its heels from then on.
    """
    return random.Random(f"{socket.gethostname()}-{os.getpid()}").sample(jobs, len(jobs))


class _Pool:
    """Workers, each with a pipe to it, and the shards that wait for one."""

    def __init__(self, order: Task, jobs: Sequence[Job], on_progress: Callable[[Progress], None]) -> None:
        self._order, self._waiting, self._on_progress = order, deque(jobs), on_progress
        self._context = multiprocessing.get_context("spawn")  # a fork would inherit decoders and locks
        self._workers: dict[Connection, BaseProcess] = {}
        self._at_work: dict[Connection, Job] = {}
        self._deaths: Counter[Job] = Counter()
        self._has_run = False  # whether any worker got as far as its first line

    def start(self, count: int) -> None:
        for _ in range(count):
            ours, theirs = self._context.Pipe()
            process = self._context.Process(target=_work, args=(theirs, self._order), daemon=True)
            try:
                with interrupts_held_back():
                    process.start()
            except OSError as error:
                ours.close()
                theirs.close()
                if error.errno not in ADVICE and not isinstance(error, BrokenPipeError):  # the child ended at once
                    raise
                raise no_worker(error) from error
            theirs.close()  # so that reading ours ends when the worker does
            self._workers[ours] = process
            self._give_work(ours)

    def results(self) -> Iterator[Outcome]:
        while self._at_work:
            for ready in wait(list(self._at_work)):
                assert isinstance(ready, Connection)
                try:
                    said = ready.recv()
                except (EOFError, OSError):
                    self._replace(ready)
                    continue
                if isinstance(said, Ready):
                    self._has_run = True
                elif isinstance(said, Progress):
                    self._on_progress(said)
                elif isinstance(said, Outcome):
                    self._at_work.pop(ready)
                    self._give_work(ready)
                    yield said
                elif isinstance(said, Crash):
                    raise RuntimeError(f"a worker failed at {self._at_work[ready]}:\n{said.text}")
                else:
                    raise said

    def end(self) -> None:
        """End all workers, whatever they are at, and remove what they leave."""
        for connection in self._workers:
            connection.close()  # a worker ends when it has nobody to tell of its next window
        for process in self._workers.values():
            process.join(GRACE)
            process.terminate()
            process.join()
        self._sweep()

    def _give_work(self, connection: Connection) -> None:
        if not self._waiting:
            return
        job = self._waiting.popleft()
        self._at_work[connection] = job
        try:
            connection.send(job)
        except OSError:
            pass  # it is dead: reading from it tells

    def _replace(self, connection: Connection) -> None:
        """A worker has died: its shard goes back in front, a new worker comes."""
        process, job = self._workers.pop(connection), self._at_work.pop(connection)
        process.join()
        connection.close()
        self._sweep()
        if not self._has_run:
            raise no_worker()
        self._deaths[job] += 1
        if self._deaths[job] >= MOST_DEATHS:
            name = shard_name(job.split, job.shard, self._order.plans[job.split].num_shards)
            code = process.exitcode or 0
            how = f"by signal {-code}" if code < 0 else f"with code {code}"
            raise PreparedError(
                f"{name}: {MOST_DEATHS} workers ended unexpectedly at this shard, the last {how}; if memory ran out, "
                "use a smaller --num-proc or --clip-length. Finished shards are kept"
            )
        self._waiting.appendleft(job)
        self.start(1)

    def _sweep(self) -> None:
        folder = PreparedFolder(self._order.out)
        for path in (path for where in folder.folders for path in leftovers(where)):
            path.unlink(missing_ok=True)


def _work(connection: Connection, order: Task) -> None:
    """A worker's life: make the shards that come, tell of progress, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's; the parent ends its workers
    with suppress(ConnectionError):  # the parent is gone; receiving from it tells
        connection.send(Ready(os.getpid()))
    while True:
        try:
            job = connection.recv()
        except (EOFError, ConnectionError):
            return
        try:
            connection.send(_answer(connection, order, job))
        except ConnectionError:  # the parent is gone: so is the reason to go on
            return


def _answer(connection: Connection, order: Task, job: Job) -> Any:
    """The outcome, the error that says why there is none, or the traceback of what was not foreseen."""
    try:
        return order.shard(job, connection.send)
    except (ConfigError, PreparedError, SourceError) as error:
        return error
    except (ConnectionError, MemoryError):  # the parent is gone; a new worker has the memory of this one
        raise
    except Exception:
        return Crash(traceback.format_exc())
