"""Hold decoded frames until no later frame needs them."""

from collections.abc import Iterator
from typing import Generic, TypeVar

Held = TypeVar("Held")


class FrameBuffer(Generic[Held]):
    """Frames of a video by index. It is read forward once; frames are kept until they are released."""

    def __init__(self, frames: Iterator[tuple[int, Held]]) -> None:
        self._frames = frames
        self._held: dict[int, Held] = {}
        self._position = -1

    def get(self, index: int) -> Held | None:
        """Return a frame, decoding up to it if needed; None if the video ends before it."""
        while self._position < index:
            item = next(self._frames, None)
            if item is None:
                return None
            self._position, frame = item
            self._held[self._position] = frame
        return self._held.get(index)

    def release(self, before: int) -> None:
        """Release the frames before an index."""
        for index in [index for index in self._held if index < before]:
            del self._held[index]
