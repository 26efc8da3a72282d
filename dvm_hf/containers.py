"""Open a video file that may be hostile; what its header says.

Files come from strangers: FFmpeg is kept to containers of video, since it would follow a playlist or a list of parts
to other files, and to frames of a size that fits into memory.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.video.reformatter import ColorRange

from dvm_hf.decoder_memory import MOST_BYTES, decoder_bytes
from dvm_hf.errors import SourceError
from dvm_hf.geometry import Size
from dvm_hf.image_io import fault
from dvm_hf.machine_faults import source_fault
from dvm_hf.mp4_parts import display_rotation

CONTAINERS = ("mov", "matroska", "avi", "mpeg", "mpegts", "mpegvideo", "m4v")  # FFmpeg's names of its demuxers
UNSPECIFIED_MATRIX = 2  # FFmpeg's AVCOL_SPC_UNSPECIFIED, which PyAV does not name
MOST_FRAME_PIXELS = 2**25  # 7680 x 4320 has 33,177,600
SIDEWAYS = (90, 270)  # degrees that exchange height and width
OPTIONS = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "file"}
UNPROBED = {"probesize": "32", "skip_frame": "all"}


@dataclass(frozen=True)
class VideoHeader:
    """What a container says of its first video stream, without decoding.

    size: as stored, before any rotation. rotation: degrees, anticlockwise, by which frames are turned upright; None
    where only decoding tells. frame_count: of the frames that are shown, 0 where the header has none. rate: frames a
    second, 0 where unknown; nominal_rate: the rate that all time stamps fit. has_range, has_matrix: whether the colours
    are tagged.
    """

    size: Size
    rotation: int | None
    frame_count: int
    seconds: float
    rate: Fraction
    nominal_rate: Fraction
    codec: str
    is_full_range: bool
    has_range: bool
    has_matrix: bool

    @property
    def upright_size(self) -> Size:
        """As `size`, where the rotation is unknown."""
        return Size(self.size.width, self.size.height) if self.rotation in SIDEWAYS else self.size


def address(path: Path) -> str:
    """As FFmpeg takes it: absolute, as it would read a scheme into a name with a colon."""
    return str(path.absolute())


def opened_container(path: Path, *, is_probed: bool = True) -> Any:
    """A container to read from, to be closed by the caller; raises SourceError naming the file.

    is_probed: whether FFmpeg may decode the first frames for what the header does not say, such as the pixel format.
    It costs as much as a frame, 24 ms at 1080p.
    """
    try:
        return av.open(address(path), options=OPTIONS | ({} if is_probed else UNPROBED))
    except (av.FFmpegError, OSError, ValueError) as error:
        text = f"{path}: cannot be read as a video ({fault(path, error)}); replace the file"
        raise source_fault(path, error, text) from error


def video_stream(path: Path, container: Any) -> Any:
    """Its first video stream, to be decoded; raises SourceError where there is none or its header cannot be true."""
    if not container.streams.video:
        raise SourceError(f"{path}: holds no video stream; replace the file")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise SourceError(f"{path}: FFmpeg has no decoder for its video; convert the file")
    size = Size(stream.codec_context.height, stream.codec_context.width)
    if size.height * size.width > MOST_FRAME_PIXELS:
        raise SourceError(
            f"{path}: its header says {size}; the most allowed are {MOST_FRAME_PIXELS:,} px a "
            "frame; replace or shrink the video"
        )
    held, layout = decoder_bytes(stream.codec_context), stream.codec_context.pix_fmt
    if held > MOST_BYTES:
        raise SourceError(
            f"{path}: decoding its frames of {size} ({layout}) takes {held:,} bytes for those "
            f"that others refer to; the most allowed are {MOST_BYTES:,}; convert it to 8 bits and 4:2:0, or shrink it"
        )
    size_in_bytes = path.stat().st_size
    if stream.frames > size_in_bytes:
        raise SourceError(
            f"{path}: its header says {stream.frames:,} frames, but the file has {size_in_bytes:,} bytes; a frame "
            "takes one at least; replace the file"
        )
    stream.codec_context.options = {"max_pixels": str(MOST_FRAME_PIXELS)}  # a stream may contradict its header
    return stream


def hidden_frames(stream: Any) -> int:
    """How many listed frames an MP4's edit list leaves out, such as those between a key frame and a cut behind it."""
    is_mp4 = stream.container.format.name.startswith("mov")
    listed = getattr(stream, "index_entries", ()) if is_mp4 else ()
    shown = sum(not entry.is_discard for entry in listed)  # what lies far outside FFmpeg drops from the index
    return int(stream.frames) - shown if 0 < shown < len(listed) <= stream.frames else 0


def video_header(path: Path) -> VideoHeader:
    """Header of a video file; raises SourceError where it cannot be used."""
    with opened_container(path) as container:
        stream = video_stream(path, container)
        codec = stream.codec_context
        seconds = (stream.duration or 0) * (stream.time_base or 0) or (container.duration or 0) / av.time_base
        layout, is_luma = codec.pix_fmt or "", (codec.pix_fmt or "").startswith(("yuv", "nv"))
        is_full = codec.color_range == ColorRange.JPEG or layout.startswith("yuvj") or not is_luma
        return VideoHeader(
            size=Size(codec.height, codec.width),
            rotation=display_rotation(path),
            frame_count=int(stream.frames) - hidden_frames(stream),
            seconds=float(seconds),
            rate=stream.average_rate or Fraction(0),
            nominal_rate=stream.base_rate or Fraction(0),
            codec=codec.name,
            is_full_range=is_full,
            has_range=is_full or codec.color_range != ColorRange.UNSPECIFIED,
            has_matrix=not is_luma or codec.colorspace != UNSPECIFIED_MATRIX,
        )
