"""Shares and repeats: which entry each clip's background comes from, and what added entries leave as it was."""

import math
from collections import Counter
from fractions import Fraction
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest

from dvm_hf.clips.background_assignment import EntrySequence, ShuffleCycles, shares_of
from dvm_hf.clips.plan import ClipPlan, Rendering, assigned_clips
from dvm_hf.errors import SourceError
from dvm_hf.sources.records import Background, Entry, Foreground, SourceTree

ROOT = Path("sets")


def mixed(foregrounds: list[tuple[str, int, int]], backgrounds: list[tuple[str, int, float | None]]) -> SourceTree:
    """A tree of sources that do not exist.

    foregrounds: (name, number of files, repeat) of each entry. backgrounds: (name, number of files, share).
    """
    entries = [
        *(Entry(name, "foregrounds", path=name, repeat=repeat) for name, _, repeat in foregrounds),
        *(Entry(name, "backgrounds", path=name, share=share) for name, _, share in backgrounds),
    ]
    made = [
        [(number, f"{entry.name}.{file:05}") for file in range(files)]
        for number, (entry, (_, files, _)) in enumerate(zip(entries, [*foregrounds, *backgrounds], strict=True))
    ]
    front, back = made[: len(foregrounds)], made[len(foregrounds) :]
    return SourceTree(
        ROOT,
        "train",
        tuple(Foreground("image", n, ROOT / n, ROOT / n, entry=i) for one in front for i, n in one),
        tuple(Background(n, ROOT / n, i) for one in back for i, n in one),
        (),
        (),
        {},
        tuple(entries),
    )


def assigned(tree: SourceTree, count: int = 4, *, seed: int = 2019, reuse: int = 1) -> tuple[ClipPlan, ...]:
    rendering = Rendering()
    return assigned_clips(
        tree, backgrounds_per_foreground=count, seed=seed, rendering=rendering, background_reuse=reuse
    ).clips


def entry_of(name: str) -> str:
    return name.split(".")[0]


def counts(clips: tuple[ClipPlan, ...]) -> Counter[str]:
    return Counter(entry_of(clip.background.name) for clip in clips)


# Shares


@pytest.mark.parametrize("count", [1, 2, 4, 5])
@pytest.mark.parametrize("seed", [0, 2019])
def test_equal_shares_over_a_thousand_clips_are_exact(count: int, seed: int) -> None:
    tree = mixed([("a", 1000 // count, 1)], [("stills", 15_000, 0.5), ("videos", 200, 0.5)])
    assert counts(assigned(tree, count, seed=seed)) == {"stills": 500, "videos": 500}


@pytest.mark.slow
def test_every_prefix_has_the_shares_within_one_clip() -> None:
    rng = np.random.default_rng(8)
    for trial in range(150):
        weights = [int(weight) for weight in rng.choice([1, 2, 3, 5, 17, 100, 3000], rng.integers(2, 8))]
        shares = [Fraction(weight, sum(weights)) for weight in weights]
        sequence = EntrySequence(shares, np.random.default_rng(trial))
        used = [0] * len(shares)
        for clips in range(1, 200):
            used[sequence.next([True] * len(shares))] += 1
            for share, held in zip(shares, used, strict=True):
                assert math.floor(share * clips) <= held <= math.ceil(share * clips), (weights, clips, used)


def test_a_foreground_gets_other_entries_with_another_seed() -> None:
    """With one background a foreground, a fixed order would always put a still behind the same foregrounds."""
    tree = mixed([("a", 10, 1)], [("stills", 50, 0.3), ("videos", 50, 0.7)])
    deals = [[entry_of(clip.background.name) for clip in assigned(tree, 1, seed=seed)] for seed in range(400)]
    for position in range(10):
        share = sum(deal[position] == "stills" for deal in deals) / len(deals)
        assert 0.1 < share < 0.6, position


def test_entries_without_share_get_the_rest_in_proportion_to_their_files() -> None:
    entries = [Entry(share=0.4), Entry(), Entry()]
    assert shares_of(entries, [7, 20, 10]) == [Fraction(2, 5), Fraction(2, 5), Fraction(1, 5)]
    assert shares_of([Entry(), Entry()], [1, 3]) == [Fraction(1, 4), Fraction(3, 4)]
    assert shares_of([Entry(share=0.1)] * 10, [1] * 10) == [Fraction(1, 10)] * 10  # not 0.1 of binary fractions


def test_a_share_that_needs_more_backgrounds_than_there_are_is_refused() -> None:
    tree = mixed([("a", 10, 1)], [("few", 1, 0.5), ("many", 100, 0.5)])
    message = r"^few: .* share 0\.5 of 40 clips: it has 1 background, .* at most 10 clips .* at most 0\.25,"
    with pytest.raises(SourceError, match=message):
        assigned(tree, 4)
    assert counts(assigned(tree, 2)) == {"few": 10, "many": 10}


def test_small_entries_without_shares_are_never_refused() -> None:
    tree = mixed([("a", 30, 1)], [("few", 2, None), ("many", 3, None)])
    for seed in range(20):
        clips = assigned(tree, 4, seed=seed)
        assert len({clip.clip_id for clip in clips}) == len(clips) == 120
        assert abs(counts(clips)["few"] - 48) <= 1


def test_within_an_entry_every_background_is_used_before_any_repeats() -> None:
    tree = mixed([("a", 40, 1), ("b", 9, 3)], [("x", 7, 0.3), ("y", 60, 0.5), ("z", 5, 0.2)])
    uses = {entry: Counter[str]() for entry in "xyz"}
    for clip in assigned(tree):
        held = uses[entry_of(clip.background.name)]
        held[clip.background.name] += 1
        files = {"x": 7, "y": 60, "z": 5}[entry_of(clip.background.name)]
        assert max(held.values()) - (min(held.values()) if len(held) == files else 0) <= 1


def test_cycles_take_different_indices_across_their_ends() -> None:
    cycles = ShuffleCycles(repeat(5), np.random.default_rng(0).permutation)
    for count in (3, 5, 1, 4, 4, 2, 5, 0):
        taken = cycles.take(count)
        assert len(set(taken)) == count


# Repeats


def test_a_repeated_foreground_gets_as_many_times_as_many_different_backgrounds() -> None:
    clips = assigned(mixed([("a", 5, 1), ("b", 5, 3)], [("x", 10, 0.5), ("y", 30, 0.5)]), 2)
    per_foreground = Counter(clip.foreground.name for clip in clips)
    assert {entry_of(name): count for name, count in per_foreground.items()} == {"a": 2, "b": 6}
    assert len({clip.clip_id for clip in clips}) == 5 * 2 + 5 * 6


def test_repeats_are_limited_by_the_backgrounds() -> None:
    clips = assigned(mixed([("a", 3, 100)], [("x", 2, None), ("y", 3, None)]))
    assert Counter(clip.foreground.name for clip in clips) == dict.fromkeys(["a.00000", "a.00001", "a.00002"], 5)


# Shared backgrounds


@pytest.mark.parametrize("reuse", [2, 3, 16])
@pytest.mark.parametrize("count", [1, 4])
def test_with_shared_backgrounds_foregrounds_and_entries_come_as_often_as_without(reuse: int, count: int) -> None:
    tree = mixed([("a", 30, 1), ("b", 9, 3)], [("x", 7, 0.3), ("y", 600, 0.5), ("z", 25, None)])
    for seed in range(5):
        alone, shared = assigned(tree, count, seed=seed), assigned(tree, count, seed=seed, reuse=reuse)
        assert counts(shared) == counts(alone)
        assert [clip.foreground for clip in shared] == [clip.foreground for clip in alone]
        assert len({clip.clip_id for clip in shared}) == len(shared)  # the backgrounds of a foreground differ


@pytest.mark.parametrize("reuse", [2, 5, 16])
@pytest.mark.parametrize("files", [4, 9, 30, 1000])
def test_shares_of_backgrounds_stay_within_one_segment(reuse: int, files: int) -> None:
    """Without reuse, each has 160 / files clips, rounded up or down."""
    tree = mixed([("a", 40, 1)], [("x", files, None)])
    for seed in range(5):
        uses = Counter(clip.background.name for clip in assigned(tree, seed=seed, reuse=reuse))
        alone = Counter(clip.background.name for clip in assigned(tree, seed=seed))
        assert all(abs(uses[name] - alone[name]) <= reuse for name in alone | uses)
        assert sum(count % reuse > 0 for count in uses.values()) <= 4  # the other segments are complete


def test_all_backgrounds_are_used_in_some_epoch() -> None:
    tree = mixed([("a", 16, 1)], [("x", 40, None)])
    used = [{clip.background.name for clip in assigned(tree, seed=seed, reuse=16)} for seed in range(60)]
    assert {len(names) for names in used} == {4}  # of 16 clips each
    assert len(set().union(*used)) == 40


def test_a_small_epoch_has_a_background_for_each_segment_that_takes_turns() -> None:
    for foregrounds in (4, 5, 10, 30):
        clips = assigned(mixed([("a", foregrounds, 1)], [("x", 50, None)]), 1, reuse=16)
        uses = Counter(clip.background.name for clip in clips)
        assert len(uses) >= 4
        assert max(uses.values()) <= max(1, foregrounds // 4)


def test_kinds_of_other_lengths_share_no_background_if_there_are_enough() -> None:
    path = Path("sources")
    kinds = ["image"] * 12 + ["video"] * 12
    foregrounds = tuple(Foreground(kind, f"{n}", path / f"{n}", path / f"{n}") for n, kind in enumerate(kinds))
    tree = SourceTree(path, "train", foregrounds, tuple(Background(f"{n}", path) for n in range(20)), (), (), {})

    def uses(rendering: Rendering) -> dict[str, set[str]]:
        clips = assigned_clips(tree, backgrounds_per_foreground=4, seed=1, rendering=rendering, background_reuse=12)
        names: dict[str, set[str]] = {"image": set(), "video": set()}
        for clip in clips.clips:
            names[clip.foreground.kind].add(clip.background.name)
        return names

    apart = uses(Rendering(max_image_frames=60, max_video_frames=150))
    assert not apart["image"] & apart["video"]
    together = uses(Rendering(max_image_frames=60, max_video_frames=60))
    assert together["image"] & together["video"]


def test_cycles_can_have_other_totals() -> None:
    cycles = ShuffleCycles([3, 3, 2], np.random.default_rng(0).permutation)
    assert Counter(index for _ in range(4) for index in cycles.take(2)) == {0: 3, 1: 3, 2: 2}


# What is added changes nothing else

BACK: list[tuple[str, int, float | None]] = [("x", 40, 0.3), ("y", 25, None), ("z", 9, None)]


@pytest.mark.parametrize("count", [1, 3, 4])
def test_foregrounds_added_at_the_end_leave_all_clips_as_they_are(count: int) -> None:
    front = [("a", 7, 1), ("b", 11, 2)]
    before = assigned(mixed(front, BACK), count)
    after = assigned(mixed([*front, ("c", 5, 4)], BACK), count)
    assert [(c.clip_id, c.seed) for c in after[: len(before)]] == [(c.clip_id, c.seed) for c in before]
    assert len(after) == len(before) + 5 * 4 * count


def test_backgrounds_added_leave_clips_of_the_same_name_as_they_are() -> None:
    before = {clip.clip_id: clip.seed for clip in assigned(mixed([("a", 50, 1)], [("x", 9, None)]))}
    after = {clip.clip_id: clip.seed for clip in assigned(mixed([("a", 50, 1)], [("x", 9, None), ("y", 9, None)]))}
    common = before.keys() & after.keys()
    assert len(common) > 20
    assert all(before[name] == after[name] for name in common)


def test_cycles_of_an_entry_depend_on_its_name_only() -> None:
    """So that another entry before it does not change the order of its backgrounds."""

    def order(backgrounds: list[tuple[str, int, float | None]]) -> list[str]:
        clips = assigned(mixed([("a", 100, 1)], backgrounds), 1)
        return [clip.background.name for clip in clips if clip.background.name.startswith("x")][:20]

    assert order([("x", 30, 0.5), ("y", 30, 0.5)]) == order([("w", 3, 0.2), ("x", 30, 0.3), ("y", 9, 0.5)])


def test_a_tree_without_backgrounds_has_no_clips() -> None:
    assert assigned(mixed([("a", 3, 1)], [])) == ()
