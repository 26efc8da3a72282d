"""The eased affine motion of foreground, background and camera: motion="rvm".

Ranges and probabilities are those of RobustVideoMatting's augmentation. Its order differs: there, the camera moves the
layers before their static poses, so that they move differently, and the picture has up to four interpolations one after
the other. Here each layer has one affine map per frame:

    frame <- camera <- static pose <- motion <- layer        its centre in the frame's, or a random crop of it

The background always covers the frame, see `covering`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dvm_hf.clips.geometry import Geometry
from dvm_hf.clips.motion import Placement
from dvm_hf.clips.moving.easing import drawn_easing
from dvm_hf.clips.moving.exposure import exposed, jumps, neighbours
from dvm_hf.clips.moving.playback import Playback, drawn_playback
from dvm_hf.clips.plan import ClipPlan, number_stream
from dvm_hf.clips.random_parameters import RandomParameters, Timing
from dvm_hf.media.pixels import Size

Maps: TypeAlias = npt.NDArray[np.float64]  # (frames, 3, 3): affine maps of points (x, y, 1) in px, at pixel edges

STAGE = (15, 50)  # frames from one pose of a movement to the next: those of RVM's training clips
MOVING_SHARE = {"image": 0.95, "video": 0.3}  # of the foregrounds, by kind
BACKGROUND_SHARE = 0.15
CAMERA_SHARE = 0.15
MIRRORED_SHARE = 0.5  # of the foregrounds, and of the backgrounds
PAUSE_SHARE = 0.03  # of the stages
ANGLE = (-10.0, 10.0)  # degrees
SHIFT = (-0.1, 0.1)  # of the frame's width and height
SHEAR = (-5.0, 5.0)  # degrees
MOVING_SCALE = (0.9, 1.1)
FOREGROUND_SCALE = (0.5, 1.0)
BACKGROUND_SCALE = (1.0, 1.5)
EDGE = 1e-6  # px; the background's edge stays this far outside of the frame, because of rounding errors


def eased_parameters(plan: ClipPlan, sizes: Geometry, drawn: RandomParameters) -> RandomParameters:
    """Add the placements of all layers and the timing of the sources to parameters whose background corner is drawn."""

    def stream(purpose: str) -> np.random.Generator:
        return number_stream(plan.seed, purpose)

    frames = plan.max_frames
    camera = camera_maps(stream("camera_motion"), sizes, frames=frames)
    foreground = foreground_maps(stream("motion"), sizes, kind=plan.foreground.kind, frames=frames)
    background = background_maps(stream("background_motion"), sizes, corner=drawn.background_corner, frames=frames)
    covered = covering(background, camera, frame=sizes.frame, background=sizes.background)
    timing = drawn_timing(plan)
    shown = np.array(timing.shown)

    def placed(maps: Maps, layer: Size, *movements: Maps) -> tuple[Placement, ...]:
        shutter = plan.rendering.shutter
        return shown_placements(maps, shown, movements=movements, shutter=shutter, layer=layer, frame=sizes.frame)

    return replace(
        drawn,
        placements=placed(camera @ foreground, sizes.foreground, camera, foreground),
        background=placed(covered, sizes.background, camera, background),
        camera=placements(camera[shown], sizes.frame),
        timing=timing,
    )


def foreground_playback(plan: ClipPlan, index: int = 0) -> Playback:
    """Draw how the frames of a foreground follow one another. index: of the foreground, if the clip has several."""
    return drawn_playback(number_stream(plan.seed, "foreground_playback", index=index), starts_anywhere=False)


def shown_placements(
    maps: Maps,
    shown: npt.NDArray[np.int64],
    *,
    movements: Sequence[Maps],
    shutter: float,
    layer: Size,
    frame: Size,
) -> tuple[Placement, ...]:
    """Return the placements of a layer in the frames that are shown, exposed if the shutter is open.

    maps: from the layer to the frame, by frame of the motion. movements: those that `maps` are composed of. shown: for
    each frame of the clip, the frame of the motion.
    """
    at = placements(maps[shown], layer)
    if not shutter:
        return at
    before, after = (placements(maps[near], layer) for near in neighbours(shown, jumps(*movements)))
    return exposed(at, before, after, shutter=shutter, layer=layer, frame=frame)


def drawn_timing(plan: ClipPlan) -> Timing:
    """Draw which frames of its sources a clip shows; this needs no file."""
    foreground = foreground_playback(plan)
    background = drawn_playback(number_stream(plan.background_seed, "background_playback"), starts_anywhere=True)
    return Timing(foreground, background, pauses(number_stream(plan.seed, "pauses"), plan.max_frames))


def timing_of(plan: ClipPlan) -> Timing | None:
    """Return which frames of its sources a clip shows; None if they follow one another as in the files."""
    return drawn_timing(plan) if plan.rendering.motion == "rvm" else None


def foreground_maps(
    rng: np.random.Generator, sizes: Geometry, *, kind: str, frames: int, standing: Placement | None = None
) -> Maps:
    """Draw the maps from the foreground to the frame, as the camera sees it without moving.

    standing: where the foreground is before any motion, without an angle; None: at the centre of the frame.
    """
    is_moving, is_mirrored = rng.random() < MOVING_SHARE[kind], rng.random() < MIRRORED_SHARE
    static = affine_maps(_drawn_pose(rng, FOREGROUND_SCALE)[None], sizes.frame)
    layer = sizes.foreground
    first = _shift((sizes.frame.width - layer.width) / 2, (sizes.frame.height - layer.height) / 2)
    if standing is not None:
        first = np.diag([standing.zoom, standing.zoom, 1.0])
        first[:2, 2] = standing.column, standing.row
        first[:2, 2] -= standing.zoom * np.array([layer.width / 2, layer.height / 2])
    return static @ _moving(rng, sizes.frame, frames, is_moving) @ first @ _mirror(layer, is_mirrored)


def background_maps(rng: np.random.Generator, sizes: Geometry, *, corner: tuple[int, int], frames: int) -> Maps:
    """Draw the maps from the background to the frame, as the camera sees it without moving.

    corner: row and column of the frame in the background, before any motion.
    """
    is_moving, is_mirrored = rng.random() < BACKGROUND_SHARE, rng.random() < MIRRORED_SHARE
    static = affine_maps(_drawn_pose(rng, BACKGROUND_SCALE)[None], sizes.frame)
    cropped = _shift(-corner[1], -corner[0])
    return static @ _moving(rng, sizes.frame, frames, is_moving) @ cropped @ _mirror(sizes.background, is_mirrored)


def camera_maps(rng: np.random.Generator, sizes: Geometry, *, frames: int) -> Maps:
    """Draw the maps that the camera's motion applies to all layers."""
    return _moving(rng, sizes.frame, frames, bool(rng.random() < CAMERA_SHARE))


def pauses(rng: np.random.Generator, frames: int) -> tuple[int, ...]:
    """Draw for each frame of a clip the frame that is shown: in a pause, the one where the pause begins.

    # 6 frames, a pause from 2 on: 0 1 2 2 2 5
    """
    shown = np.arange(frames + STAGE[1])
    begin = 0
    while begin < frames:
        length = int(rng.integers(*STAGE, endpoint=True))
        chance, first = rng.random(), int(rng.integers(length - 1))
        count = int(rng.integers(length - first))
        if chance < PAUSE_SHARE:
            shown[begin + first : begin + first + max(count, 1)] = begin + first
        begin += length
    return tuple(shown[:frames].tolist())


def covering(maps: Maps, camera: Maps, *, frame: Size, background: Size) -> Maps:
    """Return the maps from a background to the frame, seen by the camera, zoomed and shifted to cover all frames.

    maps: from the background to the frame, without the camera. They are zoomed about the frame's centre by a constant k
    and the background is shifted by a constant d, so that the motion stays as it is. With Q_t the inverse of a map, C_t
    that of the camera's, m the frame's centre, and e the largest extent of the frame in the background without k, the
    point of the background at m and the condition for k are, in x and in y:

        c_t = Q_t m + L(Q_t) (C_t m - m) / k       e / k + max(c) - min(c) <= side of the background

    k is at least 1. d is the smallest shift after which each frame is within the background.
    """
    to_background, to_scene = np.linalg.inv(maps), np.linalg.inv(camera)
    middle, sides = np.array([frame.width / 2, frame.height / 2, 1.0]), np.array([background.width, background.height])
    through = to_background[:, :2, :2] @ to_scene[:, :2, :2]
    extents = (np.abs(through) @ (2 * middle[:2])).max(axis=0) + 2 * EDGE
    by_background = np.ptp((to_background @ middle)[:, :2], axis=0)
    by_camera = np.ptp(np.einsum("tij,tj->ti", to_background[:, :2, :2], (to_scene @ middle - middle)[:, :2]), axis=0)
    zoom = max(1.0, float(((extents + by_camera) / (sides - by_background)).max()))
    zoomed_out = np.diag([1 / zoom, 1 / zoom, 1.0])
    zoomed_out[:, 2] += middle - zoomed_out @ middle
    inverse = to_background @ zoomed_out @ to_scene
    centres, reach = (inverse @ middle)[:, :2], extents / zoom / 2
    least, most = reach - centres.min(axis=0), sides - reach - centres.max(axis=0)
    inverse[:, :2, 2] += np.clip(0, least, np.maximum(least, most))
    return np.linalg.inv(inverse)


def placements(maps: Maps, layer: Size) -> tuple[Placement, ...]:
    """Return affine maps of a layer of a size as placements, see `Placement`."""
    centres = (maps @ [layer.width / 2, layer.height / 2, 1.0])[:, :2]
    linear = maps[:, :2, :2].copy()
    areas = np.linalg.det(linear)
    mirrored = areas < 0
    linear[mirrored, :, 0] *= -1
    zoom, angle = np.sqrt(np.abs(areas)), np.arctan2(linear[:, 1, 0], linear[:, 0, 0])
    cos, sin = np.cos(angle), np.sin(angle)
    stretch = (cos * linear[:, 0, 0] + sin * linear[:, 1, 0]) / zoom
    shear = (cos * linear[:, 0, 1] + sin * linear[:, 1, 1]) / zoom
    numbers = np.column_stack([centres[:, ::-1], np.degrees(angle), zoom, stretch, shear]).tolist()
    poses = [Placement(*values) for values in numbers]
    return tuple(
        replace(pose, mirrored=True) if is_mirrored else pose for pose, is_mirrored in zip(poses, mirrored, strict=True)
    )


def _moving(rng: np.random.Generator, frame: Size, frames: int, is_moving: bool) -> Maps:
    """Draw a motion through poses, a new one after each stage, with an easing of its own in each."""
    if not is_moving:
        return np.eye(3)[None].repeat(frames, axis=0)
    pose, poses, count = _drawn_pose(rng, MOVING_SCALE), [], 0
    while count < frames:
        length, following = int(rng.integers(*STAGE, endpoint=True)), _drawn_pose(rng, MOVING_SCALE)
        easing = drawn_easing(rng)
        progress = np.array([easing(step / length) for step in range(min(length, frames - count))])[:, None]
        poses.append(pose * (1 - progress) + following * progress)
        pose, count = following, count + length
    return affine_maps(np.concatenate(poses), frame)


def _drawn_pose(rng: np.random.Generator, scale: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Draw angle (degrees), shifts to the right and down (of the frame's sides), scale, and shear (degrees)."""
    lows, highs = np.transpose([ANGLE, SHIFT, SHIFT, scale, SHEAR])
    return np.asarray(rng.uniform(lows, highs))


def affine_maps(poses: npt.NDArray[np.float64], frame: Size) -> Maps:
    """Return the maps of poses (n, 5), see `_drawn_pose`, about the centre of the frame: scale * R(angle) * shear."""
    angle, right, down, scale, shear = poses.T
    t, s = np.radians(angle), np.tan(np.radians(shear))
    maps = np.zeros((len(poses), 3, 3))
    maps[:, 0, 0], maps[:, 0, 1] = scale * np.cos(t), scale * (-s * np.cos(t) - np.sin(t))
    maps[:, 1, 0], maps[:, 1, 1] = scale * np.sin(t), scale * (-s * np.sin(t) + np.cos(t))
    middle = np.array([frame.width / 2, frame.height / 2])
    moved = middle + np.column_stack([right * frame.width, down * frame.height])
    maps[:, :2, 2] = moved - maps[:, :2, :2] @ middle
    maps[:, 2, 2] = 1
    return maps


def _shift(right: float, down: float) -> npt.NDArray[np.float64]:
    return np.array([[1, 0, right], [0, 1, down], [0, 0, 1.0]])


def _mirror(layer: Size, is_mirrored: bool) -> npt.NDArray[np.float64]:
    """Return the map that mirrors a layer horizontally, or leaves it as it is."""
    return np.array([[-1, 0, layer.width], [0, 1, 0], [0, 0, 1.0]]) if is_mirrored else np.eye(3)
