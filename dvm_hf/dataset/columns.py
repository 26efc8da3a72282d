"""The columns of the dataset, and the encoding of windows into rows."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from dvm_hf.clips.scene import Frame
from dvm_hf.clips.windows import Window
from dvm_hf.media.pixels import Pixels
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
}
ENCODINGS = ("jpeg", "lossless", "array")

EncodedFrame: TypeAlias = dict[str, Any]  # by image column: {"bytes": ..., "path": None}, or pixels


def frame_encoder(columns: tuple[str, ...], *, encoding: str, streaming: bool) -> Callable[[Frame], EncodedFrame]:
    """Return the function that `render` applies to each frame: it encodes the image columns."""
    layers = {column: LAYERS[column] for column in columns}
    if encoding == "array":
        return lambda frame: {column: layer(frame) for column, layer in layers.items()}
    files = FILE_ENCODINGS["lossless_streamed" if streaming and encoding == "lossless" else encoding]

    def encoded(frame: Frame) -> EncodedFrame:
        return {
            column: {"bytes": encoded_image(_present(layer(frame)), files[column]), "path": None}
            for column, layer in layers.items()
        }

    return encoded


def row(window: Window[EncodedFrame], *, encoding: str) -> dict[str, Any]:
    """Return a window as one example of the dataset, in the form that its features expect."""
    plan = window.plan
    images: dict[str, Any] = {column: [frame[column] for frame in window.frames] for column in window.frames[0]}
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
        "motion": np.array([dataclasses.astuple(placement) for placement in window.placements], np.float32).tolist(),
    }


def _present(pixels: Pixels | None) -> Pixels:
    assert pixels is not None  # the plan has the same columns as the encoder
    return pixels
