"""What the tests of the worker pool call in workers. A module of its own, because workers import it."""

import os
import signal
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
