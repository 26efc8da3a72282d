"""Where a layer is while the shutter is open: shutter > 0.

The exposure of frame t is centred on it and lasts from t - shutter / 2 to t + shutter / 2. Between two frames, the map
from the frame to the layer changes linearly, so each pixel of the frame passes along a straight line in the layer. A
background that covers the frame at t and t + 1 then covers it at each time in between. Before the first frame of a
clip and after its last one, all layers rest; across a jump, they keep the pose of the exposed frame.

A blurred pixel is the mean of samples at the middles of equal parts of the exposure.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dvm_hf.clips.motion import Placement, frame_to_foreground, shown_box
from dvm_hf.clips.moving.layer_warp import Map
from dvm_hf.media.pixels import Box, Size

MOST_SAMPLES = 16
SHARP = 1 / 8  # px; a layer that moves less during the exposure is not blurred: at a hard edge, 4 levels of alpha


@dataclass(frozen=True, kw_only=True)
class Exposed(Placement):
    """The placement of a layer in a frame during whose exposure it moves.

    before, after: placements one frame before and after. shutter: exposure time, in frames. layer, frame: their sizes
    in the composite.
    """

    before: Placement
    after: Placement
    shutter: float
    layer: Size
    frame: Size

    @functools.cached_property
    def sample_count(self) -> int:
        """Number of samples: 1 if the layer moves less than `SHARP`, else so many that they are at most 1 px apart, but
        at most `MOST_SAMPLES`.

            d = 2 * the farthest that a point moves in half of the exposure, px;  1 + ceil(d) samples

        Points of the layer outside of the frame count, unless those of the frame's corners move less.
        """
        at, *neighbours = self._maps(self.layer)
        ends = [at + self.shutter / 2 * (one - at) for one in neighbours]
        in_frame = _corners(self.layer)
        shown = [at[:, :2] @ _corners(self.frame) + at[:, 2:], in_frame]
        moved = 2 * min(max(_farthest(at, end, points) for end in ends) for points in shown)
        return 1 if moved <= SHARP else min(1 + math.ceil(moved), MOST_SAMPLES)

    def _maps(self, layer: Size) -> tuple[Map, Map, Map]:
        """Return the maps from the frame to a layer of a size: in this frame, before and after it."""
        at, before, after = (frame_to_foreground(one, foreground=layer) for one in (self, self.before, self.after))
        return at, before, after

    def sampled(self, layer: Size) -> tuple[Map, ...]:
        """Return the maps from the frame to a layer of a size, for each sample."""
        at, before, after = self._maps(layer)
        count = self.sample_count
        times = (self.shutter * ((number + 0.5) / count - 0.5) for number in range(count))
        return tuple(at + abs(time) * ((before if time < 0 else after) - at) for time in times)


def exposed(
    at: Sequence[Placement],
    before: Sequence[Placement],
    after: Sequence[Placement],
    *,
    shutter: float,
    layer: Size,
    frame: Size,
) -> tuple[Placement, ...]:
    """Return the placements of frames, exposed if they move. before, after: those one frame before and after each."""
    return tuple(
        one if one == first == last else _exposed(one, first, last, shutter=shutter, layer=layer, frame=frame)
        for one, first, last in zip(at, before, after, strict=True)
    )


def exposed_path(path: Sequence[Placement], *, shutter: float, layer: Size, frame: Size) -> tuple[Placement, ...]:
    """Return the placements of consecutive frames, exposed if the shutter is open."""
    if not shutter:
        return tuple(path)
    before, after = (*path[:1], *path[:-1]), (*path[1:], *path[-1:])
    return exposed(path, before, after, shutter=shutter, layer=layer, frame=frame)


def neighbours(shown: npt.NDArray[np.int64], jumps: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], ...]:
    """Return the frames before and after shown ones; the frame itself at an end of the clip and where there is a jump.

    jumps: by frame, whether a layer jumps from the frame before to this one.
    """
    jumps_after = np.append(jumps[1:], True)
    return np.where(jumps[shown], shown, shown - 1), np.where(jumps_after[shown], shown, shown + 1)


def jumps(*movements: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return for each frame whether one of the movements, maps (frames, 3, 3), jumps to it: an easing by a step.

    It rests before and after its jump, which no other movement does. Nothing leads to the first frame, so it counts.
    """
    result = np.zeros(len(movements[0]), bool)
    for maps in movements:
        moves = np.zeros(len(maps) + 1, bool)  # to each frame, and from the last one
        moves[1:-1] = (maps[1:] != maps[:-1]).any((1, 2))
        result[1:] |= moves[1:-1] & ~moves[:-2] & ~moves[2:]
    result[0] = True
    return result


def sampled_maps(placement: Placement, *, layer: Size) -> tuple[Map, ...]:
    """Return the maps (2, 3) from pixel indices (x, y) of the frame to those of a layer of a size, one per sample."""
    if isinstance(placement, Exposed):
        return _sampled(placement, layer)
    return (frame_to_foreground(placement, foreground=layer),)


def exposed_box(maps: Sequence[Map], *, part: Box) -> Box:
    """Return a box with every frame pixel that `part` of the layer can touch in one of the samples."""
    return shown_box(np.stack(maps), part=part)


@functools.lru_cache(maxsize=64)
def _sampled(placement: Exposed, layer: Size) -> tuple[Map, ...]:
    return placement.sampled(layer)


def _exposed(
    at: Placement, before: Placement, after: Placement, *, shutter: float, layer: Size, frame: Size
) -> Exposed:
    return Exposed(
        *at.pose, *at.shape, at.mirrored, before=before, after=after, shutter=shutter, layer=layer, frame=frame
    )


def _corners(size: Size) -> npt.NDArray[np.float64]:
    """Return the corners (2, 4) of a picture, (x, y) in pixel indices."""
    return np.array([[0, size.width] * 2, [0, 0, size.height, size.height]]) - 0.5


def _farthest(at: Map, other: Map, points: npt.NDArray[np.float64]) -> float:
    """Return how far the farthest of some points (2, n) of a layer moves in the frame, px, from a map to another."""
    first, second = (np.linalg.solve(one[:, :2], points - one[:, 2:]) for one in (at, other))
    return float(np.hypot(*(second - first)).max())
