"""Encode the frames of one column of a window as an MP4 in memory: colours with a bounded loss, grey exactly.

The bytes are deterministic: one thread, x264's fixed quantizer instead of its rate control, and no time in the file.
"""

import functools
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import av
import cv2
import numpy as np
from av.codec import Codec, codecs_available
from av.video.reformatter import ColorRange

from dvm_hf.media.pixels import Pixels, Size

ENCODER = "libx264"
FRAME_RATE = 25  # frames/s that the files declare; a clip has no frame rate of its own
MAX_SIDE = 16384  # px, x264's maximum
VERSION = re.compile(rb"x264 - (core \d+[^-]*?) - ")  # in the text that x264 writes into each stream
# Colours as in JPEG: full range, the matrix of BT.601 (6), the primaries of BT.709 and the transfer of sRGB, so that no
# player converts them. A player takes untagged video for limited range, which is up to 20 levels off.
MATRIX, PRIMARIES, TRANSFER = 6, 1, 13  # FFmpeg's numbers
# One keyframe, at the start. No frame waits for another one: no lookahead, no B-frames.
_ONE_KEYFRAME = "keyint=infinite:scenecut=0:bframes=0:rc-lookahead=0:sync-lookahead=0"


@dataclass(frozen=True)
class Coding:
    """FFmpeg's pixel format, and options of x264."""

    layout: str
    options: Mapping[str, str]


CODINGS = {
    "colour_h264": Coding(
        "yuv420p", {"qp": "12", "preset": "superfast", "tune": "fastdecode", "x264-params": _ONE_KEYFRAME}
    ),
    "grey_h264": Coding("gray", {"qp": "0", "preset": "ultrafast", "x264-params": _ONE_KEYFRAME}),  # qp 0: lossless
}

EncoderFrame: TypeAlias = Any  # an av.VideoFrame


class VideoEncoder:
    """An MP4 in memory that grows frame by frame. encoding: a key of `CODINGS`."""

    def __init__(self, encoding: str) -> None:
        self._coding, self._file, self._count = CODINGS[encoding], io.BytesIO(), 0
        self._container: Any = av.open(self._file, "w", format="mp4", options={"fflags": "+bitexact"})
        self._stream: Any = None

    def append(self, frame: EncoderFrame) -> None:
        """Encode the next frame, a result of `encoder_frame`; all must have the same size."""
        if self._stream is None:
            self._stream = self._opened(Size(frame.height, frame.width))
        frame.pts, frame.time_base = self._count, Fraction(1, FRAME_RATE)
        self._count += 1
        self._container.mux(self._stream.encode(frame))

    def finished(self) -> bytes:
        """Return the complete file. Call it once, after at least one frame."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._file.getvalue()

    def _opened(self, size: Size) -> Any:
        stream: Any = self._container.add_stream(ENCODER, rate=FRAME_RATE, options=dict(self._coding.options))
        stream.height, stream.width, stream.pix_fmt = *size, self._coding.layout
        codec = stream.codec_context
        codec.thread_count = 1
        codec.color_range, codec.colorspace = ColorRange.JPEG, MATRIX
        codec.color_primaries, codec.color_trc = PRIMARIES, TRANSFER
        return stream


def encoder_frame(pixels: Pixels, encoding: str) -> EncoderFrame:
    """Convert RGB (H, W, 3) or grey (H, W) for an encoder; odd sizes are padded by repeating the last row or column."""
    height, width = pixels.shape[:2]
    padded = padded_size(Size(height, width))
    if padded != (height, width):
        more = padded.height - height, padded.width - width
        pixels = cv2.copyMakeBorder(pixels, 0, more[0], 0, more[1], cv2.BORDER_REPLICATE)  # type: ignore[assignment]
    frame = av.VideoFrame(padded.width, padded.height, CODINGS[encoding].layout)
    frame.color_range, frame.colorspace = ColorRange.JPEG, MATRIX
    if pixels.ndim == 2:
        plane_pixels(frame, 0)[:] = pixels
        return frame
    # The matrix of BT.601 at full range, with 15 bits. The chroma of four pixels is that of their mean, because the
    # usual converters give all four the same chroma. It is closer to the colours than swscale (47 dB against 44 dB for
    # hair) in a quarter of its time.
    cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY, dst=plane_pixels(frame, 0))
    means = cv2.resize(pixels, (padded.width // 2, padded.height // 2), interpolation=cv2.INTER_AREA)
    converted = cv2.cvtColor(means, cv2.COLOR_RGB2YCrCb)
    cv2.extractChannel(converted, 2, dst=plane_pixels(frame, 1))
    cv2.extractChannel(converted, 1, dst=plane_pixels(frame, 2))
    return frame


def plane_pixels(frame: Any, index: int) -> Pixels:
    """Return a view (H, W) of a plane of a frame with 8 bits."""
    plane = frame.planes[index]
    rows: Pixels = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]


def padded_size(size: Size) -> Size:
    """Return the size of the encoded frames: even, because four pixels share their chroma."""
    return Size(*(side + side % 2 for side in size))


def has_encoder() -> bool:
    """Return whether PyAV was built with x264."""
    return ENCODER in codecs_available and Codec(ENCODER, "w").is_encoder


@functools.cache
def encoder_version() -> str:
    """Return the version of x264, which decides the bytes, as it writes it into each video."""
    encoder = VideoEncoder("grey_h264")
    encoder.append(encoder_frame(np.zeros((2, 2), np.uint8), "grey_h264"))
    found = VERSION.search(encoder.finished())
    return "unknown" if found is None else found[1].decode("ascii", "replace")
