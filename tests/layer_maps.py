"""The affine map of a placement, written from the equation in its docstring."""

import math

import numpy as np

from dvm_hf.clips.motion import Placement
from dvm_hf.media.pixels import Size


def to_frame(placement: Placement, layer: Size) -> np.ndarray:
    """Return the map (3, 3) from points (x, y, 1) of a layer to points of the frame, both at pixel edges."""
    t, m = math.radians(placement.angle), -1 if placement.mirrored else 1
    rotation = np.array([[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]])
    shape = np.array([[placement.stretch, placement.shear], [0, 1 / placement.stretch]])
    linear = placement.zoom * rotation @ shape @ np.diag([m, 1])
    result = np.eye(3)
    result[:2, :2] = linear
    result[:2, 2] = [placement.column, placement.row] - linear @ [layer.width / 2, layer.height / 2]
    return result
