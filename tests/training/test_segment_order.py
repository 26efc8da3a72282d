"""The order of an epoch with shared backgrounds: nothing is lost, those of a background are apart, segments are few."""

from collections import Counter
from itertools import combinations, groupby, product
from pathlib import Path

import numpy as np
import pytest

from dvm_hf.clips.plan import Rendering, assigned_clips
from dvm_hf.sources.records import Background, Foreground, SourceTree
from dvm_hf.training.epoch_order import Place
from dvm_hf.training.sample_assignment import SegmentRanks, StartOffset, WorkerOrder, units_per_turn
from dvm_hf.training.segment_order import SegmentOrder, segment_order

pytestmark = pytest.mark.one_lane


def planned(foregrounds: int, per_foreground: int, backgrounds: int, reuse: int, *, videos: int = 0) -> list[str]:
    """Return "KIND BACKGROUND" of each clip of an epoch."""
    path = Path("sources")
    tree = SourceTree(
        path,
        "train",
        tuple(Foreground("video" if n < videos else "image", f"{n}", path, path) for n in range(foregrounds)),
        tuple(Background(f"{n}", path) for n in range(backgrounds)),
        (),
        (),
        {},
    )
    clips = assigned_clips(
        tree, backgrounds_per_foreground=per_foreground, seed=3, rendering=Rendering(), background_reuse=reuse
    ).clips
    return [f"{clip.foreground.kind} {clip.background.name} {clip.foreground.name}" for clip in clips]


def ordered(clips: list[str], reuse: int, *, samples: int = 1, seed: int | None = 0) -> tuple[SegmentOrder, list[str]]:
    """Return the order, and the background of each of its samples."""
    kinds, backgrounds, foregrounds = zip(*(f"{clip} {n}".split()[:3] for n, clip in enumerate(clips)), strict=True)
    rng = None if seed is None else np.random.default_rng(seed)
    order = segment_order(foregrounds, backgrounds, kinds, background_reuse=reuse, samples_per_clip=samples, rng=rng)
    return order, [backgrounds[clip] for clip in order.clips]


def crowded(backgrounds: list[str], size: int = 4) -> int:
    """Return how many of the batches contain a background twice."""
    batches = [backgrounds[begin : begin + size] for begin in range(0, len(backgrounds), size)]
    return sum(len(set(batch)) < len(batch) for batch in batches)


GRID = [
    (foregrounds, per_foreground, backgrounds, reuse, videos)
    for foregrounds, per_foreground, backgrounds, reuse, videos in product(
        (5, 16, 41), (1, 4, 7), (8, 9, 20), (2, 3, 16), (0, 2)
    )
]


def test_every_sample_comes_once_and_those_of_a_clip_in_order() -> None:
    for case in GRID[::7]:
        clips = planned(*case[:4], videos=case[4])
        order, _ = ordered(clips, case[3], samples=3)
        places = list(order.places(range(3 * len(clips))))
        assert sorted((place.clip, place.number) for place in places) == list(product(range(len(clips)), range(3)))
        by_clip = sorted(places, key=lambda place: place.clip)  # stable
        assert all([p.number for p in held] == [0, 1, 2] for _, held in groupby(by_clip, key=lambda place: place.clip))


def test_a_segment_has_one_background_and_kind_and_at_most_so_many_clips() -> None:
    for case in GRID[::3]:
        clips, reuse = planned(*case[:4], videos=case[4]), case[3]
        order, _ = ordered(clips, reuse)
        assert all(clips[clip].split()[:2] == clips[lead].split()[:2] for clip, lead in enumerate(order.leads))
        assert max(Counter(order.leads.tolist()).values()) <= reuse
        assert all(order.leads[lead] == lead for lead in order.leads)


def test_there_are_as_few_segments_as_possible() -> None:
    """40 foregrounds over 4 backgrounds each are 160 clips: ten segments of 16, for example.

    With few backgrounds, some have incomplete segments at the end of the epoch.
    """
    for backgrounds, reuse in product((10, 11, 50, 1000), (2, 5, 8, 16)):
        clips = planned(40, 4, backgrounds, reuse)
        segments, least = len(set(ordered(clips, reuse)[0].leads.tolist())), -(-160 // reuse)
        assert segments == least if least <= backgrounds else least <= segments <= 1.25 * least
    clips = planned(40, 4, 1000, 7, videos=11)
    kinds = Counter(clip.split()[0] for clip in clips)
    assert kinds == {"video": 44, "image": 116}
    assert len(set(ordered(clips, 7)[0].leads.tolist())) == -(-44 // 7) + -(-116 // 7)


@pytest.mark.slow
@pytest.mark.parametrize(("world", "workers"), [(1, 1), (1, 3), (2, 2), (3, 1)])
@pytest.mark.parametrize("samples", [1, 4])
def test_no_background_comes_twice_in_a_batch_of_four(world: int, workers: int, samples: int) -> None:
    """Wherever the epoch has eight backgrounds or more."""
    for case in GRID:
        clips, reuse = planned(*case[:4], videos=case[4]), case[3]
        if len({clip.split()[1] for clip in clips}) < 8:
            continue
        _, backgrounds = ordered(clips, reuse, samples=samples)
        for rank in range(world):
            ranks = SegmentRanks(len(clips), samples, rank, world, "drop" if world > 1 else None, True, reuse)
            turn = units_per_turn(4, ranks.unit_length)
            for worker in range(workers):
                items = WorkerOrder(ranks, worker, workers, turn).work_items(epoch=0, origin=StartOffset(0, 0))
                assert not crowded([backgrounds[index] for _, item in items for index in item]), case


def test_samples_of_a_background_are_four_apart_while_its_segment_lasts() -> None:
    order, backgrounds = ordered(planned(64, 4, 1000, 16), 16, samples=3)
    assert order.segments_held == 4
    for name in set(backgrounds):
        places = [index for index, other in enumerate(backgrounds) if other == name]
        assert set(np.diff(places)) == {4}


def test_at_the_end_of_an_epoch_the_remaining_segments_take_turns() -> None:
    """11 segments of 4 clips: a unit of 4, and the other 7 in turn."""
    order, backgrounds = ordered(planned(11, 4, 1000, 4), 4)
    assert order.segments_held == 7
    assert set(np.diff([index for index, name in enumerate(backgrounds) if name == backgrounds[-1]])) == {7}


def test_a_background_with_more_than_a_quarter_of_the_clips_is_spread_as_far_as_possible() -> None:
    """By hand: with 60 of 160 clips, 20 more than a quarter, at least 20 of the 40 batches hold it twice."""
    clips = [f"image {n if n >= 60 else 'common'}" for n in range(160)]
    _, backgrounds = ordered(clips, 8)
    assert crowded(backgrounds) <= 20


def uses(order: SegmentOrder, clips: list[str]) -> list[list[int]]:
    """Return the positions of the clips of each unit and foreground."""
    found: dict[tuple[int, str], list[int]] = {}
    for position, clip in enumerate(order.clips.tolist()):
        found.setdefault((int(order.unit_leads[clip]), clips[clip].split()[2]), []).append(position)
    return [*found.values()]


def test_the_segments_of_a_unit_have_the_same_foregrounds() -> None:
    """24 foregrounds over 8 backgrounds each: 24 segments of 8 clips, in six units of four with 8 foregrounds each."""
    clips = planned(24, 8, 1000, 8)
    order, _ = ordered(clips, 8)
    found = uses(order, clips)
    assert [len(positions) for positions in found] == [4] * 48
    for positions in found:  # in four rows of four, of which none has a foreground twice
        rows = [position // 4 for position in positions]
        assert len(set(rows)) == 4
        assert rows[-1] - rows[0] == 3
    assert set(order.foreground_uses.tolist()) == {4}
    assert all(order.unit_leads[lead] == lead for lead in order.unit_leads)


@pytest.mark.parametrize("shape", [(479, 20, 200, 16), (479, 5, 200, 8), (100, 4, 10, 8), (37, 10, 60, 5)])
def test_most_clips_of_a_foreground_are_in_a_unit_with_others(shape: tuple[int, int, int, int]) -> None:
    """Where foregrounds and segments do not divide evenly. In a random order, nearly all would be alone in a unit."""
    clips = planned(*shape)
    order, _ = ordered(clips, shape[3])
    found = uses(order, clips)
    assert len(found) < 0.7 * len(clips)
    counts = {int(order.clips[position]): len(positions) for positions in found for position in positions}
    assert [counts[clip] for clip in range(len(clips))] == order.foreground_uses.tolist()
    of_row = [clips[clip].split()[2] for clip in order.clips]
    assert crowded(of_row) <= 0.25 * len(clips) / 4


def test_foregrounds_that_are_together_differ_between_epochs() -> None:
    """By chance, 8 of 64 foregrounds that share one background share another one with 7 / 63 of the same."""
    pairs: list[set[frozenset[str]]] = []
    path = Path("sources")
    foregrounds = tuple(Foreground("image", f"{n}", path, path) for n in range(64))
    tree = SourceTree(path, "train", foregrounds, tuple(Background(f"{n}", path) for n in range(500)), (), (), {})
    for seed in range(2):
        by_background: dict[str, set[str]] = {}
        plans = assigned_clips(tree, backgrounds_per_foreground=8, seed=seed, rendering=Rendering(), background_reuse=8)
        for clip in plans.clips:
            by_background.setdefault(clip.background.name, set()).add(clip.foreground.name)
        pairs.append({frozenset(pair) for names in by_background.values() for pair in combinations(names, 2)})
    assert len(pairs[0] & pairs[1]) < 0.4 * len(pairs[0])


def test_a_unit_has_whole_segments() -> None:
    """No process but the one of the unit decodes a segment."""
    for case in GRID[::5]:
        clips, reuse = planned(*case[:4], videos=case[4]), case[3]
        order, _ = ordered(clips, reuse)
        ranks = SegmentRanks(len(clips), 1, background_reuse=reuse)
        leads = [{int(order.leads[order.clips[index]]) for index in item} for _, item in ranks.work_items()]
        assert sum(map(len, leads)) == len(set().union(*leads))


def test_the_order_of_the_plans() -> None:
    """By hand: one clip of each of four segments in turn, the first segment last."""
    order, _ = ordered(
        ["image a", "image b", "image a", "image c", "image d", "image b", "image c", "image d"], 2, seed=None
    )
    assert order.clips.tolist() == [4, 3, 1, 0, 7, 6, 5, 2]
    assert order.leads.tolist() == [0, 1, 0, 3, 4, 1, 3, 4]


def test_the_order_depends_on_the_seed_only() -> None:
    """A known value: the order is the same on every machine, and saved states stay valid."""
    clips = planned(6, 2, 20, 3)
    assert ordered(clips, 3, seed=1)[0].clips.tolist() == ordered(clips, 3, seed=1)[0].clips.tolist() == KNOWN
    assert ordered(clips, 3, seed=2)[0].clips.tolist() != KNOWN


KNOWN = [11, 2, 5, 6, 3, 10, 7, 4, 9, 8, 1, 0]


def test_the_samples_after_one_replace_it() -> None:
    order, _ = ordered(["image a", "image b", "image a", "image c"], 2, samples=2, seed=None)
    places = list(order.places(range(8)))
    following = list(order.following(places[1]))
    assert {place.clip for place in following} == {0, 1, 2, 3} - {places[1].clip}
    assert len(following) == 3
    assert following[0] == places[2]
    assert all(places[place.index] == place for place in following)
    assert isinstance(following[0], Place)


@pytest.mark.parametrize("clips", [1, 2, 3, 5, 7, 11])
@pytest.mark.parametrize("reuse", [2, 16, 1000, 10**12])
def test_tiny_epochs(clips: int, reuse: int) -> None:
    order, backgrounds = ordered([f"image {n}" for n in range(clips)], reuse, samples=4)
    assert sorted(order.clips.tolist()) == sorted([*range(clips)] * 4)
    assert crowded(backgrounds) == 0 if clips >= 4 else True
