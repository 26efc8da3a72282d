"""Motion of foreground, background and camera: ranges, shares, and a background that covers each frame."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layer_maps import to_frame

from dvm_hf.clips.geometry import Geometry, geometry
from dvm_hf.clips.motion import frame_to_foreground
from dvm_hf.clips.moving import eased_motion
from dvm_hf.clips.moving.eased_motion import (
    background_maps,
    camera_maps,
    covering,
    eased_parameters,
    foreground_maps,
    pauses,
    placements,
)
from dvm_hf.clips.plan import ClipPlan, Rendering
from dvm_hf.clips.random_parameters import RandomParameters
from dvm_hf.clips.recipes import clip_parameters
from dvm_hf.media.pixels import Size
from dvm_hf.sources.records import Background, Foreground

pytestmark = pytest.mark.one_lane

SIZES = geometry(Size(720, 1280), Size(1080, 1920), max_size=1920)


def plan_of(seed: int, kind: str = "image", frames: int = 60) -> ClipPlan:
    foreground = Foreground(kind, "cat", Path("fg"), Path("alpha"))
    rendering = Rendering(motion="rvm", max_image_frames=frames, max_video_frames=frames)
    return ClipPlan(f"{kind}_cat_0", foreground, Background("0", Path("bg")), seed, rendering)


def drawn_sizes(rng: np.random.Generator) -> Geometry:
    """Any aspects: foregrounds and backgrounds of 16 to 2000 px per side."""
    (fh, fw), (bh, bw) = np.exp(rng.uniform(np.log(16), np.log(2000), (2, 2))).astype(int).tolist()
    return geometry(Size(fh, fw), Size(bh, bw), max_size=1920)


@pytest.mark.slow
def test_the_background_covers_each_pixel_of_10000_frames_of_any_aspect() -> None:
    rng, frames, largest = np.random.default_rng(0), 50, 0.0
    for seed in range(200):
        sizes = drawn_sizes(rng)
        drawn = clip_parameters(plan_of(seed, frames=frames), sizes)
        assert drawn.background is not None
        for placement in drawn.background:
            corners = np.array([[x, y, 1] for x in (0, sizes.frame.width) for y in (0, sizes.frame.height)], float).T
            x, y, _ = np.linalg.inv(to_frame(placement, sizes.background)) @ corners
            assert min(x.min(), y.min()) >= 0, seed
            assert x.max() <= sizes.background.width, seed
            assert y.max() <= sizes.background.height, seed
            if max(sizes.frame) < 2 * min(sizes.frame):
                largest = max(largest, placement.zoom)
    assert largest < 4


def test_a_background_that_covers_the_frame_is_left_as_it_is() -> None:
    maps, still = np.diag([1.2, 1.2, 1.0])[None], np.eye(3)[None]
    maps[:, :2, 2] = -20, -10
    assert np.allclose(covering(maps, still, frame=Size(100, 100), background=Size(110, 120)), maps)


def test_a_background_beside_the_frame_is_shifted_back() -> None:
    """Its left edge is 5 px inside the frame: it moves by 5 px and is not zoomed."""
    maps, still = np.eye(3)[None].copy(), np.eye(3)[None]
    maps[0, 0, 2] = 5
    found = covering(maps, still, frame=Size(50, 100), background=Size(50, 110))
    assert np.allclose(found, np.eye(3), atol=1e-4)


def test_a_background_that_is_too_small_is_zoomed() -> None:
    """Rotated by 90 degrees, 50 x 100 px cover a frame of 50 x 100 px at a zoom of 2."""
    quarter = np.array([[[0, -1, 75], [1, 0, -25], [0, 0, 1.0]]])
    found = covering(quarter, np.eye(3)[None], frame=Size(50, 100), background=Size(50, 100))
    assert math.sqrt(np.linalg.det(found[0, :2, :2])) == pytest.approx(2, abs=1e-4)


def test_the_camera_moves_all_layers_alike() -> None:
    """Without a motion of its own, the background is fixed to the scene that the camera sees, also if it is zoomed."""
    sizes, zoomed = geometry(Size(720, 1280), Size(864, 1536), max_size=1920), 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        camera = camera_maps(rng, sizes, frames=60)
        background = np.broadcast_to(background_maps(rng, sizes, corner=(0, 0), frames=60)[:1], (60, 3, 3))
        covered = covering(background, camera, frame=sizes.frame, background=sizes.background)
        in_scene = np.linalg.inv(camera) @ covered
        assert np.allclose(in_scene, in_scene[0], rtol=0, atol=1e-6)
        areas = np.abs(np.linalg.det(in_scene[0]) / np.linalg.det(background[0]))
        zoomed += bool(np.ptp(camera) > 1 and areas > 1.01)
    assert zoomed > 3


@pytest.mark.parametrize("seed", range(10))
def test_placements_are_the_maps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps = camera_maps(rng, SIZES, frames=60) @ foreground_maps(rng, SIZES, kind="image", frames=60)
    for placement, expected in zip(placements(maps, SIZES.foreground), maps, strict=True):
        assert np.allclose(to_frame(placement, SIZES.foreground), expected, rtol=0, atol=1e-9)
        found = np.vstack([frame_to_foreground(placement, foreground=SIZES.foreground), [0, 0, 1]])
        edge_to_index, index_to_edge = ([[1, 0, by], [0, 1, by], [0, 0, 1.0]] for by in (-0.5, 0.5))
        assert np.allclose(found, edge_to_index @ np.linalg.inv(expected) @ index_to_edge, rtol=0, atol=1e-9)


@pytest.mark.slow
def test_the_shares_are_the_published_ones_in_10000_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which layers move, and which are mirrored. The movements themselves are not drawn, because they take longer."""
    small, count, moving = Geometry(Size(8, 8), Size(8, 8), Size(8, 8)), 10_000, []
    monkeypatch.setattr(eased_motion, "_moving", lambda rng, frame, frames, is_moving: moving.append(is_moving))
    monkeypatch.setattr(eased_motion, "affine_maps", lambda poses, frame: Unmoved())
    mirrored: list[list[bool]] = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        maps = [foreground_maps(rng, small, kind=kind, frames=2) for kind in ("image", "video")]
        maps.append(background_maps(rng, small, corner=(0, 0), frames=2))
        camera_maps(rng, small, frames=2)
        mirrored.append([bool(one[0, 0] < 0) for one in maps])
    for column, share in enumerate((0.95, 0.3, 0.15, 0.15)):
        found = np.mean(moving[column::4])
        assert found == pytest.approx(share, abs=4 * (share * (1 - share) / count) ** 0.5)
    assert np.mean(mirrored, axis=0) == pytest.approx([0.5, 0.5, 0.5], abs=0.02)


class Unmoved:
    """A map whose product with a movement and a second map is the second map."""

    def __matmul__(self, other: object) -> Any:
        return self if other is None else other


def test_a_foreground_at_rest_has_the_published_ranges() -> None:
    """Static poses: angle within 10 degrees, zoom 0.5 .. 1, the centre within a tenth of the frame's sides."""
    found = []
    for seed in range(400):
        maps = foreground_maps(np.random.default_rng(seed), SIZES, kind="video", frames=30)
        if np.ptp(maps, axis=0).max() == 0:
            found.append(placements(maps[:1], SIZES.foreground)[0])
    assert len(found) > 200
    zooms = [one.zoom for one in found]  # a shear keeps areas
    assert 0.5 <= min(zooms) < 0.52
    assert 0.98 < max(zooms) <= 1
    rows, columns = (np.array([getattr(one, name) for one in found]) for name in ("row", "column"))
    assert np.abs(rows / SIZES.frame.height - 0.5).max() <= 0.1
    assert np.abs(columns / SIZES.frame.width - 0.5).max() <= 0.1
    angles = np.array([one.angle for one in found])
    shears = np.array([one.shear / one.stretch for one in found])
    assert 9 < np.abs(angles).max() <= 10
    assert np.tan(np.radians(4.5)) < np.abs(shears).max() <= np.tan(np.radians(5)) + 1e-9


def test_a_movement_reaches_a_new_pose_every_15_to_50_frames() -> None:
    """A linear movement has a constant speed in each stage; all others are continuous, too, unless they are steps."""
    lengths = []
    for seed in range(300):
        maps = camera_maps(np.random.default_rng(seed), SIZES, frames=400)
        bends = np.flatnonzero(np.abs(np.diff(maps[:, 0, 2], n=2)) > 1e-9) + 1
        alone = np.diff(bends)[np.diff(bends) > 12]  # both ends of a linear stage between others
        lengths += alone.tolist()
    assert len(lengths) > 20
    assert max(lengths) <= 50


def test_pauses_hold_a_frame_in_3_percent_of_the_stages() -> None:
    frames = [pauses(np.random.default_rng(seed), 325) for seed in range(2000)]  # ten stages of 32.5 on average
    held = 0
    for shown in frames:
        steps = np.diff(shown)
        assert shown[0] == 0
        assert ((steps == 0) | (np.arange(1, 325) == shown[1:])).all()  # held, or the frame itself
        begins = np.flatnonzero((steps[1:] == 0) & (steps[:-1] > 0)) if len(steps) else []
        held += len(begins) + int(steps[0] == 0)
    # a pause shows when it holds at least one frame: not for n = 0 and 1
    lengths = range(15, 51)
    visible = np.mean(
        [np.mean([max(0, length - first - 2) / (length - first) for first in range(length - 1)]) for length in lengths]
    )
    assert held / (2000 * 325 / 32.5) == pytest.approx(0.03 * visible, rel=0.15)


def test_a_pause_holds_all_layers() -> None:
    for seed in range(150):
        drawn = eased_parameters(plan_of(seed), SIZES, RandomParameters((0, 0), (), ()))
        assert drawn.timing is not None
        assert drawn.background is not None
        shown = np.array(drawn.timing.shown)
        for index in np.flatnonzero(shown != np.arange(60)):
            assert drawn.placements[index] == drawn.placements[shown[index]]
            assert drawn.background[index] == drawn.background[shown[index]]
            assert len({drawn.timing.background_frames(30)[frame] for frame in (index, shown[index])}) == 1


def test_no_draw_shifts_another() -> None:
    """The foreground's motion depends neither on the background's size nor on the number of frames."""
    one, other = (clip_parameters(plan_of(7, frames=count), SIZES) for count in (60, 33))
    assert one.placements[:33] == other.placements
    wide = geometry(Size(720, 1280), Size(1080, 2400), max_size=1920)
    assert clip_parameters(plan_of(7), wide).placements == one.placements
