"""Convert decoded frames: RGB of a box, or luma or alpha channel as grey."""

import functools
import re
import struct
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.reformatter import ColorRange

from dvm_hf.errors import SourceError
from dvm_hf.media.frame_geometry import Display, orientation
from dvm_hf.media.pixels import Box, Pixels, Size, scaled_to_8_bit
from dvm_hf.media.video.opening_facts import AlphaChannel, FirstFrame
from dvm_hf.media.video.video_tags import Role, VideoTags

# Formats whose first plane is luma. It is read directly, because swscale converts some whites to 253 in 8 bits.
PLANAR_LUMA = re.compile(r"(yuva?j?4\d\dp|nv12)((?P<bits>9|10|12|14|16)le)?")
# If both sides are even, swscale converts these formats to the same values in RGB and BGR order. Other formats differ
# by up to 8 levels, and are converted to BGR as in OpenCV's reader.
SAME_IN_RGB_AND_BGR = ("yuv420p", "yuvj420p")
# swscale's threads save no time on a frame (0.6 ms at 1080p either way), take longer than the work on a crop, and write
# wrong pixels between their slices when converting to gray16le (seen with 10 bits and four threads).
SCALER_THREADS = 1
STRIDE = 32  # px; swscale converts at most this many columns per step, so cut-out parts are aligned to it


class Picture:
    """A decoded frame in its stored format. A part is converted when it is requested.

    It can be kept after its video is closed.

    size: (height, width) as displayed.
    role, reads_alpha_channel: of the video, see `Video`.
    index: of the frame, for messages.
    """

    def __init__(
        self,
        frame: Any,
        reformatter: Any,
        *,
        path: Path,
        display: Display,
        role: Role = "colour",
        reads_alpha_channel: bool = False,
        index: int = 0,
    ) -> None:
        self._frame, self._reformatter, self._path, self._display = frame, reformatter, path, display
        self._role, self._reads_alpha_channel, self._index = role, reads_alpha_channel, index
        self.size = display.size
        self._whole_rgb: Pixels | None = None

    @property
    def nbytes(self) -> int:
        """Largest number of bytes that the picture can hold: the stored frame, and a complete conversion if one is
        needed for any part.
        """
        stored = sum(int(plane.buffer_size) for plane in self._frame.planes)
        return stored if self._is_plain else stored + 3 * self.size.height * self.size.width

    @property
    def bytes_per_pixel(self) -> float:
        """`nbytes` per pixel without padding, so that it is the same on every machine."""
        return self._frame.format.padded_bits_per_pixel / 8 + (0 if self._is_plain else 3)  # type: ignore[no-any-return]

    @property
    def bits(self) -> int:
        """Bits per channel of the stored frame."""
        return max(int(part.bits) for part in self._frame.format.components)

    def rgb(self, box: Box) -> Pixels:
        """Return the RGB pixels (h, w, 3) in a box, equal to that crop of the complete frame, as a new array."""
        whole = Box(0, 0, *self.size)
        if self._whole_rgb is not None:
            return self._whole_rgb[box.within(whole)].copy()
        if box.is_empty:
            return np.zeros((box.height, box.width, 3), np.uint8)
        part = Box(
            box.top // 2 * 2, box.left // STRIDE * STRIDE, -(-box.bottom // 2) * 2, -(-box.right // STRIDE) * STRIDE
        )
        part = part.intersection(whole)
        if self._is_plain and 2 * part.height * part.width < whole.height * whole.width:
            return self._converted(self._cut(part))[box.within(part)]
        full = self._display.shown(self._converted(self._frame))
        pixels = full[box.within(whole)]
        if not self._is_plain and 2 * pixels.size < full.size:
            self._whole_rgb = full  # other parts of the frame are likely to follow
        return pixels.copy() if 2 * pixels.size < full.size else pixels  # a small view would keep the frame in memory

    @functools.cached_property
    def _is_plain(self) -> bool:
        """Whether a part of the stored frame can be converted alone, to the same values."""
        # swscale converts interlaced 4:2:0 field by field, but not if only a part of the frame is passed.
        is_progressive = not self._frame.interlaced_frame
        is_even = self.size.height % 2 == self.size.width % 2 == 0
        return bool(
            self._frame.format.name in SAME_IN_RGB_AND_BGR and self._display.is_stored and is_progressive and is_even
        )

    def alpha(self, box: Box) -> Pixels:
        """Return the alpha (h, w) in a box, equal to that crop of the complete frame, as a new array.

        Raises SourceError if the frame has no alpha channel although the first one has, or if its alpha channel is not
        opaque although the luma is read.
        """
        layout = self._frame.format.name
        planar = None if has_alpha(layout) else PLANAR_LUMA.fullmatch(layout)
        if planar and self._display.is_stored and not self._reads_alpha_channel:
            return grey_luma(self._frame, int(planar["bits"] or 8), box)
        return self._whole_alpha[box.within(Box(0, 0, *self.size))].copy()

    @functools.cached_property
    def _whole_alpha(self) -> Pixels:
        return self._display.shown(self._stored_alpha())

    def _stored_alpha(self) -> Pixels:
        channel = alpha_channel(self._frame, self._reformatter)
        if self._reads_alpha_channel and channel is not None:
            return channel
        if self._role == "both":
            raise SourceError(
                f"{self._path}: frame {self._index} has no alpha channel, but frame 0 has one; re-export the video"
            )
        if channel is not None and channel.min() < 255:
            raise late_alpha_error(self._path, self._index)
        planar = PLANAR_LUMA.fullmatch(self._frame.format.name)
        if planar:
            return grey_luma(self._frame, int(planar["bits"] or 8))
        return _grey(self._frame, self._reformatter)

    def _cut(self, part: Box) -> Any:
        """Cut a box out of the 4:2:0 planes of the frame; its edges must be aligned to chroma samples."""
        cut = av.VideoFrame(part.width, part.height, self._frame.format.name)  # `from_ndarray` copies pixels twice
        for plane, cut_plane, step in zip(self._frame.planes, cut.planes, (1, 2, 2), strict=True):
            rows = slice(part.top // step, part.bottom // step), slice(part.left // step, part.right // step)
            _rows(cut_plane)[:, : part.width // step] = _rows(plane)[rows]
        cut.colorspace, cut.color_range = self._frame.colorspace, self._frame.color_range
        return cut

    def _converted(self, frame: Any) -> Pixels:
        """Convert a frame to RGB. For formats in `SAME_IN_RGB_AND_BGR`, return a view of the converted frame."""
        is_even = frame.height % 2 == frame.width % 2 == 0
        is_same = frame.format.name in SAME_IN_RGB_AND_BGR and is_even
        try:
            packed = self._reformatter.reformat(
                frame, format="rgb24" if is_same else "bgr24", interpolation="BICUBIC", threads=SCALER_THREADS
            )
        except (av.FFmpegError, OSError) as error:
            raise SourceError(
                f"{self._path}: its colours ({frame.format.name}, matrix {frame.colorspace}) cannot be converted "
                f"to RGB ({error.strerror}); convert the video, for example to BT.709"
            ) from error
        plane = packed.planes[0]
        shape, strides = (packed.height, packed.width, 3), (plane.line_size, 3, 1)
        pixels: Pixels = np.ndarray(shape, np.uint8, memoryview(plane), strides=strides)
        return pixels if is_same else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def _rows(plane: Any) -> Pixels:
    """Return the rows of a plane (h, line size) with their padding, as a view."""
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)


def grey_luma(frame: Any, bits: int, box: Box | None = None) -> Pixels:
    """Return the luma of a frame in a `PLANAR_LUMA` format as full-range grey (H, W), or that of a box of it."""
    rows = _rows(frame.planes[0])
    whole = Box(0, 0, frame.height, frame.width)
    luma = (rows if bits == 8 else rows.view("<u2"))[(whole if box is None else box).within(whole)]
    levels = luma_levels(bits, is_full_range(frame))
    return cv2.LUT(luma, levels) if bits == 8 and luma.size else levels[luma]  # type: ignore[return-value]


def _grey(frame: Any, reformatter: Any) -> Pixels:
    """Convert a frame of any other format to grey (H, W), via 16 bits."""
    grey = reformatter.reformat(frame, format="gray16le", interpolation="BICUBIC", threads=SCALER_THREADS)
    values = _rows(grey.planes[0]).view("<u2")
    return scaled_to_8_bit(values[: grey.height, : grey.width])


@functools.cache
def has_alpha(layout: str) -> bool:
    """Return whether a pixel format has an alpha channel."""
    return any(part.is_alpha for part in av.VideoFormat(layout).components)


def late_alpha_error(path: Path, index: int) -> SourceError:
    """Return the error for an alpha channel that is opaque in the first frame but not in a later one."""
    return SourceError(
        f"{path}: its alpha channel is opaque in frame 0 but not in frame {index}, so either that channel or the luma "
        "may be the alpha; save the alpha as a grey video"
    )


def is_full_range(frame: Any) -> bool:
    """Return whether the luma of a frame, or its grey or RGB values, are full range."""
    name = frame.format.name
    return name.startswith("yuvj") or frame.color_range == ColorRange.JPEG or not name.startswith(("yuv", "nv"))


@functools.cache
def luma_levels(bits: int, is_full: bool) -> Pixels:
    """Return the grey level, 0 .. 255, of each luma value. Limited-range luma is 16 .. 235 in 8 bits."""
    luma = np.arange(1 << bits)
    grey = luma * (255 / ((1 << bits) - 1)) if is_full else (luma / (1 << (bits - 8)) - 16) * (255 / 219)
    return np.clip(np.round(grey), 0, 255).astype(np.uint8)


def orientation_of(frame: Any) -> int:
    """Return the EXIF orientation, 1 .. 8, of a decoded frame's display matrix; 1 if it has no matrix.

    Raises UnsupportedRotation if the angle is not a multiple of 90 degrees.
    """
    side_data: Any = SideDataContainer
    # not `frame.side_data`, a reference cycle that keeps the frame, 3 MB at 1080p, until the next garbage collection
    data = side_data(frame).get("DISPLAYMATRIX")
    return 1 if data is None else orientation(struct.unpack("=9i", memoryview(data)))


def first_frame(frame: Any, tags: VideoTags, reformatter: Any) -> FirstFrame:
    """Return the properties of the first frame of a video, as decoded. Raises UnsupportedRotation."""
    channel = alpha_channel(frame, reformatter) if has_alpha(frame.format.name) else None
    state: AlphaChannel = "none" if channel is None else "used" if channel.min() < 255 else "opaque"
    return FirstFrame(Size(frame.height, frame.width), frame.rotation, orientation_of(frame), tags, state)


def alpha_channel(frame: Any, reformatter: Any) -> Pixels | None:
    """Return the alpha channel (H, W) of a frame, which is always full range, or None if it has none."""
    components = frame.format.components
    found = [part for part in components if part.is_alpha]
    if not found:
        return None
    (part,) = found
    shared = sum(other.plane == part.plane for other in components)  # components in the plane of the alpha
    plane, name = frame.planes[part.plane], frame.format.name
    rows = _rows(plane)[: frame.height]
    if part.bits == 8 and frame.format.padded_bits_per_pixel == 8 * len(components):
        # Packed formats name their components in the order of their bytes. swscale converts 255 of some to 254.
        at = 0 if name.startswith("a") else shared - 1
        return np.ascontiguousarray(rows[:, at : shared * frame.width : shared])
    if shared == 1 and part.bits == 8:
        return np.ascontiguousarray(rows[:, : frame.width])
    if shared == 1 and name.endswith("le") and part.bits <= 16 and "f" not in name:
        levels = luma_levels(part.bits, True)
        return levels[rows.view("<u2")[:, : frame.width]]  # type: ignore[no-any-return]
    packed = reformatter.reformat(frame, format="rgba64le", interpolation="BICUBIC", threads=SCALER_THREADS)
    values = _rows(packed.planes[0]).view("<u2")
    return scaled_to_8_bit(values[: frame.height, 3 : 4 * frame.width : 4])
