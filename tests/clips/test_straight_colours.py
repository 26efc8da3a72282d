"""Colours that are multiplied by alpha are divided exactly."""

from fractions import Fraction

import numpy as np
import pytest
from media_arrays import noise

from dvm_hf.clips.straight_colours import STRAIGHT_COLOURS, straight_layers, unpremultiplied
from dvm_hf.media.pixels import Layers


def test_every_value_is_the_rounded_quotient() -> None:
    """min(255, round(255 C / a)), halves up, for all C and a; where a = 0, C."""
    colour, alpha = (part.astype(np.uint8) for part in np.mgrid[:256, :256])
    found = unpremultiplied(np.dstack([colour] * 3), alpha)
    for c in range(256):
        for a in range(256):
            quotient = Fraction(255 * c, a) + Fraction(1, 2) if a else Fraction(c)
            assert found[c, a].tolist() == [min(255, quotient.__floor__())] * 3


def test_the_stored_colours_are_not_changed() -> None:
    colour, alpha = noise(300, 20, 3), noise(300, 20, seed=1)
    before = colour.copy()
    assert not np.array_equal(unpremultiplied(colour, alpha), colour)
    assert np.array_equal(colour, before)


@pytest.mark.parametrize("colours", STRAIGHT_COLOURS)
def test_opaque_colours_stay(colours: str) -> None:
    layers = Layers(noise(20, 30, 3), np.full((20, 30), 255, np.uint8))
    assert np.array_equal(straight_layers(layers, colours=colours).colour, layers.colour)


def test_layers_of_different_sizes_are_left_to_the_size_check() -> None:
    layers = Layers(noise(20, 30, 3), noise(21, 30))
    assert straight_layers(layers, colours="premultiplied") is layers
