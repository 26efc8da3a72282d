"""Read frames of a video, write them. With containers, the only file that knows PyAV; with image_io, that knows BGR.

What leaves this module is RGB or grey, uint8, height x width (x 3). A file that cannot be used raises `SourceError`
naming it.
"""

import functools
import logging
import multiprocessing
import os
import re
import struct
import weakref
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

import av
import cv2
import multiprocess
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from dvm_hf.compositing import Pixels
from dvm_hf.containers import address, askew, declared_geometry
from dvm_hf.errors import MachineError, SourceError
from dvm_hf.frame_geometry import Display, UnknownTurn, orientation
from dvm_hf.geometry import Box, Size
from dvm_hf.image_io import scaled_to_8_bit
from dvm_hf.presentation import Presentation
from dvm_hf.sequential_frames import SequentialFrames
from dvm_hf.timed_frames import TimedFrames
from dvm_hf.video_tags import Role, require_readable, video_tags

logger = logging.getLogger(__name__)

# Formats whose first plane is luma: read as it is, since swscale makes 253 of some whites on the way to 8 bits.
PLANAR_LUMA = re.compile(r"(yuva?j?4\d\dp|nv12)((?P<bits>9|10|12|14|16)le)?")
# swscale gives these the same values in either order of the channels, where both sides are even. Others differ by up to
# 8 levels; BGR is what OpenCV's reader asks for.
SAME_IN_RGB_AND_BGR = ("yuv420p", "yuvj420p")
# swscale's threads save no time on a frame (0.6 ms at 1080p either way), cost more than the work on a crop, and leave
# wrong pixels between their slices on the way to gray16le (seen with 10 bits and four threads).
SCALER_THREADS = 1
STRIDE = 32  # px; swscale converts so many columns and fewer in one step: parts begin and end on them


class Video:
    """One video file, opened and its first frame decoded; a context manager.

    role: what its frames are read as. size: height and width of a frame, as it is shown. orientation: EXIF's, by which
    frames are turned upright. display: how the first frame is shown.
    reads_alpha_channel: whether an alpha is the file's own alpha channel. frame_count: frames
    that the container lists and shows; fewer may decode. Where it has no list, they are counted, up to `most`: no frame
    from there on may be asked for.
    """

    def __init__(self, path: Path, *, most: int | None = None, role: Role = "colour") -> None:
        self.path, self.role = path, role
        self._reformatter: Any = VideoReformatter()
        self._source: TimedFrames | SequentialFrames | None = None
        self._first_display: Display | None = None
        self._first_rotation = 0
        _OPEN.add(self)
        try:
            self._source = _opened(path, most)
            self._prepare(self._source.stream, self._source.first)
            self.frame_count = self._source.frame_count
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Video":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and end the decoder's threads, now: see `_keep_inherited`."""
        if self in _INHERITED:
            return
        if self._source is not None:
            self._source.close()
        self._source = self._reformatter = None
        _OPEN.discard(self)

    def colours(self, wanted: Iterable[int]) -> Iterator[tuple[int, Pixels]]:
        """(index, frame (H, W, 3)) of the wanted frames, in rising order, up to where the video ends.

        Damaged frames are left out, and those that may need them: see `timed_frames`. Only the wanted ones are
        converted. Matrix and range are the frame's own; bicubic chroma, as OpenCV's reader has it.
        """
        for index, picture in self.pictures(wanted):
            yield index, picture.rgb(Box(0, 0, *self.size))

    def pictures(self, wanted: Iterable[int]) -> Iterator[tuple[int, "Picture"]]:
        """As `colours`, each frame to be converted by who gets it, whole or in part; the video must still be open."""
        for index, frame in self._frames(wanted):
            yield index, Picture(frame, self._reformatter, path=self.path, display=self._display(frame))

    def alphas(self, wanted: Iterable[int]) -> Iterator[tuple[int, Pixels]]:
        """As `colours`, with the grey (H, W) of an alpha video: its luma, stretched to 0 .. 255 where it is limited.

        Luma without a tag for its range counts as limited, as FFmpeg has it; grey and RGB formats are full. Where the
        file's own alpha channel is not all opaque in the first frame, that channel is read instead.
        """
        for index, frame in self._frames(wanted):
            yield index, self._display(frame).shown(self._alpha(frame, index))

    def mattes(self) -> Iterator[tuple[Pixels, "Picture"]]:
        """All frames of an alpha video: the grey (H, W) and the picture that it is made of."""
        for index, frame in self._frames(range(self.frame_count)):
            display = self._display(frame)
            picture = Picture(frame, self._reformatter, path=self.path, display=display)
            yield display.shown(self._alpha(frame, index)), picture

    def _alpha(self, frame: Any, index: int) -> Pixels:
        channel = alpha_channel(frame, self._reformatter)
        if self.reads_alpha_channel and channel is not None:
            return channel
        if channel is not None and channel.min() < 255:
            raise unlike_first(self.path, index)
        planar = PLANAR_LUMA.fullmatch(frame.format.name)
        return _luma(frame, int(planar["bits"] or 8)) if planar else self._grey(frame)

    def _prepare(self, stream: Any, frame: Any) -> None:
        """What holds for all frames, by the stream and its first frame; raises SourceError where it cannot be read."""
        require_readable(self.path, video_tags(stream, frame), self.role)
        self.declared = declared_geometry(self.path, stream)
        self._first_rotation = frame.rotation
        self.display = self._first_display = first = self._display(frame)
        self.size, self.orientation = first.size, first.orientation
        channel = alpha_channel(frame, self._reformatter) if self.role == "alpha" else None
        self.reads_alpha_channel = channel is not None and bool(channel.min() < 255)

    def _display(self, frame: Any) -> Display:
        first = self._first_display
        is_alike = frame.rotation == self._first_rotation  # reading side data leaves frames to the garbage collector
        if first is not None and is_alike and first.stored == (frame.height, frame.width):
            return first
        try:
            return Display(Size(frame.height, frame.width), orientation_of(frame), self.declared)
        except UnknownTurn as error:
            raise askew(self.path, error) from error

    def presentation(self) -> Presentation:
        """Which frames are shown, and when; decodes them all where the container does not tell."""
        assert self._source is not None
        return self._source.presentation()

    def _grey(self, frame: Any) -> Pixels:
        """Grey (H, W) of any other format, by way of 16 bits."""
        grey = self._reformatter.reformat(frame, format="gray16le", interpolation="BICUBIC", threads=SCALER_THREADS)
        plane = grey.planes[0]
        values = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size).view("<u2")
        return scaled_to_8_bit(values[: grey.height, : grey.width])

    def _frames(self, wanted: Iterable[int]) -> Iterator[tuple[int, Any]]:
        assert self._source is not None
        for index, frame in self._source.frames(list(wanted)):
            size = self._display(frame).size
            if size != self.size:
                raise SourceError(
                    f"{self.path}: frame {index} is {size}, frame 0 {self.size}; "
                    "all frames must have one size; re-export the video"
                )
            yield index, frame
        if self._source is not None and (self._source.ended_after or self.frame_count) < self.frame_count:
            logger.warning(
                "%s: ends after %d frames, %s; its clips end there",
                self.path,
                self._source.ended_after,
                f"its header says {self.frame_count}"
                if self._source.is_listed
                else f"but has packets for {self.frame_count}",
            )


class Picture:
    """A decoded frame in its own format; size (height, width) as it is shown."""

    def __init__(self, frame: Any, reformatter: Any, *, path: Path, display: Display) -> None:
        self._frame, self._reformatter, self._path, self._display = frame, reformatter, path, display
        self.size = display.size

    def rgb(self, box: Box) -> Pixels:
        """RGB pixels (h, w, 3) of a box of the frame, equal to that box of the whole: a new array each time."""
        height, width = self.size
        part = Box(
            box.top // 2 * 2, box.left // STRIDE * STRIDE, -(-box.bottom // 2) * 2, -(-box.right // STRIDE) * STRIDE
        )
        part = part.intersection(Box(0, 0, height, width))
        # 4:2:0 of interlaced film is converted field by field, which parts of a frame are not.
        is_progressive = not self._frame.interlaced_frame
        is_plain = self._frame.format.name in SAME_IN_RGB_AND_BGR and self._display.is_stored and is_progressive
        if is_plain and height % 2 == width % 2 == 0 and 2 * part.height * part.width < height * width:
            return self._converted(self._cut(part))[box.within(part)]
        whole = self._display.shown(self._converted(self._frame))
        pixels = whole[box.within(Box(0, 0, height, width))]
        return pixels.copy() if 2 * pixels.size < whole.size else pixels  # who keeps a small part keeps no more

    def _cut(self, part: Box) -> Any:
        """The frame's own planes (4:2:0) within a box whose edges lie on whole chroma samples."""
        rows = []
        for plane, step in zip(self._frame.planes, (1, 2, 2), strict=True):
            pixels = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            rows.append(
                pixels[part.top // step : part.bottom // step, part.left // step : part.right // step].reshape(-1)
            )
        packed = np.concatenate(rows).reshape(-1, part.width)
        cut = av.VideoFrame.from_ndarray(packed, format=self._frame.format.name)
        cut.colorspace, cut.color_range = self._frame.colorspace, self._frame.color_range
        return cut

    def _converted(self, frame: Any) -> Pixels:
        """For the usual formats without a copy, in the converted frame's own buffer."""
        is_even = frame.height % 2 == frame.width % 2 == 0
        is_same = frame.format.name in SAME_IN_RGB_AND_BGR and is_even
        try:
            packed = self._reformatter.reformat(
                frame, format="rgb24" if is_same else "bgr24", interpolation="BICUBIC", threads=SCALER_THREADS
            )
        except (av.FFmpegError, OSError) as error:
            raise SourceError(
                f"{self._path}: its colours ({frame.format.name}, matrix {frame.colorspace}) cannot be made RGB "
                f"({error.strerror}); convert the video, to BT.709 say"
            ) from error
        plane = packed.planes[0]
        shape, strides = (packed.height, packed.width, 3), (plane.line_size, 3, 1)
        pixels: Pixels = np.ndarray(shape, np.uint8, memoryview(plane), strides=strides)
        return pixels if is_same else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


Held = TypeVar("Held")


class FrameBuffer(Generic[Held]):
    """Frames of a video by index, read forwards once, held until they are let go."""

    def __init__(self, frames: Iterator[tuple[int, Held]]) -> None:
        self._frames = frames
        self._held: dict[int, Held] = {}
        self._position = -1

    def get(self, index: int) -> Held | None:
        """The frame, reading on as far as needed; None where the video has ended before it."""
        while self._position < index:
            item = next(self._frames, None)
            if item is None:
                return None
            self._position, frame = item
            self._held[self._position] = frame
        return self._held.get(index)

    def let_go(self, before: int) -> None:
        """Forget the frames before an index."""
        for index in [index for index in self._held if index < before]:
            del self._held[index]


def _opened(path: Path, most: int | None) -> TimedFrames | SequentialFrames:
    """Frames by their times where the video allows it, else from its start; the first one is decoded."""
    try:
        timed = TimedFrames(path, threads=decoder_threads())
        if timed.read_first(most=most):
            return timed
        timed.close()
    except MachineError:
        raise
    except SourceError:  # raised below, too, if it is so
        pass
    sequential = SequentialFrames(path, threads=decoder_threads(), most=most)
    if sequential.first is None:
        sequential.close()
        raise SourceError(f"{path}: no frame of the video can be decoded; replace the file")
    return sequential


# A forked child has none of its parent's threads: would it free a decoder or scaler that its parent had open, it would
# wait for its threads for ever. So a child keeps what it has inherited, and `Video.close` leaves no decoder to the
# garbage collector, which may come round in a child first.
_OPEN: "weakref.WeakSet[Video]" = weakref.WeakSet()
_INHERITED: "list[Video]" = []


def _keep_inherited() -> None:
    _INHERITED.extend(_OPEN)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_inherited)


def decoder_threads() -> int:
    """Threads of one decoder: as many as FFmpeg likes (0), but 1 in a worker process, whose siblings fill the cores."""
    parents = (multiprocessing.parent_process(), multiprocess.parent_process())  # PyTorch's workers, datasets' workers
    return 1 if any(parents) or os.getpid() != _IMPORTED_IN else 0


_IMPORTED_IN = os.getpid()


def write_video(
    path: Path,
    frames: Iterable[Pixels],
    *,
    frame_rate: int = 25,
    crf: int = 12,
    preset: str = "ultrafast",
    key_frames: int | None = None,
) -> None:
    """Write frames (H, W, 3) RGB or grey (H, W), of even size, as H.264, 4:2:0, tagged BT.709 limited range.

    crf, preset: x264's, its constant rate factor and how much work it spends on few bytes. key_frames: frames from one
    to the next, None: as x264 likes.
    """
    with av.open(address(path), "w") as container:
        stream: Any = None
        for pixels in frames:
            if stream is None:
                options = {"crf": str(crf), "preset": preset} | ({} if key_frames is None else {"g": str(key_frames)})
                stream = container.add_stream("libx264", rate=Fraction(frame_rate), options=options)
                stream.height, stream.width = pixels.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.codec_context.colorspace, stream.codec_context.color_range = 1, 1  # BT.709, limited
            rgb = pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            yuv = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            container.mux(stream.encode(yuv))
        container.mux(stream.encode(None))


def _luma(frame: Any, bits: int) -> Pixels:
    """Grey (H, W) of a frame whose format is one of `PLANAR_LUMA`."""
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height]
    luma = rows[:, : frame.width] if bits == 8 else rows.view("<u2")[:, : frame.width]
    is_full = frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG
    levels = _luma_levels(bits, is_full)
    return cv2.LUT(luma, levels) if bits == 8 else levels[luma]  # type: ignore[return-value]


@functools.cache
def _luma_levels(bits: int, is_full: bool) -> Pixels:
    """Grey level 0 .. 255 of each luma value; limited luma of 8 bits runs from 16 to 235."""
    luma = np.arange(1 << bits)
    grey = luma * (255 / ((1 << bits) - 1)) if is_full else (luma / (1 << (bits - 8)) - 16) * (255 / 219)
    return np.clip(np.round(grey), 0, 255).astype(np.uint8)


def unlike_first(path: Path, index: int) -> SourceError:
    """What to say of an alpha file whose own alpha channel becomes transparent after an opaque first frame."""
    return SourceError(
        f"{path}: its own alpha channel is opaque in frame 0 but not in frame {index}, so it cannot be told whether "
        "that channel or its luma is the alpha; save the alpha as a grey video"
    )


def orientation_of(frame: Any) -> int:
    """EXIF's orientation by a decoded frame's display matrix; raises UnknownTurn if it has none.

    Ask a few frames only: PyAV's `side_data` makes a reference cycle, which keeps the frame until garbage is collected.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    return 1 if data is None else orientation(struct.unpack("=9i", memoryview(data)))


def alpha_channel(frame: Any, reformatter: Any) -> Pixels | None:
    """A frame's own alpha channel (H, W), always of full range; None where it has none."""
    found = [part for part in frame.format.components if part.is_alpha]
    if not found:
        return None
    (part,) = found
    if sum(other.plane == part.plane for other in frame.format.components) == 1:
        plane = frame.planes[part.plane]
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height]
        if part.bits == 8:
            return np.ascontiguousarray(rows[:, : frame.width])
        if frame.format.name.endswith("le") and part.bits <= 16 and "f" not in frame.format.name:
            levels = _luma_levels(part.bits, True)
            return levels[rows.view("<u2")[:, : frame.width]]  # type: ignore[no-any-return]
    packed = reformatter.reformat(frame, format="rgba64le", interpolation="BICUBIC", threads=SCALER_THREADS)
    plane = packed.planes[0]
    values = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size).view("<u2")
    return scaled_to_8_bit(values[: frame.height, 3 : 4 * frame.width : 4])
