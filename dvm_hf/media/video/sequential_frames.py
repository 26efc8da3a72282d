"""Decode a video from its start, and number its frames as a player displays them.

Used if packets cannot be skipped: containers without timestamps, edit lists, and codecs whose packets do not show which
frames depend on them. Such a video ends at its first damaged frame.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice, pairwise
from math import gcd
from pathlib import Path
from statistics import median
from typing import Any

import av

from dvm_hf.machine_faults import raise_machine_fault
from dvm_hf.media.formats.decoder_memory import allowed_threads
from dvm_hf.media.formats.mp4_samples import Mp4Samples, has_joins, mp4_samples
from dvm_hf.media.formats.packet_checksums import is_damaged
from dvm_hf.media.formats.vp_frames import is_shown
from dvm_hf.media.kept_facts import FactKind
from dvm_hf.media.video.alpha_decoders import decoder
from dvm_hf.media.video.containers import ListedFrames, exact, listed_frames, opened_container, video_stream
from dvm_hf.media.video.presentation import Presentation, kept_presentation, stored_presentation, with_repeats
from dvm_hf.media.video.stream_decoders import TIMED_FORMATS
from dvm_hf.media.video.video_tags import video_tags

logger = logging.getLogger(__name__)

# Decoders that output one frame per packet, so that packets determine the displayed frames.
ONE_FRAME_PER_PACKET = frozenset(
    "h264 hevc av1 libdav1d libaom-av1 vp8 libvpx vp9 libvpx-vp9 prores mjpeg ffv1 png qtrle rawvideo dnxhd huffyuv "
    "ffvhuff utvideo v210 cfhd jpeg2000".split()
)
# Packets may lack a frame, such as N-VOPs in MPEG-4. If the container lists empty samples, only the packet times show
# which frames are repeated.
MOSTLY_ONE_FRAME_PER_PACKET = frozenset(("mpeg4", "mpeg1video", "mpeg2video", "h263"))
RECORDED_FORMATS = ("mpegts", "mpeg")  # can begin between keyframes
MARGIN = 32  # packets; a frame is displayed at most 16 frames after it is decoded in any codec


@dataclass(frozen=True)
class Scan:
    """The packets of a video that contain a displayed frame, in decoding order.

    pts, dts: timestamps in the stream's time base; None if one is missing or repeated.
    is_cut: whether the video continues after these packets.
    packets: timestamp and position in the file of each packet.
    has_ended_well: whether no fault ended the reading.
    """

    count: int
    pts: tuple[int, ...] | None
    dts: tuple[int, ...] | None
    is_cut: bool
    packets: tuple[tuple[int | None, int | None], ...] = ()
    has_ended_well: bool = True


def _scan(stored: dict[str, Any]) -> Scan:
    pts, dts = (None if stored[name] is None else tuple(stored[name]) for name in ("pts", "dts"))
    packets = tuple((pts, position) for pts, position in stored["packets"])
    return Scan(stored["count"], pts, dts, stored["is_cut"], packets)


# Of videos that are read sequentially. Parameter: maximum number of frames.
SCANS = FactKind("scan", as_json=asdict, from_json=_scan, nbytes=lambda scan: 200 * scan.count + 200)
PRESENTATIONS = FactKind(  # of videos whose packets lack times. Parameter: maximum number of frames.
    "presentation",
    as_json=stored_presentation,
    from_json=kept_presentation,
    nbytes=lambda one: 40 * len(one.times) + 200,
)
COUNTS = FactKind("packet count", as_json=int, from_json=int)  # of the packets with a displayed frame


@dataclass(frozen=True)
class Schedule:
    """How the output of the decoder maps to the displayed frames.

    start: time that counts as 0 seconds.
    times: presentation times of all displayed frames; empty if only decoding can determine them. In the stream's time
        base; they are the pts, except if an edit list joins several parts.
    expected: pts that the decoder's frames must have, in order; None if they have no timestamps.
    repeats: indices at which the previous frame is displayed again.
    dropped: number of listed frames before the first one that can be decoded.
    entries: entries of the container's index per frame.
    """

    count: int
    start: int = 0
    times: tuple[int, ...] = ()
    expected: tuple[int, ...] | None = None
    repeats: frozenset[int] = frozenset()
    dropped: int = 0
    entries: int = 1


class SequentialFrames:
    """A video that is decoded from its start. Raises SourceError if it cannot be opened.

    reads_alpha: whether the decoder must output an alpha channel that FFmpeg's own decoder drops.
    first: frame 0; None if no frame can be decoded.
    ended_after: number of frames; set when a frame after the last one is requested.
    max_frames: maximum number of frames; only frames before this index may be requested.
    scan: packets of the video, if they are known; see `SCANS`.
    """

    first: Any
    ended_after: int | None = None

    def __init__(
        self,
        path: Path,
        *,
        threads: int,
        max_frames: int | None = None,
        reads_alpha: bool = False,
        scan: Scan | None = None,
    ) -> None:
        self.path, self._max_frames = path, max_frames
        self.scan = scan or scanned(path, limit=None if max_frames is None else max_frames + MARGIN)
        self.container: Any = opened_container(path)
        try:
            self.stream: Any = video_stream(path, self.container)
            self.declared_tags = video_tags(self.stream)  # before a frame is decoded
            self._decoder: Any = decoder(path, self.stream, reads_alpha=reads_alpha)
            self._decoder.thread_type = "AUTO"
            self._decoder.thread_count = threads or allowed_threads(self.stream.codec_context)
            self._listed = listed_frames(self.stream)
            self._samples = listed_samples(path, self.stream)
            self._decoded = self._pictures()
            self.first = next(self._decoded, None)
            self._schedule = _schedule(self.scan, self.stream, self.first, self._samples)
        except BaseException:
            self.container.close()
            raise

    def close(self) -> None:
        self.container.close()
        self.first = self.container = self.stream = self._decoder = None
        self._decoded = iter(())

    @property
    def is_listed(self) -> bool:
        """Whether the container has an index of its frames, which determines `frame_count`."""
        return self._listed.shown > 0

    @property
    def frame_count(self) -> int:
        """Number of displayed frames, from the container's index or, if it has none, from the packets."""
        listed = self._listed.shown // self._schedule.entries
        return listed - self._schedule.dropped if listed else self._schedule.count

    def presentation(self) -> Presentation:
        """Return the presentation times; if packets lack them, decode up to `max_frames` frames, once per process."""
        schedule = self._schedule
        if not schedule.times:
            return _decoded_presentation(self.path, self._max_frames)
        tick, shown = float(self.stream.time_base), len(schedule.times)
        certain = schedule.times[: self._max_frames] if self.scan.is_cut else schedule.times  # others may be reordered
        times = tuple((time - schedule.start) * tick for time in certain)
        listed = max(0, self._listed.shown // schedule.entries - schedule.dropped)
        if self.scan.is_cut:
            return Presentation(listed or packet_count(self.path), times, schedule.repeats, not schedule.dropped, tick)
        return Presentation(shown, times, schedule.repeats, not schedule.dropped and listed <= shown, tick)

    def frames(self, wanted: Iterable[int]) -> Iterator[tuple[int, Any]]:
        """Yield (index, frame) for each frame in `wanted`, in ascending order, up to the first undecodable frame."""
        shown, index, frame = self._shown(), -1, None
        for number in wanted:
            while index < number:
                following = next(shown, None)
                if following is None:
                    self.ended_after = index + 1
                    return
                index, frame = following
            yield index, frame

    def _shown(self) -> Iterator[tuple[int, Any]]:
        """Yield (index, frame) for every displayed frame."""
        expected, index = self._schedule.expected, 0
        for number, picture in enumerate(self._all_decoded()):
            if expected is not None and (number >= len(expected) or picture.pts != expected[number]):
                logger.warning("%s: frame %d is missing; the video ends there", self.path, index)
                return
            yield index, picture
            index += 1
            while index in self._schedule.repeats:
                yield index, picture
                index += 1

    def _all_decoded(self) -> Iterator[Any]:
        if self.first is not None:
            yield self.first
            yield from self._decoded

    def _pictures(self) -> Iterator[Any]:
        """Yield the frames that the decoder outputs, up to the first damaged one."""
        codec = self._decoder
        has_header = bool(codec.extradata)
        position, has_begun = 0, self.container.format.name not in RECORDED_FORMATS
        for packet in self._packets():
            has_begun |= packet is None or packet.is_keyframe
            is_bad = packet is not None and is_damaged(codec.name, memoryview(packet), has_header=has_header)
            try:
                frames = codec.decode(None if is_bad else packet)  # None flushes the frames before the damaged packet
            except (av.FFmpegError, OSError, ValueError) as error:
                raise_machine_fault(self.path, error)
                if not has_begun:
                    continue
                logger.warning("%s: frame %d cannot be decoded (%s); the video ends there", self.path, position, error)
                return
            for frame in frames:
                if frame.is_corrupt:
                    logger.warning("%s: frame %d is damaged; the video ends there", self.path, position)
                    return
                yield frame
                position += 1
            if is_bad:
                logger.warning("%s: frame %d is damaged (checksum mismatch); the video ends there", self.path, position)
                return
            if packet is None:
                codec.flush_buffers()  # a flushed decoder accepts no packets, but another part may follow

    def _packets(self) -> Iterator[Any]:
        """Yield the packets with content, because an empty one would end the decoder, then None to flush it.

        The decoder is also flushed between parts that an edit list joins. Otherwise, it would take the first frames of
        a part for frames that depend on the part before.
        """
        before: int | None = None
        try:
            for packet in self.container.demux(self.stream):
                if not packet.size:
                    continue
                if self._samples.is_jump(before, packet.pos):
                    yield None
                before = packet.pos
                yield packet
        except (av.FFmpegError, OSError, ValueError) as error:
            raise_machine_fault(self.path, error)
            logger.warning("%s: reading stops before the end of the file (%s)", self.path, error)
        yield None


def listed_samples(path: Path, stream: Any) -> Mp4Samples:
    """Return the samples of an open MP4, if its edits or empty samples require more than FFmpeg's timestamps."""
    is_mp4 = stream.container.format.name == TIMED_FORMATS[0]
    if not is_mp4 or not (has_joins(path, stream.id) or listed_frames(stream).empty):
        return Mp4Samples()
    with opened_container(path, is_probed=False, options={"ignore_editlist": "1"}) as unedited:
        entries = [(entry.pos, entry.size > 0) for entry in unedited.streams[stream.index].index_entries]
    return mp4_samples(path, stream.id, entries, round(1 / exact(stream.time_base)))


def scanned(path: Path, *, limit: int | None = None) -> Scan:
    """Scan the packets of a video without decoding, up to `limit` packets that contain a displayed frame."""
    packets: list[tuple[int | None, int | None]] = []
    dts: list[int | None] = []
    is_cut, has_ended_well = False, True
    with opened_container(path) as container:
        stream = video_stream(path, container)
        codec = stream.codec_context.name
        try:
            for packet in container.demux(stream):
                if packet.is_discard or not packet.size or not is_shown(codec, memoryview(packet)):
                    continue
                if len(packets) == limit:
                    is_cut = True
                    break
                packets.append((packet.pts, packet.pos))
                dts.append(packet.dts)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise_machine_fault(path, error)  # otherwise the video ends there, and decoding logs it
            has_ended_well = False
    pts = _distinct([pts for pts, _ in packets])
    return Scan(len(packets), pts, _distinct(dts), is_cut, tuple(packets), has_ended_well)


def packet_count(path: Path) -> int:
    """Count the packets of a video that contain a displayed frame. Kept until the file changes."""
    key = COUNTS.key(path)
    count = COUNTS.get(key)
    if count is None:
        scan = scanned(path)
        count = scan.count
        if scan.has_ended_well:
            COUNTS.put(key, count)
    return count


def _decoded_presentation(path: Path, max_frames: int | None) -> Presentation:
    """Return the presentation of a video whose packets lack times. Kept until the file changes."""
    key = PRESENTATIONS.key(path, max_frames)
    found = PRESENTATIONS.get(key)
    if found is None:
        found = _decoded_times(path, max_frames)
        PRESENTATIONS.put(key, found)
    return found


def _decoded_times(path: Path, max_frames: int | None) -> Presentation:
    video = SequentialFrames(path, threads=0, max_frames=max_frames)
    try:
        tick, scan, schedule = float(video.stream.time_base), video.scan, video._schedule
        is_avi = video.container.format.name == "avi"
        times = [picture.pts for picture in islice(video._all_decoded(), max_frames)]
    finally:
        video.close()
    is_cut = scan.is_cut and len(times) == max_frames
    count = packet_count(path) if is_cut else len(times)
    is_complete = is_cut or len(times) >= scan.count
    if is_avi and schedule.count and is_complete:
        shown = tuple(index * schedule.entries * tick for index in range(schedule.count))
        return Presentation(schedule.count + count - len(times), shown, schedule.repeats)
    if None in times:
        return Presentation(count, is_complete=is_complete)
    if any(b <= a for a, b in pairwise(times)):  # for example if packets are missing between reordered frames
        return Presentation(count, is_complete=False)
    start = min([*(scan.pts or ()), *times])
    return Presentation(count, tuple((time - start) * tick for time in times), is_complete=is_complete, tick=tick)


def _schedule(scan: Scan, stream: Any, first: Any, samples: Mp4Samples) -> Schedule:
    """Return the schedule of a video. first: first frame that the decoder outputs; None if there is none."""
    codec, form = stream.codec_context, stream.container.format.name
    if first is None:
        return Schedule(scan.count)
    listed = listed_frames(stream)
    is_mostly_one = codec.name in MOSTLY_ONE_FRAME_PER_PACKET
    is_certain = codec.name in ONE_FRAME_PER_PACKET or (is_mostly_one and listed.empty)
    found = _sample_schedule(scan, first.pts, samples) if is_certain or is_mostly_one else None
    if found is not None:
        return found
    if is_certain and form in TIMED_FORMATS and scan.pts and first.pts in scan.pts:
        return _timed_schedule(sorted(scan.pts), first.pts, listed)
    if form == "avi" and scan.dts:
        return _avi_schedule(scan.dts, is_certain=codec.codec.intra_only)
    return Schedule(scan.count)


def _timed_schedule(times: list[int], first: int, listed: ListedFrames) -> Schedule:
    """Schedule for a container with timestamps. Listed frames before the first decoded one are never displayed."""
    dropped = times.index(first)
    expected = tuple(times[dropped:])
    steps = [b - a for a, b in pairwise(times)]
    step = median(steps) if steps else 0
    start, empty = times[0] - round(listed.leading * step), listed.empty - listed.leading
    dropped += listed.leading
    filled = with_repeats(expected, step, empty) if empty and steps else (expected, frozenset())
    if filled is None:
        return Schedule(len(expected), start, (), expected, dropped=dropped)
    return Schedule(len(filled[0]), start, *filled[:1], expected, filled[1], dropped)


def _sample_schedule(scan: Scan, first: int | None, samples: Mp4Samples) -> Schedule | None:
    """Schedule for an MP4, if the packets are exactly the samples that its tables show; otherwise None.

    FFmpeg's timestamps can leave a gap between two edits, or overlap, and empty samples have none. The decoder outputs
    the edits one after the other, each by its timestamps.
    """
    decoded, packets = [], iter(scan.packets)
    for sample in samples.shown:
        pts, position = (None, None) if sample.picture < 0 else next(packets, (None, None))
        if sample.picture >= 0 and position is None and scan.is_cut:
            break
        if sample.picture >= 0 and (pts is None or samples.pictures.get(position or 0) != sample.picture):
            return None
        decoded.append((sample.edit, sample.time, pts))
    shown = sorted(decoded, key=lambda one: one[:2])
    begin = next((at for at, (_, _, pts) in enumerate(shown) if pts is not None and pts == first), None)
    if begin is None or next(packets, None) is not None:
        return None
    times = tuple(time for _, time, _ in shown)
    expected = tuple(pts for _, _, pts in shown[begin:] if pts is not None)
    repeats = frozenset(at for at, (_, _, pts) in enumerate(shown[begin:]) if pts is None)
    return Schedule(len(times) - begin, times[0], times[begin:], expected, repeats, begin)


def _avi_schedule(dts: tuple[int, ...], *, is_certain: bool) -> Schedule:
    """Schedule for an AVI, whose frames all last the same number of ticks, nearly always one: what divides all steps.

    In a gap between packets, the previous frame is displayed again. The decoder's frames, in their order, take the
    ticks of the packets, in theirs.
    """
    steps = [b - a for a, b in pairwise(dts)]
    step = gcd(*steps) or 1
    gaps = sum(max(0, round(gap / step) - 1) for gap in steps)
    times, repeats = with_repeats(dts, step, gaps) or (dts, frozenset())
    return Schedule(len(times), dts[0], times if is_certain else (), None, repeats, entries=step)


def _distinct(times: list[int | None]) -> tuple[int, ...] | None:
    known = tuple(time for time in times if time is not None)
    return known if len(set(known)) == len(times) else None
