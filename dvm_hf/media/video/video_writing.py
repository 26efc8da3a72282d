"""Write H.264 videos."""

from collections.abc import Iterable
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
    with av.open(address(path), "w") as container:
        stream: Any = None
        for pixels in frames:
            if stream is None:
                options = {"crf": str(crf), "preset": preset} | (
                    {} if keyframe_interval is None else {"g": str(keyframe_interval)}
                )
                stream = container.add_stream("libx264", rate=Fraction(frame_rate), options=options)
                stream.height, stream.width = pixels.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.codec_context.colorspace, stream.codec_context.color_range = 1, 1  # BT.709, limited
            rgb = pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            yuv = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            container.mux(stream.encode(yuv))
        container.mux(stream.encode(None))
