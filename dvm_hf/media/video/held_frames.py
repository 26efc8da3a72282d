"""Decoded frames of a source that is closed. The source is opened again for frames that are not held."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from dvm_hf.media.pixels import Size
from dvm_hf.media.video.frame_sources import FramePicture


class ReadablePictures(Protocol):
    """What is needed of a source to read frames; see `Video.pictures`."""

    @property
    def size(self) -> Size: ...

    def pictures(self, wanted: Iterable[int]) -> Iterator[tuple[int, FramePicture]]: ...


class HeldFrames:
    """Frames of a source. size: (height, width) as displayed.

    held: pictures by index. decoded: the indices that were requested of the source; it has no picture for those that
    are not held. reopened: opens the source again.
    """

    def __init__(
        self,
        size: Size,
        held: Mapping[int, FramePicture],
        *,
        decoded: frozenset[int],
        reopened: Callable[[], AbstractContextManager[ReadablePictures]],
    ) -> None:
        self.size, self._held, self._decoded, self._reopened = size, held, decoded, reopened

    def pictures(self, wanted: Iterable[int]) -> Iterator[tuple[int, FramePicture]]:
        """Yield (index, picture) for each frame in `wanted` that the source has, in ascending order."""
        wanted = list(wanted)
        if self._decoded.issuperset(wanted):
            yield from ((index, self._held[index]) for index in wanted if index in self._held)
            return
        with self._reopened() as source:
            yield from source.pictures(wanted)
