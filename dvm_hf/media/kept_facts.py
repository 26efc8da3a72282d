"""Facts about media files that are expensive to find: kept in this process and, for others, in the cache folder.

The facts of a file are found by its path, size and times, so that those of a changed file are not used. The facts of a
file that was changed within the last seconds are not kept: another change may leave the same times.
"""

import functools
import json
import logging
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import av
import xxhash

from dvm_hf.media.bounded_memory import BoundedMemory
from dvm_hf.media.cache_folder import CacheFolder, CacheKind

T = TypeVar("T")
FORMAT = 1  # of the stored facts
MEMORY_BYTES = 2**26  # of the facts that a process keeps
RECENT = 2.0  # seconds; file systems store times in steps of up to this
TIMELINES = CacheKind(
    name="timelines",
    variable="DVM_TIMELINE_CACHE",
    suffix=".facts",
    max_bytes=2**29,
    plural="timelines of videos",
    redone="they are read again",
    level=logging.INFO,  # costs time only
)


class FactKey(NamedTuple):
    """What facts depend on.

    state: size and times of the file; None if it is missing or was changed a moment ago.
    text: kind and parameters of the facts.
    """

    path: str
    state: tuple[int, int, int] | None
    text: str

    @property
    def file_name(self) -> str:
        """Name in the cache folder. Another format, library or state of the file has another name."""
        return xxhash.xxh3_128_hexdigest(json.dumps([FORMAT, _libraries(), self]).encode("utf-8", "surrogateescape"))


class _KeptValue(NamedTuple):
    value: Any
    nbytes: int


class FactKind(Generic[T]):
    """A kind of facts.

    name: of the kind.
    as_json: converts facts to values that JSON can represent. from_json: converts them back; raises KeyError, TypeError
        or ValueError if it cannot.
    nbytes: size of the facts in memory.
    """

    def __init__(
        self,
        name: str,
        *,
        as_json: Callable[[T], Any],
        from_json: Callable[[Any], T],
        nbytes: Callable[[T], int] = lambda _: 200,
    ) -> None:
        self._name, self._as_json, self._from_json, self._nbytes = name, as_json, from_json, nbytes

    def key(self, path: Path, *parameters: Any) -> FactKey:
        """Return the key of a file's facts. Get it before the file is read. parameters: what else they depend on."""
        state = _state(path)
        is_recent = state is not None and min(abs(time.time() - at / 1e9) for at in state[1:]) < RECENT
        return FactKey(os.path.abspath(path), None if is_recent else state, json.dumps([self._name, *parameters]))

    def get(self, key: FactKey) -> T | None:
        """Return the kept facts, or None."""
        if key.state is None:
            return None
        kept = KEPT.find(key)
        if isinstance(kept, _KeptValue):
            return kept.value  # type: ignore[no-any-return]
        data = None if (folder := _folder(TIMELINES.folder)) is None else folder.get(key.file_name)
        if data is None:
            return None
        try:
            found = self._from_json(json.loads(zlib.decompress(data)))
        except (zlib.error, ValueError, KeyError, TypeError):
            return None
        KEPT.put(key, _KeptValue(found, self._nbytes(found)))
        return found

    def put(self, key: FactKey, facts: T) -> None:
        """Keep facts that were found after the key was made, unless the file has changed since."""
        if key.state is None or _state(Path(key.path)) != key.state:
            return
        KEPT.put(key, _KeptValue(facts, self._nbytes(facts)))
        if (folder := _folder(TIMELINES.folder)) is not None:
            folder.put(key.file_name, zlib.compress(json.dumps(self._as_json(facts), separators=(",", ":")).encode()))

    def forget(self, key: FactKey) -> None:
        """Remove facts that turn out to be wrong."""
        KEPT.discard(key)
        if (folder := _folder(TIMELINES.folder)) is not None:
            folder.remove(key.file_name)


KEPT = BoundedMemory(MEMORY_BYTES)


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


@functools.cache
def _libraries() -> str:
    return f"{av.__version__} {sorted(av.library_versions.items())}"


@functools.lru_cache(maxsize=4)
def _folder(folder: Path | None) -> CacheFolder | None:
    return None if folder is None else CacheFolder(TIMELINES, folder)
