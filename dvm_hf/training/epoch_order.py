"""The order of the samples of an epoch, which does not depend on ranks or workers. Numbers only, without PyTorch."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Place:
    """A sample: its index in the epoch's order, its clip, and its number within the clip."""

    index: int
    clip: int
    number: int


class EpochOrder(Protocol):
    """The order of one epoch."""

    def places(self, indices: Iterable[int]) -> Iterator[Place]:
        """Yield the samples with these indices."""

    def following(self, place: Place) -> Iterator[Place]:
        """Yield samples of other clips that can replace a sample, the next ones of the order first."""


@dataclass(frozen=True)
class ClipOrder:
    """The order of an epoch in which the samples of a clip are consecutive.

    clips: numbers of the clips, in the order of the epoch.
    """

    clips: npt.NDArray[np.int64]
    samples_per_clip: int

    def places(self, indices: Iterable[int]) -> Iterator[Place]:
        for index in indices:
            position, number = divmod(index, self.samples_per_clip)
            yield Place(index, int(self.clips[position]), number)

    def following(self, place: Place) -> Iterator[Place]:
        total = len(self.clips) * self.samples_per_clip
        for after in range(1, len(self.clips)):
            yield from self.places([(place.index + after * self.samples_per_clip) % total])


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the root seed of an epoch, 0 <= seed < 2**63. Epoch 0 uses `seed` itself, as load_dataset does.

    Later epochs use a hash, because with `seed + epoch`, epoch 1 of seed 7 would have the clips of epoch 0 of seed 8.
    """
    if epoch == 0:
        return seed
    digest = hashlib.blake2b(f"epoch/{seed}/{epoch}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def order_stream(seed: int, epoch: int) -> np.random.Generator:
    """Return the random numbers that shuffle an epoch."""
    digest = hashlib.blake2b(f"order/{seed}/{epoch}".encode(), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def clip_order(epoch: int, *, clips: int, seed: int, shuffle: bool, samples_per_clip: int = 1) -> ClipOrder:
    """Return the order of an epoch: the clips 0 .. clips - 1, shuffled or in the order of the plans."""
    order = order_stream(seed, epoch).permutation(clips) if shuffle else np.arange(clips)
    return ClipOrder(order, samples_per_clip)
