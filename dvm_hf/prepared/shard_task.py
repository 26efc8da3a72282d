"""The task that every engine runs: build one shard, unless it is finished.

A task is idempotent and all that a worker needs: the plan does not travel with it. This module does not import
`datasets`, which takes as much memory as the rest of a worker.
"""

import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from dvm_hf.errors import DVMError, PreparedError
from dvm_hf.prepared.shards import PlannedShard, Progress, Recorded, Sidecar, build_shard, finished
from dvm_hf.worker_processes import without_pandas

MAX_DEATHS = 3  # workers that end at one shard before the build stops


class Job(NamedTuple):
    """The name of a shard in a build."""

    split: str
    shard: int


class Outcome(NamedTuple):
    """A finished shard. is_new: whether this build built it; False if another builder finished it meanwhile."""

    job: Job
    sidecar: Sidecar
    is_new: bool


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


def attempt(task: Task, on_progress: Callable[[Progress], None]) -> "Outcome | DVMError | Crash":
    """Build a shard in a worker; return its outcome, an expected error, or the traceback of an unexpected one.

    Raises ConnectionError, of `on_progress`, if the engine has ended, and MemoryError: then the worker must end.
    """
    try:
        return task.outcome(on_progress)
    except DVMError as error:
        return error
    except (ConnectionError, MemoryError):
        raise
    except Exception:  # a bug: its traceback is reported by the engine
        return Crash(traceback.format_exc())


def outcome_of(task: Task, result: "Outcome | DVMError | Crash") -> Outcome:
    """Return the outcome of an attempt; raises its expected error, or RuntimeError with the unexpected one."""
    if isinstance(result, Crash):
        raise RuntimeError(f"a worker failed at {task.shard.name}:\n{result.text}")
    if isinstance(result, DVMError):
        raise result
    return result


def import_arrow() -> None:
    """Prepare a worker: create pyarrow's first array without pandas."""
    with without_pandas():
        pa.array([0])


class WaitingTasks(Iterator[Task]):
    """Tasks in their order; those whose worker ended come first again, until it happened too often."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks, self._again = iter(tasks), deque[Task]()
        self._deaths: Counter[tuple[Job, int]] = Counter()

    def __next__(self) -> Task:
        return self._again.popleft() if self._again else next(self._tasks)

    def retry(self, task: Task, how: object, *, most: int = MAX_DEATHS) -> None:
        """Put a task back whose worker ended, as `how` describes; raises PreparedError if that is the `most`th time."""
        deaths = self._deaths[task.job, most] = self._deaths[task.job, most] + 1
        if deaths >= most:
            raise PreparedError(
                f"{task.shard.name}: {most} workers ended unexpectedly at this shard, the last {how}; if memory "
                "ran out, use a smaller --num-proc or --clip-length. Finished shards are kept"
            )
        self._again.append(task)
