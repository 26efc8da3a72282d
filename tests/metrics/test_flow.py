"""Motion between frames: exact for stills, estimated for others."""

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from dvm_hf.clips.motion import Placement, frame_to_foreground, placed
from dvm_hf.errors import MetricsError
from dvm_hf.media.pixels import Box, Size
from dvm_hf.metrics import FLOWS, AffineFlow, StoredFlow
from dvm_hf.metrics.frames import Colours, Frame

MOTION = [[40.0, 50.0, 3.0, 0.9], [41.5, 48.0, -2.0, 0.93], [42.0, 47.0, -1.0, 1.0]]


def frame(index: int, alpha: np.ndarray, colour: np.ndarray | None = None) -> Frame:
    colours = None if colour is None else Colours(None, colour)
    return Frame(index, alpha, alpha, None, {"whole": None}, colours)


def frames(height: int = 60, width: int = 80) -> list[Frame]:
    return [frame(index, np.zeros((height, width), np.uint8)) for index in range(4)]


EASED = [
    [*row, stretch, shear, mirrored]
    for row, (stretch, shear, mirrored) in zip(MOTION, [(1.0, 0.0, 1), (0.96, 0.07, 1), (1.05, -0.03, 1)], strict=True)
]  # with motion="rvm", the next numbers are those of the foreground's shape


@pytest.mark.parametrize("motion", [MOTION, EASED])
def test_affine_flow_follows_the_points_of_the_foreground(motion: list[list[float]]) -> None:
    """Map a pixel to the foreground with the first frame's warp, and back with the inverse of the second one's."""
    foreground = Size(90, 70)
    to_foreground = [
        np.vstack([frame_to_foreground(Placement(*row), foreground=foreground), [0, 0, 1]])  # type: ignore[arg-type]
        for row in motion
    ]
    y, x = np.mgrid[:60, :80]
    points = np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
    for index in (0, 1):
        there = np.linalg.inv(to_foreground[index + 1]) @ to_foreground[index] @ points
        expected = (there - points)[:2].T.reshape(60, 80, 2)
        flow = AffineFlow(motion).between(*frames()[index : index + 2])
        assert flow.dtype == np.float32
        assert flow == pytest.approx(expected, abs=1e-5)


def test_affine_flow_leads_from_rendered_pixels_to_those_of_the_next_frame() -> None:
    rng = np.random.default_rng(4)
    foreground = ndimage.gaussian_filter(rng.uniform(0, 255, (90, 70)), 3)
    foreground = np.clip((foreground - foreground.min()) * 6, 0, 255).astype(np.uint8)
    box, part = Box(0, 0, 60, 80), Box(0, 0, 90, 70)
    alphas = [placed(foreground, Placement(*row), region=box, part=part).astype(float) for row in MOTION]
    y, x = np.mgrid[:60, :80]
    for index in (0, 1):
        first, second = alphas[index : index + 2]
        flow = AffineFlow(MOTION).between(*frames()[index : index + 2])
        moved = ndimage.map_coordinates(second, [y + flow[..., 1], x + flow[..., 0]], order=1, cval=np.nan)
        difference = np.abs(moved - first)[5:-5, 20:-25]  # inside of both foregrounds
        assert np.nanmean(difference) < 1.5 < 10 < np.abs(second - first)[5:-5, 20:-25].mean()


def test_affine_flow_of_a_crop_is_that_part_of_the_frame() -> None:
    whole = AffineFlow(MOTION).between(*frames()[:2])
    part = AffineFlow(MOTION, top=7, left=20).between(*frames(30, 40)[:2])
    assert part == pytest.approx(whole[7:37, 20:60], abs=1e-5)


def test_affine_flow_needs_the_motion_of_each_frame() -> None:
    with pytest.raises(MetricsError, match="motion of 3 frames, but the clip has more"):
        AffineFlow(MOTION).between(*frames()[2:])


def moving_texture(shift: tuple[float, float]) -> tuple[Frame, Frame]:
    """A soft disc with a texture, in two frames."""
    rng = np.random.default_rng(2)
    texture = ndimage.gaussian_filter(rng.uniform(0, 255, (120, 160, 3)), (1.5, 1.5, 0))
    texture = np.clip((texture - 127) * 4 + 127, 0, 255)
    y, x = np.mgrid[:120, :160]
    alpha = np.clip((45 - np.hypot(y - 60, x - 75)) * 12, 0, 255)
    moved = [ndimage.shift(layer, (*shift, 0)[: layer.ndim], order=1, mode="nearest") for layer in (alpha, texture)]
    both = [[np.rint(layer).astype(np.uint8) for layer in layers] for layers in ((alpha, texture), moved)]
    return frame(0, *both[0]), frame(1, *both[1])


@pytest.mark.parametrize(
    ("name", "accuracy"), [("dis", 0.15), ("dis-alpha", 0.6), ("farneback-alpha", 3.1), ("none", 3.1)]
)
def test_estimates_find_a_known_motion(name: str, accuracy: float) -> None:
    first, second = moving_texture((-1.5, 2.5))
    flow = FLOWS[name].between(first, second)
    assert flow.shape == (120, 160, 2)
    is_soft = (first.reference > 20) & (first.reference < 235)
    distance = np.hypot(*np.moveaxis(flow - [2.5, -1.5], -1, 0))[is_soft]
    assert np.median(distance) < accuracy


def test_estimates_of_the_foreground_need_its_colours_and_a_large_enough_frame() -> None:
    with pytest.raises(MetricsError, match="requires the foreground's colours; pass reference_foreground"):
        FLOWS["dis"].between(*frames()[:2])
    for name in ("dis", "dis-alpha"):
        with pytest.raises(MetricsError, match="requires at least 16 px"):
            FLOWS[name].between(*frames(15, 80)[:2])
        small = [frame(index, np.zeros((16, 16), np.uint8), np.zeros((16, 16, 3), np.uint8)) for index in range(2)]
        assert FLOWS[name].between(*small).shape == (16, 16, 2)
    for name in ("farneback-alpha", "none"):
        for height, width in ((1, 1), (2, 30), (5, 5)):
            assert FLOWS[name].between(*frames(height, width)[:2]).shape == (height, width, 2)


@pytest.mark.parametrize(
    ("field", "found"),
    [
        (np.zeros((60, 80, 2), int), "int64"),
        (np.zeros((60, 80)), "float64 \\(60, 80\\)"),
        (np.zeros((80, 60, 2)), "float64 \\(80, 60, 2\\)"),
        ([[0.0]], "list"),
        (None, "NoneType"),
    ],
)
def test_a_stored_field_that_does_not_fit_is_an_error(field: Any, found: str) -> None:
    with pytest.raises(MetricsError, match=f"flow: is {found}.*must be a float array \\(60, 80, 2\\)"):
        StoredFlow(lambda index: field).between(*frames()[:2])


def test_stored_fields_are_read_by_the_first_frame_of_a_pair() -> None:
    asked = []

    def read(index: int) -> np.ndarray:
        asked.append(index)
        return np.full((60, 80, 2), index, np.float64)

    flow = StoredFlow(read, name="given")
    assert [flow.between(*frames()[index : index + 2])[0, 0, 0] for index in range(3)] == [0, 1, 2]
    assert asked == [0, 1, 2]
