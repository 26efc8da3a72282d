"""Which backgrounds each foreground gets: shares of the entries, and shuffle cycles within an entry.

Assignment goes through the foregrounds in order, so that foregrounds added at the end change no earlier clip. If
several clips share each background, they use only as many backgrounds as needed, so an added foreground can change all.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat
from typing import NamedTuple

import numpy as np

from dvm_hf.errors import SourceError
from dvm_hf.sources.records import Background, Entry, SourceTree
from dvm_hf.wording import counted

Stream = Callable[[str], np.random.Generator]  # random numbers for the name of an entry; empty without a sources file

INTERLEAVED = 4  # segments of backgrounds that take turns in a training stream with background_reuse


class ShuffleCycles:
    """Indices in cycles: each is a permutation, so that every index is used before any repeats.

    totals: by cycle, the number of its indices. permutation: returns the cycle of the indices below a total.
    """

    def __init__(self, totals: Iterable[int], permutation: Callable[[int], Sequence[int] | np.ndarray]) -> None:
        self._totals, self._permutation = iter(totals), permutation
        self._cycle: list[int] = []

    def take(self, count: int) -> list[int]:
        """Return the next `count` different indices, at most as many as the next cycle has."""
        indices = self._cycle[:count]
        self._cycle = self._cycle[count:]
        if len(indices) < count:
            shuffled = [int(index) for index in self._permutation(next(self._totals))]
            added = [index for index in shuffled if index not in indices][: count - len(indices)]
            indices += added
            self._cycle = [index for index in shuffled if index not in added]
        return indices


class Job(NamedTuple):
    """A clip of an entry, with the first and the last number that it may have; the first clip has number 1."""

    entry: int
    first: int
    last: int


class EntrySequence:
    """The entry of one clip after the other, such that after t clips entry i has floor(s_i t) or ceil(s_i t) of them.

    s_i: the share of entry i; the shares sum to 1. The j-th clip of an entry (j = 0, 1, ...) must have a number from
    floor(j / s_i) + 1 to ceil((j + 1) / s_i). Earliest deadline first meets all of these windows: this is the chairman
    assignment problem (Tijdeman, 1980), and proportionate-fair scheduling on one processor.

    That order alone would give the k-th foreground the same entries with every seed. Therefore, each clip is a random
    one of the next `HORIZON` clips, if those before it can be delayed by one.
    """

    HORIZON = 8

    def __init__(self, shares: Sequence[Fraction], rng: np.random.Generator) -> None:
        self._shares, self._rng = tuple(shares), rng
        self._clips = self._scheduled = 0
        self._ahead: list[Job] = []
        self._used = [0] * len(self._shares)
        self._next_jobs = [self._job(index) for index in range(len(self._shares))]

    def next(self, is_open: Sequence[bool]) -> int:
        """Return the entry of the next clip, one of those that are open. At least one must be open."""
        self._clips += 1
        while len(self._ahead) < self.HORIZON:
            self._ahead.append(self._scheduled_job([True] * len(self._shares)))
        positions = self._positions(is_open)
        if not positions:
            return self._scheduled_job(is_open).entry
        return self._ahead.pop(positions[int(self._rng.integers(len(positions)))]).entry

    def _positions(self, is_open: Sequence[bool]) -> list[int]:
        """Return the scheduled jobs that may be next: for each one that can be moved here, the first of its entry."""
        found: list[int] = []
        firsts: dict[int, int] = {}
        for position, job in enumerate(self._ahead):
            first = firsts.setdefault(job.entry, position)
            if is_open[job.entry] and (self._ahead[first].first <= self._clips or not found):
                found.append(first)
            if found and job.last <= self._clips + position:  # cannot be delayed
                break
        return found

    def _scheduled_job(self, is_open: Sequence[bool]) -> Job:
        """Return the next job in the order of deadlines, of an open entry."""
        self._scheduled += 1
        candidates = [job for job, open_ in zip(self._next_jobs, is_open, strict=True) if open_]
        begun = [job for job in candidates if job.first <= self._scheduled]
        chosen = min(begun or candidates, key=lambda job: job.last)
        self._used[chosen.entry] += 1
        self._next_jobs[chosen.entry] = self._job(chosen.entry)
        return chosen

    def _job(self, index: int) -> Job:
        share, used = self._shares[index], self._used[index]
        over, under = share.denominator, share.numerator
        return Job(index, used * over // under + 1, -(-(used + 1) * over // under))


def shares_of(entries: Sequence[Entry], files: Sequence[int]) -> list[Fraction]:
    """Return the share of each entry of backgrounds, exact; 0 for an entry without files. They sum to 1.

    files: number of usable backgrounds of each entry. Entries without a share get what the others leave, in proportion
    to their files. If entries with a share have no files, the other shares grow in proportion.
    """
    given = [None if one.share is None else Fraction(str(one.share)) for one in entries]
    left = max(Fraction(0), Fraction(1) - sum(share for share in given if share is not None))
    unshared = sum(count for share, count in zip(given, files, strict=True) if share is None)
    shares = [
        Fraction(0) if not count else left * count / unshared if share is None else share
        for share, count in zip(given, files, strict=True)
    ]
    total = sum(shares, Fraction(0))
    return [share / total for share in shares] if total else shares


@dataclass(frozen=True)
class Sharing:
    """How clips share backgrounds.

    clips: maximum number of clips that share one. frames: maximum number of frames of a clip, by the kind of its
    foreground. Only clips with the same maximum share a background, because a segment of it may begin at any frame.
    """

    clips: int
    frames: dict[str, int]


class Pool:
    """Backgrounds of an entry that its clips take in shuffle cycles. indices: of the backgrounds in the tree."""

    def __init__(self, indices: Sequence[int], cycles: ShuffleCycles) -> None:
        self._indices, self._cycles = indices, cycles

    def take(self, count: int) -> list[int]:
        return [self._indices[index] for index in self._cycles.take(count)]


def assigned_backgrounds(
    tree: SourceTree, per_foreground: int, *, stream: Stream, sharing: Sharing | None = None
) -> list[list[int]]:
    """Return, by foreground, the indices of its backgrounds in the tree, which are different.

    A foreground of an entry with `repeat` gets that many times as many. If there are fewer backgrounds than requested,
    a foreground gets all of them. Raises SourceError if an entry has too few backgrounds for its share.

    sharing: None uses as many different backgrounds as possible. Otherwise, the clips of an entry use a random part of
    its backgrounds, as few as `sharing` allows, and most foregrounds over one of them are over the next one, too: the
    foregrounds, in a random order, take successive parts of a circle of backgrounds. Entries, shares and repeats are
    the same.
    """
    indices_of = _by_entry(tree.backgrounds)
    counts = [min(per_foreground * tree.entries[one.entry].repeat, len(tree.backgrounds)) for one in tree.foregrounds]
    entries, files = list(indices_of), [len(held) for held in indices_of.values()]
    shares = shares_of([tree.entries[one] for one in entries], files)
    for one, share, held in zip(entries, shares, files, strict=True):
        if tree.entries[one].share is not None:
            _require_enough(tree.entries[one], share, held, counts)
    sequence = EntrySequence(shares, stream("/shares"))  # no name of an entry contains a slash
    streams = {one: stream(tree.entries[one].name) for one in entries}
    orders = [_entries_of_clips(entries, files, count, sequence) for count in counts]
    if sharing is None:
        groups, turns = [0] * len(counts), np.arange(len(counts))
        pools = {
            (one, 0): Pool(held, ShuffleCycles(repeat(len(held)), streams[one].permutation))
            for one, held in indices_of.items()
        }
    else:
        groups = [sharing.frames[one.kind] for one in tree.foregrounds]
        pools = _shared_pools(orders, groups, indices_of, streams, limit=sharing.clips)
        turns = stream("/foregrounds").permutation(len(counts))
    assigned: list[list[int]] = [[]] * len(counts)
    for number in turns:
        order = orders[number]
        taken = {one: iter(pools[one, groups[number]].take(count)) for one, count in Counter(order).items()}
        assigned[number] = [next(taken[one]) for one in order]
    return assigned


def _shared_pools(
    orders: list[list[int]],
    groups: list[int],
    indices_of: dict[int, list[int]],
    streams: dict[int, np.random.Generator],
    *,
    limit: int,
) -> dict[tuple[int, int], Pool]:
    """Return the backgrounds of each entry and group of foregrounds, so few that about `limit` clips share each.

    Each pool is a circle of backgrounds in a random order: all its cycles have that order.

    orders: the entries of each foreground's clips. At least `INTERLEAVED` backgrounds are used if there are as many
    clips. The groups of an entry use different backgrounds if it has enough.
    """
    clips: Counter[tuple[int, int]] = Counter()
    most: Counter[tuple[int, int]] = Counter()  # clips of one foreground, whose backgrounds differ
    for group, order in zip(groups, orders, strict=True):
        for one, count in Counter(order).items():
            clips[one, group] += count
            most[one, group] = max(most[one, group], count)
    limit = max(1, min(limit, clips.total() // INTERLEAVED))
    shuffled = {one: [held[index] for index in streams[one].permutation(len(held))] for one, held in indices_of.items()}
    pools = {}
    for (one, group), count in clips.items():
        held, rng = shuffled[one], streams[one]
        totals = _cycle_totals(count, len(held), most=most[one, group], limit=limit)
        pools[one, group] = Pool(held, ShuffleCycles([*rng.permutation(totals[:-1]), totals[-1]], np.arange))
        shuffled[one] = [*held[totals[-1] :], *held[: totals[-1]]]  # the next group begins with others
    return pools


def _cycle_totals(clips: int, files: int, *, most: int, limit: int) -> list[int]:
    """Return the number of backgrounds in each shuffle cycle of an entry, so few that `limit` clips share each.

    As many full segments as possible are divided evenly among all backgrounds. The first backgrounds get the rest:
    `limit` clips each, and fewer for the last one.

    most: clips of one foreground, and so the smallest number of backgrounds in a cycle.
    """
    rounds, rest = divmod(clips, files * limit)
    totals = [files] * (rounds * limit)
    if not rest:
        return totals
    segments, last = -(-rest // limit), (rest - 1) % limit + 1
    if segments > most or (segments == most and last == limit):
        return totals + [segments] * last + [segments - 1] * (limit - last)
    used = min(files, max(segments, most))
    return totals + [used] * -(-rest // used)


def _require_enough(entry: Entry, share: Fraction, files: int, counts: Sequence[int]) -> None:
    """Raise SourceError if the foregrounds cannot get as many different backgrounds of an entry as its share requires.

    counts: number of backgrounds of each foreground.
    """
    possible = sum(min(count, files) for count in counts)
    if possible < int(share * sum(counts)):
        clips, held = sum(counts), counted(files, "background")
        raise SourceError(
            f"{entry.path}: cannot have the share {float(share):g} of {clips} clips: it has {held}, and the "
            f"backgrounds of one foreground must differ, so at most {possible} clips can use it; use a share of at "
            f"most {possible / clips:.3g}, fewer backgrounds_per_foreground, or a smaller repeat"
        )


def _entries_of_clips(entries: list[int], files: list[int], count: int, sequence: EntrySequence) -> list[int]:
    """Return the entry of each clip of a foreground; no entry more often than it has files."""
    if len(entries) == 1:
        return entries * count
    free, order = list(files), []
    for _ in range(count):
        position = sequence.next([left > 0 for left in free])
        free[position] -= 1
        order.append(entries[position])
    return order


def _by_entry(backgrounds: Sequence[Background]) -> dict[int, list[int]]:
    """Return the indices of the backgrounds of each entry that has any, in the order of the entries."""
    found: dict[int, list[int]] = {}
    for index, background in enumerate(backgrounds):
        found.setdefault(background.entry, []).append(index)
    return dict(sorted(found.items()))
