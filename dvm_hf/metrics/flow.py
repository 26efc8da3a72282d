"""Motion between two frames, along which MESSDdt compares errors. Each kind has a name, which results carry.

A flow field is float32 (H, W, 2): x, then y, in px from a pixel of frame t to the same point in frame t+1; NaN where
the motion is unknown.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from dvm_hf.errors import MetricsError
from dvm_hf.media.pixels import Box, Pixels
from dvm_hf.metrics.frames import Frame
from dvm_hf.metrics.temporal import FlowField

MIN_ESTIMATED = 16  # px: OpenCV's estimate fails on smaller frames
SURROUNDINGS = 32  # px around the foreground, in which the estimate finds what moves in and out


class Flow(Protocol):
    """Motion of a clip. name: how results refer to it."""

    @property
    def name(self) -> str: ...

    def between(self, first: Frame, second: Frame) -> FlowField:
        """Return the motion from a frame to the next one."""
        ...


@dataclass(frozen=True)
class AffineFlow:
    """The exact motion of an image foreground, from the column `motion` of a row.

    motion: [row, column, angle, zoom] of each frame, in px, degrees clockwise and a factor: with c the centre (row,
    column), both frames' points p, measured at pixel edges, are related by

        p' = zoom'/zoom R(angle' - angle) (p - c) + c'

    With motion="rvm", [stretch, shear] follow these numbers; then, with S the shape [[stretch, shear], [0, 1/stretch]],

        p' = zoom'/zoom R(angle') S' S^-1 R(-angle) (p - c) + c'

    top, left: position of the measured pixels in the frame (px), if they are a crop.
    """

    motion: Sequence[Sequence[float]]
    top: float = 0
    left: float = 0
    name: str = "affine"

    def between(self, first: Frame, second: Frame) -> FlowField:
        if second.index >= len(self.motion):
            raise MetricsError(
                f"flow: has the motion of {len(self.motion)} frames, but the clip has more; pass one [row, column, "
                "angle, zoom] for each frame"
            )
        poses = [self.motion[frame.index] for frame in (first, second)]
        (row, column, angle, zoom), (next_row, next_column, next_angle, next_zoom) = (pose[:4] for pose in poses)
        x = np.arange(first.size.width) + (0.5 + self.left - column)
        y = np.arange(first.size.height)[:, None] + (0.5 + self.top - row)
        flow = np.empty((*first.size, 2), np.float32)
        if len(poses[0]) > 4:
            (xx, xy), (yx, yy) = (_linear(poses[1]) @ np.linalg.inv(_linear(poses[0])) - np.eye(2)).tolist()
            flow[..., 0] = (xx * x + (next_column - column)) + xy * y
            flow[..., 1] = yx * x + (yy * y + (next_row - row))
            return flow
        turn, growth = math.radians(next_angle - angle), next_zoom / zoom
        cosine, sine = growth * math.cos(turn), growth * math.sin(turn)
        flow[..., 0] = ((cosine - 1) * x + (next_column - column)) - sine * y
        flow[..., 1] = sine * x + ((cosine - 1) * y + (next_row - row))
        return flow


def _linear(pose: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return zoom * R(angle) * S of a pose with stretch and shear. A mirrored foreground has the same motion."""
    angle, zoom, stretch, shear = math.radians(pose[2]), *pose[3:6]
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.asarray(zoom * rotation @ np.array([[stretch, shear], [0, 1 / stretch]]))


@dataclass(frozen=True)
class StoredFlow:
    """Motion that was computed before.

    read: returns the field (H, W, 2) from frame `index` of the clip to the next one, of any float type, such as
    `read_flow` does for a file of VideoMatting108.
    """

    read: Callable[[int], npt.NDArray[Any]]
    name: str = "stored"

    def between(self, first: Frame, second: Frame) -> FlowField:
        return require_field(self.read(first.index), first)


@dataclass(frozen=True)
class NoMotion:
    """No motion: errors are compared at the same pixel."""

    name: str = "none"

    def between(self, first: Frame, second: Frame) -> FlowField:
        return np.zeros((*first.size, 2), np.float32)


@dataclass(frozen=True)
class FarnebackFlow:
    """Farneback's estimate on the reference matte with DVM's parameters. A matte has little texture to follow."""

    name: str = "farneback-alpha"

    def between(self, first: Frame, second: Frame) -> FlowField:
        flags = cv2.OPTFLOW_FARNEBACK_GAUSSIAN
        return cv2.calcOpticalFlowFarneback(  # type: ignore[call-overload, no-any-return]
            first.reference, second.reference, None, 0.5, 5, 10, 2, 7, 1.5, flags
        )


@dataclass(frozen=True)
class DISFlow:
    """Dense inverse search (Kroeger et al., ECCV 2016; OpenCV's medium preset) on an image of each frame.

    It is computed in the box of both frames' foregrounds and its surroundings, and is 0 elsewhere.
    """

    name: str
    image: Callable[[Frame], Pixels]

    def between(self, first: Frame, second: Frame) -> FlowField:
        if min(first.size) < MIN_ESTIMATED:
            raise MetricsError(
                f"flow={self.name!r}: frames have {first.size}, but the estimate requires at least {MIN_ESTIMATED} px "
                "on each side; pass a flow that is known"
            )
        flow = np.zeros((*first.size, 2), np.float32)
        images = [self.image(frame) for frame in (first, second)]
        visible = _visible_box(first, second)
        if not visible.is_empty:
            box = visible.grown(SURROUNDINGS).intersection(Box(0, 0, *first.size))
            part = slice(box.top, box.bottom), slice(box.left, box.right)
            estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
            flow[part] = estimator.calc(*(np.ascontiguousarray(image[part]) for image in images), None)  # type: ignore[call-overload]
        return flow


def _visible_box(first: Frame, second: Frame) -> Box:
    left, top, width, height = cv2.boundingRect(cv2.max(first.reference, second.reference))
    return Box(top, left, top + height, left + width)


def grey_foreground(frame: Frame) -> Pixels:
    """Return the premultiplied foreground in grey (H, W). Its texture moves with it, unlike that of the composite."""
    if frame.colours is None:
        raise MetricsError(
            "flow='dis': requires the foreground's colours; pass reference_foreground, or flow='dis-alpha', which "
            "is less exact"
        )
    grey = cv2.cvtColor(frame.colours.reference, cv2.COLOR_RGB2GRAY)
    return cv2.multiply(grey, frame.reference, scale=1 / 255)  # type: ignore[return-value]


def reference_alpha(frame: Frame) -> Pixels:
    return frame.reference


FLOWS: dict[str, Flow] = {
    flow.name: flow
    for flow in (DISFlow("dis", grey_foreground), DISFlow("dis-alpha", reference_alpha), FarnebackFlow(), NoMotion())
}


def named_flow(name: str) -> Flow:
    """Return a flow of `FLOWS`. Raises MetricsError if there is none of this name."""
    if name not in FLOWS:
        raise MetricsError(
            f"flow={name!r}: not a known flow; pass one of {', '.join(FLOWS)}, an array or an AffineFlow"
        )
    return FLOWS[name]


def require_field(field: Any, frame: Frame) -> FlowField:
    """Return a field as float32. Raises MetricsError if it does not fit the frame."""
    if not isinstance(field, np.ndarray) or field.dtype.kind != "f" or field.shape != (*frame.size, 2):
        found = f"{field.dtype} {field.shape}" if isinstance(field, np.ndarray) else type(field).__name__
        raise MetricsError(
            f"flow: is {found} after frame {frame.index}, but must be a float array {(*frame.size, 2)}: motion in px "
            "to the next frame, x then y, NaN where unknown"
        )
    return np.ascontiguousarray(field, np.float32)
