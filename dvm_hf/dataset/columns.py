"""The columns of the dataset, and the encoding of windows into rows."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from dvm_hf.clips.scene import Frame
from dvm_hf.clips.windows import FrameCollector, FrameTuple, Window
from dvm_hf.dataset.appearance import appearance_texts
from dvm_hf.media.pixels import Pixels
from dvm_hf.media.row_videos.encoding import VideoEncoder, encoder_frame
from dvm_hf.media.still.image_encoding import encoded_image

IMAGE_COLUMNS = ("frames", "alpha", "trimap", "foreground", "background")
INSTANCES = "instances"  # for each foreground, from back to front, what the column alpha is for all of them
COLUMNS = (*IMAGE_COLUMNS, INSTANCES)
MAX_INSTANCES = 4  # foregrounds of a clip
GREY_COLUMNS = ("alpha", "trimap")
LAYERS: dict[str, Callable[[Frame], Pixels | None]] = {
    "frames": lambda frame: frame.composite,
    "alpha": lambda frame: frame.alpha,
    "trimap": lambda frame: frame.trimap,
    "foreground": lambda frame: frame.foreground,
    "background": lambda frame: frame.background,
    INSTANCES: lambda frame: frame.instances,
}
GREY = {"alpha": "grey_png", "trimap": "flat_png", INSTANCES: "grey_png"}
# The file format of each column. Streamed rows are not stored, so that lossless images need no compression there.
FILE_ENCODINGS: dict[str, dict[str, str]] = {
    "jpeg": GREY | {"frames": "jpeg", "foreground": "jpeg", "background": "jpeg"},
    "lossless": GREY | {"frames": "colour_png", "foreground": "colour_png", "background": "colour_png"},
    "lossless_streamed": dict.fromkeys(COLUMNS, "bmp"),
    "video": {column: "grey_h264" if column in (*GREY_COLUMNS, INSTANCES) else "colour_h264" for column in COLUMNS},
}
ENCODINGS = ("jpeg", "lossless", "array", "video")

# By image column: {"bytes": ..., "path": None}, pixels, or an encoder's frame; of instances, a list with one for each.
EncodedFrame: TypeAlias = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class WindowVideos:
    """The frames of a window as videos. files: {"bytes": ..., "path": ...} by image column; of instances, a list."""

    files: Mapping[str, Any]
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

    def encoded_picture(pixels: Pixels, file: str) -> Any:
        return encoder_frame(pixels, file) if encoding == "video" else _image(encoded_image(pixels, file))

    def encoded(frame: Frame) -> EncodedFrame:
        return {
            column: [encoded_picture(one, files[column]) for one in _present(layer(frame))]
            if column == INSTANCES
            else encoded_picture(_present(layer(frame)), files[column])
            for column, layer in layers.items()
        }

    return encoded


def frame_collector(columns: tuple[str, ...], *, encoding: str) -> Callable[[], FrameCollector[EncodedFrame, Any]]:
    """Return the `collect` of `render` for the results of `frame_encoder`: `EncodedFrames` of a window."""
    return (lambda: _VideoCollector(columns)) if encoding == "video" else FrameTuple


def stored_bytes(frames: EncodedFrames) -> int:
    """Return the size of a window's encoded frames in all columns."""
    if isinstance(frames, WindowVideos):
        return sum(map(_bytes_of, frames.files.values()))
    return sum(_bytes_of(image) for frame in frames for image in frame.values())


def _bytes_of(image: Any) -> int:
    if isinstance(image, list):
        return sum(map(_bytes_of, image))
    return len(image["bytes"]) if isinstance(image, dict) else int(image.nbytes)


def row(
    window: Window[EncodedFrames], *, encoding: str, stacked: Callable[[Sequence[Pixels]], Pixels] = np.stack
) -> dict[str, Any]:
    """Return a window as one example of the dataset, in the form that its features expect.

    stacked: joins the pixels of an image column, but not of instances, with encoding="array".
    """
    plan, images = window.plan, _images(window.frames)
    if encoding == "array":
        images = {
            column: np.stack(frames) if column == INSTANCES else stacked(frames) for column, frames in images.items()
        }
        if INSTANCES in images:
            images[INSTANCES] = images[INSTANCES].swapaxes(0, 1)
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
        **_instance_facts(window),
        **appearance_texts(plan),
    }


def _instance_facts(window: Window[EncodedFrames]) -> dict[str, Any]:
    """Return the names, kinds and losses of a clip's foregrounds, if there are several."""
    foregrounds = window.plan.foregrounds
    if len(foregrounds) == 1:
        return {}
    return {
        "instance_kinds": [one.kind for one in foregrounds],
        "instance_names": [one.name for one in foregrounds],
        "instance_hidden": np.array(window.hidden, np.float32).tolist(),
    }


class _VideoCollector:
    """Encodes the frames of a window as they come, one video for each column."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        files = FILE_ENCODINGS["video"]
        self._encoders = {column: VideoEncoder(files[column]) for column in columns if column != INSTANCES}
        self._instances: list[VideoEncoder] = []
        self._count = 0

    def append(self, frame: EncodedFrame, /) -> None:
        for column, encoder in self._encoders.items():
            encoder.append(frame[column])
        instances = frame.get(INSTANCES, ())
        if not self._instances:
            self._instances = [VideoEncoder(FILE_ENCODINGS["video"][INSTANCES]) for _ in instances]
        for encoder, one in zip(self._instances, instances, strict=True):
            encoder.append(one)
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def frames(self) -> WindowVideos:
        files: dict[str, Any] = {
            column: {"bytes": encoder.finished(), "path": video_names(column)[0]}
            for column, encoder in self._encoders.items()
        }
        if self._instances:
            files[INSTANCES] = [
                {"bytes": encoder.finished(), "path": name}
                for name, encoder in zip(video_names(INSTANCES), self._instances, strict=False)
            ]
        return WindowVideos(files, self._count)


def video_names(column: str) -> list[str]:
    """Return the names that a column's videos have in a row: several for instances, one for each foreground.

    The Hub's viewer recognizes videos by their extension.
    """
    if column == INSTANCES:
        return [f"instance_{number}.mp4" for number in range(MAX_INSTANCES)]
    return [f"{column}.mp4"]


def _images(frames: EncodedFrames) -> dict[str, Any]:
    if isinstance(frames, WindowVideos):
        return dict(frames.files)
    images = {column: [frame[column] for frame in frames] for column in frames[0]}
    if isinstance(images.get(INSTANCES, [0])[0], list):
        images[INSTANCES] = [list(of_instance) for of_instance in zip(*images[INSTANCES], strict=True)]
    return images


def _image(data: bytes) -> dict[str, Any]:
    return {"bytes": data, "path": None}


def _present(pixels: Pixels | None) -> Pixels:
    assert pixels is not None  # the plan has the same columns as the encoder
    return pixels
