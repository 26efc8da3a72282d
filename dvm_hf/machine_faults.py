"""Distinguish faults of the machine (memory, disks, network) from damaged files, and retry after them."""

import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from dvm_hf.errors import FetchError, MachineError, SourceError

T = TypeVar("T")
STORAGE = "check the disk or the network mount"
FULL = "free space on this file system"
HINTS = {
    errno.EMFILE: "raise the limit of open files (ulimit -n), or use fewer processes",
    errno.ENFILE: "close other programs, or use fewer processes",
    errno.ENOMEM: "free some memory, or use fewer processes",
    errno.EAGAIN: "end other processes or raise their limit (ulimit -u)",
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    **dict.fromkeys((errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENODEV, errno.ENXIO, errno.ENOTCONN), STORAGE),
    **dict.fromkeys((errno.EBUSY, errno.ECONNRESET, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH), STORAGE),
}
TRANSIENT = frozenset((*HINTS, errno.EACCES, errno.EPERM, errno.ENOENT))  # a later attempt may succeed
AMBIGUOUS = (errno.EIO, errno.ENOMEM, errno.EAGAIN)  # FFmpeg also reports these for damaged files
PAUSES = (0.1, 0.4, 1.0)  # seconds before each retry
CHUNK = 1 << 20


def machine_fault(path: Path, error: BaseException) -> MachineError | None:
    """Return the `MachineError` for a fault of the machine, or None if the file itself is at fault."""
    number = getattr(error, "errno", None)
    if number in AMBIGUOUS and type(error).__module__.startswith("av."):
        found = _read_fault(path)
        return None if found is None else machine_fault(path, found)
    if number not in HINTS:
        return None
    what = getattr(error, "strerror", None) or str(error)
    return MachineError(
        f"{path}: cannot be read ({what}), because of a fault in this machine or its storage, not in the file; "
        f"{HINTS[number]}, and run the command again"
    )


def source_fault(path: Path, error: BaseException, text: str) -> SourceError:
    """Return a `MachineError` for a fault of the machine, otherwise a `SourceError` with `text`."""
    return machine_fault(path, error) or SourceError(text)


def raise_machine_fault(path: Path, error: BaseException) -> None:
    """Raise `MachineError` if `error` is a fault of the machine."""
    found = machine_fault(path, error)
    if found is not None:
        raise found from error


def retried(items_from: Callable[[int], Iterator[T]]) -> Iterator[T]:
    """Yield the items of `items_from(0)`. After a `MachineError`, wait and resume with `items_from(items so far)`.

    Raises the `MachineError` if it recurs after every pause.
    """
    done = failures = 0
    while True:
        try:
            for item in items_from(done):
                done, failures = done + 1, 0
                yield item
                del item  # otherwise it would stay in memory while the next one is read
            return
        except FetchError:  # was tried again for long enough
            raise
        except MachineError:
            if failures == len(PAUSES):
                raise
        time.sleep(PAUSES[failures])
        failures += 1


def full_disk(error: BaseException | None) -> OSError | None:
    """Return the error in a chain of causes that reports a full disk or an exceeded quota."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _read_fault(path: Path) -> OSError | None:
    """Read a file to its end and return the error that stops it, or None."""
    try:
        with path.open("rb", buffering=0) as file:
            while file.read(CHUNK):
                pass
    except OSError as error:
        return error
    return None
