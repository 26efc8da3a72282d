"""Iterators that a program may leave before their end, closed before the interpreter shuts down."""

import atexit
import weakref
from collections.abc import Generator
from inspect import GEN_RUNNING, getgeneratorstate
from typing import Any, TypeVar

T = TypeVar("T")
OPEN: "weakref.WeakSet[Generator[Any, None, None]]" = weakref.WeakSet()


def closed_at_exit(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """The generator itself. At exit it is closed, which closes its videos and stops their decoders' threads."""
    OPEN.add(items)
    return items


@atexit.register
def _close() -> None:
    for items in list(OPEN):
        if getgeneratorstate(items) != GEN_RUNNING:  # another thread may be in it
            items.close()
