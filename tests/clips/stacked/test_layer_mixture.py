"""The mixture of layers against a loop over pixels in Python's floats, from the formula."""

import numpy as np
import pytest

from dvm_hf.clips.compositing import BLOCK, UNDIVIDED, composite_over
from dvm_hf.clips.stacked.layer_mixture import Mixture, mixture

pytestmark = pytest.mark.one_lane


def reference(alphas: list[int], colours: list[list[int]]) -> tuple[list[float], float, list[float]]:
    """Visible parts and alpha in levels, and the colour, of one pixel of layers from back to front."""
    visible, clear = [], 1.0
    for alpha in reversed(alphas):
        visible.insert(0, alpha / 255 * clear)
        clear *= 1 - alpha / 255
    total = sum(visible)
    mixed = [sum(v * colour[c] for v, colour in zip(visible, colours, strict=True)) for c in range(3)]
    return [255 * v for v in visible], 255 * total, [value / total if total else 0.0 for value in mixed]


def layers(count: int, height: int, width: int, seed: int = 0) -> tuple[np.ndarray, list[np.ndarray]]:
    """Layers with areas that are transparent, opaque and soft, in blocks and pixel by pixel."""
    rng = np.random.default_rng(seed)
    alphas = rng.integers(0, 256, (count, height, width)).astype(np.uint8)
    alphas[rng.random(alphas.shape) < 0.3] = 0
    alphas[rng.random(alphas.shape) < 0.2] = 255
    for number in range(count):
        alphas[number, 5 * number : 5 * number + 9, 4:40] = (0, 255)[number % 2]
        alphas[number, :, BLOCK:] = 0 if number else alphas[number, :, BLOCK:]
    return alphas, [rng.integers(0, 256, (height, width, 3)).astype(np.uint8) for _ in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_parts_alpha_and_colour_are_those_of_the_formula(count: int) -> None:
    alphas, colours = layers(count, 16, UNDIVIDED + 20, seed=count)
    mixed = mixture(alphas, colours)
    assert mixed.colour is not None
    for row, column in np.ndindex(*mixed.alpha.shape):
        at = [int(alpha[row, column]) for alpha in alphas]
        visible, alpha, colour = reference(at, [one[row, column].tolist() for one in colours])
        assert abs(int(mixed.alpha[row, column]) - alpha) <= 0.5 + 1e-4
        assert max(abs(int(v) - w) for v, w in zip(mixed.visible[:, row, column], visible, strict=True)) < 1 + 1e-4
        if mixed.alpha[row, column]:
            assert np.abs(mixed.colour[row, column] - colour).max() <= 0.5 + 1e-3
        else:
            assert not mixed.colour[row, column].any()


@pytest.mark.parametrize("count", [2, 4])
def test_visible_parts_sum_to_the_alpha_exactly(count: int) -> None:
    mixed = mixture(layers(count, 64, 80)[0])
    assert mixed.colour is None
    assert np.array_equal(mixed.visible.astype(int).sum(axis=0), mixed.alpha)


def test_every_pair_of_alphas_sums_to_the_rounded_union() -> None:
    behind, front = np.meshgrid(np.arange(256), np.arange(256))
    mixed = mixture(np.stack([behind, front]).astype(np.uint8))
    assert np.array_equal(mixed.alpha, np.rint(255 - (255 - behind) * (255 - front) / 255))  # no tie: 255 is odd
    assert np.array_equal(mixed.visible[1], front)


@pytest.mark.parametrize("count", [2, 3])
def test_the_mixture_composites_like_the_layers_one_by_one(count: int) -> None:
    alphas, colours = layers(count, 48, 64)
    mixed, background = mixture(alphas, colours), np.random.default_rng(9).integers(0, 256, (48, 64, 3))
    found, expected = background.astype(np.uint8), background.astype(float)
    assert mixed.colour is not None
    composite_over(found, mixed.colour, mixed.alpha)
    for alpha, colour in zip(alphas, colours, strict=True):
        expected += alpha[..., None] / 255 * (colour - expected)
    assert np.abs(found - expected).max() <= 1.5  # alpha, colour and composite are each rounded


@pytest.mark.parametrize("front", [1, 252, 254, 255])
def test_an_almost_opaque_layer_shows_what_is_behind_it(front: int) -> None:
    alphas = np.stack([np.full((20, 30), 255, np.uint8), np.full((20, 30), front, np.uint8)])
    mixed = mixture(alphas, [np.full((20, 30, 3), value, np.uint8) for value in (0, 255)])
    assert mixed.colour is not None
    assert (mixed.visible[0] == 255 - front).all()
    assert (mixed.alpha == 255).all()
    assert (mixed.colour == front).all()


def test_a_pixel_has_the_same_bits_in_any_region() -> None:
    alphas, colours = layers(3, 150, 150)
    colours = [np.where(alpha[..., None] > 0, one, 0) for alpha, one in zip(alphas, colours, strict=True)]
    whole = mixture(alphas, colours)
    for top, left, height, width in ((0, 0, 150, 150), (3, 7, 60, 130), (100, 120, 50, 30), (20, 20, 1, 1)):
        part = np.s_[top : top + height, left : left + width]
        cut = mixture(np.ascontiguousarray(alphas[:, *part]), [np.ascontiguousarray(one[part]) for one in colours])
        for name in Mixture._fields:
            expected = getattr(whole, name)
            expected = expected[:, *part] if name == "visible" else expected[part]
            assert np.array_equal(getattr(cut, name), expected)
