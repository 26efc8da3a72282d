"""What H.264 leaves of a frame that is coded as a keyframe, without any other frame."""

from fractions import Fraction
from pathlib import Path
from typing import Any

from av.codec import CodecContext
from av.video.reformatter import ColorRange, VideoReformatter

from dvm_hf.media.frame_geometry import Display
from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.row_videos.encoding import ENCODER, FRAME_RATE, MATRIX, encoder_frame
from dvm_hf.media.video.decoded_frames import Picture

KEYFRAMES_ONLY = "keyint=1:scenecut=0:bframes=0:rc-lookahead=0:sync-lookahead=0"


class KeyframeCoder:
    """Codes frames of one size. quantizer: x264's constant one, 0 to 51; a higher one gives a coarser picture."""

    def __init__(self, quantizer: int) -> None:
        self._quantizer, self._count = quantizer, 0
        self._encoder: Any = None
        self._decoder: Any = None
        self._reformatter: Any = VideoReformatter()

    def coded(self, pixels: Pixels) -> Pixels:
        """Return an RGB frame (H, W, 3) as it is after compression. It depends on no other frame."""
        frame = encoder_frame(pixels, "colour_h264")
        encoder, decoder = self._opened(Size(frame.height, frame.width))
        frame.pts, frame.time_base = self._count, encoder.time_base
        self._count += 1
        (packet,) = encoder.encode(frame)
        decoded = [*decoder.decode(packet), *decoder.decode(None)]
        decoder.flush_buffers()
        size = Size(*pixels.shape[:2])
        display = Display(Size(decoded[0].height, decoded[0].width))
        return Picture(decoded[0], self._reformatter, path=Path("composite"), display=display).rgb(Box(0, 0, *size))

    def _opened(self, size: Size) -> tuple[Any, Any]:
        if self._encoder is None:
            encoder: Any = CodecContext.create(ENCODER, "w")
            encoder.height, encoder.width, encoder.pix_fmt = *size, "yuv420p"
            encoder.framerate, encoder.thread_count = FRAME_RATE, 1
            encoder.time_base = Fraction(1, FRAME_RATE)
            encoder.color_range, encoder.colorspace = ColorRange.JPEG, MATRIX
            encoder.options = {
                "qp": str(self._quantizer),
                "preset": "veryfast",
                "tune": "zerolatency",
                "x264-params": KEYFRAMES_ONLY,
            }
            self._encoder, self._decoder = encoder, CodecContext.create("h264", "r")
            self._decoder.thread_count = 1
        return self._encoder, self._decoder
