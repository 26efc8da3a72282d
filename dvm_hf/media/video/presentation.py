"""Presentation times of the frames of a video, and whether the frames of two videos match. Decodes nothing."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

MAX_ROUNDING = 0.002  # seconds, of two files; Matroska rounds times to 0.001 s
NOISE = 1e-6  # seconds; differences of floating-point times
MAX_PARTS = 4  # the shortest step of a file with a grid is at most this many steps of its grid
MIN_TICKS, MIN_STEPS = 16, 16  # with shorter or fewer steps, a grid can be a coincidence


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
    def is_regular(self) -> bool:
        """Whether the steps between frames prove that no frame is missing.

        A missing frame joins two steps, so that the longest is at least twice the shortest. Pulldown (2 and 3 fields)
        gives 1.5. A variable rate proves nothing.
        """
        steps = [b - a for a, b in pairwise(self.times)]
        return not steps or max(steps) + min(self.tick, MAX_ROUNDING) < 2 * min(steps)

    @property
    def is_constant(self) -> bool:
        """Whether all steps are the same except for rounding."""
        steps = [b - a for a, b in pairwise(self.times)]
        return not steps or max(steps) - min(steps) <= 2 * min(self.tick, MAX_ROUNDING) + NOISE


def stored_presentation(shown: Presentation) -> dict[str, Any]:
    """Return a presentation as values that JSON can represent."""
    return asdict(shown) | {"repeats": sorted(shown.repeats)}


def kept_presentation(stored: dict[str, Any]) -> Presentation:
    """Return the presentation that `stored_presentation` stored."""
    lists = {"times": tuple(stored["times"]), "repeats": frozenset(stored["repeats"])}
    return Presentation(**stored | lists)


@dataclass(frozen=True)
class Mismatch:
    """Why two videos do not match.

    counts: frames of each video.
    index: first frame that only one video has, or that has different times in both; None if the times do not show it.
    times: seconds at which each video displays that frame.
    """

    counts: tuple[int, int]
    index: int | None
    times: tuple[float, float] | None = None


def _first_unpaired(colour: Presentation, alpha: Presentation, difference: int | None) -> int | None:
    """Return the first frame that only one of two videos of different lengths has; None if the times do not show it.

    difference: first frame with different times. Frames with the same times match up to the end of the shorter video.
    Times at another constant rate differ although the frames match.
    """
    length = min(colour.count, alpha.count)
    if min(len(colour.times), len(alpha.times)) < length and difference is None:
        return None
    if length > 1 and difference is not None and colour.is_regular and alpha.is_regular:
        steps = [(one.times[-1] - one.times[0]) / (len(one.times) - 1) for one in (colour, alpha)]
        if abs(steps[0] - steps[1]) * length >= min(steps) / 2:
            return None
    return length if difference is None else difference


def mismatch(colour: Presentation, alpha: Presentation) -> Mismatch | None:
    """Return why frame i of one video does not match frame i of the other, or None if all frames match.

    Frames match if both videos display them at the same time, relative to the first frame that each file lists. If one
    file lacks its first frames because it was cut out of a longer video, the other one may have been made from the
    displayed frames; then times are relative to the first displayed frame. Complete, regular videos match by index,
    whatever their rates.
    """
    counts = colour.count, alpha.count
    index = _first_difference(colour, alpha)
    if counts[0] != counts[1]:
        return Mismatch(counts, _first_unpaired(colour, alpha, index))
    if index is None and colour.times and alpha.times:
        return None
    if _match_by_index(colour, alpha):
        return None
    is_one_complete = colour.is_complete or alpha.is_complete
    shifted = _first_difference(_from_zero(colour), _from_zero(alpha))
    if colour.times and alpha.times and is_one_complete and shifted is None:
        return None
    if index is None or not colour.times or not alpha.times:
        return Mismatch(counts, 0)
    return Mismatch(counts, index, (colour.times[index], alpha.times[index]))


def _first_difference(colour: Presentation, alpha: Presentation) -> int | None:
    """Return the index of the first frame that the two videos display at different times, or None.

    If each video lacks another frame, the frames between them differ by the step that was lost with a frame. That step
    can be shorter than the ones that remain beside it. Therefore, times may differ only by what rounding explains, and
    by less than half of the shortest step of both files.
    """
    ticks, half = colour.tick + alpha.tick, min(_shortest_step(colour), _shortest_step(alpha)) / 2
    exact = max(min(MAX_ROUNDING, max(ticks, half)), min(ticks, half))
    index = first_difference(colour.times, alpha.times, exact)
    if index is None:
        return None
    return first_difference(colour.times, alpha.times, max(exact, _grid_rounding(colour, alpha)))


def first_difference(times: Sequence[float], others: Sequence[float], tolerance: float) -> int | None:
    """Return the index of the first frame at which the differences between two lists vary by more than a tolerance.

    The difference of their starts is 0. Return None if there is no such frame.
    """
    low = high = 0.0
    for index, (time, other) in enumerate(zip(times, others, strict=False)):
        low, high = min(low, time - other), max(high, time - other)
        if high - low > tolerance + NOISE:
            return index
    return None


def _grid_rounding(colour: Presentation, alpha: Presentation) -> float:
    """Return by how many seconds times can differ because one file rounds the times of the other to a coarser grid.

    Tools round times to multiples of a nominal rate. Times on one grid, or on grids of which one contains the other,
    are exact: 0.

    Rounding spreads the differences over one step of the grid. A lost frame adds at least the shortest step. The result
    is low enough that a sum of both passes only if all other differences are in the same half of the spread.
    """
    (finer, exact), (coarser, rounded) = sorted(
        ((grid(one.times, one.tick), one) for one in (colour, alpha)), key=lambda found: found[0]
    )
    seconds = max((one.times[-1] - one.times[0] for one in (exact, rounded) if one.times), default=0.0)
    parts = round(coarser / finer) if finer else 0
    ticks = colour.tick + alpha.tick
    is_shared = parts > 0 and abs(coarser - parts * finer) * seconds <= coarser * 2 * (ticks + NOISE)
    return 0.0 if is_shared else min(coarser + ticks, _shortest_step(exact) - coarser / 2)


def _shortest_step(shown: Presentation) -> float:
    return min((b - a for a, b in pairwise(shown.times)), default=0.0)


def grid(times: Sequence[float], tick: float) -> float:
    """Return the longest step of which all times are multiples, if it is much longer than a tick; otherwise 0.

    # 0 0.033 0.067 0.133, tick 0.001: 0.0333
    """
    steps = [b - a for a, b in pairwise(times)]
    shortest = min(steps, default=0.0)
    for parts in range(1, MAX_PARTS + 1 if len(steps) >= MIN_STEPS else 1):
        step = shortest / parts
        if step <= MIN_TICKS * tick + NOISE:
            break
        for longest in (1, 4, 16):  # rounding makes the number of grid steps in a long step uncertain at first
            near = [one for one in steps if one <= longest * shortest + 2 * tick]
            step = sum(near) / sum(round(one / step) for one in near)
        numbers = [0, *accumulate(round(one / step) for one in steps)]
        step = (times[-1] - times[0]) / numbers[-1]
        if all(abs(time - times[0] - n * step) <= 2 * tick + NOISE for time, n in zip(times, numbers, strict=True)):
            return step
    return 0.0


def with_repeats(times: Sequence[int], step: float, missing: int) -> tuple[tuple[int, ...], frozenset[int]] | None:
    """Insert the times of `missing` frames without a picture; return all times and the indices of the inserted ones.

    For a container that lists such frames without times: they fill the gaps between the other frames, `step` apart, in
    the same unit. Frames that do not fit into the gaps come after the last picture. Return None if the gaps have room
    for more frames than are missing.

    # times 0 1 2 5 6, step 1, missing 3: 0 1 2 [3 4] 5 6 [7]
    """
    gaps = [max(0, round((time - before) / step) - 1) for before, time in pairwise(times)]
    if sum(gaps) > missing:  # counted first: a damaged time can claim millions of frames
        return None
    filled, repeats = list(times[:1]), []
    for gap, before, time in zip(gaps, times, times[1:], strict=False):
        for number in range(1, gap + 1):
            repeats.append(len(filled))
            filled.append(before + round(number * step))
        filled.append(time)
    for number in range(1, missing - len(repeats) + 1):
        repeats.append(len(filled))
        filled.append(times[-1] + round(number * step))
    return tuple(filled), frozenset(repeats)


def _match_by_index(colour: Presentation, alpha: Presentation) -> bool:
    """Return whether both videos have the same frames, because both are complete and regular, whatever their times.

    If both have uneven steps but nearly all times are the same, they use one clock, and the other times are of
    different frames: a file that lost a short step can be regular by chance.
    """
    videos = colour, alpha
    if not all(one.is_complete and one.is_regular for one in videos):
        return False
    if any(one.is_constant for one in videos):
        return True
    rounding = min(MAX_ROUNDING, colour.tick + alpha.tick) + NOISE
    differing = sum(abs(time - other) > rounding for time, other in zip(colour.times, alpha.times, strict=False))
    return differing * 3 >= len(colour.times)


def _from_zero(shown: Presentation) -> Presentation:
    return replace(shown, times=tuple(time - shown.times[0] for time in shown.times))
