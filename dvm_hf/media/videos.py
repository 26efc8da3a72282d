"""Read frames of a video, write them. With containers, the only file that knows PyAV; with image_io, that knows BGR.

What leaves this module is RGB or grey, uint8, height x width (x 3). A file that cannot be used raises `SourceError`
naming it.
"""

import logging
import multiprocessing
import os
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import multiprocess
import numpy as np
from av.video.reformatter import VideoReformatter

from dvm_hf.errors import MachineError, SourceError
from dvm_hf.media.containers import askew, declared_geometry
from dvm_hf.media.decoded_frames import (
    PLANAR_LUMA,
    SCALER_THREADS,
    Picture,
    alpha_channel,
    grey_luma,
    orientation_of,
)
from dvm_hf.media.frame_geometry import Display, UnknownTurn
from dvm_hf.media.pixels import Box, Pixels, Size, scaled_to_8_bit
from dvm_hf.media.presentation import Presentation
from dvm_hf.media.seekable_frames import SeekableFrames
from dvm_hf.media.sequential_frames import SequentialFrames
from dvm_hf.media.video_tags import Role, VideoTags, require_readable, video_tags

logger = logging.getLogger(__name__)


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
        self._source: SeekableFrames | SequentialFrames | None = None
        self._first_display: Display | None = None
        self._first_rotation = 0
        _OPEN.add(self)
        try:
            self._source = _opened(path, most)
            self._prepare(self._source.stream, self._source.first, self._source.declared_tags)
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
        return grey_luma(frame, int(planar["bits"] or 8)) if planar else self._grey(frame)

    def _prepare(self, stream: Any, frame: Any, declared_tags: VideoTags) -> None:
        """What holds for all frames, by the stream and its first frame; raises SourceError where it cannot be read."""
        for tags in (declared_tags, video_tags(stream, frame)):  # container and stream may contradict each other
            require_readable(self.path, tags, self.role)
        self.declared = declared_geometry(self.path, stream)
        self._first_rotation = frame.rotation
        self.display = self._first_display = first = self._display(frame)
        self.size, self.orientation = first.size, first.orientation
        channel = alpha_channel(frame, self._reformatter) if self.role == "alpha" else None
        self.reads_alpha_channel = channel is not None and bool(channel.min() < 255)

    def _display(self, frame: Any) -> Display:
        first = self._first_display
        # An orientation in the stream itself is in its first frame only and holds on (H.264, D.2.27). Rotations are
        # compared, as reading side data leaves frames to the garbage collector.
        is_alike = frame.rotation in (self._first_rotation, 0)
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
                    f"{self.path}: frame {index} is {size}, but frame 0 is {self.size}; "
                    "all frames must have the same size; re-export the video"
                )
            yield index, frame
        if self._source is not None and (self._source.ended_after or self.frame_count) < self.frame_count:
            logger.warning(
                "%s: ends after %d frames, %s; its clips end there",
                self.path,
                self._source.ended_after,
                f"its header declares {self.frame_count}"
                if self._source.is_listed
                else f"but has packets for {self.frame_count}",
            )


def _opened(path: Path, most: int | None) -> SeekableFrames | SequentialFrames:
    """Frames by their times where the video allows it, else from its start; the first one is decoded."""
    try:
        timed = SeekableFrames(path, threads=decoder_threads())
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


def unlike_first(path: Path, index: int) -> SourceError:
    """What to say of an alpha file whose own alpha channel becomes transparent after an opaque first frame."""
    return SourceError(
        f"{path}: its own alpha channel is opaque in frame 0 but not in frame {index}, so that either "
        "that channel or its luma may be the alpha; save the alpha as a grey video"
    )
