"""Keep the scheduling policy of the test process: SVT-AV1, run by root, makes the calling thread a real-time one.

Two such test processes take both cores of a small machine for as long as they live: everything else, the processes that
the tests start included, shares the 5 % that Linux keeps back.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_scheduling() -> Iterator[None]:
    """Encode AV1 inside: the calling thread gets the policy and the priority back that it had."""
    if not hasattr(os, "sched_getscheduler"):  # Windows and macOS, where SVT-AV1 does not do this
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def is_real_time() -> bool:
    """Whether the calling thread would run before everything else."""
    return hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR)
