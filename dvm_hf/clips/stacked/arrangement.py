"""Where several foregrounds stand in a clip and how each of them moves, drawn before any frame is rendered.

They stand side by side with their lower ends on the lower edge of the frame, as in MaGGIe's synthetic videos, in a
random order. From there, each moves by itself as the field `motion` says. Arrangements are drawn, up to `TRIES`, until
one meets the clip's difficulty; losses are measured on reduced mattes. If none does, the nearest one is used.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from dvm_hf.clips.geometry import Geometry
from dvm_hf.clips.motion import Placement, frame_to_foreground, random_walk
from dvm_hf.clips.moving.eased_motion import camera_maps, foreground_maps, foreground_playback, shown_placements
from dvm_hf.clips.moving.exposure import exposed_path
from dvm_hf.clips.plan import ClipPlan, number_stream
from dvm_hf.clips.random_parameters import LayerParameters, RandomParameters
from dvm_hf.clips.stacked.difficulties import DIFFICULTIES, Difficulty
from dvm_hf.clips.stacked.matte_sketches import MatteSketch
from dvm_hf.media.pixels import Box, Pixels, Size

TRIES = 24
MEASURED_FRAMES = 8  # of a clip, spread evenly, with the first and the last one
MEASURED_SIDE = 64  # px; longest side of the reduced frames on which losses are measured
HEIGHT = (0.8, 1.0)  # of the frame, for foregrounds that would be higher than it
VARIATION = (0.85, 1.0)  # of the heights of the foregrounds of a clip


class Layer(NamedTuple):
    """One of several foregrounds. kind: "image" or "video". frame_count: None for an image."""

    kind: str
    frame_count: int | None
    sketch: MatteSketch


def arranged(
    plan: ClipPlan, sizes: Geometry, drawn: RandomParameters, layers: Sequence[Layer], *, frame_count: int
) -> RandomParameters:
    """Add the parameters of all foregrounds to those of a clip. layers: from back to front. frame_count: of the clip.

    The result does not depend on which frames are rendered.
    """
    difficulty = DIFFICULTIES[plan.rendering.difficulty]
    shown = _shown_frames(plan, drawn, layers)
    measured = sorted({round(place) for place in np.linspace(0, frame_count - 1, MEASURED_FRAMES)})
    best: list[tuple[Placement, ...]] = []
    least = math.inf
    for number in range(TRIES):
        rng = number_stream(plan.seed, "arrangement", index=number)
        moved = _moved(plan, sizes, drawn, layers, standing_places(rng, sizes.frame, layers, difficulty), rng)
        miss = difficulty.miss(largest_loss(moved, shown, layers, measured, frame=sizes.frame))
        if miss < least:
            best, least = moved, miss
        if not miss:
            break
    parameters = tuple(map(LayerParameters, best, shown))
    return replace(drawn, placements=best[0], layers=parameters)


def standing_places(
    rng: np.random.Generator, frame: Size, layers: Sequence[Layer], difficulty: Difficulty
) -> list[Placement]:
    """Draw where each layer stands: the placement of its centre, without an angle.

    Heights are equal, apart from `VARIATION`, so that the widths share the frame's, times the enlargement. A foreground
    is never enlarged.
    """
    boxes = [layer.sketch.occupied for layer in layers]
    height = frame.width * rng.uniform(*difficulty.enlargement) / sum(box.width / box.height for box in boxes)
    highest = frame.height * rng.uniform(*HEIGHT, len(layers))
    heights = np.minimum(height, highest) * rng.uniform(*VARIATION, len(layers))
    zooms = [min(1.0, float(wanted) / box.height) for wanted, box in zip(heights, boxes, strict=True)]
    widths = np.array([zoom * box.width for zoom, box in zip(zooms, boxes, strict=True)])
    order = rng.permutation(len(layers))  # from left to right
    lefts = np.empty(len(layers))
    lefts[order] = _lefts(rng, widths[order], frame.width, difficulty)
    return [
        _standing(layer.sketch.size, box, zoom, left=float(left), frame=frame)
        for layer, box, zoom, left in zip(layers, boxes, zooms, lefts, strict=True)
    ]


def _lefts(
    rng: np.random.Generator, widths: npt.NDArray[np.float64], available: int, difficulty: Difficulty
) -> npt.NDArray[np.float64]:
    """Draw the left edge of each foreground in a row, in px of the frame.

    Space that is left is divided at random. A row that is too long is compressed.
    """
    steps = widths[:-1] - rng.uniform(*difficulty.overlap, len(widths) - 1) * widths[1:]
    lefts = np.concatenate([[0.0], np.cumsum(steps)])
    room = float(available - widths[-1])
    free = room - float(lefts[-1])
    shares = rng.dirichlet(np.ones(len(widths) + 1))
    if free >= 0:
        return np.asarray(lefts + free * (np.cumsum(shares[:-1]) if difficulty.is_spread else shares[0]))
    return np.asarray(lefts * (max(room, 0.0) / float(lefts[-1])))


def _standing(size: Size, box: Box, zoom: float, *, left: float, frame: Size) -> Placement:
    """Return the placement of a layer whose box has its left edge at `left` and its lower edge at the frame's."""
    row = frame.height - zoom * (box.bottom - size.height / 2)
    column = left + zoom * (size.width / 2 - box.left)
    return Placement(row, column, 0.0, zoom)


def _moved(
    plan: ClipPlan,
    sizes: Geometry,
    drawn: RandomParameters,
    layers: Sequence[Layer],
    standing: Sequence[Placement],
    rng: np.random.Generator,
) -> list[tuple[Placement, ...]]:
    """Return the placements of each layer in each frame, up to the maximum number of frames."""
    motion = _MOTIONS[plan.rendering.motion]
    return [motion(plan, sizes, drawn, *one, rng) for one in zip(layers, standing, strict=True)]


def _walking(
    plan: ClipPlan,
    sizes: Geometry,
    drawn: RandomParameters,
    layer: Layer,
    standing: Placement,
    rng: np.random.Generator,
) -> tuple[Placement, ...]:
    """Move an image by the published walk, which the centre of its occupied box makes from where it stands."""
    if layer.kind == "video":
        return (standing,) * plan.max_frames
    box, size = layer.sketch.occupied, layer.sketch.size
    down, across = (box.top + box.bottom - size.height) / 2, (box.left + box.right - size.width) / 2
    start = standing.row + standing.zoom * down, standing.column + standing.zoom * across
    found = []
    for step in islice(random_walk(rng, frame=sizes.frame, start=start), plan.max_frames):
        zoom, t = step.zoom * standing.zoom, math.radians(step.angle)
        row = step.row - zoom * (math.cos(t) * down + math.sin(t) * across)
        column = step.column - zoom * (math.cos(t) * across - math.sin(t) * down)
        found.append(Placement(row, column, step.angle, zoom))
    return exposed_path(found, shutter=plan.rendering.shutter, layer=size, frame=sizes.frame)


def _eased(
    plan: ClipPlan,
    sizes: Geometry,
    drawn: RandomParameters,
    layer: Layer,
    standing: Placement,
    rng: np.random.Generator,
) -> tuple[Placement, ...]:
    """Move a layer by an eased motion of its own and by the clip's camera."""
    frames, own = plan.max_frames, replace(sizes, foreground=layer.sketch.size)
    camera = camera_maps(number_stream(plan.seed, "camera_motion"), sizes, frames=frames)
    foreground = foreground_maps(rng, own, kind=layer.kind, frames=frames, standing=standing)
    shown = np.arange(frames) if drawn.timing is None else np.array(drawn.timing.shown)
    return shown_placements(
        camera @ foreground,
        shown,
        movements=(camera, foreground),
        shutter=plan.rendering.shutter,
        layer=own.foreground,
        frame=sizes.frame,
    )


def _at_rest(
    plan: ClipPlan,
    sizes: Geometry,
    drawn: RandomParameters,
    layer: Layer,
    standing: Placement,
    rng: np.random.Generator,
) -> tuple[Placement, ...]:
    return (standing,) * plan.max_frames


_Motion = Callable[[ClipPlan, Geometry, RandomParameters, Layer, Placement, np.random.Generator], tuple[Placement, ...]]
_MOTIONS: dict[str, _Motion] = {"dvm": _walking, "rvm": _eased, "none": _at_rest}


def _shown_frames(plan: ClipPlan, drawn: RandomParameters, layers: Sequence[Layer]) -> list[tuple[int, ...] | None]:
    """Return for each layer, by frame of the clip, the frame of its source; None: the one with the same index."""
    found: list[tuple[int, ...] | None] = []
    for index, layer in enumerate(layers):
        if drawn.timing is None or layer.frame_count is None:
            found.append(None)
        else:
            available = min(plan.max_frames, layer.frame_count)
            found.append(foreground_playback(plan, index).frames(drawn.timing.shown, available=available))
    return found


def largest_loss(
    moved: Sequence[Sequence[Placement]],
    shown: Sequence[Sequence[int] | None],
    layers: Sequence[Layer],
    measured: Sequence[int],
    *,
    frame: Size,
) -> float:
    """Return the largest part of its alpha that a layer loses in one of the measured frames to those in front of it.

    moved, shown: see `LayerParameters`. A layer that is not in the frame loses all.
    """
    largest = 0.0
    for index in measured:
        alphas = [
            _reduced_alpha(layer.sketch, poses[index], index if frames is None else frames[index], frame)
            for layer, poses, frames in zip(layers, moved, shown, strict=True)
        ]
        clear = np.ones(alphas[0].shape, np.float32)
        for alpha in reversed(alphas):
            own = alpha.astype(np.float32)
            whole = float(own.sum())
            largest = max(largest, 1.0 - float((own * clear).sum()) / whole if whole else 1.0)
            clear *= 1 - own / 255
    return largest


def _reduced_alpha(sketch: MatteSketch, placement: Placement, source_frame: int, frame: Size) -> Pixels:
    """Return the alpha of a layer in a reduced frame."""
    matte = sketch.matte(source_frame)
    ratio = min(1.0, MEASURED_SIDE / max(frame))
    to_matte = frame_to_foreground(placement, foreground=sketch.size).copy()
    to_matte[:, 2] += to_matte[:, :2] @ (np.full(2, 0.5 / ratio - 0.5)) + 0.5  # from the reduced frame; at pixel edges
    to_matte[:, :2] /= ratio
    scale = np.array([matte.shape[1] / sketch.size.width, matte.shape[0] / sketch.size.height])
    to_matte *= scale[:, None]
    to_matte[:, 2] -= 0.5
    size = max(1, round(frame.width * ratio)), max(1, round(frame.height * ratio))
    return cv2.warpAffine(matte, to_matte, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)  # type: ignore[return-value]
