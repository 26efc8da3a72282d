"""Units of segments, divided among ranks and workers: no duplicates or drops, equal shares, and exact resumes."""

from collections import Counter

import pytest

from dvm_hf.training.sample_assignment import EvenRanks, SegmentRanks, StartOffset, WorkerOrder, units_per_turn

pytestmark = pytest.mark.one_lane

CLIPS, REUSES = (1, 7, 16, 37, 64, 150), (2, 5)
START = StartOffset(0, 0)


def shares(
    ranks: SegmentRanks, *, workers: int = 1, batch_size: int = 1, epochs: int = 1, origin: StartOffset = START
) -> list[list[tuple[int, int]]]:
    """Return (epoch, index) of the samples of each worker."""
    turn = units_per_turn(batch_size, ranks.unit_length)
    return [
        [
            (epoch, index)
            for epoch in range(origin.epoch, epochs)
            for _, item in WorkerOrder(ranks, worker, workers, turn).work_items(epoch=epoch, origin=origin)
            for index in item
        ]
        for worker in range(workers)
    ]


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("per_clip", [1, 3])
def test_ranks_and_workers_partition_an_epoch(world: int, workers: int, per_clip: int) -> None:
    for clips in CLIPS:
        for reuse in REUSES:
            made = []
            for rank in range(world):
                ranks = SegmentRanks(clips, per_clip, rank, world, background_reuse=reuse)
                parts = shares(ranks, workers=workers)
                assert all(part == sorted(part) for part in parts)
                made.append([place for part in parts for place in part])
                assert len(made[-1]) == ranks.samples
            assert sorted(place for part in made for place in part) == [(0, index) for index in range(clips * per_clip)]
            assert max(map(len, made)) - min(map(len, made)) <= 1


def test_a_rank_has_units_and_a_piece_of_the_rest() -> None:
    """By hand: 37 clips, units of 8: 0-7 and 16-23 | 8-15; the last one has 13, from 24 to 36."""
    ranks = [SegmentRanks(37, 1, rank, 2, background_reuse=2) for rank in range(2)]
    assert [list(item) for _, item in ranks[0].work_items()] == [[*range(8)], [*range(16, 27)]]
    assert [list(item) for _, item in ranks[1].work_items()] == [[*range(8, 16)], [*range(27, 37)]]
    alone = SegmentRanks(37, 1, background_reuse=2)
    assert [item for _, item in alone.work_items()] == [range(8), range(8, 16), range(16, 24), range(24, 37)]


@pytest.mark.parametrize("world", [2, 3, 8])
@pytest.mark.parametrize("even", ["drop", "pad"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_drop_removes_as_few_as_possible_and_pad_removes_none(world: int, even: EvenRanks, shuffled: bool) -> None:
    for clips in CLIPS:
        every, dropped_always = clips * 3, set(range(clips * 3))
        expected = every - every % world if even == "drop" else -(-every // world) * world
        for epoch in range(world + 1):
            given: Counter[int] = Counter()
            for rank in range(world):
                ranks = SegmentRanks(clips, 3, rank, world, even, shuffled, background_reuse=4)
                (share,) = shares(ranks, epochs=epoch + 1, origin=StartOffset(epoch, 0))
                assert len(share) == ranks.samples == expected // world
                given.update(index for _, index in share)
            assert sum(given.values()) == expected
            assert set(given) <= set(range(every))
            if even == "drop":
                assert set(given.values()) <= {1}
            else:
                assert set(given) == set(range(every))
            dropped_always -= set(given)
        assert shuffled or not dropped_always or every < world


@pytest.mark.parametrize(("world", "workers"), [(1, 1), (2, 3), (3, 2)])
@pytest.mark.parametrize("even", [None, "drop", "pad"])
def test_every_position_can_be_resumed(world: int, workers: int, even: EvenRanks) -> None:
    for clips in (9, 37):
        for rank in range(world):
            ranks = SegmentRanks(clips, 2, rank, world, even if world > 1 else None, background_reuse=2)
            (whole,) = shares(ranks, epochs=2)
            for begun in range(ranks.samples + 1):
                origin = StartOffset(0, begun)
                parts = shares(ranks, workers=workers, batch_size=2, epochs=2, origin=origin)
                assert sorted(place for part in parts for place in part) == sorted(whole[begun:])
            for worker in range(workers):
                own = WorkerOrder(ranks, worker, workers)
                mine = [i for _, item in own.work_items(epoch=0, origin=START) for i in item]
                for skipped in range(len(mine) + 1):
                    found = list(own.work_items(epoch=0, origin=START, skipped=skipped))
                    assert [index for _, item in found for index in item] == mine[skipped:]
                    assert not found or found[0][0] == skipped


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("batch_size", [1, 4, 6])
@pytest.mark.parametrize("world", [1, 3])
def test_batches_are_the_same_for_any_number_of_workers(workers: int, batch_size: int, world: int) -> None:
    def batches(number: int) -> list[tuple[tuple[int, int], ...]]:
        parts = shares(ranks, workers=number, batch_size=batch_size)
        return sorted(
            tuple(part[begin : begin + batch_size]) for part in parts for begin in range(0, len(part), batch_size)
        )

    for clips in CLIPS:
        ranks = SegmentRanks(clips, 3, 0, world, "drop" if world > 1 else None, background_reuse=5)
        assert batches(workers) == batches(1)
        assert len(batches(workers)) == -(-ranks.samples // batch_size)
