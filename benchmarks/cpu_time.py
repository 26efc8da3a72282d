"""Measure CPU and wall time of jobs."""

import itertools
import resource
import sys
import time
from collections.abc import Callable
from typing import Any


def in_turn(jobs: dict[str, Callable[[], int]], runs: int) -> dict[str, list[float]]:
    """Return CPU ms per frame of each job, which returns its number of frames.

    Runs alternate, so that changes of the machine's speed affect all jobs.
    """
    ms: dict[str, list[float]] = {name: [] for name in jobs}
    for _, (name, job) in itertools.product(range(runs), jobs.items()):
        begin = cpu_seconds()
        frames = job()
        ms[name].append((cpu_seconds() - begin) * 1000 / frames)
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return ms


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def seconds(job: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    job()
    return time.perf_counter() - begin
