"""Decode a complete video and measure its frames, timestamps, luma levels and chroma."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from dvm_hf.errors import SourceError
from dvm_hf.machine_faults import raise_machine_fault
from dvm_hf.media.formats.mp4_samples import Mp4Samples
from dvm_hf.media.formats.packet_checksums import is_damaged
from dvm_hf.media.frame_geometry import Display, UnsupportedRotation
from dvm_hf.media.pixels import Pixels, Size
from dvm_hf.media.video.containers import declared_geometry, exact, opened_container, rotation_error, video_stream
from dvm_hf.media.video.decoded_frames import alpha_channel, is_full_range, late_alpha_error, orientation_of
from dvm_hf.media.video.sequential_frames import listed_samples
from dvm_hf.media.video.video_tags import Role, require_readable, specify_colours, video_tags

NO_SIZE = Size(0, 0)
COLOURED = 10  # levels; a larger chroma difference from grey counts as coloured
CHROMA_STEP = 16  # chroma is measured in every 16th frame


@dataclass
class Measures:
    """Measurements of a completely decoded video.

    frames: number of frames that can be decoded.
    fault: why decoding stopped; empty at the regular end of the video.
    display: display geometry of frame 0.
    is_full_range: whether the luma of frame 0 is full range.
    interlaced: number of frames flagged as interlaced.
    uses_alpha_channel: whether the alpha is read from the file's alpha channel; `luma` then counts the levels of that
        channel.
    new_size: index and size of the first frame whose size differs from frame 0.
    steps: seconds from each frame to the next.
    luma: histogram of the 256 levels, as stored.
    coloured: fraction of the chroma that is not grey.
    tick: time base of the timestamps, in seconds.
    """

    frames: int = 0
    fault: str = ""
    display: Display = field(default_factory=lambda: Display(NO_SIZE))
    is_full_range: bool = False
    interlaced: int = 0
    uses_alpha_channel: bool = False
    new_size: tuple[int, Size] | None = None
    steps: list[float] = field(default_factory=list)
    luma: np.ndarray = field(default_factory=lambda: np.zeros(256))
    coloured: float = 0.0
    tick: float = 0.0

    @property
    def upright_size(self) -> Size:
        return self.display.size

    @property
    def size(self) -> Size:
        """Stored size."""
        return self.display.stored


def measured(path: Path, *, visit: Callable[[int, Any], None] | None = None, role: Role = "colour") -> Measures:
    """Decode and measure all frames, and call `visit(index, frame)` for each.

    Raises SourceError if no frame can be decoded or the video cannot be used.
    """
    found = Measures()
    times: list[float | None] = []
    with opened_container(path) as container:
        stream = video_stream(path, container)
        found.tick = float(exact(stream.time_base))
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = 1  # one process per core
        declared = video_tags(stream)
        frames = _decoded(container, stream, listed_samples(path, stream))
        try:
            for frame in frames:
                if frame is None:
                    times.append(None)
                    continue
                if frame.is_corrupt:
                    found.fault = "it is damaged"
                    break
                specify_colours(frame, declared)
                if not found.frames:
                    for tags in (declared, video_tags(stream, frame)):
                        require_readable(path, tags, role)
                    found.display, found.is_full_range = _display(path, stream, frame), is_full_range(frame)
                    found.uses_alpha_channel = role == "alpha" and _channel(frame) is not None
                _measure(found, frame)
                if role == "alpha" and not found.uses_alpha_channel and _channel(frame) is not None:
                    raise late_alpha_error(path, found.frames - 1)
                times.append(None if frame.pts is None else frame.pts * found.tick)
                if visit is not None:
                    visit(found.frames - 1, frame)
        except SourceError:
            raise
        except (av.FFmpegError, OSError, ValueError) as error:
            raise_machine_fault(path, error)
            found.fault = getattr(error, "strerror", None) or str(error)
        finally:
            frames.close()
    if not found.frames:
        raise SourceError(f"{path}: no frame of the video can be decoded; replace the file")
    found.steps = [b - a for a, b in pairwise(times) if a is not None and b is not None]
    found.coloured /= -(-found.frames // CHROMA_STEP)
    return found


def _decoded(container: Any, stream: Any, samples: Mp4Samples) -> Generator[Any, None, None]:
    """Yield the decoder's frames, and None between two parts that an edit list joins.

    Empty packets (frames without a picture) are skipped: they would end the decoder.
    """
    codec = stream.codec_context
    has_header = bool(codec.extradata)
    before: int | None = None
    for packet in container.demux(stream):
        if packet.size and samples.is_jump(before, packet.pos):
            yield from codec.decode(None)
            codec.flush_buffers()
            yield None
        before = packet.pos if packet.size else before
        if packet.size and is_damaged(codec.name, memoryview(packet), has_header=has_header):
            yield from codec.decode(None)
            raise ValueError("its checksum does not match")
        if packet.size:
            yield from codec.decode(packet)
    yield from codec.decode(None)


class OutsideColours:
    """Colours of a video foreground where its alpha is 0, measured in some frames.

    Pass the frames of the alpha first, then the frames of the colour with the same indices.
    """

    def __init__(self, *, every: int, limit: int) -> None:
        self._every, self._limit = every, limit
        self._masks: dict[int, tuple[tuple[int, int], np.ndarray]] = {}
        self._pixels = self._black = self._white = 0

    def take_alpha(self, index: int, frame: Any) -> None:
        if index % self._every == 0 and len(self._masks) < self._limit:
            mask = empty_mask(frame)
            self._masks[index] = mask.shape, np.packbits(mask)

    def take_colour(self, index: int, frame: Any) -> None:
        shape, packed = self._masks.pop(index, ((0, 0), None))
        if packed is None or shape != (frame.height, frame.width):
            return
        mask = np.unpackbits(packed, count=shape[0] * shape[1]).reshape(shape).astype(bool)
        pixels = frame.to_ndarray(format="rgb24")[mask]
        self._pixels += len(pixels)
        # A tolerance of 10 levels allows for compression noise.
        self._black += int((pixels.max(1, initial=0) <= 10).sum())
        self._white += int((pixels.min(1, initial=255) >= 245).sum())

    def shares(self) -> dict[str, float]:
        """Return the fractions of black and white pixels; empty if there are fewer than 1,000 pixels."""
        if self._pixels < 1000:
            return {}
        return {"black": self._black / self._pixels, "white": self._white / self._pixels}


def empty_mask(frame: Any) -> np.ndarray:
    """Return a mask (H, W) of the pixels whose alpha is 0, within 2 levels."""
    channel = _channel(frame)
    grey: Pixels = frame.to_ndarray(format="gray") if channel is None else channel
    return grey <= 2


def _channel(frame: Any) -> Pixels | None:
    """Return the alpha channel of a frame, or None if there is none or it is fully opaque."""
    channel = alpha_channel(frame, VideoReformatter())
    return None if channel is None or channel.min() == 255 else channel


def _display(path: Path, stream: Any, frame: Any) -> Display:
    try:
        return Display(Size(frame.height, frame.width), orientation_of(frame), declared_geometry(path, stream))
    except UnsupportedRotation as error:
        raise rotation_error(path, error) from error


def _measure(found: Measures, frame: Any) -> None:
    size = Size(frame.height, frame.width)
    if size != found.size and found.new_size is None:
        found.new_size = found.frames, size
    found.interlaced += bool(frame.interlaced_frame)
    if found.uses_alpha_channel:
        channel = alpha_channel(frame, VideoReformatter())
        if channel is not None:
            found.luma += np.bincount(channel.ravel(), minlength=256)
        found.frames += 1
        return
    luma, is_yuv = grey_luma(frame)
    found.luma += cv2.calcHist([luma], [0], None, [256], [0, 256]).ravel()
    if found.frames % CHROMA_STEP == 0:
        found.coloured += _coloured_share(frame, is_yuv)
    found.frames += 1


def grey_luma(frame: Any) -> tuple[Pixels, bool]:
    """Return 8-bit grey levels (H, W), and whether they are a luma plane as stored."""
    name = frame.format.name
    if not name.startswith(("yuv", "nv12")) or name.startswith(("yuyv", "yuv4444")):
        return frame.to_ndarray(format="gray"), False
    plane, bits = frame.planes[0], frame.format.components[0].bits
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height]
    if bits == 8:
        return np.ascontiguousarray(rows[:, : frame.width]), True
    return (rows.view("<u2")[:, : frame.width] >> (bits - 8)).astype(np.uint8), True


def _coloured_share(frame: Any, is_yuv: bool) -> float:
    if not is_yuv and len(frame.format.components) < 3:
        return 0.0
    chroma = frame.to_ndarray(format="yuv444p")[1:].astype(np.int16)  # neutral is 128 in either range
    return float((abs(chroma - 128).max(0) > COLOURED).mean())
