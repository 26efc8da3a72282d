"""Ctrl-C while processes are started: it is the parent's to answer."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from dvm_hf.errors import MachineError


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """A process that is started meanwhile gets no Ctrl-C before it can leave it to its parent."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def no_worker(error: BaseException | None = None) -> MachineError:
    """Return the error that says that no worker process can be started, and what to do."""
    reason = f" ({getattr(error, 'strerror', None)})" if getattr(error, "strerror", None) else ""
    return MachineError(
        f"no worker process can be started{reason}; run it from a file whose calls are under "
        "if __name__ == '__main__': and not from standard input, raise the limit of processes (ulimit -u), "
        "or work without workers: --num-proc 0 for dvm check, --num-proc 1 for dvm prepare"
    )
