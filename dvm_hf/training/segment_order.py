"""The order of an epoch in which several clips share a segment of their background. Numbers only, without PyTorch.

The clips of a segment follow one another, so that its frames are held for a short time. `INTERLEAVED` segments take
turns, so that a batch does not consist of one background: the list of clips, segment by segment, is cut into lanes, and
the order takes one sample from each lane in turn:

    # 8 clips, backgrounds A A B B C C D D, background_reuse=2, one sample each, 4 lanes: A A | B B | C C | D D
    # D C B A D C B A      the samples of one background are 4 apart

The lanes that take turns are a unit, which one process renders. A lane has `background_reuse` clips, and no segment
crosses its edge. A unit has `INTERLEAVED` lanes; the last one has all that are left, fewer than twice as many, because
samples would be closer together in fewer lanes.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dvm_hf.clips.background_assignment import INTERLEAVED
from dvm_hf.training.epoch_order import Place

Integers: TypeAlias = npt.NDArray[np.int64]
Unit: TypeAlias = dict[int, list[int]]  # clips of each background


@dataclass(frozen=True)
class SegmentOrder:
    """The order of one epoch.

    clips, numbers: clip, and number of the sample within it, of each index. leads: by clip, the first clip of its
    segment. segments_held: number of segments that take turns, for which a process needs memory.
    """

    clips: Integers
    numbers: Integers
    leads: Integers
    segments_held: int

    def places(self, indices: Iterable[int]) -> Iterator[Place]:
        for index in indices:
            yield Place(index, int(self.clips[index]), int(self.numbers[index]))

    def following(self, place: Place) -> Iterator[Place]:
        tried, total = {place.clip}, len(self.clips)
        for other in self.places(index % total for index in range(place.index + 1, place.index + total)):
            if other.clip not in tried:
                tried.add(other.clip)
                yield other


def unit_count(clips: int, background_reuse: int) -> int:
    """Return the number of units of an epoch; all but the last one have `background_reuse` clips in each lane."""
    return max(1, clips // (INTERLEAVED * background_reuse))


def segment_order(
    backgrounds: Sequence[Hashable],
    groups: Sequence[Hashable],
    *,
    background_reuse: int,
    samples_per_clip: int = 1,
    rng: np.random.Generator | None = None,
) -> SegmentOrder:
    """Return the order of an epoch, given the background of each clip.

    groups: only clips of the same group share a segment. rng: None for the order of the plans.

    A segment has at most `background_reuse` clips. The segments of a background are spread evenly over the epoch.
    Successive samples of a unit, up to `INTERLEAVED`, have different backgrounds, unless a background has so many clips
    that this is not possible.
    """
    background, group = _numbered(backgrounds), _numbered(list(zip(backgrounds, groups, strict=True)))
    clips = _by_segment(background, group, background_reuse, rng)
    total, count = len(clips), unit_count(len(clips), background_reuse)
    length = background_reuse
    if total < INTERLEAVED * length:  # shorter lanes, but as long as the segments
        length = max(1, total // INTERLEAVED, min(length, int(np.bincount(background).max())))
    begins = [number * INTERLEAVED * background_reuse for number in range(count)]
    units = [_by_background(part, background) for part in np.split(clips, begins[1:])]
    _balance(units, length)
    leads, rows = np.empty(total, np.int64), []
    lane_of: dict[int, int] = {}  # by background, the first lane of the previous unit that ends with it
    for unit in units:
        # of the backgrounds in two successive units, those in early lanes stay there, so that the distance is kept
        order = sorted(unit, key=lambda one: lane_of.get(one, INTERLEAVED))
        members = [clip for one in order for clip in sorted(unit[one], key=group.__getitem__)]
        lanes = [members[begin : begin + length] for begin in range(0, len(members), length)]
        lane_of = {int(background[lane[-1]]): number for number, lane in reversed([*enumerate(lanes)])}
        for lane in lanes:
            leads[lane] = np.array(lane)[_segment_starts(group[lane], background_reuse)]
        rows += [members[row::length][::-1] for row in range(length)]
    return SegmentOrder(
        np.concatenate([np.tile(row, samples_per_clip) for row in rows]),
        np.concatenate([np.arange(samples_per_clip).repeat(len(row)) for row in rows]),
        leads,
        max(map(len, rows)),
    )


def _by_segment(
    background: Integers, group: Integers, background_reuse: int, rng: np.random.Generator | None
) -> Integers:
    """Return the clips, segment by segment; the full segments first, because only these fill lanes exactly.

    Segment i of the n full segments of a background is at a random place between i / n and (i + 1) / n of all.
    """
    total = len(background)
    clips = np.arange(total) if rng is None else rng.permutation(total)
    clips = clips[np.argsort(group[clips], kind="stable")]
    firsts, sizes = np.unique(_segment_starts(group[clips], background_reuse), return_counts=True)
    its_background, is_full = background[clips[firsts]], sizes == background_reuse
    place = np.linspace(0, 1, len(firsts), endpoint=False) if rng is None else rng.random(len(firsts))
    full = its_background[is_full]
    place[is_full] = (_ordinal(full) + place[is_full]) / np.bincount(full)[full]
    order = np.lexsort((place, ~is_full))
    return np.concatenate([clips[firsts[one] : firsts[one] + sizes[one]] for one in order])


def _segment_starts(groups: Integers, most: int) -> Integers:
    """Return the position where the segment of each clip starts: at most `most` successive clips of one group."""
    positions = np.arange(len(groups))
    is_first = np.ones(len(groups), bool)
    is_first[1:] = groups[1:] != groups[:-1]
    begin = positions[is_first][np.cumsum(is_first) - 1]
    starts: Integers = begin + (positions - begin) // most * most
    return starts


def _by_background(clips: Integers, background: Integers) -> Unit:
    unit: Unit = {}
    for clip in clips.tolist():
        unit.setdefault(int(background[clip]), []).append(clip)
    return unit


def _balance(units: list[Unit], length: int) -> None:
    """Exchange clips so that no background has more clips in a unit than a lane has, as far as possible.

    Such a background would be in two lanes at once. length: of a lane.
    """
    excessive: dict[int, list[int]] = {}  # by background, the units
    for number, unit in enumerate(units):
        for background, held in unit.items():
            if len(held) > length:
                excessive.setdefault(background, []).append(number)
    for background, numbers in excessive.items():
        room = [number for number, unit in enumerate(units) if len(unit.get(background, ())) < length]
        for number in numbers:
            while room and len(units[number][background]) > length:
                if not _exchange(units[number], units[room[-1]], background, length):
                    room.pop()


def _exchange(unit: Unit, other: Unit, background: int, length: int) -> int:
    """Move excess clips of a background to another unit, and as many of others back; return how many."""
    count = left = min(len(unit[background]) - length, length - len(other.get(background, ())))
    for back, held in sorted(other.items(), key=lambda one: -len(one[1])):
        moved = min(left, len(held), length - len(unit.get(back, ())))
        if back != background and moved > 0:
            other.setdefault(background, []).extend(unit[background][-moved:])
            unit.setdefault(back, []).extend(held[-moved:])
            del unit[background][-moved:], held[-moved:]
            left -= moved
    return count - left


def _numbered(values: Sequence[Hashable]) -> Integers:
    """Return a number for each value, the same for equal ones, by first occurrence."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], np.int64)


def _ordinal(values: Integers) -> Integers:
    """Return how many equal values precede each value."""
    order = np.argsort(values, kind="stable")
    _, first, inverse = np.unique(values[order], return_index=True, return_inverse=True)
    ordinal = np.empty(len(values), np.int64)
    ordinal[order] = np.arange(len(values)) - first[inverse]
    return ordinal
