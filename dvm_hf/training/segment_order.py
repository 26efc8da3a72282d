"""The order of an epoch in which several clips share a segment of their background. Numbers only, without PyTorch.

The clips of a segment follow one another, so that its frames are held for a short time. `INTERLEAVED` segments take
turns, so that a batch does not consist of one background: the list of clips, segment by segment, is cut into lanes, and
the order takes one sample from each lane in turn:

    # 8 clips, backgrounds A A B B C C D D, background_reuse=2, one sample each, 4 lanes: A A | B B | C C | D D
    # D C B A D C B A      the samples of one background are 4 apart

The lanes that take turns are a unit, which one process renders. A lane has `background_reuse` clips, and no segment
crosses its edge. A unit has `INTERLEAVED` lanes; the last one has all that are left, fewer than twice as many, because
samples would be closer together in fewer lanes.

The segments of a unit have the same foregrounds, as far as there are such segments, so that a process can decode those
once as well. No row of the lanes has a foreground twice if that can be avoided:

    # foregrounds 1 2 3 4 over each of A B C D:      A: 1 2 3 4    B: 2 1 4 3    C: 3 4 1 2    D: 4 3 2 1
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
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
    segment. unit_leads: by clip, the first clip of its unit. foreground_uses: by clip, the number of clips in its unit
    that have its foreground. segments_held: number of segments that take turns, for which a process needs memory.
    """

    clips: Integers
    numbers: Integers
    leads: Integers
    unit_leads: Integers
    foreground_uses: Integers
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
    foregrounds: Sequence[Hashable],
    backgrounds: Sequence[Hashable],
    groups: Sequence[Hashable],
    *,
    background_reuse: int,
    samples_per_clip: int = 1,
    rng: np.random.Generator | None = None,
) -> SegmentOrder:
    """Return the order of an epoch, given the foreground and the background of each clip.

    groups: only clips of the same group share a segment. rng: None for the order of the plans.

    A segment has at most `background_reuse` clips. Successive samples of a unit, up to `INTERLEAVED`, have different
    backgrounds, unless a background has so many clips that this is not possible.
    """
    background, group = _numbered(backgrounds), _numbered(list(zip(backgrounds, groups, strict=True)))
    foreground = _numbered(foregrounds)
    if rng is not None:
        foreground = rng.permutation(int(foreground.max()) + 1)[foreground]
    clips = _by_segment(foreground, group, background_reuse, rng)
    total, count = len(clips), unit_count(len(clips), background_reuse)
    length = background_reuse
    if total < INTERLEAVED * length:  # shorter lanes, but as long as the segments
        length = max(1, total // INTERLEAVED, min(length, int(np.bincount(background).max())))
    begins = [number * INTERLEAVED * background_reuse for number in range(count)]
    units = [_by_background(part, background) for part in np.split(clips, begins[1:])]
    _balance(units, length)
    leads, unit_leads, uses = (np.empty(total, np.int64) for _ in range(3))
    rows: list[list[int]] = []
    foregrounds_of, groups_of = foreground.tolist(), group.tolist()
    lane_of: dict[int, int] = {}  # by background, the first lane of the previous unit that ends with it
    for unit in units:
        # of the backgrounds in two successive units, those in early lanes stay there, so that the distance is kept
        order = sorted(unit, key=lambda one: lane_of.get(one, INTERLEAVED))
        members = [clip for one in order for clip in sorted(unit[one], key=group.__getitem__)]
        lanes = [members[begin : begin + length] for begin in range(0, len(members), length)]
        lane_of = {int(background[lane[-1]]): number for number, lane in reversed([*enumerate(lanes)])}
        shared = Counter(foregrounds_of[clip] for clip in members)
        lanes = _apart(lanes, shared, foregrounds_of, groups_of)
        members = [clip for lane in lanes for clip in lane]
        for lane in lanes:
            leads[lane] = np.array(lane)[_segment_starts(group[lane], background_reuse)]
        unit_leads[members] = members[0]
        uses[members] = [shared[foregrounds_of[clip]] for clip in members]
        rows += [members[row::length][::-1] for row in range(length)]
    return SegmentOrder(
        np.concatenate([np.tile(row, samples_per_clip) for row in rows]),
        np.concatenate([np.arange(samples_per_clip).repeat(len(row)) for row in rows]),
        leads,
        unit_leads,
        uses,
        max(map(len, rows)),
    )


def _by_segment(
    foreground: Integers, group: Integers, background_reuse: int, rng: np.random.Generator | None
) -> Integers:
    """Return the clips, segment by segment; the full segments first, because only these fill lanes exactly.

    The clips of a group are divided into segments in the order of their foregrounds. Segments with the same foregrounds
    therefore come together when all are sorted by these. So many at a time are put into a random order that those of a
    unit remain together.
    """
    clips = np.lexsort((foreground, group))
    firsts, sizes = np.unique(_segment_starts(group[clips], background_reuse), return_counts=True)
    if rng is not None:
        shuffled = rng.permutation(len(firsts))
        firsts, sizes = firsts[shuffled], sizes[shuffled]
    is_full = sizes == background_reuse
    full, others = firsts[is_full], firsts[~is_full]
    if len(full):
        foregrounds = foreground[clips[full[:, None] + np.arange(background_reuse)]]
        full = full[np.lexsort(foregrounds.T[::-1])]
    if rng is not None:
        # with fewer foregrounds than lanes, each batch would have some of them twice
        together = INTERLEAVED if background_reuse >= INTERLEAVED else 1
        whole = len(full) // together
        parts = full[: whole * together].reshape(whole, together)
        full = np.concatenate([rng.permutation(parts).reshape(-1), full[whole * together :]])
    sizes_of = dict(zip(firsts.tolist(), sizes.tolist(), strict=True))
    return np.concatenate([clips[first : first + sizes_of[first]] for first in [*full.tolist(), *others.tolist()]])


def _apart(lanes: list[list[int]], shared: Counter[int], foreground: list[int], group: list[int]) -> list[list[int]]:
    """Order the clips of each segment so that those of a foreground are in different, but close rows of the unit.

    Row by row, each lane takes the next foreground that the row does not have; the first one if the row has all.

    shared: number of clips in the unit, by foreground. Those of all lanes come first, so that no lane gets ahead.
    """
    place = {one: number for number, one in enumerate(sorted(shared, key=lambda one: (-shared[one], one)))}
    left = [
        [sorted(run, key=lambda clip: place[foreground[clip]]) for _, run in groupby(lane, key=group.__getitem__)]
        for lane in lanes
    ]
    ordered: list[list[int]] = [[] for _ in lanes]
    for _ in range(max(map(len, lanes))):
        row: set[int] = set()
        for runs, lane in zip(left, ordered, strict=True):
            if runs:
                number = next((n for n, clip in enumerate(runs[0]) if foreground[clip] not in row), 0)
                clip = runs[0].pop(number)
                row.add(foreground[clip])
                lane.append(clip)
                del runs[: not runs[0]]
    return ordered


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
