"""Read frames of a video by their timestamps: seek to a keyframe, and skip packets that no requested frame needs.

Invariant: which frames a video has, and their pixels, do not depend on which frames are requested. Damage must have the
same effect on every selection: a damaged frame is dropped, together with all frames that may depend on it, up to the
next keyframe. Videos whose packets do not allow this are read by `sequential_frames`.
"""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av

from dvm_hf.errors import SourceError
from dvm_hf.machine_faults import raise_machine_fault
from dvm_hf.media.formats.decoder_memory import allowed_threads
from dvm_hf.media.formats.keyframes import MIN_SKIPPED, PacketFacts, Timeline, timeline
from dvm_hf.media.formats.nal_units import UNKNOWN, FrameKind, frame_kind, unit_length_size
from dvm_hf.media.formats.vp_frames import is_shown
from dvm_hf.media.video.alpha_decoders import begins_alpha, decoder
from dvm_hf.media.video.containers import (
    ListedFrames,
    decoder_options,
    listed_frames,
    main_stream,
    opened_container,
    video_stream,
)
from dvm_hf.media.video.presentation import Presentation
from dvm_hf.media.video.sequential_frames import MARGIN, TIMED_FORMATS, packet_count
from dvm_hf.media.video.video_tags import HIDDEN_ALPHA, video_tags

logger = logging.getLogger(__name__)

# Codecs with one frame per packet, whose packets show where decoding can begin.
CODECS = ("h264", "hevc", "av1", "libdav1d", "vp9", "libvpx-vp9", "prores", "mjpeg")
UNPROBED_PIXELS = 2**21  # per frame; 1920 x 1080 has fewer


class DecodeError(Exception):
    """A packet or frame is damaged or missing."""


class BadSeek(DecodeError):
    """A seek fails or leads to an unexpected packet."""


class RequestedFrames:
    """The requested frames, in ascending order."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers, self.last = frozenset(numbers), max(numbers, default=-1)

    def __contains__(self, number: int) -> bool:
        return number in self._numbers


class SeekableFrames:
    """A video whose packets are scanned before any is decoded.

    reads_alpha: whether the decoder must output an alpha channel that FFmpeg's own decoder drops.
    first: first frame.
    ended_after: number of frames; set when a frame after the last one is requested.
    """

    first: Any
    ended_after: int | None = None

    def __init__(self, path: Path, *, threads: int, reads_alpha: bool = False) -> None:
        self._path, self._threads, self._reads_alpha = path, threads, reads_alpha
        self._queue: deque[tuple[int, Any]] = deque()  # number, frame
        self._pending: set[int] = set()  # numbers of frames whose packets were sent to the decoder
        self._dropped: set[int] = set()
        self._is_careful, self._may_seek = False, True
        self._listed, self._is_cut = ListedFrames(0), False
        self.container: Any = None
        self.stream: Any = None
        self._decoder: Any = None
        self._packets: Any = iter(())
        self._start(threads)

    def close(self) -> None:
        self.container.close()
        self._queue.clear()
        self.first = self.container = self.stream = self._decoder = None
        self._packets = iter(())

    def read_first(self, *, max_frames: int | None) -> bool:
        """Scan the packets and decode the first frame; return False if the video must be read sequentially."""
        if self.container.format.name not in TIMED_FORMATS or self._decoder.name not in CODECS:
            return False
        self._listed = listed_frames(self.stream)
        found = None if self._listed.empty else self._timeline(max_frames)
        if found is None:
            return False
        self.timeline: Timeline = found
        try:
            self._seek(0)
            self.first = self._read_to(0, RequestedFrames(range(found.count)))
        except DecodeError:
            return False
        self._depth = getattr(self._decoder, "reorder_depth", -1)
        return self.first is not None and self._depth >= found.reorder_depth

    @property
    def is_listed(self) -> bool:
        """Whether the container has an index of its frames, which determines `frame_count`."""
        return self._listed.shown > 0

    @property
    def frame_count(self) -> int:
        """Number of displayed frames, from the container's index or, if it has none, from the scanned packets."""
        return self._listed.shown or self.timeline.count

    def presentation(self) -> Presentation:
        """Return the presentation times from the packets, up to the maximum number of frames."""
        line, tick = self.timeline, float(self.stream.time_base)
        pts = sorted(packet.pts or 0 for packet in line.packets)
        times = tuple((time - pts[0]) * tick for time in pts[: line.count])
        if self._is_cut:
            return Presentation(self._listed.shown or packet_count(self._path), times, tick=tick)
        is_complete = line.count >= max(self._listed.shown, len(line.packets))
        return Presentation(line.count, times, is_complete=is_complete, tick=tick)

    def frames(self, wanted: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Yield (index, frame) for each valid frame in `wanted`, in ascending order."""
        requested = RequestedFrames(wanted)
        for index in wanted:
            if index >= self.timeline.count:
                self.ended_after = self.timeline.count
                return
            frame = self.first if index == 0 else self._frame(index, requested)
            if frame is not None:
                yield index, frame

    def _frame(self, index: int, requested: RequestedFrames) -> Any:
        while index not in self._dropped:
            try:
                self._approach(index)
                return self._read_to(index, requested)
            except BadSeek:
                self._may_seek = False
                self._restart(self._threads)
            except DecodeError:  # cannot recur: careful decoding does not raise it
                self._is_careful = True
                self._restart(threads=1)
        return None

    def _approach(self, index: int) -> None:
        """Seek if that skips enough packets."""
        key = self.timeline.key_before(index)
        if self._may_seek and not self._is_careful and key - self._position >= MIN_SKIPPED:
            self._seek(key)

    def _restart(self, threads: int) -> None:
        """Restart at the first packet. Careful decoding then sends every packet, to identify the damaged one."""
        self.container.close()
        self._start(threads)

    def _start(self, threads: int) -> None:
        # Probing decodes a frame to find what an MP4 header already declares; only other containers or large frames
        # need it.
        self.container = opened_container(self._path, is_probed=False)
        is_probed = self.container.format.name != TIMED_FORMATS[0] or not _is_small(self.container)
        if is_probed:
            self.container.close()
            self.container = opened_container(self._path)
        try:
            self.stream = video_stream(self._path, self.container)
            self.declared_tags = video_tags(self.stream)  # before a frame is decoded
            self._decoder = decoder(self._path, self.stream, reads_alpha=self._reads_alpha)
        except SourceError:
            self.container.close()
            raise
        if not is_probed:  # a stream larger than its header declares fails here, and is read sequentially
            self._decoder.options = decoder_options(self.stream, max_pixels=UNPROBED_PIXELS)
        self._decoder.thread_type = "AUTO"
        self._decoder.thread_count = threads or allowed_threads(self.stream.codec_context)
        self._begin(0)

    def _begin(self, position: int) -> None:
        self._packets, self._position, self._has_ended = self.container.demux(self.stream), position, False
        self._queue.clear()
        self._pending.clear()

    def _seek(self, key: int) -> None:
        try:
            self.container.seek(self.timeline.packets[key].pts, stream=self.stream)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise_machine_fault(self._path, error)
            raise BadSeek from error
        if self._decoder is not self.stream.codec_context:
            self._decoder.flush_buffers()  # PyAV flushes only the decoders of the container
        if key:
            self._decoder.reorder_depth = self._depth  # a seek may reset it
        self._begin(key)

    def _read_to(self, index: int, requested: RequestedFrames) -> Any:
        """Return a frame, or None if it is dropped."""
        while index not in self._dropped:
            while self._queue and self._queue[0][0] < index:
                self._queue.popleft()
            is_output = bool(self._queue) and self._queue[0][0] == index
            if is_output and self._is_certain(index):
                return self._queue.popleft()[1]
            if self._has_ended or (self._queue and not is_output):
                self._drop({index}, index, "was not output by the decoder")
            elif is_output and index == requested.last:
                self._end()
            else:
                self._feed(index, requested)
        return None

    def _is_certain(self, index: int) -> bool:
        """Return whether every frame that this one may depend on was output undamaged; some are displayed later."""
        facts, positions = self.timeline.packets, self.timeline.positions
        before = (position for number in self._pending if (position := positions[number]) < positions[index])
        return not any(facts[position].is_needed for position in before)

    def _feed(self, index: int, requested: RequestedFrames) -> None:
        """Send the next packet to the decoder, unless no requested frame needs it, and collect its output."""
        packet = self._next_packet()
        if packet is None:
            self._end()
            return
        position, self._position = self._position, self._position + 1
        facts, number = self.timeline.packets[position], self.timeline.numbers[position]
        if (packet.pts, packet.size) != (facts.pts, facts.size):
            if not self._is_careful and self._may_seek:
                raise BadSeek
            self._has_ended = True  # the file has changed
        elif self._is_careful or facts.is_needed or (number >= index and number in requested):
            self._pending.add(number)
            self._take(self._decoded(packet, number))

    def _end(self) -> None:
        """Flush the decoder."""
        self._has_ended = True
        self._take(self._decoded(None))
        for number in sorted(self._pending):
            self._drop({number}, number, "was not output by the decoder")
        self._pending.clear()

    def _next_packet(self) -> Any:
        if self._has_ended or self._position >= len(self.timeline.packets):
            return None
        try:
            packet = next(self._packets, None)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise_machine_fault(self._path, error)
            return None
        return packet if packet is not None and packet.size else None

    def _decoded(self, packet: Any, number: int = -1) -> list[Any]:
        try:
            return list(self._decoder.decode(packet))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise_machine_fault(self._path, error)
            if packet is not None:
                self._pending.discard(number)
                self._drop(self.timeline.affected_by(number), number, f"cannot be decoded ({error})")
            return []

    def _take(self, frames: list[Any]) -> None:
        for frame in frames:
            number = self.timeline.number_at.get(frame.pts, -1)
            for missing in [pending for pending in self._pending if pending < number]:
                self._drop({missing}, missing, "was not output by the decoder")
                self._pending.discard(missing)
            self._pending.discard(number)
            if frame.is_corrupt and number >= 0:
                self._drop(self.timeline.affected_by(number), number, "is damaged")
            self._queue.append((number, frame))

    def _drop(self, numbers: set[int], number: int, reason: str) -> None:
        if not self._is_careful:
            raise DecodeError
        if not numbers <= self._dropped:
            others = len(numbers - self._dropped - {number})
            logger.warning(
                "%s: frame %d %s; dropped with %d frames that may depend on it", self._path, number, reason, others
            )
        self._dropped |= numbers

    def _timeline(self, max_frames: int | None) -> Timeline | None:
        codec = self._decoder
        length_size = unit_length_size(codec.name, codec.extradata)
        if length_size is None and codec.name in ("h264", "hevc"):
            return None
        has_alpha = codec.name in HIDDEN_ALPHA.values()
        packets: list[PacketFacts] = []
        limit = None if max_frames is None else max_frames + MARGIN
        try:
            for packet in self._packets:
                if packet.is_discard:  # hidden by an edit list
                    return None
                if not packet.size and packet.dts is None:  # end of the stream
                    break
                if packet.is_corrupt or len(packets) == limit:
                    break
                if not is_shown(codec.name, memoryview(packet)):
                    return None
                kind = FrameKind(True, True) if length_size is None else _kind(packet, codec.name, length_size)
                is_random_access = packet.is_keyframe and kind.is_key and (not has_alpha or begins_alpha(packet))
                packets.append(PacketFacts(packet.pts, packet.dts, packet.size, is_random_access, kind.is_needed))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise_machine_fault(self._path, error)  # otherwise the video ends there
        self._is_cut = limit is not None and len(packets) == limit
        return timeline(packets, max_frames=max_frames if self._is_cut else None, listed=self._listed.shown)


def _is_small(container: Any) -> bool:
    """Return whether frames are so small that memory is bounded for any pixel format, which only probing finds."""
    stream = main_stream(container)
    codec = None if stream is None else stream.codec_context
    return codec is None or _padded(codec.height) * _padded(codec.width) <= UNPROBED_PIXELS


def _padded(side: int) -> int:
    return -(-side // 64) * 64  # the largest block size of any codec


def _kind(packet: Any, codec: str, length_size: int) -> FrameKind:
    return frame_kind(codec, memoryview(packet), length_size) if packet.size else UNKNOWN
