"""The affine map of a placement, written from the equation in its docstring."""

import math

import cv2
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


def warped_by_map(pixels: np.ndarray, shown: np.ndarray, frame: Size) -> np.ndarray:
    """Warp float values with OpenCV's float32 arithmetic by a map from points of the layer to points of the frame."""
    edge_to_index, index_to_edge = ([[1, 0, by], [0, 1, by], [0, 0, 1.0]] for by in (-0.5, 0.5))
    matrix = (edge_to_index @ shown @ index_to_edge)[:2]
    return cv2.warpAffine(pixels.astype(np.float32), matrix, (frame.width, frame.height), flags=cv2.INTER_LINEAR)
