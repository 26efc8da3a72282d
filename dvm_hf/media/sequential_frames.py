"""Frames of a video decoded from its start, numbered as a player shows them.

For videos in which no packet can be left out: those whose container gives no times, those with an edit list, and codecs
whose packets do not tell which frames others need. Damage ends such a video.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import av

from dvm_hf.machine_faults import raise_machine_fault
from dvm_hf.media.containers import ListedFrames, listed_frames, opened_container, video_stream
from dvm_hf.media.formats.decoder_memory import allowed_threads
from dvm_hf.media.formats.packet_checksums import is_damaged
from dvm_hf.media.formats.vp_frames import is_shown
from dvm_hf.media.presentation import Presentation, with_repeats
from dvm_hf.media.video_tags import video_tags

logger = logging.getLogger(__name__)

TIMED_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")  # each packet carries the time of its frame
# Decoders that give one frame for each packet, so that packets tell what will be shown.
ONE_FRAME_A_PACKET = frozenset(
    "h264 hevc av1 libdav1d libaom-av1 vp8 libvpx vp9 libvpx-vp9 prores mjpeg ffv1 png qtrle rawvideo dnxhd huffyuv "
    "ffvhuff utvideo v210 cfhd jpeg2000".split()
)
# These may have packets without a frame, such as the N-VOPs of MPEG-4. If the container lists empty samples, only the
# times of packets tell which frames are repeated.
NEARLY_ONE_FRAME_A_PACKET = frozenset(("mpeg4", "mpeg1video", "mpeg2video", "h263"))
RECORDED_FORMATS = ("mpegts", "mpeg")  # may begin between keyframes
MARGIN = 32  # packets; no codec shows a frame more than 16 later than it decodes it


@dataclass(frozen=True)
class Scan:
    """What the packets of a video tell, of those that hold a frame to be shown, in the order of decoding.

    pts, dts: in the stream's time base; None where one is missing or comes twice. is_cut: the video goes on after them.
    """

    count: int
    pts: tuple[int, ...] | None
    dts: tuple[int, ...] | None
    is_cut: bool


@dataclass(frozen=True)
class Schedule:
    """How the decoder's frames become those that are shown.

    times: pts of all frames that are shown; empty where only decoding tells. expected: pts that the decoder's frames
    must have, one after the other; None where they have none of their own. repeats: indices of the frames at which the
    one before is shown again. lost: frames listed before the first that can be decoded. entries: of the container's
    list for each frame.
    """

    count: int
    start: int = 0
    times: tuple[int, ...] = ()
    expected: tuple[int, ...] | None = None
    repeats: frozenset[int] = frozenset()
    lost: int = 0
    entries: int = 1


class SequentialFrames:
    """A video read from its start.

    first: frame 0, None where none can be decoded. ended_after: how many frames it has, once one behind them has been
    asked for. most: no frame from there on will be asked for. Raises SourceError where the video cannot be opened.
    """

    first: Any
    ended_after: int | None = None

    def __init__(self, path: Path, *, threads: int, most: int | None = None) -> None:
        self.path, self._most = path, most
        self._scan = scanned(path, limit=None if most is None else most + MARGIN)
        self.container: Any = opened_container(path)
        try:
            self.stream: Any = video_stream(path, self.container)
            self.declared_tags = video_tags(self.stream)  # the container's, before a frame is decoded
            self.stream.thread_type = "AUTO"
            self.stream.codec_context.thread_count = threads or allowed_threads(self.stream.codec_context)
            self._decoded = self._pictures()
            self.first = next(self._decoded, None)
            self._listed = listed_frames(self.stream)
            self._schedule = _schedule(self._scan, self.stream, self.first)
        except BaseException:
            self.container.close()
            raise

    def close(self) -> None:
        self.container.close()
        self.first = self.container = self.stream = None
        self._decoded = iter(())

    @property
    def is_listed(self) -> bool:
        """Whether the container has a list of its frames, from which `frame_count` comes."""
        return self._listed.shown > 0

    @property
    def frame_count(self) -> int:
        """Frames that are shown: by the container's list or, where it has none, by the packets."""
        listed = self._listed.shown // self._schedule.entries
        return listed - self._schedule.lost if listed else self._schedule.count

    def presentation(self) -> Presentation:
        """What is shown; where packets do not tell, by decoding the frames that may be asked for, once a process."""
        schedule = self._schedule
        if not schedule.times:
            found = self.path.stat()
            return _decoded_presentation(self.path, self._most, (found.st_size, found.st_mtime_ns))
        tick, shown = float(self.stream.time_base), len(schedule.times)
        times = tuple((time - schedule.start) * tick for time in schedule.times)
        listed = max(0, self._listed.shown // schedule.entries - schedule.lost)
        if self._scan.is_cut:
            return Presentation(listed or packet_count(self.path), times, schedule.repeats, not schedule.lost, tick)
        return Presentation(shown, times, schedule.repeats, not schedule.lost and listed <= shown, tick)

    def frames(self, wanted: Iterable[int]) -> Iterator[tuple[int, Any]]:
        """(index, frame) of the wanted frames, in rising order, up to the first that cannot be decoded."""
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
        """Every frame that is shown, with its index."""
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
        """Frames as they come out, up to the first that is damaged."""
        codec = self.stream.codec_context
        has_header = bool(codec.extradata)
        position, has_begun = 0, self.container.format.name not in RECORDED_FORMATS
        for packet in self._packets():
            has_begun |= packet is None or packet.is_keyframe
            is_bad = packet is not None and is_damaged(codec.name, memoryview(packet), has_header=has_header)
            try:
                frames = codec.decode(None if is_bad else packet)  # None: all that came before
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
                logger.warning("%s: frame %d is damaged (its checksum); the video ends there", self.path, position)
                return

    def _packets(self) -> Iterator[Any]:
        """Those with content: an empty one would end the decoder. None, at last, makes it give out what it holds."""
        try:
            yield from (packet for packet in self.container.demux(self.stream) if packet.size)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise_machine_fault(self.path, error)
            logger.warning("%s: cannot be read to its end (%s)", self.path, error)
        yield None


def scanned(path: Path, *, limit: int | None = None) -> Scan:
    """Look through the packets of a video, up to as many that hold a frame; nothing is decoded."""
    pts: list[int | None] = []
    dts: list[int | None] = []
    is_cut = False
    with opened_container(path) as container:
        stream = video_stream(path, container)
        codec = stream.codec_context.name
        try:
            for packet in container.demux(stream):
                if packet.is_discard or not packet.size or not is_shown(codec, memoryview(packet)):
                    continue
                if len(pts) == limit:
                    is_cut = True
                    break
                pts.append(packet.pts)
                dts.append(packet.dts)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise_machine_fault(path, error)  # else it ends there; who decodes it says so
    return Scan(len(pts), _distinct(pts), _distinct(dts), is_cut)


def packet_count(path: Path) -> int:
    """Packets of a video that hold a frame to be shown; kept for as long as the file does not change."""
    found = path.stat()
    return _packet_count(path, (found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=1024)
def _packet_count(path: Path, state: tuple[int, int]) -> int:
    return scanned(path).count


@lru_cache(maxsize=1024)
def _decoded_presentation(path: Path, most: int | None, state: tuple[int, int]) -> Presentation:
    video = SequentialFrames(path, threads=0, most=most)
    try:
        tick, scan, schedule = float(video.stream.time_base), video._scan, video._schedule
        is_avi = video.container.format.name == "avi"
        times = [picture.pts for picture in islice(video._all_decoded(), most)]
    finally:
        video.close()
    is_cut = scan.is_cut and len(times) == most
    count = packet_count(path) if is_cut else len(times)
    is_complete = is_cut or len(times) >= scan.count
    if is_avi and schedule.count and is_complete:
        shown = tuple(index * schedule.entries * tick for index in range(schedule.count))
        return Presentation(schedule.count + count - len(times), shown, schedule.repeats)
    if None in times:
        return Presentation(count, is_complete=is_complete)
    if any(b <= a for a, b in pairwise(times)):  # as where packets are missing between reordered frames
        return Presentation(count, is_complete=False)
    start = min([*(scan.pts or ()), *times])
    return Presentation(count, tuple((time - start) * tick for time in times), is_complete=is_complete, tick=tick)


def _schedule(scan: Scan, stream: Any, first: Any) -> Schedule:
    """By the packets, the container and the first frame that comes out of the decoder, None where none does."""
    codec, form = stream.codec_context, stream.container.format.name
    if first is None:
        return Schedule(scan.count)
    if form in TIMED_FORMATS and scan.pts and first.pts in scan.pts:
        listed = listed_frames(stream)
        if codec.name in ONE_FRAME_A_PACKET or (codec.name in NEARLY_ONE_FRAME_A_PACKET and listed.empty):
            return _timed(sorted(scan.pts), first.pts, listed)
    if form == "avi" and scan.dts:
        return _ticking(scan.dts, is_certain=codec.codec.intra_only)
    return Schedule(scan.count)


def _timed(times: list[int], first: int, listed: ListedFrames) -> Schedule:
    """Of a container that times each frame. What it lists before the first frame that comes out is never shown."""
    timed = _entry_times(times, listed.entries)
    if timed:
        lost, empty_at = (
            timed.index(first),
            [at for at, (_, has_picture) in enumerate(listed.entries) if not has_picture],
        )
        repeats = frozenset(at - lost for at in empty_at if at > lost)
        return Schedule(len(timed) - lost, timed[0], timed[lost:], tuple(times[times.index(first) :]), repeats, lost)
    lost = times.index(first)
    expected = tuple(times[lost:])
    steps = [b - a for a, b in pairwise(times)]
    step = median(steps) if steps else 0
    start, empty = times[0] - round(listed.leading * step), listed.empty - listed.leading
    lost += listed.leading
    filled = with_repeats(expected, step, empty) if empty and steps else (expected, frozenset())
    if filled is None:
        return Schedule(len(expected), start, (), expected, lost=lost)
    return Schedule(len(filled[0]), start, *filled[:1], expected, filled[1], lost)


def _entry_times(times: list[int], entries: tuple[tuple[int, bool], ...]) -> tuple[int, ...]:
    """Presentation times of all entries of a list, those without a picture among them, from the times of the others.

    Empty if that is not certain: frames that are shown in another order than they are decoded in.
    """
    decoded = [time for time, has_picture in entries if has_picture]
    delays = {shown - time for shown, time in zip(times, decoded, strict=False)}
    if len(decoded) != len(times) or len(delays) != 1:
        return ()
    (delay,) = delays
    return tuple(time + delay for time, _ in entries)


def _ticking(dts: tuple[int, ...], *, is_certain: bool) -> Schedule:
    """Of an AVI, whose frames last the same number of ticks each, nearly always one: in a gap between packets, the
    frame before is shown again.

    In the order in which they come out of the decoder, frames take the ticks of the packets in theirs.
    """
    steps = [b - a for a, b in pairwise(dts)]
    step = round(median(steps)) if steps else 1
    gaps = sum(max(0, round(gap / step) - 1) for gap in steps)
    times, repeats = with_repeats(dts, step, gaps) or (dts, frozenset())
    return Schedule(len(times), dts[0], times if is_certain else (), None, repeats, entries=step)


def _distinct(times: list[int | None]) -> tuple[int, ...] | None:
    known = tuple(time for time in times if time is not None)
    return known if len(set(known)) == len(times) else None
