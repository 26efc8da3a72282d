"""Start worker processes that leave Ctrl-C to their parent."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from dvm_hf.errors import MachineError


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Block SIGINT, so that a process started in this context can ignore it before the first Ctrl-C arrives."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def no_worker(error: BaseException | None = None) -> MachineError:
    """Return the `MachineError` for a worker process that cannot be started."""
    reason = f" ({getattr(error, 'strerror', None)})" if getattr(error, "strerror", None) else ""
    return MachineError(
        f"no worker process can be started{reason}; run a script file with an if __name__ == '__main__': guard "
        "instead of standard input, raise the process limit (ulimit -u), or disable workers: --num-proc 0 for dvm "
        "check, --num-proc 1 for dvm prepare"
    )
