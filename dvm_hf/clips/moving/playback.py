"""Which frame of a source each frame of a clip shows: speed, direction, start and pauses."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeVar

import numpy as np

from dvm_hf.media.pixels import Size

Held = TypeVar("Held", covariant=True)

SPEEDS = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0)  # source frames per frame of the clip
REVERSED_SHARE = 0.5
BACKWARD_BYTES = 2**27  # of the frames that are held to show them in reverse: 43 of 1080p as 8-bit 4:2:0
BYTES_PER_PIXEL = 1.5  # of 8-bit 4:2:0


class PictureSource(Protocol[Held]):
    """Frames that can be read several times, each time in ascending order; see `Video.pictures`."""

    @property
    def size(self) -> Size: ...

    def pictures(self, wanted: Iterable[int]) -> Iterator[tuple[int, Held]]: ...


@dataclass(frozen=True)
class Playback:
    """How the frames of a source follow one another in a clip.

    speed: source frames per frame of the clip. is_reversed: whether the source is shown from its end to its start.
    start: position in the source of the clip's first frame, from 0 to 1 exclusive.
    """

    speed: float = 1.0
    is_reversed: bool = False
    start: float = 0.0

    def frames(self, times: Sequence[int], *, available: int) -> tuple[int, ...]:
        """Return the source frame for each time, a number of frames since the clip's start.

        available: number of frames of the source. A source that reaches one of its ends is shown in the other
        direction from there, so that no frame follows one far from it.

        # 4 frames, speed 1:             0 1 2 3 2 1 0 1
        # 4 frames, speed 1, reversed:   3 2 1 0 1 2 3 2
        """
        turn = max(1, 2 * (available - 1))  # frames from an end to the other and back
        first = int(self.start * available)
        positions = (first + np.floor(np.asarray(times, float) * self.speed).astype(int)) % turn
        forward = np.minimum(positions, turn - positions) if available > 1 else positions * 0
        return tuple((available - 1 - forward if self.is_reversed else forward).tolist())


def drawn_playback(rng: np.random.Generator, *, starts_anywhere: bool) -> Playback:
    """Draw speed, direction and, if the clip may start at any frame of the source, its start."""
    number, chance, start = int(rng.integers(len(SPEEDS))), rng.random(), rng.random()
    return Playback(SPEEDS[number], bool(chance < REVERSED_SHARE), start if starts_anywhere else 0.0)


@dataclass(frozen=True)
class ShownFrames:
    """Frames of a clip to render, and what they show of a source.

    indices: in ascending order. frames: by index, the frame of the source; None: the one with the same index.
    """

    indices: tuple[int, ...]
    frames: tuple[int, ...] | None = None

    def pictures(self, source: PictureSource[Held]) -> Iterator[tuple[int, Held]]:
        """Yield (index, picture) in ascending order; frames that the source lacks are skipped."""
        if self.frames is None:
            return source.pictures(self.indices)
        return played(source, self.indices, self.frames)


def played(source: PictureSource[Held], wanted: Sequence[int], frames: Sequence[int]) -> Iterator[tuple[int, Held]]:
    """Yield (index, picture) for each wanted index of a clip's frames, in ascending order.

    frames: by index, the frame of the source. A frame that the source lacks is skipped. Where the source is shown
    backwards, parts of it are read in turn and held, each up to `BACKWARD_BYTES`. A part after the source's end is read
    together with the forward part before it.
    """
    parts = deque(_parts(wanted, frames, most=_held_frames(source.size)))
    while parts:
        forward = [] if _is_backward(parts[0], frames) else parts.popleft()
        backward = parts.popleft() if parts and _is_backward(parts[0], frames) else []
        needed, held = {frames[index] for index in backward}, {}
        pictures = source.pictures(sorted(needed.union(frames[index] for index in forward)))
        number, picture = -1, None
        for index in forward:
            while number < frames[index] and (item := next(pictures, None)) is not None:
                number, picture = item
                if number in needed:
                    held[number] = picture
            if number == frames[index] and picture is not None:
                yield index, picture
        held |= dict(pictures)
        yield from ((index, held[frames[index]]) for index in backward if frames[index] in held)


def _is_backward(part: Sequence[int], frames: Sequence[int]) -> bool:
    return frames[part[0]] > frames[part[-1]]


def _parts(wanted: Sequence[int], frames: Sequence[int], *, most: int) -> Iterator[list[int]]:
    """Split the wanted indices where the source's direction changes, and backward parts after `most` frames."""
    part: list[int] = list(wanted[:1])
    direction = 0
    for before, index in pairwise(wanted):
        step = int(np.sign(frames[index] - frames[before]))
        if step * direction < 0 or (direction < 0 and len(part) >= most):
            yield part
            part, direction = [], 0
            step = 0
        part.append(index)
        direction = step or direction
    if part:
        yield part


def _held_frames(size: Size) -> int:
    return max(1, int(BACKWARD_BYTES / (BYTES_PER_PIXEL * size.height * size.width)))
