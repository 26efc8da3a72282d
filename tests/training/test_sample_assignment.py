"""The samples of ranks and workers: the same for any number of them; no duplicates or drops."""

from itertools import islice

import pytest

from dvm_hf.training.epoch_order import clip_order
from dvm_hf.training.sample_assignment import ClipRanks, StartOffset, WorkerOrder

pytestmark = pytest.mark.one_lane

RANKS, WORKERS = (1, 2, 3, 4, 8), (0, 1, 2, 4)
START = StartOffset(0, 0)
Sample = tuple[int, int]  # index in the epoch's order, clip


def samples_of(
    clips: int,
    *,
    per_clip: int = 1,
    rank: int = 0,
    world: int = 1,
    worker: int = 0,
    workers: int = 1,
    epoch: int = 0,
    origin: StartOffset = START,
    skipped: int = 0,
    turn: int = 1,
) -> list[Sample]:
    """Return the samples of one process in an epoch."""
    order = clip_order(epoch, clips=clips, seed=5, shuffle=True, samples_per_clip=per_clip)
    share = WorkerOrder(ClipRanks(clips, per_clip, rank, world), worker, workers, turn)
    items = share.work_items(epoch=epoch, origin=origin, skipped=skipped)
    return [(place.index, place.clip) for _, indices in items for place in order.places(indices)]


def handed_out(shares: list[list[Sample]], batch_size: int = 1) -> list[Sample]:
    """Return what a DataLoader yields from its workers' samples: a batch from each in turn, while it has one."""
    iterators = [iter(share) for share in shares]
    result: list[Sample] = []
    while iterators:
        for iterator in list(iterators):
            batch = list(islice(iterator, batch_size))
            result += batch
            if not batch:
                iterators.remove(iterator)
    return result


@pytest.mark.parametrize("world", RANKS)
@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("clips", [1, 5, 24, 37])
@pytest.mark.parametrize("per_clip", [1, 3, 4])
def test_ranks_and_workers_partition_an_epoch(world: int, workers: int, clips: int, per_clip: int) -> None:
    everything = samples_of(clips, per_clip=per_clip)
    assert [index for index, _ in everything] == list(range(clips * per_clip))
    shares = []
    for rank in range(world):
        parts = [
            samples_of(clips, per_clip=per_clip, rank=rank, world=world, worker=worker, workers=workers or 1)
            for worker in range(workers or 1)
        ]
        shares.append([sample for part in parts for sample in part])
        assert len(shares[-1]) == ClipRanks(clips, per_clip, rank, world).samples
        assert all(part == sorted(part) for part in parts)  # everyone keeps to the global order
    assert sorted(sample for share in shares for sample in share) == everything
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("world", RANKS)
@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_loader_yields_the_global_order_for_any_number_of_workers(world: int, workers: int, batch_size: int) -> None:
    """Across two epochs; sample i goes to rank i % world."""
    clips = 37
    expected = [samples_of(clips, epoch=epoch) for epoch in (0, 1)]
    for rank in range(world):
        parts = [
            [
                sample
                for epoch in (0, 1)
                for sample in samples_of(
                    clips, rank=rank, world=world, worker=w, workers=workers or 1, epoch=epoch, turn=batch_size
                )
            ]
            for w in range(workers or 1)
        ]
        assert handed_out(parts, batch_size) == expected[0][rank::world] + expected[1][rank::world]


@pytest.mark.parametrize(("world", "workers"), [(1, 1), (2, 1), (3, 2), (8, 4)])
@pytest.mark.parametrize("per_clip", [1, 4])
def test_every_share_can_be_resumed(world: int, workers: int, per_clip: int) -> None:
    for rank in range(world):
        for worker in range(workers):
            whole = samples_of(21, per_clip=per_clip, rank=rank, world=world, worker=worker, workers=workers)
            for skipped in range(len(whole) + 1):
                rest = samples_of(
                    21, per_clip=per_clip, rank=rank, world=world, worker=worker, workers=workers, skipped=skipped
                )
                assert rest == whole[skipped:]


@pytest.mark.parametrize("per_clip", [1, 3, 4])
@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize(("rank", "world"), [(1, 2), (0, 3)])  # one clip or two remain after the full rounds
def test_workers_resume_an_epoch_that_one_process_began(rank: int, world: int, per_clip: int, workers: int) -> None:
    whole = samples_of(11, per_clip=per_clip, rank=rank, world=world)
    for begun in range(len(whole) + 1):
        origin = StartOffset(0, begun)
        parts = [
            samples_of(11, per_clip=per_clip, rank=rank, world=world, worker=w, workers=workers, origin=origin)
            for w in range(workers)
        ]
        assert sorted(sample for part in parts for sample in part) == whole[begun:]
        if per_clip == 1:
            assert handed_out(parts) == whole[begun:]


def test_a_work_item_has_its_start_offset() -> None:
    share = WorkerOrder(ClipRanks(9, 4, rank=1, world_size=2), worker=1, workers=2)
    for skipped in range(9):
        before = skipped
        for done, indices in share.work_items(epoch=0, origin=START, skipped=skipped):
            assert done == before
            before += len(indices)


def test_the_samples_of_a_clip_stay_together_in_full_rounds() -> None:
    """Rank 1 of 4 has the clips at the positions 1 and 5, and one sample of the last one."""
    items = [list(indices) for _, indices in ClipRanks(9, 4, rank=1, world_size=4).work_items()]
    assert items == [[4, 5, 6, 7], [20, 21, 22, 23], [33]]
