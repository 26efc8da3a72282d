"""Videos of rows for tests: pictures that are encoded, and files that are read with PyAV alone."""

import io
from collections.abc import Sequence
from typing import Any

import av
import numpy as np

from dvm_hf.media.row_videos.encoding import VideoEncoder, encoder_frame

COLOUR, GREY = "colour_h264", "grey_h264"


def encoded(frames: Sequence[np.ndarray]) -> bytes:
    """Return the video of RGB (H, W, 3) or grey (H, W) frames."""
    encoding = COLOUR if frames[0].ndim == 3 else GREY
    encoder = VideoEncoder(encoding)
    for frame in frames:
        encoder.append(encoder_frame(frame, encoding))
    return encoder.finished()


def decoded(data: bytes) -> list[Any]:
    """Return PyAV's frames of a video."""
    with av.open(io.BytesIO(data)) as container:
        return list(container.decode(video=0))


def planes(frame: Any) -> list[np.ndarray]:
    """Return the planes of a frame with 8 bits, without padding."""
    return [
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        for plane in frame.planes
    ]


def pictures(count: int, height: int, width: int, *, seed: int = 0) -> list[np.ndarray]:
    """Return RGB frames of smooth colours and an edge that moves."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    slopes, start = rng.uniform(-2, 2, (2, 3)), rng.uniform(60, 190, 3)
    made = []
    for index in range(count):
        colour = start + rows[..., None] * slopes[0] + columns[..., None] * slopes[1]
        colour[:, : (3 * index + width // 3) % width] *= 0.5
        made.append(np.clip(colour, 0, 255).astype(np.uint8))
    return made


def mattes(count: int, height: int, width: int) -> list[np.ndarray]:
    """Return grey frames with all 256 values, if there is room, that move by a pixel per frame."""
    values = (np.arange(height * width) % 256).astype(np.uint8).reshape(height, width)
    return [np.roll(values, index, axis=1) for index in range(count)]
