"""What the tests of the worker pool call in workers. A module of its own, because workers import it."""

import importlib
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection


class OneWay(Exception):
    """Can be pickled, but not unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return _fails, (str(self),)


def _fails(text: str) -> object:
    raise LookupError(text)


def ended(code: int) -> int:
    """End the worker, by a signal if the code is negative."""
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code)


def one_way(number: int) -> OneWay:
    return OneWay("not here")


def raises_one_way(number: int) -> None:
    raise OneWay("not here")


def raises_a_function(number: int) -> None:
    raise ValueError(lambda: "a local function cannot be pickled")


def slept(seconds: float) -> None:
    time.sleep(seconds)


def killed_while_it_sends(number: int) -> bytes:
    """Return a result, of which the worker sends only the first half."""

    def half(connection: Connection, message: bytes) -> None:
        os.write(connection.fileno(), message[: len(message) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    Connection._send = half  # type: ignore[attr-defined]
    return bytes(100)


def libraries_of_shards(number: int) -> tuple[bool, str]:
    """Return whether a worker that builds shards imports `datasets`, and the name of Arrow's allocator in it."""
    importlib.import_module("dvm_hf.prepared.shard_task")
    arrow = importlib.import_module("pyarrow")
    return "datasets" in sys.modules, arrow.default_memory_pool().backend_name
