"""The random walk against section 3 of the published pipeline, and placing against SciPy."""

import math
import random
from collections.abc import Callable
from itertools import islice
from typing import Any

import cv2
import numpy as np
import pytest
from published import published_walk
from scipy import ndimage

from dvm_hf.clips.motion import (
    CELL,
    Placement,
    VisibleCells,
    covered_box,
    frame_to_foreground,
    placed,
    placed_tiles,
    random_walk,
)
from dvm_hf.media.pixels import Box, Size

SOURCES: dict[str, Callable[[int], Any]] = {"random.Random": random.Random, "Generator": np.random.default_rng}
FRAMES = (Size(480, 640), Size(1080, 1920), Size(73, 41), Size(20, 20), Size(3, 1))


def walk(draws: Any, frame: Size, steps: int) -> np.ndarray:
    """(steps, 4): row, column, angle, zoom."""
    return np.array([(p.row, p.column, p.angle, p.zoom) for p in islice(random_walk(draws, frame=frame), steps)])


class Script:
    """Prescribed numbers; records the requests."""

    def __init__(self, numbers: list[float]) -> None:
        self._numbers = iter(numbers * 1000)
        self.asked: list[tuple[float, ...]] = []

    def random(self) -> float:
        self.asked.append(())
        return next(self._numbers)

    def uniform(self, low: float, high: float) -> float:
        self.asked.append((low, high))
        return next(self._numbers)


@pytest.mark.parametrize("frame", FRAMES, ids=str)
@pytest.mark.parametrize("source", SOURCES)
def test_walk_is_the_published_one(source, frame):
    for seed in range(12):
        expected = np.array(list(islice(published_walk(SOURCES[source](seed), *frame), 400)))
        np.testing.assert_allclose(walk(SOURCES[source](seed), frame, 400), expected, rtol=0, atol=1e-9)


def test_first_steps_worked_by_hand():
    # direction 0: all speed along the rows; rows 5 .. 95 and columns 10 .. 190 are allowed
    found = walk(Script([0.0, 1.5, 0.5, 0.01]), Size(100, 200), 3)
    np.testing.assert_allclose(found, [(51.5, 100, 0.5, 0.91), (53, 100, 1, 0.92), (54.5, 100, 1.5, 0.93)])


def test_a_step_out_of_the_inner_range_is_undone_and_reversed():
    # rows 0 .. 9 are allowed, the start is 9 // 2
    rows = walk(Script([0.0, 2.0, 0.0, 0.0]), Size(10, 10), 9)[:, 0]
    np.testing.assert_allclose(rows, [6, 8, 8, 6, 4, 2, 0, 0, 2])


def test_zoom_is_clamped_one_step_after_passing_its_limit():
    zooms = walk(Script([0.0, 1.0, 0.0, 0.015]), Size(100, 100), 17)[:, 3]
    np.testing.assert_allclose(zooms[:14], 0.9 + 0.015 * np.arange(1, 15))  # 1.11 at last
    np.testing.assert_allclose(zooms[14:], 1.115)
    np.testing.assert_allclose(walk(Script([0.0, 1.0, 0.0, -0.01]), Size(100, 100), 5)[:, 3], 0.89)


def test_angle_reverses_after_passing_60_degrees():
    angles = walk(Script([0.0, 1.0, 1.0, 0.0]), Size(100, 100), 64)[:, 2]
    # 61 is outside: back to 60, and one more step in the new direction
    np.testing.assert_allclose(angles, [*range(1, 62), 59, 58, 57])


def test_speeds_are_drawn_at_the_start_and_every_20_steps_in_the_published_order():
    numbers = Script([0.3, 1.0, 0.5, 0.001])
    placements = random_walk(numbers, frame=Size(300, 300))
    one_draw = [(), (0.5, 2), (-1, 1), (-0.015, 0.015)]
    for step in range(1, 101):
        next(placements)
        # count starts at 1, so that it reaches 20 in step 19, 40 in step 39 ...
        assert numbers.asked == one_draw * (1 + (step + 1) // 20), step


def test_speeds_are_constant_between_draws():
    angles = walk(np.random.default_rng(4), Size(4000, 4000), 59)[:, 2]  # too few steps to reach 60 degrees
    speeds = np.diff(angles, prepend=0)
    stretches = speeds[:19], speeds[19:39], speeds[39:59]
    for stretch in stretches:
        np.testing.assert_allclose(stretch, stretch[0], atol=1e-9)
    assert len({round(stretch[0], 6) for stretch in stretches}) == 3


@pytest.fixture(scope="module", params=SOURCES)
def long_walks(request):
    """(50, 2000, 4): row, column, angle, zoom of 50 walks in a frame of 72 x 99."""
    return np.array([walk(SOURCES[request.param](seed), Size(72, 99), 2000) for seed in range(50)])


def test_middle_stays_in_the_inner_range(long_walks):
    rows, columns = long_walks[..., 0], long_walks[..., 1]
    assert 3 - 1e-9 <= rows.min() < 4  # 72 * 0.05 = 3.6
    assert 67 < rows.max() <= 68 + 1e-9  # 72 * 0.95 = 68.4
    assert 4 - 1e-9 <= columns.min() < 5
    assert 93 < columns.max() <= 94 + 1e-9


def test_zoom_passes_its_limits_by_one_step_at_most(long_walks):
    zooms = long_walks[..., 3]
    assert 0.885 - 1e-9 <= zooms.min() < 0.89
    assert 1.11 < zooms.max() <= 1.115 + 1e-9


def test_angle_exceeds_its_limit_by_one_degree_unless_new_speeds_were_drawn(long_walks):
    # the published bounce reverses a speed that was redrawn while the angle is outside, in either direction:
    # then, and only until the next draw, the angle moves out by up to two more degrees
    angles = np.abs(long_walks[..., 2])
    at_draw = angles[:, 18::20]  # after the steps 19, 39, ...
    limits = np.maximum(61, at_draw + 2 * (at_draw > 60))
    allowed = np.concatenate([np.full((50, 19), 61.0), np.repeat(limits, 20, axis=1)], axis=1)[:, :2000]
    assert np.all(angles <= allowed + 1e-9)
    assert angles.max() > 59


# Placing


def moved(layers: np.ndarray, placement: Placement, region: Box, *, nearest: bool = False) -> np.ndarray:
    """The complete foreground, warped."""
    return placed(layers, placement, region=region, part=Box(0, 0, *layers.shape[:2]), nearest=nearest)


def source_indices(placement: Placement, size: Size, region: Box) -> np.ndarray:
    """Return the row and column index in the foreground of each pixel of the region, (2, H, W).

    The centre of a pixel is 0.5 beyond its index. A clockwise rotation by t, with rows downwards, maps a step to the
    right (0, 1) to (sin t, cos t) in (row, column), and a step down (1, 0) to (cos t, -sin t). This is the inverse.
    """
    t = math.radians(placement.angle)
    rows, columns = np.mgrid[region.top : region.bottom, region.left : region.right] + 0.5
    down, right = rows - placement.row, columns - placement.column
    along_row = (math.sin(t) * down + math.cos(t) * right) / placement.zoom
    along_column = (math.cos(t) * down - math.sin(t) * right) / placement.zoom
    return np.stack([along_column + size.height / 2 - 0.5, along_row + size.width / 2 - 0.5])


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def random_placements(
    count: int, frame: Size, *, seed: int = 0, zooms: tuple[float, float] = (0.885, 1.115)
) -> list[Placement]:
    rng = np.random.default_rng(seed)
    low, high = (0, 0, -180, zooms[0]), (frame.height, frame.width, 180, zooms[1])
    return [Placement(*map(float, rng.uniform(low, high))) for _ in range(count)]


@pytest.mark.parametrize(
    ("size", "row", "column"), [((4, 6), 10, 20), ((40, 64), 50, 50), ((5, 6), 12.5, 20), ((7, 9), 3.5, 30.5)]
)
def test_a_placement_at_integer_pixels_is_a_paste(size, row, column):
    layers = noise(*size, 4)
    expected = np.zeros((100, 100, 4), np.uint8)
    top, left = int(row - size[0] / 2), int(column - size[1] / 2)
    expected[top : top + size[0], left : left + size[1]] = layers
    for nearest in (False, True):
        assert np.array_equal(moved(layers, Placement(row, column), Box(0, 0, 100, 100), nearest=nearest), expected)


def test_identity_maps_every_index_to_itself():
    np.testing.assert_allclose(
        frame_to_foreground(Placement(15, 20), foreground=Size(30, 40)), [[1, 0, 0], [0, 1, 0]], atol=1e-12
    )


def test_half_a_turn_and_double_zoom_worked_by_hand():
    # foreground 2 x 4 around row 10, column 20: its first pixel's middle, 1.5 left and 0.5 above its own middle,
    # is 3 px right of and 1 px below the frame's (10, 20): at the index (10.5, 22.5)
    matrix = frame_to_foreground(Placement(10, 20, 180, 2), foreground=Size(2, 4))
    np.testing.assert_allclose(matrix @ [22.5, 10.5, 1], [0, 0], atol=1e-12)
    np.testing.assert_allclose(matrix @ [19.5, 9.5, 1], [1.5, 0.5], atol=1e-12)  # the middles


@pytest.mark.parametrize(("angle", "k"), [(90, -1), (-90, 1), (180, 2), (270, 1), (360, 0)])
def test_a_positive_angle_turns_clockwise(angle, k):
    layers = noise(30, 44, 3)
    turned = np.rot90(layers, k)
    top, left = 60 - turned.shape[0] // 2, 50 - turned.shape[1] // 2
    expected = np.zeros((120, 100, 3), np.uint8)
    expected[top : top + turned.shape[0], left : left + turned.shape[1]] = turned
    assert np.array_equal(moved(layers, Placement(60, 50, angle), Box(0, 0, 120, 100)), expected)


@pytest.mark.parametrize("shape", [(90, 120), (61, 40, 3), (170, 133, 4)], ids=str)
def test_placed_is_bilinear_interpolation_with_nothing_outside(shape):
    layers, frame = noise(*shape), Size(150, 190)
    box = Box(0, 0, *frame)
    for placement in random_placements(8, frame):
        indices = source_indices(placement, Size(*shape[:2]), box)
        channels = layers.reshape(*shape[:2], -1).transpose(2, 0, 1).astype(np.float64)
        expected = [ndimage.map_coordinates(channel, indices, order=1, mode="grid-constant") for channel in channels]
        found = moved(layers, placement, box).reshape(*frame, -1).astype(np.float64)
        assert np.abs(found - np.stack(expected, axis=-1)).max() <= 1


def test_nearest_takes_the_nearest_pixel():
    layers, frame = noise(80, 70), Size(100, 110)
    box = Box(0, 0, *frame)
    for placement in random_placements(8, frame, seed=1):
        indices = source_indices(placement, Size(80, 70), box)
        nearest = np.floor(indices + 0.5).astype(int)
        is_clear = np.all(np.abs(indices - nearest) < 0.49, axis=0)  # of a tie
        is_inside = np.all((nearest >= 0) & (nearest < [[[80]], [[70]]]), axis=0)
        expected = np.where(is_inside, layers[nearest[0].clip(0, 79), nearest[1].clip(0, 69)], 0)
        found = moved(layers, placement, box, nearest=True)
        assert np.array_equal(found[is_clear], expected[is_clear])
        assert is_clear.mean() > 0.9


@pytest.mark.parametrize("nearest", [False, True])
@pytest.mark.parametrize("shape", [(300, 340), (210, 130, 3), (333, 290, 4)], ids=str)
def test_a_pixel_does_not_depend_on_the_requested_region(shape, nearest):
    layers, rng = noise(*shape), np.random.default_rng(2)
    whole = Box(-60, -40, 380, 420)
    for placement in random_placements(4, Size(300, 350), seed=3):
        expected = moved(layers, placement, whole, nearest=nearest)
        for _ in range(30):
            top, left = int(rng.integers(-60, 370)), int(rng.integers(-40, 410))
            region = Box(top, left, int(rng.integers(top, 381)), int(rng.integers(left, 421)))
            found = moved(layers, placement, region, nearest=nearest)
            assert np.array_equal(found, expected[region.within(whole)]), (placement, region)


def test_an_empty_region_has_no_pixels():
    assert moved(noise(10, 12, 3), Placement(5, 5), Box(4, 4, 4, 9)).shape == (0, 5, 3)


@pytest.mark.parametrize(("row", "column"), [(0.5, 0), (0, 0.5), (-0.5, 0), (0, -0.5)])
def test_half_a_pixel_gives_the_mean_of_neighbours(row, column):
    layers = noise(20, 30)
    wide = np.pad(layers, 2).astype(int)
    neighbour = np.roll(wide, (round(2 * row), round(2 * column)), axis=(0, 1))
    found = moved(layers, Placement(10 + row, 15 + column), Box(-2, -2, 22, 32)).astype(int)
    assert np.abs(2 * found - (wide + neighbour)).max() <= 1  # a half may be rounded either way


@pytest.mark.parametrize("nearest", [False, True])
@pytest.mark.parametrize("part", [(0, 0, 70, 50), (0, 0, 2, 2), (20, 10, 65, 12), (30, 0, 70, 50)], ids=str)
def test_a_warped_part_is_inside_its_covered_box(part, nearest):
    size, canvas, part = Size(70, 50), Box(-250, -250, 400, 400), Box(*part)
    layers = np.zeros(size, np.uint8)
    layers[part.within(Box(0, 0, *size))] = 255
    upright = [Placement(75.3, 75.6, angle, zoom) for angle in (0, 90) for zoom in (1.0, 1.7, 2.9)]
    for placement in random_placements(40, Size(150, 150), seed=4, zooms=(0.4, 3)) + upright:
        box = covered_box(placement, foreground=size, part=part)
        found = placed(layers, placement, region=canvas, part=part, nearest=nearest)
        rows, columns = np.nonzero(found)
        assert len(rows)
        slack = rows.min() - 250 - box.top, columns.min() - 250 - box.left, box.bottom - (rows.max() - 249)
        slack += (box.right - (columns.max() - 249),)
        # No pixel is outside, and the box is tight: it ends 1 px of the foreground, along its diagonal, after the last.
        assert 0 <= min(slack) <= max(slack) <= 2 + 2 * placement.zoom, placement


@pytest.mark.parametrize("nearest", [False, True])
def test_a_part_of_the_foreground_is_placed_like_in_the_full_foreground(nearest):
    size, region = Size(400, 300), Box(0, 0, 420, 430)
    part = Box(150, 40, 260, 70)
    layers = np.zeros(size, np.uint8)
    layers[part.within(Box(0, 0, *size))] = noise(part.height, part.width)
    for placement in random_placements(6, Size(420, 430), seed=5):
        expected = moved(layers, placement, region, nearest=nearest)
        found = placed(layers, placement, region=region, part=part, nearest=nearest)
        assert np.array_equal(found, expected)


def test_only_tiles_without_alpha_are_skipped(monkeypatch):
    """Single opaque pixels, also at the edges of cells: each that bilinear interpolation shows must be in a tile."""
    rng, size, warps = np.random.default_rng(3), Size(330, 400), []
    warp = cv2.warpAffine
    monkeypatch.setattr(cv2, "warpAffine", lambda *args, **fields: warps.append(1) or warp(*args, **fields))
    warped, touched = 0, 0
    frame = Box(0, 0, 500, 620)
    for placement in random_placements(40, Size(frame.bottom, frame.right)):
        alpha = np.zeros(size, np.uint8)
        rows, columns = rng.integers(0, size.height // CELL, 3), rng.integers(0, size.width // CELL, 3)
        alpha[rows * CELL + rng.choice([0, CELL - 1], 3), columns * CELL + rng.choice([0, CELL - 1], 3)] = 255
        padded = np.pad(alpha, ((0, -size.height % CELL), (0, -size.width % CELL)))
        cells = padded.reshape(padded.shape[0] // CELL, CELL, -1, CELL).max((1, 3)) > 0
        everything = Box(0, 0, *size)
        shown = np.zeros((frame.bottom, frame.right), np.uint8)
        for box, pixels in placed_tiles(alpha, placement, region=frame, part=everything, visible=VisibleCells(cells)):
            shown[box.top : box.bottom, box.left : box.right] = pixels
        warped, _ = warped + len(warps), warps.clear()
        expected = placed(alpha, placement, region=frame, part=everything)
        assert (shown == expected).all()
        touched, _ = touched + len(warps), warps.clear()
    assert touched - warped > 40 * 5  # most tiles are empty
