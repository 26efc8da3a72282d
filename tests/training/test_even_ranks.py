"""Even ranks: the same number of samples and batches in every rank, for any number of workers."""

from collections import Counter

import pytest

from dvm_hf.training.epoch_order import clip_order
from dvm_hf.training.sample_assignment import ClipRanks, EvenRanks, RankOrder, StartOffset, WorkerOrder, units_per_turn

RANKS, WORKERS = (1, 2, 3, 4, 8), (0, 1, 2, 4)
GRID = [(world, workers) for world in RANKS for workers in WORKERS]
CLIPS = (1, 5, 9, 24, 37)
START = StartOffset(0, 0)


def shares(
    order: RankOrder, *, workers: int, batch_size: int, epochs: int = 1, origin: StartOffset = START
) -> list[list[tuple[int, int]]]:
    """Return (epoch, index) of the samples of each worker of a rank."""
    made = []
    for worker in range(workers or 1):
        turn = units_per_turn(batch_size, order.unit_length)
        own = WorkerOrder(order, worker, workers or 1, turn)
        made.append(
            [
                (epoch, index)
                for epoch in range(origin.epoch, epochs)
                for _, indices in own.work_items(epoch=epoch, origin=origin)
                for index in indices
            ]
        )
    return made


def batches(made: list[list[tuple[int, int]]], batch_size: int, drop_last: bool) -> int:
    """Return the number of batches of a DataLoader: each worker batches its own samples."""
    return sum(len(share) // batch_size if drop_last else -(-len(share) // batch_size) for share in made)


@pytest.mark.slow
@pytest.mark.parametrize(("world", "workers"), GRID)
@pytest.mark.parametrize("even", ["drop", "pad"])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("per_clip", [1, 3, 4])
def test_every_rank_has_the_same_number_of_batches(
    world: int, workers: int, even: EvenRanks, drop_last: bool, per_clip: int
) -> None:
    for clips in CLIPS:
        for batch_size in (1, 2, 4, 5):
            for epochs in (1, 2):
                orders = [ClipRanks(clips, per_clip, rank, world, even=even) for rank in range(world)]
                made = [shares(order, workers=workers, batch_size=batch_size, epochs=epochs) for order in orders]
                assert len({tuple(map(len, parts)) for parts in made}) == 1
                assert len({batches(parts, batch_size, drop_last) for parts in made}) == 1
                assert sum(map(len, made[0])) == epochs * orders[0].samples


@pytest.mark.parametrize("world", RANKS)
@pytest.mark.parametrize("per_clip", [1, 3, 4])
@pytest.mark.parametrize("shuffled", [False, True])
def test_drop_removes_as_few_as_possible_and_pad_removes_none(world: int, per_clip: int, shuffled: bool) -> None:
    for clips in CLIPS:
        every = clips * per_clip
        for even, expected in (("drop", every - every % world), ("pad", -(-every // world) * world)):
            for epoch in range(3):
                given: Counter[int] = Counter()
                for rank in range(world):
                    order = ClipRanks(clips, per_clip, rank, world, even=even, shuffled=shuffled)  # type: ignore[arg-type]
                    made = shares(order, workers=0, batch_size=1, epochs=epoch + 1, origin=StartOffset(epoch, 0))
                    assert len(made[0]) == order.samples == expected // world
                    given.update(index for _, index in made[0])
                assert sum(given.values()) == expected
                if even == "drop":
                    assert set(given.values()) <= {1}
                    assert set(given) <= set(range(every))
                else:
                    assert set(given) == set(range(every))
                    assert sum(count - 1 for count in given.values()) == expected - every < world


@pytest.mark.parametrize("world", [2, 3, 8])
def test_sample_i_goes_to_rank_i_modulo_the_world(world: int) -> None:
    """By hand: 10 samples over 3 ranks are 0 3 6 | 1 4 7 | 2 5 8, and with padding 9, 0 and 1 follow."""
    for rank in range(world):
        dropped = shares(ClipRanks(10, 1, rank, world, even="drop"), workers=0, batch_size=1)[0]
        padded = shares(ClipRanks(10, 1, rank, world, even="pad"), workers=0, batch_size=1)[0]
        whole = list(range(10))[: 10 - 10 % world]
        assert [index for _, index in dropped] == whole[rank::world]
        longer = [*range(10), *range(10)][: -(-10 // world) * world]
        assert [index for _, index in padded] == longer[rank::world]


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize(("clips", "world"), [(9, 2), (10, 4), (23, 8)])
def test_every_clip_is_used_in_some_epoch(clips: int, world: int, shuffled: bool) -> None:
    dropped_always = set(range(clips))
    for epoch in range(12):
        order = clip_order(epoch, clips=clips, seed=3, shuffle=shuffled)
        used = {
            place.clip
            for rank in range(world)
            for _, indices in ClipRanks(clips, 1, rank, world, "drop", shuffled).work_items(epoch=epoch)
            for place in order.places(indices)
        }
        assert len(used) == clips - clips % world
        dropped_always -= used
    assert not dropped_always


@pytest.mark.parametrize(("world", "workers"), [(2, 0), (2, 2), (3, 4), (8, 2)])
@pytest.mark.parametrize("even", ["drop", "pad"])
@pytest.mark.parametrize("per_clip", [1, 3])
def test_a_resume_keeps_the_number_of_batches_equal(world: int, workers: int, even: EvenRanks, per_clip: int) -> None:
    orders = [ClipRanks(21, per_clip, rank, world, even=even) for rank in range(world)]
    for begun in range(orders[0].samples + 1):
        made = [
            shares(order, workers=workers, batch_size=2, epochs=2, origin=StartOffset(0, begun)) for order in orders
        ]
        assert len({tuple(map(len, parts)) for parts in made}) == 1
        whole = shares(orders[1], workers=0, batch_size=2, epochs=2)[0]
        assert sorted(place for part in made[1] for place in part) == sorted(whole[begun:])


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("per_clip", [1, 2, 3, 4])
@pytest.mark.parametrize("batch_size", [1, 2, 4, 6])
def test_the_number_of_batches_does_not_depend_on_the_workers(workers: int, per_clip: int, batch_size: int) -> None:
    for world in (1, 2, 3):
        for even in (None, "drop", "pad"):
            order = ClipRanks(23, per_clip, 0, world, even=even)  # type: ignore[arg-type]
            made = shares(order, workers=workers, batch_size=batch_size)
            assert batches(made, batch_size, False) == -(-order.samples // batch_size)
            assert batches(made, batch_size, True) == order.samples // batch_size
