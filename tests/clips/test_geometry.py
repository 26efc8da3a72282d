"""Sizes and boxes against section 2 of the published pipeline, implemented here independently from its text."""

import itertools

import numpy as np
import pytest

from dvm_hf.clips.geometry import Geometry, centred_box, geometry, occupied_box
from dvm_hf.media.pixels import Box, Size

pytestmark = pytest.mark.one_lane

SIDES = (1, 2, 3, 17, 48, 180, 333, 719, 1080, 1599, 1601, 1919, 1920, 1921, 2161, 4096)
BACKGROUNDS = ((1080, 1920), (720, 1280), (1280, 720), (181, 321), (2160, 3840), (64, 64), (2000, 7), (1, 1))
LONGEST = (1920, 320, 16, 32766)


def published_sizes(fw0: int, fh0: int, bw0: int, bh0: int, longest: int) -> tuple[tuple[int, int], ...]:
    """(fw, fh), (bw, bh), (kw, kh); a side that the published pipeline would truncate to 0 px is 1 px."""
    fr = min(longest / fw0, longest / fh0)
    fw, fh = (max(int(fw0 * fr), 1), max(int(fh0 * fr), 1)) if fr < 1 else (fw0, fh0)
    br = max(fw / bw0, fh / bh0)
    bw, bh = (int(bw0 * br), int(bh0 * br)) if br > 1 else (bw0, bh0)
    kw = int(min(int(fw * 1.2), bw, longest, fw * 2))
    kh = int(min(int(fh * 1.2), bh, longest, fh * 2))
    return (fw, fh), (bw, bh), (kw, kh)


def grid(longest: int) -> list[tuple[Size, Size, Geometry]]:
    return [
        (Size(*f), Size(*b), geometry(Size(*f), Size(*b), max_size=longest))
        for f in itertools.product(SIDES, SIDES)
        for b in BACKGROUNDS
    ]


@pytest.mark.parametrize("longest", LONGEST)
def test_sizes_are_the_published_ones(longest):
    for (fh0, fw0), (bh0, bw0), found in grid(longest):
        expected = published_sizes(fw0, fh0, bw0, bh0, longest)
        given = tuple((size.width, size.height) for size in (found.foreground, found.background, found.frame))
        assert given == expected, (fh0, fw0, bh0, bw0)


@pytest.mark.parametrize(
    ("foreground", "background", "longest", "expected"),
    [
        # no resizing; the frame is 1.2 x the foreground
        ((800, 1000), (1080, 1920), 1920, ((800, 1000), (1080, 1920), (960, 1200))),
        # 3840 px are halved; 1.2 x that is more than the background has
        ((2160, 3840), (1080, 1920), 1920, ((1080, 1920), (1080, 1920), (1080, 1920))),
        # portrait, fr = 0.64; the background grows by 1920/720 = 8/3: 1280 * 8/3 = 3413.3
        ((3000, 1500), (720, 1280), 1920, ((1920, 960), (1920, 3413), (1920, 1152))),
        # a background smaller than a small foreground: br = max(100/50, 60/40) = 2
        ((60, 100), (40, 50), 1920, ((60, 100), (80, 100), (72, 100))),
        # odd sides: 481 * 1.2 = 577.2, 641 * 1.2 = 769.2
        ((481, 641), (1081, 1921), 1920, ((481, 641), (1081, 1921), (577, 769))),
        # another longest side: fr = 0.5; 240 * 1.2 = 288 > 240 and 320 * 1.2 = 384 > 320
        ((480, 640), (240, 426), 320, ((240, 320), (240, 426), (240, 320))),
        # 3 * 1.2 = 3.6, and one pixel stays one
        ((3, 1), (100, 100), 1920, ((3, 1), (100, 100), (3, 1))),
        # one pixel more than the longest side: 1921 * (1920/1921), 1000 * (1920/1921) = 999.5
        ((1921, 1000), (1080, 1920), 1920, ((1920, 999), (1920, 3413), (1920, 1198))),
    ],
)
def test_sizes_worked_by_hand(foreground, background, longest, expected):
    found = geometry(Size(*foreground), Size(*background), max_size=longest)
    assert (found.foreground, found.background, found.frame) == expected


@pytest.mark.parametrize("longest", LONGEST)
def test_frame_size_is_bounded_and_never_empty(longest):
    for _, _, found in grid(longest):
        assert 1 <= found.frame.height <= min(found.background.height, longest)
        assert 1 <= found.frame.width <= min(found.background.width, longest)
        assert 1 <= min(found.foreground) <= max(found.foreground) <= longest
        assert found.frame_box == (0, 0, found.frame.height, found.frame.width)


def test_foregrounds_never_grow_and_backgrounds_never_shrink():
    for foreground, background, found in grid(1920):
        assert found.foreground.height <= foreground.height
        assert found.foreground.width <= foreground.width
        assert found.background.height >= background.height
        assert found.background.width >= background.width


@pytest.mark.parametrize(("side", "expected"), [(4, (8, 18, 12, 22)), (5, (8, 18, 13, 23)), (1, (10, 20, 11, 21))])
def test_centred_box_is_centred_on_its_pixel(side, expected):
    assert centred_box(10, 20, side=side, frame=Size(100, 100)) == expected


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [
        (0, 0, (0, 0, 8, 8)),
        (0, 29, (0, 22, 8, 30)),
        (19, 0, (12, 0, 20, 8)),
        (19, 29, (12, 22, 20, 30)),
        (5, 27, (1, 22, 9, 30)),
    ],
)
def test_centred_box_is_shifted_inwards_at_the_border(row, column, expected):
    assert centred_box(row, column, side=8, frame=Size(20, 30)) == expected


@pytest.mark.parametrize("side", [1, 2, 7, 8, 11])
def test_centred_box_is_inside_the_frame_and_contains_its_pixel(side):
    frame = Size(11, 14)
    for row, column in itertools.product(range(frame.height), range(frame.width)):
        box = centred_box(row, column, side=side, frame=frame)
        assert (box.height, box.width) == (side, side)
        assert 0 <= box.top <= row < box.bottom <= frame.height
        assert 0 <= box.left <= column < box.right <= frame.width


def boxes() -> list[Box]:
    return [
        Box(top, left, top + height, left + width)
        for top, left, height, width in itertools.product((0, 2, 5), (1, 4), (0, 1, 3), (2, 5))
    ]


def pixels_of(box: Box) -> set[tuple[int, int]]:
    return set(itertools.product(range(box.top, box.bottom), range(box.left, box.right)))


def test_intersection_contains_the_common_pixels():
    for one, other in itertools.product(boxes(), boxes()):
        both = one.intersection(other)
        assert pixels_of(both) == pixels_of(one) & pixels_of(other)
        assert both.is_empty == (not pixels_of(both))
        assert min(both.height, both.width) >= 0


def test_grown_box_has_the_margin_on_each_side():
    assert Box(3, 5, 10, 20).grown(4) == (-1, 1, 14, 24)
    assert Box(3, 5, 10, 20).grown(0) == (3, 5, 10, 20)


def test_within_finds_the_same_pixels_in_the_outer_boxs_array():
    names = np.arange(20 * 30).reshape(20, 30)
    outer, inner = Box(3, 4, 18, 25), Box(7, 4, 18, 11)
    assert np.array_equal(names[3:18, 4:25][inner.within(outer)], names[7:18, 4:11])


@pytest.mark.parametrize("share", [0, 0.0005, 0.01, 0.5, 1])
@pytest.mark.parametrize("size", [(1, 1), (7, 40), (64, 51)])
def test_occupied_box_is_the_bounding_box_of_nonzero_alpha(size, share):
    rng = np.random.default_rng(int(share * 1e4) + sum(size))
    for _ in range(20):
        alpha = np.where(rng.random(size) < share, rng.integers(1, 256, size), 0).astype(np.uint8)
        rows, columns = np.nonzero(alpha)
        box = occupied_box(alpha)
        if not len(rows):
            assert box.is_empty
        else:
            assert box == (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
