"""Start worker processes that leave Ctrl-C to their parent and that take little memory."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from threading import Thread

from dvm_hf.errors import MachineError

RENDERS_ONLY = "DVM_HF_RENDERS_ONLY"  # `import dvm_hf` does not import `datasets`, which takes 83 MB
LEAN = {RENDERS_ONLY: "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}


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


@contextmanager
def lean_start() -> Iterator[None]:
    """Start worker processes in this context: they ignore Ctrl-C and do not import `datasets`."""
    with deferred_interrupts(), lean_environment():
        yield


def is_lean() -> bool:
    """Return whether this process was started in `lean_environment`."""
    return RENDERS_ONLY in os.environ


class _WithoutPandas(MetaPathFinder):
    """Makes `import pandas` fail if it is the first of `sys.meta_path`."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is hidden from pyarrow", name=fullname)


@contextmanager
def without_pandas() -> Iterator[None]:
    """Hide pandas in this context.

    pyarrow looks for pandas once, with the first array that it creates, only to recognize pandas' types. Importing it
    takes 50 MB. Code that needs pandas can import it after this context.
    """
    finder = _WithoutPandas()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def ignore_interrupts() -> None:
    """Let only the parent process handle Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def end_with_parent() -> None:
    """End this process as soon as its parent has ended, even if that was killed and in the middle of a call."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        Thread(target=_end_after, args=(parent,), daemon=True, name="end_with_parent").start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def no_worker(error: BaseException | None = None) -> MachineError:
    """Return the `MachineError` for a worker process that cannot be started."""
    reason = f" ({getattr(error, 'strerror', None)})" if getattr(error, "strerror", None) else ""
    return MachineError(
        f"no worker process can be started{reason}; run a script file with an if __name__ == '__main__': guard "
        "instead of standard input, raise the process limit (ulimit -u), or disable workers: --num-proc 0 for dvm "
        "check, --num-proc 1 for other commands, processes=1 for evaluate_clips"
    )
