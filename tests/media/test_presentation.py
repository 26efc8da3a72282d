"""Which frames of two videos belong together, by times worked by hand."""

import pytest

from dvm_hf.media.presentation import Presentation, first_difference, mismatch, with_repeats


def shown(*numbers: float, rate: float = 25, count: int | None = None, **facts: object) -> Presentation:
    """Frames shown at these multiples of a frame's time."""
    times = tuple(number / rate for number in numbers)
    return Presentation(len(times) if count is None else count, times, **facts)  # type: ignore[arg-type]


WHOLE = shown(*range(12))
NINE_LEFT = shown(*range(3, 12), is_complete=False)  # cut out of a longer film: three frames cannot be decoded
BROWSER = shown(0, 1.1, 1.9, 3.1, 4.2, 5, 5.9, 7, 8.1, 9, 9.9, 11.2)  # times in whole ms, uneven

PAIRS = {
    "the same times": (WHOLE, WHOLE),
    "times rounded to ms": (shown(*range(12), rate=23.976), shown(*(round(i / 23.976, 3) for i in range(12)), rate=1)),
    "other rates, both complete": (WHOLE, shown(*range(12), rate=30)),
    "a browser's uneven times": (BROWSER, shown(*range(12), rate=30)),
    "pulldown": (shown(0, 2, 5, 7, 10, 12, rate=60), shown(*range(6), rate=24)),
    "the same gap in both": (shown(0, 1, 2, 5, 6), shown(0, 1, 2, 5, 6)),
    "the same frames lack at the start": (NINE_LEFT, NINE_LEFT),
    "made from what is shown of a cut film": (NINE_LEFT, shown(*range(9))),
    "no times, both complete": (Presentation(12), WHOLE),
    "one frame": (shown(0), shown(0, rate=60)),
}
NO_PAIRS = {  # and the counts and the index that are named
    "one more at the end": (WHOLE, shown(*range(11)), (12, 11), 11),
    "one dropped in the middle": (shown(0, 1, 2, 4, 5, 6), shown(*range(7)), (6, 7), 3),
    "the first three cannot be decoded": (NINE_LEFT, WHOLE, (9, 12), 0),
    "one dropped, and one more at the end": (shown(0, 1, 2, 4, 5, 6), shown(*range(6)), (6, 6), 3),
    "a gap that the other has elsewhere": (shown(0, 1, 3, 4, 5), shown(0, 1, 2, 3, 5), (5, 5), 2),
    "the first lack in one, the last in the other": (
        NINE_LEFT,
        shown(*range(9), is_complete=False),
        (9, 9),
        0,
    ),
    "no times, and one lacks frames": (Presentation(12, is_complete=False), WHOLE, (12, 12), 0),
    "longer than what is looked at": (shown(*range(4), count=200), shown(*range(4), count=180), (200, 180), 180),
}


def lost_at(index: int, *, rate: float, tick: float) -> Presentation:
    """20 frames of 21, without one of them, whose times are rounded to a tick of the container."""
    times = [number / rate for number in range(21) if number != index]
    return Presentation(20, tuple(round(time / tick) * tick for time in times), tick=tick)


@pytest.mark.parametrize(
    ("rate", "tick"), [(240, 0.001), (300, 1 / 90000), (400, 0.001), (960, 1 / 15360), (2000, 1e-6)]
)
def test_a_frame_lost_in_each_at_another_place_is_found_at_high_rates(rate: float, tick: float) -> None:
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
def test_videos_that_are_no_pair_are_told_with_counts_and_the_first_frame(case: str) -> None:
    colour, alpha, counts, index = NO_PAIRS[case]
    for one, other, expected in ((colour, alpha, counts), (alpha, colour, counts[::-1])):
        found = mismatch(one, other)
        assert found is not None
        assert (found.counts, found.index) == (expected, index)


@pytest.mark.parametrize(
    ("times", "others", "expected"),
    [((0, 1, 2), (0, 1, 2), None), ((0, 1, 2), (0, 1.4, 2), None), ((0, 1, 2), (0, 1.6, 2), 1), ((), (0, 1), None)],
)
def test_times_are_apart_from_half_a_frame_on(
    times: tuple[float, ...], others: tuple[float, ...], expected: int | None
) -> None:
    assert first_difference(times, others) == expected


@pytest.mark.parametrize(
    ("times", "missing", "expected"),
    [
        ((0, 1, 2, 5, 6), 3, ((0, 1, 2, 3, 4, 5, 6, 7), {3, 4, 7})),
        ((0, 512, 1536), 1, ((0, 512, 1024, 1536), {2})),
        ((0, 1, 2), 0, ((0, 1, 2), set())),
        ((0, 1, 5), 1, None),
    ],
)
def test_frames_without_a_picture_stand_in_the_gaps_or_at_the_end(
    times: tuple[int, ...], missing: int, expected: tuple[tuple[int, ...], set[int]] | None
) -> None:
    step = 512 if 512 in times else 1
    assert with_repeats(times, step, missing) == (expected and (expected[0], frozenset(expected[1])))


def test_at_a_variable_rate_half_a_frame_is_that_of_the_place() -> None:
    times = [0.1 * number for number in range(8)] + [0.8 + 0.033 * number for number in range(6)] + [1.1, 1.2, 1.3]
    without_9, without_10 = ([time for number, time in enumerate(times) if number != lost] for lost in (9, 10))
    assert first_difference(without_9, without_10) == 9  # 0.866 s against 0.833 s; half of the usual step is 0.05 s
    assert first_difference(without_9, without_9) is None
