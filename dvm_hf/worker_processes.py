"""Start worker processes that leave Ctrl-C to their parent and that take little memory."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

from dvm_hf.errors import MachineError

RENDERS_ONLY = "DVM_HF_RENDERS_ONLY"  # `import dvm_hf` does not import `datasets`, which takes 83 MB
LEAN = {RENDERS_ONLY: "1"}


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


@contextmanager
def lean_environment() -> Iterator[None]:
    """Set the environment of processes that are started in this context to `LEAN`; variables that are set are kept."""
    added = {name: value for name, value in LEAN.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def is_lean() -> bool:
    """Return whether this process was started in `lean_environment`."""
    return RENDERS_ONLY in os.environ


def no_worker(error: BaseException | None = None) -> MachineError:
    """Return the `MachineError` for a worker process that cannot be started."""
    reason = f" ({getattr(error, 'strerror', None)})" if getattr(error, "strerror", None) else ""
    return MachineError(
        f"no worker process can be started{reason}; run a script file with an if __name__ == '__main__': guard "
        "instead of standard input, raise the process limit (ulimit -u), or disable workers: --num-proc 0 for dvm "
        "check, --num-proc 1 for dvm prepare"
    )
