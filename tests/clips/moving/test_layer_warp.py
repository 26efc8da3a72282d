"""One affine warp of a layer against SciPy, in float64 and on premultiplied values."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from dvm_hf.clips.motion import Placement, frame_to_foreground
from dvm_hf.clips.moving.layer_warp import OPAQUE, premultiplied, straight, straight_alpha, warped_tiles, weighted
from dvm_hf.clips.moving.warped_backgrounds import warped_background
from dvm_hf.media.pixels import Box, Size
from dvm_hf.media.still.still_pictures import StillPicture

PLACEMENTS = [
    Placement(60, 70, 17.5, 0.61, 1.08, -0.07),
    Placement(90.3, 150.8, -33, 1.4, 0.95, 0.05, mirrored=True),
    Placement(131.5, 20.25, 180, 1.0),
]
LAYER, FRAME = Size(143, 171), Size(190, 260)


def layer(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Smooth colours and a matte with soft, opaque and transparent parts; black where the alpha is 0."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(*LAYER, 4)), (4, 4, 0))
    scaled = (noise - noise.min((0, 1))) / np.ptp(noise, (0, 1))
    alpha = np.clip((scaled[..., 3] - 0.3) * 700, 0, 255).astype(np.uint8)
    return np.where(alpha[..., None] > 0, scaled[..., :3] * 255, 0).astype(np.uint8), alpha


def sampled(values: np.ndarray, placement: Placement, *, size: Size = LAYER, mode: str = "grid-constant") -> np.ndarray:
    """Values (h, w, c) of a layer of a size at each pixel of the frame, bilinear, by the equation of `Placement`."""
    rows, columns = np.mgrid[: FRAME.height, : FRAME.width] + 0.5
    t, m = math.radians(placement.angle), -1 if placement.mirrored else 1
    x, y = columns - placement.column, rows - placement.row
    u, v = x * math.cos(t) + y * math.sin(t), y * math.cos(t) - x * math.sin(t)
    u, v = u / placement.zoom, v / placement.zoom
    v = v * placement.stretch
    u = m * (u - placement.shear * v) / placement.stretch
    scale_y, scale_x = values.shape[0] / size.height, values.shape[1] / size.width
    at = [(v + size.height / 2) * scale_y - 0.5, (u + size.width / 2) * scale_x - 0.5]
    parts = [
        ndimage.map_coordinates(values[..., c].astype(float), at, order=1, mode=mode) for c in range(values.shape[2])
    ]
    return np.stack(parts, axis=-1)


def warped(values: np.ndarray, placement: Placement, region: Box, *, part: Box | None = None) -> np.ndarray:
    result = np.zeros((region.height, region.width, *values.shape[2:]), values.dtype)
    whole, to_layer = Box(0, 0, *values.shape[:2]), frame_to_foreground(placement, foreground=Size(*values.shape[:2]))
    for box, pixels in warped_tiles(lambda box: values[box.within(whole)], to_layer, region=region, part=part or whole):
        result[box.within(region)] = pixels
    return result


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_warp_interpolates_premultiplied_values(placement: Placement) -> None:
    colour, alpha = layer()
    found = straight(warped(premultiplied(colour, alpha), placement, Box(0, 0, *FRAME)))
    assert found is not None
    a, c = alpha[..., None] / 255, colour / 255
    exact = sampled(np.dstack([a * c, a]), placement)
    assert np.abs(found.alpha - 255 * exact[..., 3]).max() <= 0.52
    is_shown = found.alpha > 0
    colours = 255 * exact[is_shown, :3] / exact[is_shown, 3:]
    errors = np.abs(found.colour[is_shown] - colours).max(axis=1)
    # at an alpha of one level, rounding to 16 bits leaves 1 / 255 of the colour's precision
    assert (errors <= 0.55 + 1.5 / found.alpha[is_shown]).all()


def test_colours_under_alpha_0_have_no_influence() -> None:
    colour, alpha = layer()
    white = np.where(alpha[..., None] > 0, colour, 255).astype(np.uint8)
    one, other = (warped(premultiplied(part, alpha), PLACEMENTS[0], Box(0, 0, *FRAME)) for part in (colour, white))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_pixel_has_the_same_bits_in_every_region_and_layer_part(placement: Placement) -> None:
    values = premultiplied(*layer())
    full = warped(values, placement, Box(0, 0, *FRAME))
    rng = np.random.default_rng(0)
    for _ in range(20):
        top, left = int(rng.integers(FRAME.height - 20)), int(rng.integers(FRAME.width - 20))
        box = Box(
            top, left, top + int(rng.integers(1, FRAME.height - top)), left + int(rng.integers(1, FRAME.width - left))
        )
        assert np.array_equal(warped(values, placement, box), full[box.within(Box(0, 0, *FRAME))])
    rows, columns = np.flatnonzero(values[..., 3].any(1)), np.flatnonzero(values[..., 3].any(0))
    occupied = Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    assert np.array_equal(warped(values, placement, Box(0, 0, *FRAME), part=occupied), full)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_alpha_alone_is_that_of_all_channels(placement: Placement) -> None:
    colour, alpha = layer()
    full = warped(premultiplied(colour, alpha), placement, Box(0, 0, *FRAME))
    assert np.array_equal(warped(weighted(alpha), placement, Box(0, 0, *FRAME)), full[..., 3])


def test_every_value_survives_premultiplication() -> None:
    alpha, colour = np.mgrid[:256, :256].astype(np.uint8)
    values = premultiplied(np.dstack([colour] * 3), alpha)
    assert np.array_equal(straight_alpha(values[..., 3]), alpha)
    found = straight(values)
    assert found is not None
    assert np.array_equal(found.alpha, alpha)
    assert np.array_equal(found.colour[1:], np.dstack([colour] * 3)[1:])


def test_opaque_values_are_colours_and_transparent_ones_are_nothing() -> None:
    values = np.full((2, 3, 4), OPAQUE, np.uint16)
    values[..., :3] = [127 + 255 * 10, 128 + 255 * 10, 0]  # just below and above 10.5
    found = straight(values)
    assert found is not None
    assert found.colour.reshape(-1, 3).tolist() == [[10, 11, 0]] * 6
    assert straight(np.zeros((2, 3, 4), np.uint16)) is None


class Parts(StillPicture):
    """A picture that records what is read."""

    def __init__(self, pixels: np.ndarray) -> None:
        super().__init__(pixels)
        self.read: list[Box] = []

    def rgb(self, box: Box) -> Any:
        self.read.append(box)
        return super().rgb(box)


@pytest.mark.parametrize(
    ("placement", "size"),
    [
        (Placement(99, 127, 7, 2.1, 1.05, -0.04), LAYER),
        (Placement(99, 127, -5, 0.9, 0.98, 0.04, mirrored=True), Size(2 * LAYER.height, 3 * LAYER.width)),
    ],
)
def test_a_background_is_enlarged_and_moved_by_one_warp(placement: Placement, size: Size) -> None:
    picture = Parts(layer(1)[0])
    found = warped_background(picture, placement, size=size, view=Box(0, 0, *FRAME))
    exact = sampled(layer(1)[0], placement, size=size, mode="nearest")
    assert np.abs(found - exact).max() <= 0.55
    view = Box(100, 120, 130, 170)
    assert np.array_equal(
        warped_background(picture, placement, size=size, view=view), found[view.within(Box(0, 0, *FRAME))]
    )
    assert picture.read[1].height * picture.read[1].width < picture.read[0].height * picture.read[0].width
