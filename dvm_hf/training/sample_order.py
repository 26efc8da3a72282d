"""Which samples a training stream makes, in which order, in which process. Numbers only: no pixels, no torch.

A clip gives `samples_per_clip` samples out of one decoding. The global order of an epoch is a list of clips, shuffled
or in plan order, the samples of each one after the other; sample j of the clip at place k has the index
k * samples_per_clip + j. Ranks share it, and the workers of a rank share the rank's part:

    # 5 clips, 2 samples each, 2 ranks:   A A B B C C D D E E
    # rank 0: A A C C E    rank 1: B B D D E    (E is left over after the last full round: dealt sample by sample)
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
    """Samples of one clip that one process makes in one pass over the clip's sources.

    place: of the clip in the epoch's order. clip: number of the clip among the epoch's plans (or rows). samples: which
    of the clip's samples.
    """

    place: int
    clip: int
    samples: range


class StartOffset(NamedTuple):
    """Where a pass over the data began: an epoch, and how many of the rank's samples of that epoch came before."""

    epoch: int
    samples: int


def epoch_seed(seed: int, epoch: int) -> int:
    """Root seed of an epoch, 0 <= seed < 2**63. Epoch 0 has the root seed itself, hence the clips of load_dataset.

    The others have hashes: `seed + epoch` would give epoch 1 of seed 7 the clips of epoch 0 of seed 8.
    """
    if epoch == 0:
        return seed
    digest = hashlib.blake2b(f"epoch/{seed}/{epoch}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def clip_order(clips: int, *, seed: int, epoch: int, shuffle: bool) -> npt.NDArray[np.int64]:
    """Numbers 0 .. clips - 1 in the order of an epoch: a function of its arguments, not of ranks or workers."""
    if not shuffle:
        return np.arange(clips)
    digest = hashlib.blake2b(f"order/{seed}/{epoch}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "big")).permutation(clips)


@dataclass(frozen=True)
class RankOrder:
    """The part of an epoch that one rank makes.

    Rounds of `world_size` clips go to the ranks whole, a clip to each. The clips left over after the last full round
    are dealt sample by sample, so that no rank has more than one sample more than another. With samples_per_clip=1
    this is sample i to rank i % world_size.

    even: "drop" leaves out the last samples, fewer than world_size of them, so that all ranks have as many. "pad"
    repeats the first samples of the epoch instead. shuffled: whether the order differs between epochs. If it does not,
    "drop" takes the left-over clips from a different part of the order in each epoch.
    """

    clips: int
    samples_per_clip: int = 1
    rank: int = 0
    world_size: int = 1
    even: EvenRanks = None
    shuffled: bool = True

    @property
    def whole_clips(self) -> int:
        return self.clips // self.world_size

    @property
    def samples(self) -> int:
        return self.whole_clips * self.samples_per_clip + sum(len(dealt) for _, dealt in self._left_over)

    @property
    def units(self) -> int:
        """What workers take turns at: whole clips, and the left-over samples as one.

        With `even`, units hold the same numbers of samples in every rank, hence so do the workers' shares.
        """
        return self.whole_clips + bool(self._left_over)

    def __len__(self) -> int:
        return self.whole_clips + len(self._left_over)

    def unit(self, piece: int) -> int:
        """Number of the unit that a piece belongs to; of the piece after the last, the number of units."""
        return min(piece, self.whole_clips) if piece < len(self) else self.units

    def found(self, samples: int) -> tuple[int, int]:
        """Where the rank's sample after the first `samples` stands: number of its piece, samples before it there."""
        number = min(samples // self.samples_per_clip, self.whole_clips)
        rest = samples - number * self.samples_per_clip
        for _, dealt in self._left_over if number == self.whole_clips else ():
            if rest < len(dealt):
                break
            number, rest = number + 1, rest - len(dealt)
        return number, rest

    def pieces(
        self, order: npt.NDArray[np.int64], *, epoch: int = 0, skipped: int = 0
    ) -> Iterator[tuple[int, WorkItem]]:
        """(number of the piece, piece) of the rank's part, in order, without its first `skipped` samples."""
        first, rest = self.found(skipped)
        for number in range(first, len(self)):
            place, samples = self._place(number, epoch)
            yield number, WorkItem(place, int(order[place]), samples[rest:])
            rest = 0

    def _place(self, number: int, epoch: int) -> tuple[int, range]:
        """Of a piece: its clip's place in the order, and its samples."""
        begin = self.whole_clips * self.world_size
        length = self.clips - begin
        moves = self.even == "drop" and not self.shuffled
        start = begin - epoch * length % (begin + 1) if moves else begin  # of the stretch that is left over
        if number < self.whole_clips:
            place = number * self.world_size + self.rank
            return place if place < start else place + length, range(self.samples_per_clip)
        place, samples = self._left_over[number - self.whole_clips]
        return place - begin + start if moves else place, samples

    @cached_property
    def _left_over(self) -> list[tuple[int, range]]:
        """(place, samples) of the rank's samples after the last full round."""
        begin, per_clip = self.whole_clips * self.world_size, self.samples_per_clip
        dealt = []
        for place in range(begin, self.clips):
            first = (self.rank - (place - begin) * per_clip) % self.world_size
            dealt.append((place, range(first, per_clip, self.world_size)))
        dealt = [(place, samples) for place, samples in dealt if samples]
        rest = (self.clips - begin) * per_clip % self.world_size
        if self.even == "drop" and self.rank < rest:  # its last sample is one of the `rest` last ones
            place, samples = dealt.pop()
            dealt += [(place, samples[:-1])] if samples[:-1] else []
        if self.even == "pad" and 0 < rest <= self.rank:
            place, sample = divmod((self.rank - rest) % (self.clips * per_clip), per_clip)
            dealt.append((place, range(sample, sample + 1)))
        return dealt


@dataclass(frozen=True)
class WorkerOrder:
    """The part of a rank's order that one of its `workers` processes makes: in turn, `units_a_turn` each time.

    The turns go on over the border of an epoch. A DataLoader takes its batches from its workers in turn: with
    samples_per_clip=1 and units_a_turn = batch_size it hands out the rank's own order for any number of workers.
    """

    rank_order: RankOrder
    worker: int = 0
    workers: int = 1
    units_a_turn: int = 1

    def pieces(
        self, order: npt.NDArray[np.int64], *, epoch: int, origin: StartOffset, skipped: int = 0
    ) -> Iterator[tuple[int, WorkItem]]:
        """(how many of the worker's samples of this epoch come before, piece), without the first `skipped` samples."""
        rank = self.rank_order
        before = origin.samples if epoch == origin.epoch else 0
        dealt_before = (epoch - origin.epoch) * rank.units - rank.unit(rank.found(origin.samples)[0])
        done = 0
        for number, piece in rank.pieces(order, epoch=epoch, skipped=before):
            if (dealt_before + rank.unit(number)) // self.units_a_turn % self.workers != self.worker:
                continue
            rest = piece.samples[max(skipped - done, 0) :]
            done += len(piece.samples)
            if rest:
                yield done - len(rest), piece._replace(samples=rest)


def units_a_turn(batch_size: int, samples_per_clip: int) -> int:
    """Clips that fill whole batches: then a rank's batches are as many for any number of workers."""
    return math.lcm(batch_size, samples_per_clip) // samples_per_clip
