"""The engine `local`: processes on this machine, which may be killed. Another one rebuilds an unfinished shard."""

import os
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import chain, islice

from dvm_hf.errors import DVMError
from dvm_hf.freed_memory import release_freed_memory
from dvm_hf.prepared.atomic_io import leftovers
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.shard_task import Crash, Outcome, Task, WaitingTasks, attempt, import_arrow, outcome_of
from dvm_hf.prepared.shards import Progress
from dvm_hf.worker_pool import Death, pooled_results, report
from dvm_hf.worker_processes import ignore_interrupts


def local_outcomes(
    tasks: Iterable[Task], *, num_proc: int, on_progress: Callable[[Progress], None]
) -> Iterator[Outcome]:
    """Yield each shard when it is finished, built by up to `num_proc` processes; by this process if that is 1.

    tasks: each is made when a process is free for it, so that only those at work take memory.

    Raises the first expected error and stops the other workers. Finished shards are kept.
    """
    waiting = iter(tasks)
    first = list(islice(waiting, num_proc))
    if len(first) <= 1:
        for task in chain(first, waiting):
            yield task.outcome(on_progress)
        return
    folders: set[PreparedFolder] = set()
    queue = WaitingTasks(_noted(chain(first, waiting), folders))
    release_freed_memory()  # that of planning
    try:
        results = pooled_results(_attempt, queue, processes=len(first), on_report=on_progress, initializer=_start)
        with closing(results):
            for task, result in results:
                if isinstance(result, Death):
                    _sweep(folders)
                    queue.retry(task, result)
                else:
                    yield outcome_of(task, result)
    finally:
        _sweep(folders)


def _noted(tasks: Iterable[Task], folders: set[PreparedFolder]) -> Iterator[Task]:
    for task in tasks:
        folders.add(PreparedFolder(task.out))
        yield task


def _sweep(folders: set[PreparedFolder]) -> None:
    """Remove the temporary files of workers that ended."""
    for path in (path for folder in folders for parent in folder.folders for path in leftovers(parent)):
        path.unlink(missing_ok=True)


def _start() -> None:
    ignore_interrupts()
    import_arrow()


def _attempt(task: Task) -> Outcome | DVMError | Crash:
    try:
        return attempt(task, report)
    except MemoryError:  # end, to free its memory
        traceback.print_exc()
        os._exit(1)
