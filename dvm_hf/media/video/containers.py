"""Open untrusted video files and read their headers.

FFmpeg may open only video containers, because it would follow playlists and concat lists to other files, and may decode
only frames that fit into memory.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.stream import Disposition
from av.video.reformatter import ColorRange

from dvm_hf.errors import SourceError
from dvm_hf.machine_faults import source_fault
from dvm_hf.media.formats.decoder_memory import MAX_BYTES, decoder_bytes
from dvm_hf.media.formats.matroska import default_duration, pixel_crop
from dvm_hf.media.formats.mp4 import Track, declared_track
from dvm_hf.media.frame_geometry import Declared, Display, UnsupportedRotation, is_valid_aspect
from dvm_hf.media.pixels import Size
from dvm_hf.media.still.still_files import fault
from dvm_hf.media.video.video_tags import UNSPECIFIED, VideoTags, video_tags

CONTAINERS = ("mov", "matroska", "avi", "mpeg", "mpegts", "mpegvideo", "m4v")  # names of FFmpeg's demuxers
PROGRESSIVE = 1  # FFmpeg's AV_FIELD_PROGRESSIVE; 0 is unknown
MAX_FRAME_PIXELS = 2**25  # 7680 x 4320 has 33,177,600
IGNORED_DISPOSITIONS = (  # dispositions of still pictures and of streams that only complement another one
    Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image | Disposition.dependent
)
OPTIONS = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "file"}
# Decoder name: FFmpeg checks that report damage which the decoder would otherwise conceal.
ERROR_DETECTION = {"mjpeg": "explode", "hevc": "crccheck+explode"} | dict.fromkeys(
    ("msmpeg4v1", "msmpeg4v2", "msmpeg4", "wmv1", "wmv2"), "bitstream+buffer"
)
NO_OPTIONS: Mapping[str, str] = {}
UNPROBED = {"probesize": "32", "skip_frame": "all"}


@dataclass(frozen=True)
class VideoHeader:
    """Metadata that a container declares for the video stream that is read, without decoding.

    display: how frames are displayed.
    orientation: EXIF orientation, 1 .. 8; None if only a decoded frame contains it.
    invalid_aspect: declared pixel aspect ratio, if it is invalid; otherwise 0.
    frame_count: frames that are displayed; 0 if the header has no count.
    seconds: duration.
    start: seconds at which the first listed frame is displayed; None if the container's times start anywhere.
    rate: frames per second; 0 if unknown.
    declares_rate: False if FFmpeg estimated the rate from the first timestamps.
    has_range, has_matrix: whether the codec or the container declares a colour range and a matrix, or needs none.
    streams: number of video streams in the file.
    index: index of the stream that is read.
    """

    display: Display
    orientation: int | None
    invalid_aspect: Fraction
    frame_count: int
    seconds: float
    start: float | None
    rate: Fraction
    declares_rate: bool
    codec: str
    has_range: bool
    has_matrix: bool
    is_interlaced: bool
    tags: VideoTags
    streams: int
    index: int

    @property
    def upright_size(self) -> Size:
        """Displayed size; the size before rotation if the orientation is unknown."""
        return self.display.size


def address(path: Path) -> str:
    """Return the absolute path as text, because FFmpeg would take the start of a name with a colon for a protocol."""
    return str(path.absolute())


def opened_container(path: Path, *, is_probed: bool = True, options: Mapping[str, str] = NO_OPTIONS) -> Any:
    """Open a container for reading; the caller closes it. Raises SourceError.

    is_probed: whether FFmpeg may decode the first frames to find what the header lacks, such as the pixel format. This
    takes as long as decoding a frame, 24 ms at 1080p.
    options: further options of the demuxer.
    """
    try:
        return av.open(address(path), options={**OPTIONS, **({} if is_probed else UNPROBED), **options})
    except (av.FFmpegError, OSError, ValueError) as error:
        text = f"{path}: cannot be read as a video ({fault(path, error)}); replace the file"
        raise source_fault(path, error, text) from error


def opened_bytes(name: str, data: bytes) -> Any:
    """Open an MP4 in memory for reading; the caller closes it. Raises SourceError, which begins with `name`."""
    try:  # without the edit list, the frames are those that the file contains
        return av.open(io.BytesIO(data), format="mp4", options={**OPTIONS, **UNPROBED, "ignore_editlist": "1"})
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(
            f"{name} ({len(data)} bytes): cannot be read as a video ({error}); rebuild the dataset"
        ) from error


def playable_streams(container: Any) -> list[Any]:
    """Return the video streams, except cover art, thumbnails and other still pictures."""
    return [stream for stream in container.streams.video if not stream.disposition & IGNORED_DISPOSITIONS]


def main_stream(container: Any) -> Any:
    """Return the video stream that players select, or None if there is no video stream.

    Streams flagged as default (enabled tracks in MP4) take precedence. Among several, select the first one in MP4,
    where tracks are alternatives, and the one with the most pixels in other containers, because all Matroska tracks
    are flagged as default unless they declare otherwise. The selection uses the header only, so it does not depend on
    how much FFmpeg has probed.
    """
    is_mp4 = container.format.name.startswith("mov")

    def rank(stream: Any) -> tuple[bool, int, int]:
        codec = stream.codec_context
        area = 0 if codec is None or is_mp4 else codec.height * codec.width
        return bool(stream.disposition & Disposition.default), area, -stream.index

    return max(playable_streams(container), key=rank, default=None)


def pixel_aspect(stream: Any) -> Fraction:
    """Return pixel width / height as declared by the container, otherwise by the codec; 0 if neither declares it.

    Some codecs report it only after a frame is decoded.
    """
    for aspect in (stream.sample_aspect_ratio, stream.codec_context.sample_aspect_ratio):
        if aspect is not None and aspect.numerator > 0 and aspect.denominator > 0:
            return Fraction(int(aspect.numerator), int(aspect.denominator))
    return Fraction(0)


def declared_geometry(path: Path, stream: Any) -> Declared:
    """Return the pixel aspect ratio and clean aperture of a stream; an invalid aspect ratio is ignored.

    Raises SourceError if the displayed frame exceeds the maximum size.
    """
    container, aspect = stream.container, pixel_aspect(stream)
    is_mp4, is_matroska = (container.format.name.startswith(name) for name in ("mov", "matroska"))
    track = declared_track(path, stream.id) if is_mp4 else None
    aperture = track.aperture if track is not None else None
    if is_matroska:
        aperture = pixel_crop(path, list(container.streams.video).index(stream))
    stored = Size(stream.codec_context.height, stream.codec_context.width)
    if track is not None and aperture is not None and not track.has_aspect:
        # FFmpeg compares the size in the track header with the stored frame; that size is the one of the aperture
        aspect *= Fraction(stored.width * aperture.height, stored.height * aperture.width)
    declared = Declared(aspect if is_valid_aspect(aspect) else Fraction(1), aperture)
    size = Display(stored, declared=declared).size
    if size.height * size.width > MAX_FRAME_PIXELS:
        raise SourceError(
            f"{path}: its pixel aspect ratio of {aspect.numerator}:{aspect.denominator} makes the displayed frame "
            f"{size}; the maximum is {MAX_FRAME_PIXELS:,} px per frame; shrink the video"
        )
    return declared


def video_stream(path: Path, container: Any) -> Any:
    """Return the video stream that is read, ready to decode.

    Raises SourceError if there is no video stream, or its header exceeds a limit or contradicts the file size.
    """
    stream = main_stream(container)
    if stream is None:
        raise SourceError(f"{path}: contains no video stream; replace the file")
    if stream.codec_context is None:
        raise SourceError(f"{path}: FFmpeg has no decoder for its video; convert the file")
    size = Size(stream.codec_context.height, stream.codec_context.width)
    if size.height * size.width > MAX_FRAME_PIXELS:
        raise SourceError(
            f"{path}: declares {size}; the maximum is {MAX_FRAME_PIXELS:,} px per frame; replace or shrink the video"
        )
    held, layout = decoder_bytes(stream.codec_context), stream.codec_context.pix_fmt
    if held > MAX_BYTES:
        raise SourceError(
            f"{path}: decoding its frames of {size} ({layout}) takes {held:,} bytes for "
            f"reference frames; the maximum is {MAX_BYTES:,}; convert it to 8 bits and 4:2:0, or shrink it"
        )
    size_in_bytes = path.stat().st_size
    if stream.frames > size_in_bytes:
        raise SourceError(
            f"{path}: declares {stream.frames:,} frames, but the file has {size_in_bytes:,} bytes; a frame "
            "takes at least one; replace the file"
        )
    if container.format.name.startswith("mov"):
        _require_readable_edits(path, declared_track(path, stream.id))
    stream.codec_context.options = decoder_options(stream, max_pixels=MAX_FRAME_PIXELS)
    return stream


def _require_readable_edits(path: Path, track: Track) -> None:
    """Raise SourceError if FFmpeg shows other frames than the edit list of an MP4 or MOV."""
    if track.has_gap:
        raise SourceError(
            f"{path}: its edit list has an empty edit between others, where FFmpeg shows frames that no edit contains; "
            "re-encode it without the gap"
        )
    if track.edit_rate != 1:
        raise SourceError(
            f"{path}: its edit list has a media rate of {float(track.edit_rate):.6g}, but FFmpeg shows all edits at a "
            "rate of 1; re-encode it at normal speed"
        )


def decoder_options(stream: Any, *, max_pixels: int) -> dict[str, str]:
    """Return the decoder options of a stream.

    They limit the frame size, because a stream may contradict its header, and enable the checks that report damage.
    """
    limit = {"max_pixels": str(max_pixels)}
    checks = ERROR_DETECTION.get(stream.codec_context.name)
    return limit | ({} if checks is None else {"err_detect": checks})


def exact(rational: Any) -> Fraction:
    """Convert a rate or time base of PyAV to a Fraction; 0 if it is unset.

    PyAV 18 returns a Fraction or None. PyAV 19 returns an AVRational, which may be 0/0 or 1/0 and has no `abs()`,
    `round()` or `//`. Convert each value where you read it.
    """
    if isinstance(rational, Fraction):
        return rational
    return Fraction(rational.numerator, rational.denominator) if rational and rational.denominator else Fraction(0)


class ListedFrames(NamedTuple):
    """Frames in the index of a container.

    shown: number of listed frames that are displayed; 0 if the container has no index.
    entries: decoding time of each frame in ticks, and whether it has a picture; empty if all have one.
    """

    shown: int
    entries: tuple[tuple[int, bool], ...] = ()

    @property
    def empty(self) -> int:
        """Number of entries without a picture."""
        return sum(not has_picture for _, has_picture in self.entries)

    @property
    def leading(self) -> int:
        """Number of entries before the first picture."""
        return next((at for at, (_, has_picture) in enumerate(self.entries) if has_picture), 0)


def listed_frames(stream: Any) -> ListedFrames:
    """Return the frames in the index of an open video stream.

    An MP4 with an edit list may display fewer or more frames than it contains. If the duration contradicts the index,
    as in a fragmented MP4, the index is ignored.
    """
    listed = int(stream.frames)
    seconds = (stream.duration or 0) * exact(stream.time_base)
    if not listed or listed < seconds * exact(stream.average_rate) - 1:
        return ListedFrames(0)
    if not stream.container.format.name.startswith("mov"):
        return ListedFrames(listed)
    found = [(entry.timestamp, entry.size > 0) for entry in stream.index_entries if not entry.is_discard]
    if not found:  # the edit list discards every entry
        return ListedFrames(listed)
    return ListedFrames(len(found), () if all(has_picture for _, has_picture in found) else tuple(found))


def video_header(path: Path) -> VideoHeader:
    """Read the header of a video file. Raises SourceError if the video cannot be used."""
    with opened_container(path) as container:
        stream = video_stream(path, container)
        codec = stream.codec_context
        seconds = (stream.duration or 0) * exact(stream.time_base) or (container.duration or 0) / av.time_base
        tags = video_tags(stream)
        has_range = tags.colour_range != ColorRange.UNSPECIFIED or tags.layout.startswith("yuvj")
        declared, aspect = declared_geometry(path, stream), pixel_aspect(stream)
        orientation = _orientation(path, stream)
        is_invalid = aspect != 0 and not is_valid_aspect(aspect)
        return VideoHeader(
            display=Display(Size(codec.height, codec.width), orientation or 1, declared),
            orientation=orientation,
            invalid_aspect=aspect if is_invalid else Fraction(0),
            frame_count=listed_frames(stream).shown,
            seconds=float(seconds),
            start=_start(stream),
            rate=exact(stream.average_rate),
            declares_rate=_declares_rate(path, stream),
            codec=codec.name,
            has_range=has_range or not tags.has_chroma,
            has_matrix=tags.matrix != UNSPECIFIED or not tags.has_chroma,
            is_interlaced=int(codec.field_order or 0) > PROGRESSIVE,
            tags=tags,
            streams=len(playable_streams(container)),
            index=stream.index,
        )


def _declares_rate(path: Path, stream: Any) -> bool:
    """Return whether the container declares a frame rate.

    Only Matroska has to be parsed for it: other containers list their frames, or store rates that their codecs need.
    """
    if not stream.container.format.name.startswith("matroska"):
        return bool(exact(stream.average_rate))
    return default_duration(path, list(stream.container.streams.video).index(stream)) > 0


def _start(stream: Any) -> float | None:
    """Return the start time of a stream. Clocks of MPEG streams start anywhere, and AVI has none."""
    if not stream.container.format.name.startswith(("mov", "matroska")):
        return None
    return float((stream.start_time or 0) * exact(stream.time_base))


def _orientation(path: Path, stream: Any) -> int | None:
    if not stream.container.format.name.startswith("mov"):
        return None
    try:
        return declared_track(path, stream.id).orientation
    except UnsupportedRotation as error:
        raise rotation_error(path, error) from error


def rotation_error(path: Path, error: UnsupportedRotation) -> SourceError:
    """Return the error for a display matrix that does not rotate by a multiple of 90 degrees."""
    return SourceError(f"{path}: its display matrix {error}")
