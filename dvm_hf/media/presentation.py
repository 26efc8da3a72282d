"""Which frames a video presents, and when; whether the frames of two videos belong together. Numbers only."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

SHORT, LONG = 0.4, 1.6  # of the usual step; a dropped frame makes one of 2, pulldown (2 and 3 fields) one of 1.5
ROUNDING = 0.002  # seconds, at most; Matroska rounds the times of both files to 0.001


@dataclass(frozen=True)
class Presentation:
    """The frames that a player shows of a video, in order.

    count: of the whole video. times: seconds from the first frame that the container lists, one per frame, possibly of
    the first frames only; empty where the file does not tell. repeats: indices of the frames for which the container
    has no picture, so that the one before is shown again. is_complete: every frame that the container lists is shown.
    tick: seconds to which the container rounds times.
    """

    count: int
    times: tuple[float, ...] = ()
    repeats: frozenset[int] = frozenset()
    is_complete: bool = True
    tick: float = 0.0

    @property
    def step(self) -> float:
        """Usual seconds from one frame to the next, 0 where unknown."""
        return median(b - a for a, b in pairwise(self.times)) if len(self.times) > 1 else 0.0

    @property
    def is_regular(self) -> bool:
        """No frame is missing, as far as the steps between frames tell."""
        usual = self.step
        return all(SHORT * usual <= b - a <= LONG * usual for a, b in pairwise(self.times))


@dataclass(frozen=True)
class Mismatch:
    """Why two videos are no pair. index: of the first frame that only one of them has, or that they show at different
    times; counts: frames of each.
    """

    counts: tuple[int, int]
    index: int
    times: tuple[float, float] | None = None


def mismatch(colour: Presentation, alpha: Presentation) -> Mismatch | None:
    """None where frame i of one belongs to frame i of the other.

    That is so where both show it at the same time, counted from the first frame that each file lists. Where one of the
    files is known to lack frames at its start (it was cut out of a longer one), the other may have been made from what
    is shown: then times count from the first frame shown. Videos that are complete and regular belong together by
    index, whatever their rates.
    """
    counts = colour.count, alpha.count
    rounding = min(ROUNDING, colour.tick + alpha.tick)
    index = first_apart(colour.times, alpha.times, rounding)
    if counts[0] != counts[1]:
        return Mismatch(counts, min(*counts) if index is None else index)
    if index is None and colour.times and alpha.times:
        return None
    if colour.is_complete and alpha.is_complete and _is_by_index(colour, alpha):
        return None
    is_one_complete = colour.is_complete or alpha.is_complete
    shifted = first_apart(_from_zero(colour.times), _from_zero(alpha.times), rounding)
    if colour.times and alpha.times and is_one_complete and shifted is None:
        return None
    if index is None or not colour.times or not alpha.times:
        return Mismatch(counts, 0)
    return Mismatch(counts, index, (colour.times[index], alpha.times[index]))


def first_apart(times: Sequence[float], others: Sequence[float], rounding: float = 0.0) -> int | None:
    """Index of the first frame whose two times differ by half a frame or more, and by as much as their rounding (in
    seconds) or more; None if no frame's do.

    A frame lasts as long as the shorter step beside it, in the file where that is longer: at a variable rate, the usual
    step of a file says nothing about one frame.
    """
    for index, (time, other) in enumerate(zip(times, others, strict=False)):
        beside = (pairwise(one[max(0, index - 1) : index + 2]) for one in (times, others))
        lasting = max(min((b - a for a, b in steps), default=0.0) for steps in beside)
        if abs(time - other) >= max(rounding, lasting / 2):
            return index
    return None


def with_repeats(times: Sequence[int], step: float, missing: int) -> tuple[tuple[int, ...], frozenset[int]] | None:
    """Times with those of `missing` frames without a picture put between, and the indices of these.

    For a container that lists such frames, at times that only the gaps between the others tell: `step` from one frame
    to the next, in the same unit. What the gaps do not hold comes behind the last picture. None where the gaps hold
    more.

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


def _is_by_index(colour: Presentation, alpha: Presentation) -> bool:
    return colour.is_regular and alpha.is_regular


def _from_zero(times: Sequence[float]) -> tuple[float, ...]:
    return tuple(time - times[0] for time in times)
