"""The columns of the dataset, and the encoding of windows into rows."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from dvm_hf.clips.scene import Frame
from dvm_hf.clips.windows import FrameCollector, FrameTuple, Window
from dvm_hf.media.pixels import Pixels
from dvm_hf.media.row_videos.encoding import VideoEncoder, encoder_frame
from dvm_hf.media.still.image_encoding import encoded_image

IMAGE_COLUMNS = ("frames", "alpha", "trimap", "foreground", "background")
GREY_COLUMNS = ("alpha", "trimap")
LAYERS: dict[str, Callable[[Frame], Pixels | None]] = {
    "frames": lambda frame: frame.composite,
    "alpha": lambda frame: frame.alpha,
    "trimap": lambda frame: frame.trimap,
    "foreground": lambda frame: frame.foreground,
    "background": lambda frame: frame.background,
}
GREY = {"alpha": "grey_png", "trimap": "flat_png"}
# The file format of each column. Streamed rows are not stored, so that lossless images need no compression there.
FILE_ENCODINGS: dict[str, dict[str, str]] = {
    "jpeg": GREY | {"frames": "jpeg", "foreground": "jpeg", "background": "jpeg"},
    "lossless": GREY | {"frames": "colour_png", "foreground": "colour_png", "background": "colour_png"},
    "lossless_streamed": dict.fromkeys(IMAGE_COLUMNS, "bmp"),
    "video": {column: "grey_h264" if column in GREY_COLUMNS else "colour_h264" for column in IMAGE_COLUMNS},
}
ENCODINGS = ("jpeg", "lossless", "array", "video")

EncodedFrame: TypeAlias = dict[str, Any]  # by image column: {"bytes": ..., "path": None}, pixels, or an encoder's frame


@dataclasses.dataclass(frozen=True)
class WindowVideos:
    """The frames of a window as videos. files: {"bytes": ..., "path": ...} by image column."""

    files: Mapping[str, Mapping[str, Any]]
    count: int

    def __len__(self) -> int:
        return self.count


EncodedFrames: TypeAlias = tuple[EncodedFrame, ...] | WindowVideos


def frame_encoder(columns: tuple[str, ...], *, encoding: str, streaming: bool) -> Callable[[Frame], EncodedFrame]:
    """Return the function that `render` applies to each frame: it encodes the image columns.

    For videos, it only converts them; `frame_collector` encodes.
    """
    layers = {column: LAYERS[column] for column in columns}
    if encoding == "array":
        return lambda frame: {column: layer(frame) for column, layer in layers.items()}
    files = FILE_ENCODINGS["lossless_streamed" if streaming and encoding == "lossless" else encoding]
    if encoding == "video":
        return lambda frame: {
            column: encoder_frame(_present(layer(frame)), files[column]) for column, layer in layers.items()
        }

    def encoded(frame: Frame) -> EncodedFrame:
        return {
            column: {"bytes": encoded_image(_present(layer(frame)), files[column]), "path": None}
            for column, layer in layers.items()
        }

    return encoded


def frame_collector(columns: tuple[str, ...], *, encoding: str) -> Callable[[], FrameCollector[EncodedFrame, Any]]:
    """Return the `collect` of `render` for the results of `frame_encoder`: `EncodedFrames` of a window."""
    return (lambda: _VideoCollector(columns)) if encoding == "video" else FrameTuple


def stored_bytes(frames: EncodedFrames) -> int:
    """Return the size of a window's encoded frames in all columns."""
    if isinstance(frames, WindowVideos):
        return sum(len(file["bytes"]) for file in frames.files.values())
    images = (image for frame in frames for image in frame.values())
    return sum(len(image["bytes"]) if isinstance(image, dict) else image.nbytes for image in images)


def row(window: Window[EncodedFrames], *, encoding: str) -> dict[str, Any]:
    """Return a window as one example of the dataset, in the form that its features expect."""
    plan, images = window.plan, _images(window.frames)
    if encoding == "array":
        images = {column: np.stack(frames) for column, frames in images.items()}
    return {
        "clip_id": plan.clip_id,
        "window": window.number,
        "start": window.start,
        **images,
        "foreground_kind": plan.foreground.kind,
        "foreground_name": plan.foreground.name,
        "background_name": plan.background.name,
        "height": window.view.height,
        "width": window.view.width,
        "seed": plan.seed,
        # float32 values, because streamed rows are not cast to their features
        "motion": np.array(window.motion, np.float32).tolist(),
    }


class _VideoCollector:
    """Encodes the frames of a window as they come, one video for each column."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        files = FILE_ENCODINGS["video"]
        self._encoders, self._count = {column: VideoEncoder(files[column]) for column in columns}, 0

    def append(self, frame: EncodedFrame, /) -> None:
        for column, encoder in self._encoders.items():
            encoder.append(frame[column])
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def frames(self) -> WindowVideos:
        files = {
            column: {"bytes": encoder.finished(), "path": video_name(column)}
            for column, encoder in self._encoders.items()
        }
        return WindowVideos(files, self._count)


def video_name(column: str) -> str:
    """Return the name of a column's video in its row. The Hub's viewer recognizes videos by their extension."""
    return f"{column}.mp4"


def _images(frames: EncodedFrames) -> dict[str, Any]:
    if isinstance(frames, WindowVideos):
        return dict(frames.files)
    return {column: [frame[column] for frame in frames] for column in frames[0]}


def _present(pixels: Pixels | None) -> Pixels:
    assert pixels is not None  # the plan has the same columns as the encoder
    return pixels
