"""Decode frames of a video as upright uint8 arrays: RGB (H, W, 3) or grey (H, W).

A file that cannot be used raises `SourceError`, which names the file.
"""

import ctypes
import logging
import multiprocessing
import os
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import multiprocess
from av.video.reformatter import VideoReformatter

from dvm_hf.errors import MachineError, SourceError
from dvm_hf.media.frame_geometry import Display, UnsupportedRotation
from dvm_hf.media.pixels import Box, Layers, Pixels, Size
from dvm_hf.media.video.alpha_decoders import no_alpha_error
from dvm_hf.media.video.containers import declared_geometry, rotation_error
from dvm_hf.media.video.decoded_frames import Picture, first_frame, orientation_of
from dvm_hf.media.video.opening_facts import OPENINGS, FirstFrame
from dvm_hf.media.video.presentation import Presentation
from dvm_hf.media.video.seekable_frames import SeekableFrames
from dvm_hf.media.video.sequential_frames import SCANS, SequentialFrames
from dvm_hf.media.video.video_tags import Role, VideoTags, require_readable, specified_tags, specify_colours, video_tags

logger = logging.getLogger(__name__)


class Video:
    """An open video file. Use it as a context manager.

    max_frames: maximum number of frames; only frames before this index may be requested.
    role: whether frames are read as colour, as alpha, or as both from one file with an alpha channel.
    uses_container_tags: whether the matrix and range that the container declares apply to frames whose codec leaves
        them unspecified. OpenCV's reader ignores them.
    size: (height, width) of a displayed frame.
    orientation: EXIF orientation, 1 .. 8, that is undone in all frames.
    display: display geometry of the first frame.
    reads_alpha_channel: whether an alpha is read from the file's alpha channel instead of its luma.
    frame_count: displayed frames that the container lists; fewer may be decodable. If it has no index, frames are
        counted up to `max_frames`.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_frames: int | None = None,
        role: Role = "colour",
        uses_container_tags: bool = True,
    ) -> None:
        self.path, self.role, self._uses_container_tags = path, role, uses_container_tags
        self._max_frames, self._was_read = max_frames, False
        self._reformatter: Any = VideoReformatter()
        self._source: SeekableFrames | SequentialFrames | None = None
        self._first_display: Display | None = None
        self._first_rotation = 0
        _OPEN.add(self)
        try:
            self._source = _opened(path, max_frames, reads_alpha=role == "both")
            self._prepare(self._source)
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

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # What the decoder belongs to is in reference cycles, which a forked child would free without its threads.
        if not is_finalizing():
            self.close()

    def close(self) -> None:
        """Close the file and end the decoder's threads immediately; see `_INHERITED` for the reason."""
        if self in _INHERITED:
            return
        if self._source is not None:
            self._source.close()
        self._source = self._reformatter = None
        _OPEN.discard(self)

    def colours(self, wanted: Iterable[int]) -> Iterator[tuple[int, Pixels]]:
        """Yield (index, RGB (H, W, 3)) for each frame in `wanted`, in ascending order, up to the end of the video.

        Damaged frames and frames that may depend on them are dropped; see `seekable_frames`. Conversion follows the
        frame's matrix and range, or the container's if the codec leaves them unspecified. Chroma is bicubic, as in
        OpenCV's reader.
        """
        for index, picture in self.pictures(wanted):
            yield index, picture.rgb(self._whole)

    def alphas(self, wanted: Iterable[int]) -> Iterator[tuple[int, Pixels]]:
        """Yield (index, alpha (H, W)) like `colours`: the luma, with limited range expanded to 0 .. 255.

        Untagged luma counts as limited range, as in FFmpeg; grey and RGB formats are full range. If the file's alpha
        channel is not fully opaque in the first frame, that channel is read instead of the luma.
        """
        for index, picture in self.pictures(wanted):
            yield index, picture.alpha(self._whole)

    def layers(self, wanted: Iterable[int]) -> Iterator[tuple[int, Layers]]:
        """Yield (index, colour and alpha) like `colours`, from one decoding. The role must be "both"."""
        for index, picture in self.pictures(wanted):
            yield index, Layers(picture.rgb(self._whole), picture.alpha(self._whole))

    def mattes(self) -> Iterator[tuple[Pixels, Picture]]:
        """Yield (alpha (H, W), `Picture`) for all frames of a video with an alpha."""
        for _, picture in self.pictures(range(self.frame_count)):
            yield picture.alpha(self._whole), picture

    def pictures(self, wanted: Iterable[int]) -> Iterator[tuple[int, Picture]]:
        """Yield (index, `Picture`) like `colours`: the stored frame, of which any part can be converted later.

        A picture holds fewer bytes than its colours, 1.5 instead of 3 per pixel for 8-bit 4:2:0.
        """
        for index, frame in self._frames(wanted):
            yield (
                index,
                Picture(
                    frame,
                    self._reformatter,
                    path=self.path,
                    display=self._display(frame),
                    role=self.role,
                    reads_alpha_channel=self.reads_alpha_channel,
                    index=index,
                ),
            )

    @property
    def _whole(self) -> Box:
        return Box(0, 0, *self.size)

    def _prepare(self, source: SeekableFrames | SequentialFrames) -> None:
        """Set the attributes that hold for all frames. Raises SourceError if the video cannot be read."""
        facts = source.facts if isinstance(source, SeekableFrames) else None
        declared_tags = source.declared_tags
        self._container_tags = declared_tags if self._uses_container_tags else None
        tags = video_tags(source.stream, source.first) if facts is None else facts.first.tags
        specified = tags if self._container_tags is None else specified_tags(tags, self._container_tags)
        for one in (declared_tags, specified):  # container and stream can contradict each other
            require_readable(self.path, one, self.role)
        self.declared = declared_geometry(self.path, source.stream) if facts is None else facts.declared
        first = self._first_frame(source, tags) if facts is None else facts.first
        self._first_rotation = first.rotation
        self.display = self._first_display = Display(first.stored, first.orientation, self.declared)
        self.size, self.orientation = self.display.size, self.display.orientation
        if self.role == "both" and first.channel == "none":
            raise no_alpha_error(self.path, declared_tags)
        self.reads_alpha_channel = self.role == "both" or (self.role == "alpha" and first.channel == "used")
        if isinstance(source, SeekableFrames) and facts is None:
            source.remember(first, self.declared)

    def _first_frame(self, source: SeekableFrames | SequentialFrames, tags: VideoTags) -> FirstFrame:
        try:
            return first_frame(source.first, tags, self._reformatter)
        except UnsupportedRotation as error:
            raise rotation_error(self.path, error) from error

    def _display(self, frame: Any) -> Display:
        first = self._first_display
        # An orientation in the bitstream is stored in its first frame only and persists (H.264, D.2.27). Rotations are
        # compared because reading side data delays freeing the frame until garbage collection.
        is_alike = frame.rotation in (self._first_rotation, 0)
        if first is not None and is_alike and first.stored == (frame.height, frame.width):
            return first
        try:
            return Display(Size(frame.height, frame.width), orientation_of(frame), self.declared)
        except UnsupportedRotation as error:
            raise rotation_error(self.path, error) from error

    def presentation(self) -> Presentation:
        """Return which frames are displayed, and when. Decodes them all if the container has no timestamps."""
        assert self._source is not None
        return self._source.presentation()

    def _unread_source(self) -> SeekableFrames | SequentialFrames:
        """Return the open file. One that is read from its start only is opened again if it was read before."""
        assert self._source is not None
        if self._was_read and isinstance(self._source, SequentialFrames):
            self._source.close()
            self._source = _opened(self.path, self._max_frames, reads_alpha=self.role == "both")
        self._was_read = True
        return self._source

    def _frames(self, wanted: Iterable[int]) -> Iterator[tuple[int, Any]]:
        source = self._unread_source()
        for index, frame in source.frames(list(wanted)):
            if self._container_tags is not None:
                specify_colours(frame, self._container_tags)
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


def _opened(path: Path, max_frames: int | None, *, reads_alpha: bool) -> SeekableFrames | SequentialFrames:
    """Open a video for seeking if its packets allow it, otherwise for sequential reading.

    Decodes the first frame, unless what it shows is known from an earlier opening.
    """
    options: dict[str, Any] = {"threads": decoder_threads(), "max_frames": max_frames, "reads_alpha": reads_alpha}
    key, scan_key = OPENINGS.key(path, max_frames, reads_alpha), SCANS.key(path, max_frames)
    if (facts := OPENINGS.get(key)) is not None:
        return SeekableFrames(path, key=key, facts=facts, **options)
    scan, is_certain = SCANS.get(scan_key), True
    if scan is None:
        try:
            timed = SeekableFrames(path, key=key, **options)
            if timed.read_first():
                return timed
            timed.close()
        except MachineError:
            raise
        except SourceError:  # sequential reading raises it again if it applies
            is_certain = False
    sequential = SequentialFrames(path, scan=scan, **options)
    if sequential.first is None:
        sequential.close()
        raise SourceError(f"{path}: no frame of the video can be decoded; replace the file")
    if scan is None and is_certain and sequential.scan.has_ended_well:
        SCANS.put(scan_key, sequential.scan)
    return sequential


# A forked child does not have its parent's threads. Freeing an inherited decoder or scaler would wait for those threads
# forever, so the child keeps a reference to each, beyond the end of the interpreter. `Video.close` frees decoders
# explicitly, because otherwise the garbage collector might free them in a child.
_OPEN: "weakref.WeakSet[Video]" = weakref.WeakSet()
_INHERITED: "list[Video]" = []


def _keep_inherited() -> None:
    for video in _OPEN:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(video))
    _INHERITED.extend(_OPEN)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_inherited)


def decoder_threads() -> int:
    """Return the thread count of a decoder: 0 (chosen by FFmpeg), or 1 in a worker process, which shares the cores."""
    parents = (multiprocessing.parent_process(), multiprocess.parent_process())  # PyTorch's workers, datasets' workers
    return 1 if any(parents) or os.getpid() != _IMPORTED_IN or _shares_cores else 0


def decode_in_one_thread() -> None:
    """Let `decoder_threads` return 1 in this process: a worker that was started by another program."""
    global _shares_cores
    _shares_cores = True


_IMPORTED_IN = os.getpid()
_shares_cores = False
