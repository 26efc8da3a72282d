"""Pairing of frames of two videos, with times worked by hand."""

import tracemalloc
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from dvm_hf.media.video.presentation import Presentation, first_difference, grid, mismatch, with_repeats


def shown(*numbers: float, rate: float = 25, count: int | None = None, **facts: object) -> Presentation:
    """Frames shown at these multiples of a frame's time."""
    times = tuple(number / rate for number in numbers)
    return Presentation(len(times) if count is None else count, times, **facts)  # type: ignore[arg-type]


WHOLE = shown(*range(12))
NINE_LEFT = shown(*range(3, 12), is_complete=False)  # cut out of a longer video: three frames cannot be decoded
BROWSER = shown(0, 1.1, 1.9, 3.1, 4.2, 5, 5.9, 7, 8.1, 9, 9.9, 11.2)  # irregular times in integer ms

BURST = (*range(0, 13, 2), *range(13, 19), *range(20, 31, 2))  # a variable rate: six short steps between long ones
CADENCE = (0, 2, 5, 8, 10, 12, 15, 18, 20, 22, 25, 28, 30)  # fields of 2:3:3:2 pulldown


def without(numbers: tuple[int, ...], lost: int) -> Presentation:
    return shown(*(number for number in numbers if number != lost), rate=60)


PAIRS = {
    "the same variable rate": (shown(*BURST, rate=60), shown(*BURST, rate=60)),
    "the same frame lacks at a variable rate": (without(BURST, 14), without(BURST, 14)),
    "the same times": (WHOLE, WHOLE),
    "times rounded to ms": (shown(*range(12), rate=23.976), shown(*(round(i / 23.976, 3) for i in range(12)), rate=1)),
    "other rates, both complete": (WHOLE, shown(*range(12), rate=30)),
    "a browser's uneven times": (BROWSER, shown(*range(12), rate=30)),
    "pulldown": (shown(0, 2, 5, 7, 10, 12, rate=60), shown(*range(6), rate=24)),
    "the same gap in both": (shown(0, 1, 2, 5, 6), shown(0, 1, 2, 5, 6)),
    "the same frames lack at the start": (NINE_LEFT, NINE_LEFT),
    "made from the displayed frames of a cut video": (NINE_LEFT, shown(*range(9))),
    "no times, both complete": (Presentation(12), WHOLE),
    "one frame": (shown(0), shown(0, rate=60)),
}
NO_PAIRS = {  # and the counts and the index that are named
    "short steps of a variable rate hide lost frames": (without(BURST, 14), without(BURST, 17), (18, 18), 8),
    "a cadence hides lost frames": (without(CADENCE, 10), without(CADENCE, 20), (12, 12), 4),
    "a frame lost at a variable rate, the last of a constant one": (
        without(BURST, 14),
        shown(*range(18), rate=24),
        (18, 18),
        1,  # 2 / 60 s against 1 / 24 s
    ),
    "one more at the end": (WHOLE, shown(*range(11)), (12, 11), 11),
    "one dropped in the middle": (shown(0, 1, 2, 4, 5, 6), shown(*range(7)), (6, 7), 3),
    "the first three cannot be decoded": (NINE_LEFT, WHOLE, (9, 12), 0),
    "one video has no times": (Presentation(12), shown(*range(11)), (12, 11), None),
    "both videos have no times": (Presentation(12), Presentation(11), (12, 11), None),
    "only the first times are known": (shown(*range(5), count=12), shown(*range(5), count=11), (12, 11), None),
    "one dropped within the known times": (
        shown(0, 1, 3, 4, count=11, rate=1),
        shown(*range(5), count=12, rate=1),
        (11, 12),
        2,
    ),
    "one fewer at another rate": (WHOLE, shown(*range(11), rate=30), (12, 11), None),
    "one dropped, and one more at the end": (shown(0, 1, 2, 4, 5, 6), shown(*range(6)), (6, 6), 3),
    "a gap that the other has elsewhere": (shown(0, 1, 3, 4, 5), shown(0, 1, 2, 3, 5), (5, 5), 2),
    "the first lack in one, the last in the other": (
        NINE_LEFT,
        shown(*range(9), is_complete=False),
        (9, 9),
        0,
    ),
    "no times, one with missing frames": (Presentation(12, is_complete=False), WHOLE, (12, 12), 0),
    "longer than the scanned packets": (shown(*range(4), count=200), shown(*range(4), count=180), (200, 180), None),
}


def lost_at(index: int, *, rate: float, tick: float) -> Presentation:
    """20 of 21 frames, with times rounded to a tick of the container."""
    times = [number / rate for number in range(21) if number != index]
    return Presentation(20, tuple(round(time / tick) * tick for time in times), tick=tick)


@pytest.mark.parametrize(
    ("rate", "tick"), [(240, 0.001), (300, 1 / 90000), (400, 0.001), (960, 1 / 15360), (2000, 1e-6)]
)
def test_frames_missing_at_different_places_are_found_at_high_rates(rate: float, tick: float) -> None:
    colour, alpha = (lost_at(index, rate=rate, tick=tick) for index in (6, 12))
    found = mismatch(colour, alpha)
    assert found is not None
    assert found.index == 6
    assert mismatch(colour, lost_at(6, rate=rate, tick=1 / 90000)) is None


@pytest.mark.parametrize("case", PAIRS)
def test_videos_that_belong_together(case: str) -> None:
    colour, alpha = PAIRS[case]
    assert mismatch(colour, alpha) is None
    assert mismatch(alpha, colour) is None


@pytest.mark.parametrize("case", NO_PAIRS)
def test_mismatched_videos_are_reported_with_counts_and_the_first_frame(case: str) -> None:
    colour, alpha, counts, index = NO_PAIRS[case]
    for one, other, expected in ((colour, alpha, counts), (alpha, colour, counts[::-1])):
        found = mismatch(one, other)
        assert found is not None
        assert (found.counts, found.index) == (expected, index)


@pytest.mark.parametrize(
    ("times", "others", "expected"),
    [
        ((0, 1, 2), (0, 1, 2), None),
        ((0, 1, 2), (0, 1.4, 2), None),
        ((0, 1, 2), (0, 1.6, 2), 1),
        ((0, 1, 2), (0, 1.4, 1.8), 2),  # one frame is 0.4 later, one 0.2 earlier
        ((1, 2), (0, 1), 0),
        ((), (0, 1), None),
    ],
)
def test_differences_of_times_vary_by_at_most_the_tolerance(
    times: tuple[float, ...], others: tuple[float, ...], expected: int | None
) -> None:
    assert first_difference(times, others, 0.5) == expected


TICKS = {"Matroska": 0.001, "transport stream": 1 / 90000, "MP4": 1 / 15360, "QuickTime": 1 / 600}
UNEVEN: dict[str, Callable[[np.random.Generator], np.ndarray]] = {  # seconds of 30 steps
    "any step": lambda rng: rng.uniform(0.015, 0.06, 30),
    "any step, slow": lambda rng: rng.uniform(0.02, 0.15, 30),
    "a phone in the dark": lambda rng: rng.choice((1 / 30, 1 / 30, 1 / 15), 30) + rng.normal(0, 0.001, 30),
    "a screen": lambda rng: rng.choice((1, 2, 4, 11), 30) / 60,
}


def presented(times: np.ndarray, *, tick: float, start: float = 0.0, grid: float = 0.0) -> Presentation:
    """Show frames at these times, as a container stores them. grid: step to which a tool rounds them before."""
    stored = times + start
    if grid:
        stored = np.round(stored / grid) * grid
    stored = np.round(stored / tick) * tick
    return Presentation(len(times), tuple(stored - stored[0]), tick=tick)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("source", UNEVEN)
def test_uneven_times_show_which_frame_each_file_lost(source: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.cumsum(UNEVEN[source](rng))
    ticks = list(TICKS.values())
    for lost in range(1, len(times) - 2):
        colour, alpha = (
            presented(np.delete(times, at), tick=ticks[rng.integers(4)], start=start)
            for at, start in ((lost, 0.0), (lost + rng.choice((1, 1, 2)), rng.uniform(0, 3)))
        )
        for one, other in ((colour, alpha), (alpha, colour)):
            found = mismatch(one, other)
            assert found is not None, lost
            assert found.index == lost


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("source", UNEVEN)
def test_uneven_times_pair_in_all_containers(source: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.cumsum(UNEVEN[source](rng))
    for tick in TICKS.values():
        for other in TICKS.values():
            colour, alpha = (presented(times, tick=one, start=rng.uniform(0, 3)) for one in (tick, other))
            assert mismatch(colour, alpha) is None, (tick, other)


def test_a_short_clip_that_lost_a_short_step_is_not_regular_by_chance() -> None:
    times = np.cumsum([0, 0.034, 0.019, 0.027, 0.033, 0.039])  # 0.034 + 0.019 and 0.019 + 0.027: less than 2 x 0.027
    colour, alpha = (presented(np.delete(times, at), tick=0.001) for at in (1, 2))
    assert colour.is_regular
    assert alpha.is_regular
    found = mismatch(colour, alpha)
    assert found is not None
    assert found.index == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("step", "tick"), [(1 / 60, 1 / 15360), (1 / 60, 0.001), (1 / 120, 1 / 90000)])
def test_times_that_a_tool_rounds_to_a_rate_pair(seed: int, step: float, tick: float) -> None:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.choice((1 / 30, 1 / 30, 1 / 15), 60) + rng.normal(0, 0.0015, 60))
    colour, alpha = presented(times, tick=1 / 90000), presented(times, tick=tick, start=rng.uniform(0, 3), grid=step)
    assert mismatch(colour, alpha) is None
    for lost in range(1, 58):
        colour, alpha = (
            presented(np.delete(times, at), tick=one, grid=rounded)
            for at, one, rounded in ((lost, 1 / 90000, 0.0), (lost + 1, tick, step))
        )
        assert mismatch(colour, alpha) is not None


@pytest.mark.parametrize(
    ("numbers", "step", "tick", "expected"),
    [
        ((0, 1, 2, 4, *range(5, 20)), 1 / 30, 0.001, 1 / 30),
        ((*range(0, 20, 2), 23, 26, *range(28, 42, 2)), 1 / 60, 1 / 15360, 1 / 60),
        (range(10), 1 / 30, 0.001, 0.0),  # too few
        (range(20), 1 / 100, 0.001, 0.0),  # ten ticks: a coincidence is possible
    ],
)
def test_the_grid_of_rounded_times(numbers: Sequence[int], step: float, tick: float, expected: float) -> None:
    times = [round(number * step / tick) * tick for number in numbers]
    assert grid(times, tick) == pytest.approx(expected, rel=0.002)


@pytest.mark.parametrize(
    ("times", "missing", "expected"),
    [
        ((0, 1, 2, 5, 6), 3, ((0, 1, 2, 3, 4, 5, 6, 7), {3, 4, 7})),
        ((0, 512, 1536), 1, ((0, 512, 1024, 1536), {2})),
        ((0, 1, 2), 0, ((0, 1, 2), set())),
        ((0, 1, 5), 1, None),
    ],
)
def test_frames_without_a_picture_fill_gaps_or_the_end(
    times: tuple[int, ...], missing: int, expected: tuple[tuple[int, ...], set[int]] | None
) -> None:
    step = 512 if 512 in times else 1
    assert with_repeats(times, step, missing) == (expected and (expected[0], frozenset(expected[1])))


def test_a_gap_of_millions_of_frames_costs_nothing() -> None:
    tracemalloc.start()
    try:
        assert with_repeats((0, 1, 2**31), 1, 5) is None
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
