"""Presentation times of the frames of a video, and whether the frames of two videos match. Decodes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

SHORT, LONG = 0.4, 1.6  # limits relative to the usual step: a dropped frame gives 2, pulldown (2 and 3 fields) 1.5
MAX_ROUNDING = 0.002  # seconds, of two files; Matroska rounds times to 0.001 s


@dataclass(frozen=True)
class Presentation:
    """The frames of a video that a player displays, in order.

    count: frames of the complete video.
    times: seconds since the first frame that the container lists, one per frame; may cover only the first frames.
        Empty if the file has no times.
    repeats: indices of frames without a picture in the container, where the previous frame is displayed again.
    is_complete: whether every frame that the container lists is displayed.
    tick: seconds to which the container rounds times.
    """

    count: int
    times: tuple[float, ...] = ()
    repeats: frozenset[int] = frozenset()
    is_complete: bool = True
    tick: float = 0.0

    @property
    def step(self) -> float:
        """Median of the seconds between frames; 0 if unknown."""
        return median(b - a for a, b in pairwise(self.times)) if len(self.times) > 1 else 0.0

    @property
    def is_regular(self) -> bool:
        """Whether the steps between frames show no missing frame."""
        usual = self.step
        return all(SHORT * usual <= b - a <= LONG * usual for a, b in pairwise(self.times))


@dataclass(frozen=True)
class Mismatch:
    """Why two videos do not match.

    counts: frames of each video.
    index: first frame that only one video has, or that has different times in both.
    times: seconds at which each video displays that frame.
    """

    counts: tuple[int, int]
    index: int
    times: tuple[float, float] | None = None


def mismatch(colour: Presentation, alpha: Presentation) -> Mismatch | None:
    """Return why frame i of one video does not match frame i of the other, or None if all frames match.

    Frames match if both videos display them at the same time, relative to the first frame that each file lists. If one
    file lacks its first frames because it was cut out of a longer video, the other one may have been made from the
    displayed frames; then times are relative to the first displayed frame. Complete, regular videos match by index,
    whatever their rates.
    """
    counts = colour.count, alpha.count
    rounding = min(MAX_ROUNDING, colour.tick + alpha.tick)
    index = first_difference(colour.times, alpha.times, rounding)
    if counts[0] != counts[1]:
        return Mismatch(counts, min(*counts) if index is None else index)
    if index is None and colour.times and alpha.times:
        return None
    if colour.is_complete and alpha.is_complete and _are_regular(colour, alpha):
        return None
    is_one_complete = colour.is_complete or alpha.is_complete
    shifted = first_difference(_from_zero(colour.times), _from_zero(alpha.times), rounding)
    if colour.times and alpha.times and is_one_complete and shifted is None:
        return None
    if index is None or not colour.times or not alpha.times:
        return Mismatch(counts, 0)
    return Mismatch(counts, index, (colour.times[index], alpha.times[index]))


def first_difference(times: Sequence[float], others: Sequence[float], rounding: float = 0.0) -> int | None:
    """Return the index of the first frame whose times differ by at least half its duration, or None.

    rounding: seconds that times can differ by because the containers round them.

    The duration of a frame in a file is the shorter of the steps before and after it; the longer duration of the two
    files counts. The usual step does not work for a variable frame rate.
    """
    for index, (time, other) in enumerate(zip(times, others, strict=False)):
        steps_beside = (pairwise(one[max(0, index - 1) : index + 2]) for one in (times, others))
        duration = max(min((b - a for a, b in steps), default=0.0) for steps in steps_beside)
        if abs(time - other) >= max(rounding, duration / 2):
            return index
    return None


def with_repeats(times: Sequence[int], step: float, missing: int) -> tuple[tuple[int, ...], frozenset[int]] | None:
    """Insert the times of `missing` frames without a picture; return all times and the indices of the inserted ones.

    For a container that lists such frames without times: they fill the gaps between the other frames, `step` apart, in
    the same unit. Frames that do not fit into the gaps come after the last picture. Return None if the gaps have room
    for more frames than are missing.

    # times 0 1 2 5 6, step 1, missing 3: 0 1 2 [3 4] 5 6 [7]
    """
    filled, repeats = list(times[:1]), []
    for before, time in pairwise(times):
        for number in range(1, max(1, round((time - before) / step))):
            repeats.append(len(filled))
            filled.append(before + round(number * step))
        filled.append(time)
    if len(repeats) > missing:
        return None
    for number in range(1, missing - len(repeats) + 1):
        repeats.append(len(filled))
        filled.append(times[-1] + round(number * step))
    return tuple(filled), frozenset(repeats)


def _are_regular(colour: Presentation, alpha: Presentation) -> bool:
    return colour.is_regular and alpha.is_regular


def _from_zero(times: Sequence[float]) -> tuple[float, ...]:
    return tuple(time - times[0] for time in times)
