"""Close unfinished iterators before the interpreter shuts down.

A script may end while it still holds an iterator, and `datasets` holds its iterators in reference cycles. Without this,
they are closed when the globals of modules are already None.
"""

import atexit
import weakref
from collections.abc import Generator
from inspect import GEN_RUNNING, getgeneratorstate
from typing import Any, TypeVar

T = TypeVar("T")
OPEN: "weakref.WeakSet[Generator[Any, None, None]]" = weakref.WeakSet()


def closed_at_exit(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """Return the generator, to be closed at exit: this closes its videos and stops the threads of their decoders."""
    OPEN.add(items)
    return items


@atexit.register
def _close() -> None:
    for items in list(OPEN):
        if getgeneratorstate(items) != GEN_RUNNING:  # in another thread
            items.close()
