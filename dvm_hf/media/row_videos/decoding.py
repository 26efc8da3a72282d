"""Decode the frames of a row's video, as written by `encoding`, in their order.

A row may come from someone else, so a video that contradicts its row is refused.
"""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from dvm_hf.errors import SourceError
from dvm_hf.media.frame_geometry import Display
from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.row_videos.encoding import EncoderFrame, encoder_frame, padded_size, plane_pixels
from dvm_hf.media.video.containers import decoder_options, main_stream, opened_bytes
from dvm_hf.media.video.decoded_frames import Picture, is_full_range

CODEC = "h264"
BLOCK = 64  # px; FFmpeg counts the pixels of a frame padded to at most this multiple
LAYOUTS = ("yuv420p", "yuvj420p", "gray")  # with 8 bits, the luma first


class RowVideo:
    """The video of one image column of a row.

    size: height and width of the row, without padding. is_grey: whether frames are read as grey, else as RGB. name: the
    start of errors. kept: number of decoded frames that are held. Frames are decoded in their order, up to the
    requested one; a request for a frame that is no longer held decodes the video again. Every method raises SourceError
    if the video is damaged, or not as its row declares.
    """

    def __init__(self, data: bytes | None, *, size: Size, is_grey: bool, name: str, kept: int = 1) -> None:
        self._data, self._size, self._is_grey, self._name = data or b"", size, is_grey, name
        self._reformatter: Any = VideoReformatter()
        self._decoded: Iterator[Any] = self._decoder()
        self._position = 0  # number of the next frame
        self._held: deque[Any] = deque(maxlen=kept)

    def __len__(self) -> int:
        """Return the number of frames that the file lists."""
        with opened_bytes(self._name, self._data) as container:
            return int(self._stream(container).frames)

    def frame(self, index: int) -> "RowFrame":
        """Return the frame with this number."""
        if index < self._position - len(self._held):
            self._decoded, self._position = self._decoder(), 0
            self._held.clear()
        while self._position <= index:
            frame = next(self._decoded, None)
            if frame is None:
                raise SourceError(f"{self._name}: has {self._position} frames, but frame {index} is needed; {_REBUILD}")
            self._held.append(frame)
            self._position += 1
        return RowFrame(self, self._held[index - self._position])

    def all_frames(self) -> Iterator["RowFrame"]:
        """Yield all frames in their order; one is held at a time."""
        return (RowFrame(self, frame) for frame in self._decoder())

    def pixels(self, frame: Any, box: Box | None) -> Pixels:
        """See `RowFrame.pixels`."""
        box = box or Box(0, 0, *self._size)
        if self._is_grey:
            return plane_pixels(frame, 0)[box.within(Box(0, 0, frame.height, frame.width))].copy()
        display = Display(Size(frame.height, frame.width))
        return Picture(frame, self._reformatter, path=Path(self._name), display=display).rgb(box)

    def _decoder(self) -> Iterator[Any]:
        padded = padded_size(self._size)
        with opened_bytes(self._name, self._data) as container:
            stream = self._stream(container)
            codec = stream.codec_context
            self._require_size(Size(codec.height, codec.width), padded)
            codec.thread_count = 1
            coded = [-(-side // BLOCK) * BLOCK for side in padded]
            limits = decoder_options(stream, max_pixels=coded[0] * coded[1])
            codec.options = {**limits, "err_detect": "explode"}
            frames = container.decode(stream)
            while (frame := self._next(frames)) is not None:
                self._require_size(Size(frame.height, frame.width), padded)
                self._require_valid(frame)
                yield frame

    def _next(self, frames: Iterator[Any]) -> Any:
        try:
            return next(frames, None)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"{self._name}: cannot be decoded ({error}); {_REBUILD}") from error

    def _stream(self, container: Any) -> Any:
        stream = main_stream(container)
        codec = None if stream is None else stream.codec_context
        if codec is None or codec.name != CODEC:
            found = "no video" if codec is None else f"{codec.name} video"
            raise SourceError(f"{self._name}: contains {found}, but must contain H.264; {_REBUILD}")
        return stream

    def _require_size(self, size: Size, padded: Size) -> None:
        if size != padded:
            raise SourceError(
                f"{self._name}: has frames of {size}, but the row's height and width require {padded}; {_REBUILD}"
            )

    def _require_valid(self, frame: Any) -> None:
        name = frame.format.name
        if name not in LAYOUTS or not is_full_range(frame):
            raise SourceError(
                f"{self._name}: has frames in the format {name}, but they must be 4:2:0 or grey at full range, "
                f"8 bits; {_REBUILD}"
            )


class RowFrame:
    """A decoded frame of a row's video."""

    def __init__(self, video: RowVideo, frame: Any) -> None:
        self._video, self._frame = video, frame

    def pixels(self, box: Box | None = None) -> Pixels:
        """Return the RGB (h, w, 3) or grey (h, w) pixels of a box, by default of the complete frame, as a new array."""
        return self._video.pixels(self._frame, box)

    def psnr(self, rendered: Pixels, encoding: str) -> float:
        """Return the lowest PSNR of luma and chroma, in dB, against an RGB frame converted for the same encoding.

        Infinite if they are equal. The chroma that 4:2:0 discards does not count.
        """
        return plane_psnr(self._frame, encoder_frame(rendered, encoding))


_REBUILD = "rebuild the dataset"


def plane_psnr(frame: EncoderFrame, other: EncoderFrame) -> float:
    """Return the lowest PSNR of the planes of two frames of the same size with 8 bits, in dB."""
    errors = []
    for index in range(len(other.planes)):
        one, two = (plane_pixels(each, index).astype(np.int16) for each in (frame, other))
        errors.append(float(np.square(one - two, dtype=np.int32).mean()))
    worst = max(errors)
    return float(10 * np.log10(255**2 / worst)) if worst else float("inf")
