"""Tiles that are painted on a canvas, and those that are written to it directly, against plain slices."""

import numpy as np
import pytest

from dvm_hf.clips.canvas import Canvas
from dvm_hf.clips.foreground_protocols import PackedTile
from dvm_hf.media.pixels import Box, Pixels

CANVAS = Box(10, 20, 40, 60)
INSIDE, NARROW = Box(12, 25, 33, 58), Box(39, 20, 40, 21)


def random_pixels(box: Box, channels: int) -> Pixels:
    return np.random.default_rng(3).integers(1, 256, (box.height, box.width, channels), np.uint8)


@pytest.mark.parametrize("box", [CANVAS, INSIDE, NARROW])
def test_a_packed_tile_is_split_into_the_arrays_of_two_canvases(box: Box) -> None:
    rgba, colour, alpha = random_pixels(box, 4), Canvas(CANVAS, channels=3), Canvas(CANVAS)
    tile = PackedTile(box, rgba).split(colour=colour.part(box), alpha=alpha.part(box))
    colour.paint(box, tile.colour)
    alpha.paint(box, tile.alpha)
    expected = np.zeros((CANVAS.height, CANVAS.width, 4), np.uint8)
    expected[box.top - 10 : box.bottom - 10, box.left - 20 : box.right - 20] = rgba
    assert np.array_equal(colour.pixels, expected[..., :3])
    assert np.array_equal(alpha.pixels, expected[..., 3])
    assert np.shares_memory(tile.colour, colour.pixels)
    assert np.shares_memory(tile.alpha, alpha.pixels)


def test_a_packed_tile_has_the_layers_of_its_channels() -> None:
    rgba = random_pixels(INSIDE, 4)
    tile = PackedTile(INSIDE, rgba)
    assert np.array_equal(tile.colour, rgba[..., :3])
    assert np.array_equal(tile.alpha, rgba[..., 3])


def test_pixels_of_another_array_replace_those_that_were_written_directly() -> None:
    canvas, colour = Canvas(CANVAS, channels=3), random_pixels(INSIDE, 3)
    canvas.part(INSIDE)[:] = 7
    canvas.paint(INSIDE, colour)
    expected = np.zeros((CANVAS.height, CANVAS.width, 3), np.uint8)
    expected[2:23, 5:38] = colour
    assert np.array_equal(canvas.pixels, expected)
