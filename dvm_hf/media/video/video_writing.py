"""Write videos: H.264, and PNG with alpha."""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from dvm_hf.media.pixels import Pixels
from dvm_hf.media.video.containers import address


def write_video(
    path: Path,
    frames: Iterable[Pixels],
    *,
    frame_rate: int = 25,
    crf: int = 12,
    preset: str = "ultrafast",
    keyframe_interval: int | None = None,
) -> None:
    """Write frames, RGB (H, W, 3) or grey (H, W), of even size, as H.264 4:2:0, tagged BT.709 limited range.

    crf, preset: x264's constant rate factor and preset.
    keyframe_interval: distance between keyframes, in frames; None for x264's default.
    """
    options = {"crf": str(crf), "preset": preset}
    if keyframe_interval is not None:
        options["g"] = str(keyframe_interval)
    _write(path, _yuv_frames(frames), "libx264", options, frame_rate=frame_rate, is_yuv=True)


def write_alpha_video(path: Path, frames: Iterable[Pixels], *, frame_rate: int = 25) -> None:
    """Write frames, unpremultiplied RGBA (H, W, 4), lossless as PNG. `path` ends with `.mov` or `.mkv`."""
    rgba = (_frame(pixels, "rgba") for pixels in frames)
    _write(path, rgba, "png", {}, frame_rate=frame_rate, is_yuv=False)


def _yuv_frames(frames: Iterable[Pixels]) -> Iterator[av.VideoFrame]:
    for pixels in frames:
        rgb = pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)
        yield _frame(rgb, "rgb24").reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")


def _frame(pixels: Pixels, pixel_format: str) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=pixel_format)


def _write(
    path: Path,
    frames: Iterable[av.VideoFrame],
    codec: str,
    options: Mapping[str, str],
    *,
    frame_rate: int,
    is_yuv: bool,
) -> None:
    """Encode frames of one size and pixel format."""
    with av.open(address(path), "w") as container:
        stream: Any = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream(codec, rate=Fraction(frame_rate), options=dict(options))
                stream.height, stream.width, stream.pix_fmt = frame.height, frame.width, frame.format.name
                if is_yuv:
                    stream.codec_context.colorspace, stream.codec_context.color_range = 1, 1  # BT.709, limited
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
