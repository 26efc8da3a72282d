"""The order of an epoch in which several clips share a segment of their background. Numbers only, without PyTorch.

The clips of a background follow one another until their segment is used up. So that a batch does not consist of one
background, `INTERLEAVED` segments take turns: the list of clips, background by background, is cut into lanes, and the
order takes one sample from each lane in turn:

    # 8 clips, backgrounds A A B B C C D D, background_reuse=2, one sample each, 4 lanes AA | BB | CC | DD:
    # D C B A D C B A      the samples of one background are 4 apart

A unit is `INTERLEAVED` lanes of `background_reuse` clips. No segment crosses its edges, so a unit is what one process
renders. The last unit has up to twice as many clips, so that its lanes are as long as the others.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dvm_hf.clips.background_assignment import INTERLEAVED
from dvm_hf.training.epoch_order import Place

Integers = npt.NDArray[np.int64]


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
        tried = {place.clip}
        for other in self.places(
            index % len(self.clips) for index in range(place.index + 1, place.index + len(self.clips))
        ):
            if other.clip not in tried:
                tried.add(other.clip)
                yield other


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

    A segment has as many clips as possible, at most `background_reuse`. Those of a background are spread evenly over
    the epoch.
    """
    background, group = _numbered(backgrounds), _numbered(list(zip(backgrounds, groups, strict=True)))
    clips = _by_segment(background, group, background_reuse, rng)
    total, per_unit = len(clips), INTERLEAVED * background_reuse
    units = max(1, total // per_unit)
    unit = np.minimum(np.arange(total) // per_unit, units - 1)
    # within a unit, the clips of a background follow one another, so that they are never in two lanes at once
    of_background = _first_of(unit * total + background[clips])
    of_group = _first_of(unit * total + group[clips])
    clips = clips[np.lexsort((of_group, of_background))]
    begin = (units - 1) * per_unit
    last_rows = max(1, (total - begin) // INTERLEAVED)
    within = np.arange(total) - unit * per_unit
    lane = np.where(unit < units - 1, within // background_reuse, within // last_rows)
    starts = _segment_starts(np.stack([unit, lane, group[clips]]), background_reuse)
    leads = np.empty(total, np.int64)
    leads[clips] = clips[starts]
    lanes = clips[:begin].reshape(units - 1, INTERLEAVED, background_reuse)
    rows = [*lanes[:, ::-1].transpose(0, 2, 1).reshape(-1, INTERLEAVED)]
    rows += [clips[begin + row :: last_rows][::-1] for row in range(min(last_rows, total))]
    return SegmentOrder(
        np.concatenate([np.tile(row, samples_per_clip) for row in rows]),
        np.concatenate([np.arange(samples_per_clip).repeat(len(row)) for row in rows]),
        leads,
        max(map(len, rows)),
    )


def _by_segment(
    background: Integers, group: Integers, background_reuse: int, rng: np.random.Generator | None
) -> Integers:
    """Return the clips, segment by segment: full segments first, and those of a background as far apart as possible."""
    total = len(background)
    clips = np.arange(total) if rng is None else rng.permutation(total)
    clips = clips[np.argsort(group[clips], kind="stable")]
    start = _segment_starts(group[clips][None], background_reuse)
    firsts, sizes = np.unique(start, return_counts=True)  # of the segments
    its_background = background[clips[firsts]]
    held = np.bincount(its_background)  # segments of each background
    place = _place_in_class(held, np.arange(len(held)) if rng is None else rng.permutation(len(held)))
    ordinal = _ordinal(its_background)
    position = (ordinal + place[its_background]) / held[its_background]
    order = np.lexsort((firsts, position, sizes < background_reuse))
    return np.concatenate([clips[firsts[one] : firsts[one] + sizes[one]] for one in order])


def _place_in_class(held: Integers, shuffled: Integers) -> npt.NDArray[np.float64]:
    """Return a place in (0, 1) for each background; those with equally many segments are evenly spaced.

    shuffled: rank of each background. Segment i of n is then at (i + place) / n of the epoch, and between two segments
    of a background there is about one of each other background that has as many.
    """
    order = np.lexsort((shuffled, held))
    place = np.empty(len(held))
    place[order] = (_ordinal(held[order]) + 0.5) / np.bincount(held)[held[order]]
    return place


def _segment_starts(keys: Integers, most: int) -> Integers:
    """Return, for each column of `keys`, the position where its segment starts.

    A segment consists of successive equal columns, at most `most`. Longer runs are divided evenly.
    """
    positions = np.arange(keys.shape[1])
    is_first = np.ones(len(positions), bool)
    is_first[1:] = (keys[:, 1:] != keys[:, :-1]).any(axis=0)
    run = np.cumsum(is_first) - 1
    begin, length = positions[is_first][run], np.bincount(run)[run]
    parts = -(-length // most)
    part = (positions - begin) * parts // length
    starts: Integers = begin - (-part * length // parts)
    return starts


def _numbered(values: Sequence[Hashable]) -> Integers:
    """Return a number for each value, the same for equal ones, by first occurrence."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], np.int64)


def _first_of(values: Integers) -> Integers:
    """Return the position of the first equal value of each value."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    return first[inverse]


def _ordinal(values: Integers) -> Integers:
    """Return how many equal values precede each value."""
    order = np.argsort(values, kind="stable")
    ranks = np.arange(len(values)) - _first_of(values[order])
    ordinal = np.empty(len(values), np.int64)
    ordinal[order] = ranks
    return ordinal
