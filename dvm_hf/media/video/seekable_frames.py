"""Read frames of a video by their timestamps: seek to a keyframe, and skip packets that no requested frame needs.

Invariant: which frames a video has, and their pixels, do not depend on which frames are requested. Damage must have the
same effect on every selection: a damaged frame is dropped, together with all frames that may depend on it, up to the
next keyframe. Videos whose packets do not allow this are read by `sequential_frames`.

Careful decoding, after a fault, decodes each frame from the keyframe before it, as a window that begins there does: if
parts of H.265 videos are joined without encoding, a decoder that reads on into an open group drops other frames.
"""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import av

from dvm_hf.errors import SourceError
from dvm_hf.machine_faults import raise_machine_fault
from dvm_hf.media.formats.decoder_memory import allowed_threads
from dvm_hf.media.formats.keyframes import MIN_SKIPPED, PacketTable, Timeline
from dvm_hf.media.formats.nal_units import FrameKind
from dvm_hf.media.frame_geometry import Declared
from dvm_hf.media.kept_facts import FactKey
from dvm_hf.media.video.containers import listed_frames
from dvm_hf.media.video.opening_facts import OPENINGS, FirstFrame, OpeningFacts
from dvm_hf.media.video.packet_tables import (
    CODECS,
    FoundPackets,
    listed_kind,
    listed_packets,
    packet_kind,
    read_packets,
)
from dvm_hf.media.video.presentation import Presentation
from dvm_hf.media.video.sequential_frames import MARGIN, packet_count
from dvm_hf.media.video.stream_decoders import TIMED_FORMATS, opened_decoder

logger = logging.getLogger(__name__)
# Trailing pictures of an IRAP picture refer neither to its leading pictures nor to earlier ones (Rec. ITU-T H.265, 3).
WITH_OPEN_GROUPS = ("hevc",)


class DecodeError(Exception):
    """A packet or frame is damaged or missing."""


class BadSeek(DecodeError):
    """A seek fails or leads to an unexpected packet."""


class WrongTable(DecodeError):
    """The packets are not those of a table that was not read from them."""


class RequestedFrames:
    """The requested frames, in ascending order. last_position: index of the last packet that contains one of them."""

    def __init__(self, numbers: Sequence[int], line: Timeline) -> None:
        known = [number for number in numbers if number < len(line.packets)]
        self._numbers = frozenset(numbers)
        self.last_position = int(line.packets.positions[known].max()) if known else -1

    def __contains__(self, number: int) -> bool:
        return number in self._numbers


class SeekableFrames:
    """A video whose packets are known before any is decoded: listed by its container, read, or kept from before.

    max_frames: maximum number of frames; only frames before this index may be requested.
    reads_alpha: whether the decoder must output an alpha channel that FFmpeg's own decoder drops.
    key: of the facts that opening finds out, see `OPENINGS`.
    facts: those of an earlier opening. Without them, call `read_first`.
    first: first frame; None with `facts`.
    ended_after: number of frames; set when a frame after the last one is requested.
    """

    first: Any = None
    ended_after: int | None = None
    timeline: Timeline
    _found_key: int = -1  # of `_next_key`

    def __init__(
        self,
        path: Path,
        *,
        threads: int,
        key: FactKey,
        max_frames: int | None = None,
        reads_alpha: bool = False,
        facts: OpeningFacts | None = None,
    ) -> None:
        self._path, self._threads, self._reads_alpha, self._key, self.facts = path, threads, reads_alpha, key, facts
        self._max_frames, self._limit = max_frames, None if max_frames is None else max_frames + MARGIN
        self._queue: deque[tuple[int, Any]] = deque()  # number, frame
        self._pending: set[int] = set()  # numbers of frames whose packets were sent to the decoder
        self._dropped: set[int] = set()
        self._is_careful, self._may_seek = False, True
        self._listed, self._depth, self._is_cut, self._is_read = 0, -1, False, False
        self.container: Any = None
        self.stream: Any = None
        self._decoder: Any = None
        self._packets: Any = iter(())
        self._later: list[Any] = []  # packets of the next keyframe and after it, if careful decoding begins there again
        if facts is not None:
            self._listed, self._depth = facts.listed, facts.reorder_depth
            self._is_cut, self._is_read = facts.is_cut, facts.is_read
        self._start(threads)
        if facts is not None:
            self.timeline = self._timeline(facts.packets)

    def close(self) -> None:
        self.container.close()
        self._queue.clear()
        self.first = self.container = self.stream = self._decoder = None
        self._packets = iter(())

    def read_first(self) -> bool:
        """Find the packets and decode the first frame; return False if the video must be read sequentially."""
        if self.container.format.name not in TIMED_FORMATS or self._decoder.name not in CODECS:
            return False
        listed = listed_frames(self.stream)
        if listed.empty:
            return False
        self._listed = listed.shown
        found = listed_packets(self._path, self.stream, limit=self._limit)
        if found is not None and self._begins_with_listed(found):
            return True
        if found is not None:
            self._restart(self._threads)
        return self._begins_with(read_packets(self._path, self._packets, self._decoder, limit=self._limit))

    def _begins_with_listed(self, found: FoundPackets) -> bool:
        packet = self._demuxed()
        if packet is None or packet.pts is None or packet.dts is None or found.table is None:
            return False
        self._packets = chain([packet], self._packets)
        return self._begins_with(found._replace(table=found.table.based_on(packet.pts, packet.dts)), is_read=False)

    def _begins_with(self, found: FoundPackets, *, is_read: bool = True) -> bool:
        """Return whether the first frame can be decoded, and the decoder holds enough frames to reorder them."""
        self._is_cut, self._is_read, self._has_ended_well = found.is_cut, is_read, found.has_ended_well
        line = None if found.table is None else self._timeline(found.table)
        if line is None or not line.begins_with_key:
            return False
        self.timeline = line
        try:
            if is_read:
                self._seek(0)
            self.first = self._read_to(0, RequestedFrames(range(line.count), line))
        except DecodeError:
            return False
        self._depth = getattr(self._decoder, "reorder_depth", -1)
        return self.first is not None and self._depth >= line.packets.reorder_depth

    def remember(self, first: FirstFrame, declared: Declared) -> None:
        """Keep what this opening found out for later ones. declared: geometry of the stream."""
        self.facts = OpeningFacts(
            packets=self.timeline.packets,
            is_cut=self._is_cut,
            is_read=self._is_read,
            listed=self._listed,
            reorder_depth=self._depth,
            threads=allowed_threads(self.stream.codec_context),
            max_pixels=self._max_pixels,
            tags=self.declared_tags,
            declared=declared,
            first=first,
        )
        if self._has_ended_well:
            OPENINGS.put(self._key, self.facts)

    @property
    def is_listed(self) -> bool:
        """Whether the container has an index of its frames, which determines `frame_count`."""
        return self._listed > 0

    @property
    def frame_count(self) -> int:
        """Number of displayed frames, from the container's index or, if it has none, from the packets."""
        return self._listed or self.timeline.count

    def presentation(self) -> Presentation:
        """Return the presentation times from the packets, up to the maximum number of frames."""
        line, tick = self.timeline, float(self.stream.time_base)
        pts = line.packets.sorted_pts
        times = tuple((time - pts[0]) * tick for time in pts[: line.count])
        if self._is_cut:
            return Presentation(self._listed or packet_count(self._path), times, tick=tick)
        is_complete = line.count >= max(self._listed, len(line.packets))
        return Presentation(line.count, times, is_complete=is_complete, tick=tick)

    def frames(self, wanted: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Yield (index, frame) for each valid frame in `wanted`, in ascending order."""
        requested = RequestedFrames(wanted, self.timeline)
        for index in wanted:
            if index >= self.timeline.count:
                self.ended_after = self.timeline.count
                return
            frame = self._frame(index, requested) if index or self.first is None else self.first
            if frame is not None:
                yield index, frame

    def _frame(self, index: int, requested: RequestedFrames) -> Any:
        while index not in self._dropped:
            try:
                self._approach(index)
                return self._read_to(index, requested)
            except BadSeek:
                self._may_seek = False
                self._restart(1 if self._is_careful else self._threads)
            except WrongTable:
                self._read_table()
            except DecodeError:  # cannot recur: careful decoding does not raise it
                self._is_careful = True
                self._restart(threads=1)
        return None

    def _approach(self, index: int) -> None:
        """Seek if that skips enough packets, or if the packet of a frame was passed."""
        is_held = index in self._pending or any(number == index for number, _ in self._queue)
        is_passed = not is_held and (self._has_ended or self.timeline.position(index) < self._position)
        if self._is_careful and self._has_open_groups:
            key = self.timeline.key_before(index)
            if key < self._origin or (key == self._origin and is_passed) or (self._has_ended and self._position < key):
                self._restart(threads=1)
            while self._origin < key:
                self._begin_next_group()
        elif self._may_seek and not self._is_careful:
            key = self.timeline.key_before(index)
            if is_passed or key - self._position >= MIN_SKIPPED:
                self._seek(key)
        elif is_passed:
            self._restart(1 if self._is_careful else self._threads)

    def _begin_next_group(self) -> None:
        """Decode all before the next keyframe, then begin there. The decoder keeps the parameter sets it has read."""
        key, nothing = self._next_key(), RequestedFrames((), self.timeline)
        while self._position < key and not self._has_ended:
            self._feed(0, nothing)
            self._queue.clear()
        self._decoder.flush_buffers()
        self._packets = chain(self._later, self._packets)
        self._begin_at(key)

    def _next_key(self) -> int:
        """Return the next keyframe after the one where decoding began; the number of packets if there is none."""
        if self._found_key < 0:
            self._found_key = self.timeline.key_after(self.timeline.number(self._origin))
        return self._found_key

    def _read_table(self) -> None:
        """Replace a table that was not read from the packets by one that is."""
        self._is_read = True
        self._restart(self._threads)
        found = read_packets(self._path, self._packets, self._decoder, limit=self._limit)
        self._is_cut = found.is_cut
        line = None if found.table is None else self._timeline(found.table)
        if line is None or not line.begins_with_key or line.count != self.timeline.count:
            OPENINGS.forget(self._key)
            raise SourceError(
                f"{self._path}: its packets are not those of its index, or changed while it was open; replace the "
                f"file, or write its index again (ffmpeg -i {self._path.name} -c copy new{self._path.suffix})"
            )
        self.timeline = line
        if self.facts is not None:
            self.facts = replace(self.facts, packets=line.packets, is_cut=found.is_cut, is_read=True)
            OPENINGS.put(self._key, self.facts)
        self._restart(self._threads)

    def _restart(self, threads: int) -> None:
        """Restart at the first packet. Careful decoding then sends every packet, to identify the damaged one."""
        self.container.close()
        self._start(threads)

    def _start(self, threads: int) -> None:
        opened = opened_decoder(self._path, threads=threads, reads_alpha=self._reads_alpha, facts=self.facts)
        self.container, self.stream, self._decoder = opened.container, opened.stream, opened.decoder
        self.declared_tags, self._max_pixels = opened.tags, opened.max_pixels
        self._begin(0)

    def _begin(self, position: int) -> None:
        self._packets = self.container.demux(self.stream)
        self._begin_at(position)

    def _begin_at(self, position: int) -> None:
        self._origin = self._position = position  # packet where decoding begins, and the next one to read
        self._has_ended, self._later, self._found_key = False, [], -1
        self._queue.clear()
        self._pending.clear()

    def _seek(self, key: int) -> None:
        try:
            self.container.seek(int(self.timeline.packets.pts[key]), stream=self.stream)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise_machine_fault(self._path, error)
            raise BadSeek from error
        if self._decoder is not self.stream.codec_context:
            self._decoder.flush_buffers()  # PyAV flushes only the decoders of the container
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
            elif self._position > requested.last_position:
                self._end()
            else:
                self._feed(index, requested)
        return None

    def _is_certain(self, index: int) -> bool:
        """Return whether every frame that this one may depend on was output undamaged; some are displayed later."""
        line, own = self.timeline, self.timeline.position(index)
        before = (position for number in self._pending if (position := line.position(number)) < own)
        return not any(line.is_needed(position) for position in before)

    def _feed(self, index: int, requested: RequestedFrames) -> None:
        """Send the next packet to the decoder, unless no requested frame needs it, and collect its output."""
        line, packet = self.timeline, self._next_packet()
        if packet is None and self._position < len(line.packets) and not (self._is_read or self._has_ended):
            raise WrongTable
        if packet is None:
            self._end()
            return
        position, self._position = self._position, self._position + 1
        number = line.number(position)
        if (packet.pts, packet.size) != (line.packets.pts[position], line.packets.sizes[position]):
            if not self._is_careful and self._may_seek:
                raise BadSeek
            if not self._is_read:
                raise WrongTable
            self._has_ended = True  # the file has changed
            return
        if self._is_careful and self._has_open_groups and position >= self._next_key():
            self._later.append(packet)  # to be decoded again from there
        if not line.is_known(position):
            line.learn(position, packet_kind(packet, self._decoder))
        is_requested = number >= index and number in requested
        is_leading = number < line.number(self._origin)  # of the keyframe where decoding began, which lacks references
        if not is_leading and (self._is_careful or line.is_needed(position) or is_requested):
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
        return self._demuxed()

    def _demuxed(self) -> Any:
        """Return the next packet of the file; None at its end."""
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
            number = self.timeline.number_at(frame.pts)
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
        if self._has_open_groups and (end := self._next_key()) < len(self.timeline.packets):
            numbers = {one for one in numbers if one < self.timeline.number(end)}  # others are decoded from there
        if not numbers <= self._dropped:
            others = len(numbers - self._dropped - {number})
            logger.warning(
                "%s: frame %d %s; dropped with %d frames that may depend on it", self._path, number, reason, others
            )
        self._dropped |= numbers

    def _timeline(self, packets: PacketTable) -> Timeline:
        return Timeline(
            packets,
            max_frames=self._max_frames if self._is_cut else None,
            listed=self._listed,
            has_open_groups=self._has_open_groups,
            kind_of=lambda position: self._kind(position, int(packets.sizes[position])),
        )

    @property
    def _has_open_groups(self) -> bool:
        return self._decoder.name in WITH_OPEN_GROUPS

    def _kind(self, position: int, size: int) -> FrameKind:
        found = listed_kind(self._path, self.stream, position, size=size)
        if found is None:
            raise WrongTable
        return found
