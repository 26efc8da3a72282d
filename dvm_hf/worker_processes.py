"""Start worker processes that leave Ctrl-C to their parent."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

from dvm_hf.errors import MachineError


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Block SIGINT, so that a process started in this context can ignore it before the first Ctrl-C arrives."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # a spawned process starts it, which would unblock SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # raises KeyboardInterrupt if one is pending
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_interrupts() -> None:
    """Let only the parent process handle Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def spawned_pool(
    count: int, initializer: Callable[..., None] = ignore_interrupts, *arguments: Any
) -> ProcessPoolExecutor:
    """Return a pool of spawned processes; a forked one would inherit this process's decoders without their threads."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=initializer, initargs=arguments)


def no_worker(error: BaseException | None = None) -> MachineError:
    """Return the `MachineError` for a worker process that cannot be started."""
    reason = f" ({getattr(error, 'strerror', None)})" if getattr(error, "strerror", None) else ""
    return MachineError(
        f"no worker process can be started{reason}; run a script file with an if __name__ == '__main__': guard "
        "instead of standard input, raise the process limit (ulimit -u), or disable workers: --num-proc 0 for dvm "
        "check, --num-proc 1 for dvm prepare, processes=1 for evaluate_clips"
    )
