"""Results that a process keeps, within a limit of bytes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar, cast


class Kept(Protocol):
    """A result that is kept, such as an array of pixels."""

    @property
    def nbytes(self) -> int: ...


Value = TypeVar("Value", bound=Kept)


class BoundedMemory:
    """Results by key; the least recently used ones are released first.

    max_bytes: size of all results. One that is larger than that is kept alone, until the next one is made.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.size_in_bytes = max_bytes, 0
        self._held: OrderedDict[Hashable, Kept] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return what `make` returned for the key, which must be specific to its type; call it if that is not kept."""
        if key in self._held:
            return cast(Value, self.find(key))
        self._release()  # two results above the limit may not fit into memory
        found = make()
        self.put(key, found)
        return found

    def find(self, key: Hashable) -> Kept | None:
        """Return the result of a key; None if it is not kept."""
        if key not in self._held:
            return None
        self._held.move_to_end(key)
        return self._held[key]

    def put(self, key: Hashable, value: Kept) -> None:
        """Keep a result; another one of the same key is replaced."""
        self.discard(key)
        self._held[key] = value
        self.size_in_bytes += value.nbytes
        self._release(keep=1)

    def discard(self, key: Hashable) -> None:
        """Release the result of a key, if it is kept."""
        if key in self._held:
            self.size_in_bytes -= self._held.pop(key).nbytes

    def clear(self) -> None:
        """Release all results."""
        self._held.clear()
        self.size_in_bytes = 0

    def _release(self, *, keep: int = 0) -> None:
        while len(self._held) > keep and self.size_in_bytes > self.max_bytes:
            self.size_in_bytes -= self._held.popitem(last=False)[1].nbytes
