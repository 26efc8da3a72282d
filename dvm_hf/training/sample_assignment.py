"""The order of samples in a training stream, and their assignment to ranks and workers. Numbers only, without PyTorch.

Each clip yields `samples_per_clip` samples from one decoding. The global order of an epoch is a list of clips, shuffled
or in plan order, and the samples of a clip are consecutive. Sample j of the clip at position k has the index
k * samples_per_clip + j. The order is split among the ranks, and each rank's part among its workers:

    # 5 clips, 2 samples each, 2 ranks:   A A B B C C D D E E
    # rank 0: A A C C E    rank 1: B B D D E    (E follows the last full round: assigned sample by sample)
    # rank 0, 2 workers: A A E | C C
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

EvenRanks: TypeAlias = Literal["drop", "pad"] | None


class WorkItem(NamedTuple):
    """Samples of one clip that one process renders while it reads the clip's sources once.

    position: of the clip in the epoch's order. clip: number of the clip among the epoch's plans (or rows). samples:
    numbers of the samples within the clip.
    """

    position: int
    clip: int
    samples: range


class StartOffset(NamedTuple):
    """The start of an epoch run: an epoch, and the number of the rank's samples of that epoch to skip."""

    epoch: int
    samples: int


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the root seed of an epoch, 0 <= seed < 2**63. Epoch 0 uses `seed` itself, as load_dataset does.

    Later epochs use a hash, because with `seed + epoch`, epoch 1 of seed 7 would have the clips of epoch 0 of seed 8.
    """
    if epoch == 0:
        return seed
    digest = hashlib.blake2b(f"epoch/{seed}/{epoch}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def clip_order(clips: int, *, seed: int, epoch: int, shuffle: bool) -> npt.NDArray[np.int64]:
    """Return the numbers 0 .. clips - 1 in the order of an epoch, which does not depend on ranks or workers."""
    if not shuffle:
        return np.arange(clips)
    digest = hashlib.blake2b(f"order/{seed}/{epoch}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "big")).permutation(clips)


@dataclass(frozen=True)
class RankOrder:
    """The part of an epoch that belongs to one rank.

    In each full round of `world_size` clips, every rank gets one clip. The remaining clips are assigned sample by
    sample, so ranks differ by one sample at most. With samples_per_clip=1, sample i goes to rank i % world_size.

    even: "drop" drops the last samples, fewer than world_size, so that all ranks have the same number. "pad" repeats
    the first samples of the epoch instead. shuffled: whether the order differs between epochs. If it does not, "drop"
    takes the remaining clips from a different part of the order in each epoch.
    """

    clips: int
    samples_per_clip: int = 1
    rank: int = 0
    world_size: int = 1
    even: EvenRanks = None
    shuffled: bool = True

    @property
    def full_rounds(self) -> int:
        return self.clips // self.world_size

    @property
    def samples(self) -> int:
        return self.full_rounds * self.samples_per_clip + sum(len(samples) for _, samples in self._partial_round)

    @property
    def units(self) -> int:
        """Number of units that workers take turns at: one per full round, and one for all samples after them.

        With `even`, a unit has the same number of samples in every rank, and so have the workers' shares.
        """
        return self.full_rounds + bool(self._partial_round)

    def __len__(self) -> int:
        return self.full_rounds + len(self._partial_round)

    def unit(self, item: int) -> int:
        """Return the number of the unit that a work item belongs to; after the last item, the number of units."""
        return min(item, self.full_rounds) if item < len(self) else self.units

    def located(self, samples: int) -> tuple[int, int]:
        """Return (number of the work item, offset within it) of the rank's sample number `samples`, from 0."""
        number = min(samples // self.samples_per_clip, self.full_rounds)
        rest = samples - number * self.samples_per_clip
        for _, assigned in self._partial_round if number == self.full_rounds else ():
            if rest < len(assigned):
                break
            number, rest = number + 1, rest - len(assigned)
        return number, rest

    def work_items(
        self, order: npt.NDArray[np.int64], *, epoch: int = 0, skipped: int = 0
    ) -> Iterator[tuple[int, WorkItem]]:
        """Yield (number, work item) of the rank's part, in order, without its first `skipped` samples."""
        first, rest = self.located(skipped)
        for number in range(first, len(self)):
            position, samples = self._assigned(number, epoch)
            yield number, WorkItem(position, int(order[position]), samples[rest:])
            rest = 0

    def _assigned(self, number: int, epoch: int) -> tuple[int, range]:
        """Return (position of the clip in the order, samples) of a work item."""
        begin = self.full_rounds * self.world_size
        length = self.clips - begin
        moves = self.even == "drop" and not self.shuffled
        start = begin - epoch * length % (begin + 1) if moves else begin  # position of the remaining clips
        if number < self.full_rounds:
            position = number * self.world_size + self.rank
            return position if position < start else position + length, range(self.samples_per_clip)
        position, samples = self._partial_round[number - self.full_rounds]
        return position - begin + start if moves else position, samples

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
class WorkerOrder:
    """The part of a rank's order that belongs to one of its `workers` processes, which take turns of `units_per_turn`.

    The turns continue across the boundary of an epoch. A DataLoader takes batches from its workers in turn. With
    samples_per_clip=1 and units_per_turn = batch_size, it therefore yields the rank's order for any number of workers.
    """

    rank_order: RankOrder
    worker: int = 0
    workers: int = 1
    units_per_turn: int = 1

    def work_items(
        self, order: npt.NDArray[np.int64], *, epoch: int, origin: StartOffset, skipped: int = 0
    ) -> Iterator[tuple[int, WorkItem]]:
        """Yield (number of the worker's samples of this epoch before the item, work item).

        The first `skipped` of the worker's samples are omitted.
        """
        rank = self.rank_order
        before = origin.samples if epoch == origin.epoch else 0
        units_before = (epoch - origin.epoch) * rank.units - rank.unit(rank.located(origin.samples)[0])
        done = 0
        for number, item in rank.work_items(order, epoch=epoch, skipped=before):
            if (units_before + rank.unit(number)) // self.units_per_turn % self.workers != self.worker:
                continue
            rest = item.samples[max(skipped - done, 0) :]
            done += len(item.samples)
            if rest:
                yield done - len(rest), item._replace(samples=rest)


def units_per_turn(batch_size: int, samples_per_clip: int) -> int:
    """Return the number of clips that fill complete batches.

    With turns of this length, a rank has the same number of batches for any number of workers.
    """
    return math.lcm(batch_size, samples_per_clip) // samples_per_clip
