"""The assignment of an epoch's samples to ranks and workers. Numbers only, without PyTorch.

Each clip yields `samples_per_clip` samples from one decoding. The global order of an epoch is a list of clips, and the
samples of a clip are consecutive (`epoch_order`). The order is split among the ranks, and each rank's part among its
workers:

    # 5 clips, 2 samples each, 2 ranks:   A A B B C C D D E E
    # rank 0: A A C C E    rank 1: B B D D E    (E follows the last full round: assigned sample by sample)
    # rank 0, 2 workers: A A E | C C

If clips share segments of their backgrounds, units of interleaved segments (`segment_order`) take the place of clips.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

from dvm_hf.clips.background_assignment import INTERLEAVED

EvenRanks: TypeAlias = Literal["drop", "pad"] | None


class StartOffset(NamedTuple):
    """The start of an epoch run: an epoch, and the number of the rank's samples of that epoch to skip."""

    epoch: int
    samples: int


@dataclass(frozen=True)
class RankOrder(ABC):
    """The part of an epoch that belongs to one rank, as work items: indices of samples that one process renders.

    In each full round, every rank has one work item of `unit_length` samples. The samples after the full rounds are
    divided among the ranks, which differ by one sample at most.

    even: "drop" drops the last samples, fewer than world_size, so that all ranks have the same number. "pad" repeats
    the first samples of the epoch instead. shuffled: whether the order differs between epochs. If it does not, "drop"
    drops other samples in each epoch.
    """

    clips: int
    samples_per_clip: int = 1
    rank: int = 0
    world_size: int = 1
    even: EvenRanks = None
    shuffled: bool = True

    @property
    @abstractmethod
    def unit_length(self) -> int:
        """Number of samples of a work item of a full round."""

    @property
    @abstractmethod
    def full_rounds(self) -> int: ...

    @property
    @abstractmethod
    def last_lengths(self) -> Sequence[int]:
        """Number of samples of each work item after the full rounds."""

    @abstractmethod
    def item(self, number: int, epoch: int) -> range:
        """Return the indices of a work item in the epoch's order."""

    @property
    def samples(self) -> int:
        return self.full_rounds * self.unit_length + sum(self.last_lengths)

    @property
    def units(self) -> int:
        """Number of units that workers take turns at: one per full round, and one for all samples after them.

        With `even`, a unit has the same number of samples in every rank, and so have the workers' shares.
        """
        return self.full_rounds + bool(self.last_lengths)

    def __len__(self) -> int:
        return self.full_rounds + len(self.last_lengths)

    def unit(self, item: int) -> int:
        """Return the number of the unit that a work item belongs to; after the last item, the number of units."""
        return min(item, self.full_rounds) if item < len(self) else self.units

    def located(self, samples: int) -> tuple[int, int]:
        """Return (number of the work item, offset within it) of the rank's sample number `samples`, from 0."""
        number = min(samples // self.unit_length, self.full_rounds)
        rest = samples - number * self.unit_length
        for length in self.last_lengths if number == self.full_rounds else ():
            if rest < length:
                break
            number, rest = number + 1, rest - length
        return number, rest

    def work_items(self, *, epoch: int = 0, skipped: int = 0) -> Iterator[tuple[int, range]]:
        """Yield (number, indices) of the rank's work items, in order, without its first `skipped` samples."""
        first, rest = self.located(skipped)
        for number in range(first, len(self)):
            yield number, self.item(number, epoch)[rest:]
            rest = 0


class ClipRanks(RankOrder):
    """The part of a rank if the samples of a clip are consecutive.

    In each full round of `world_size` clips, every rank gets one clip. The remaining clips are assigned sample by
    sample. With samples_per_clip=1, sample i goes to rank i % world_size.
    """

    @property
    def unit_length(self) -> int:
        return self.samples_per_clip

    @property
    def full_rounds(self) -> int:
        return self.clips // self.world_size

    @property
    def last_lengths(self) -> list[int]:
        return [len(samples) for _, samples in self._partial_round]

    def item(self, number: int, epoch: int) -> range:
        begin = self.full_rounds * self.world_size
        length = self.clips - begin
        moves = self.even == "drop" and not self.shuffled
        start = begin - epoch * length % (begin + 1) if moves else begin  # position of the remaining clips
        if number < self.full_rounds:
            position, samples = number * self.world_size + self.rank, range(self.samples_per_clip)
            position = position if position < start else position + length
        else:
            position, samples = self._partial_round[number - self.full_rounds]
            position = position - begin + start if moves else position
        before = position * self.samples_per_clip
        return range(before + samples.start, before + samples.stop, samples.step)

    @cached_property
    def _partial_round(self) -> list[tuple[int, range]]:
        """(position, samples) of the rank's clips after the last full round."""
        begin, per_clip = self.full_rounds * self.world_size, self.samples_per_clip
        assigned = []
        for position in range(begin, self.clips):
            first = (self.rank - (position - begin) * per_clip) % self.world_size
            assigned.append((position, range(first, per_clip, self.world_size)))
        assigned = [(position, samples) for position, samples in assigned if samples]
        rest = (self.clips - begin) * per_clip % self.world_size
        if self.even == "drop" and self.rank < rest:  # its last sample is one of the `rest` last ones
            position, samples = assigned.pop()
            assigned += [(position, samples[:-1])] if samples[:-1] else []
        if self.even == "pad" and 0 < rest <= self.rank:
            position, sample = divmod((self.rank - rest) % (self.clips * per_clip), per_clip)
            assigned.append((position, range(sample, sample + 1)))
        return assigned


@dataclass(frozen=True)
class SegmentRanks(RankOrder):
    """The part of a rank if up to `background_reuse` clips share a segment, see `segment_order`.

    In each full round of `world_size` units, every rank gets one unit. What follows, with the last unit, is divided
    into one piece per rank, so that samples of one background stay as far apart as they are.
    """

    background_reuse: int = 2

    @property
    def unit_length(self) -> int:
        return INTERLEAVED * self.background_reuse * self.samples_per_clip

    @property
    def full_rounds(self) -> int:
        units = max(1, self.clips // (INTERLEAVED * self.background_reuse))
        return (units - 1) // self.world_size  # the last unit is longer than the others

    @property
    def last_lengths(self) -> list[int]:
        return [len(indices) for indices in self._last_items(0)]

    def item(self, number: int, epoch: int) -> range:
        if number >= self.full_rounds:
            return self._last_items(epoch)[number - self.full_rounds]
        begin = (number * self.world_size + self.rank) * self.unit_length
        return range(begin, begin + self.unit_length)

    def _last_items(self, epoch: int) -> list[range]:
        """Return the indices after the full rounds: one piece, and with "pad" one sample more.

        The samples that "drop" leaves out are behind all pieces, or between two of them if the order is that of the
        plans.
        """
        every = self.clips * self.samples_per_clip
        begin = self.full_rounds * self.world_size * self.unit_length
        length, rest = divmod(every - begin, self.world_size)
        if self.even == "drop":
            start = begin + self.rank * length
            dropped_after = self.world_size if self.shuffled else epoch % (self.world_size + 1)
            start += rest if self.rank >= dropped_after else 0
            pieces = [range(start, start + length)]
        else:
            start = begin + self.rank * length + min(self.rank, rest)
            pieces = [range(start, start + length + (self.rank < rest))]
            if self.even == "pad" and 0 < rest <= self.rank:
                repeated = (self.rank - rest) % every
                pieces.append(range(repeated, repeated + 1))
        return [piece for piece in pieces if piece]


@dataclass(frozen=True)
class WorkerOrder:
    """The part of a rank's order that belongs to one of its `workers` processes, which take turns of `units_per_turn`.

    The turns continue across the boundary of an epoch. A DataLoader takes batches from its workers in turn. With
    samples_per_clip=1 and units_per_turn = batch_size, it therefore yields the rank's order for any number of workers.
    """

    rank_order: RankOrder
    worker: int = 0
    workers: int = 1
    units_per_turn: int = 1

    def work_items(self, *, epoch: int, origin: StartOffset, skipped: int = 0) -> Iterator[tuple[int, range]]:
        """Yield (number of the worker's samples of this epoch before the item, indices of the item).

        The first `skipped` of the worker's samples are omitted.
        """
        rank = self.rank_order
        before = origin.samples if epoch == origin.epoch else 0
        units_before = (epoch - origin.epoch) * rank.units - rank.unit(rank.located(origin.samples)[0])
        done = 0
        for number, item in rank.work_items(epoch=epoch, skipped=before):
            if (units_before + rank.unit(number)) // self.units_per_turn % self.workers != self.worker:
                continue
            rest = item[max(skipped - done, 0) :]
            done += len(item)
            if rest:
                yield done - len(rest), rest


def units_per_turn(batch_size: int, unit_length: int) -> int:
    """Return the number of units that fill complete batches.

    With turns of this length, a rank has the same number of batches for any number of workers.
    """
    return math.lcm(batch_size, unit_length) // unit_length
