"""Cut a smaller JPEG out of a JPEG with restart markers, so that a crop costs the decoding of a part of the picture.

A decoder resets its predictions at each marker, so the intervals between markers can be decoded independently (ITU-T
T.81, E.2.4 and F.2.2.1.3). `picture_part` copies the intervals that a box touches. Only the form that OpenCV, libjpeg
and Pillow write is accepted: baseline, 8 bits, one interleaved scan, an interval that divides the row's MCUs, markers
in order. Any other file is for the caller to decode completely.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dvm_hf.media.pixels import Box, Pixels

SOI = b"\xff\xd8"
RST0, EOI = 0xD0, 0xD9  # second bytes of markers, table B.1; RST0 to RST7 take turns
SOF0, DHT, SOS, DQT, DRI, APP0 = 0xC0, 0xC4, 0xDA, 0xDB, 0xDD, 0xE0
COPIED = (APP0, DQT, DHT)  # other types can change the pixels: Exif by its orientation, Adobe's by their colours
BLOCK = 8  # px
SAMPLINGS = (0x11, 0x21, 0x12, 0x22)  # horizontal and vertical factor of luma; those of chroma must be 1
SEQUENTIAL = b"\x00\x3f\x00"  # Ss, Se, Ah and Al of a scan with all coefficients, B.2.3
# Decoders interpolate chroma between samples that are up to 2 px apart. libjpeg repeats them instead in a picture of up
# to 4 px in width, so a part must not be as narrow as that if the picture is not.
CONTEXT = 4


class _Frame(NamedTuple):
    """Contents of SOF0: sizes in px, identifiers of the components."""

    height: int
    width: int
    mcu_height: int
    mcu_width: int
    components: bytes


class _Header(NamedTuple):
    """Header of a JPEG: its length in bytes, the position of the height in SOF0, and the MCUs between two markers."""

    length: int
    height_at: int
    frame: _Frame
    interval: int


def picture_part(data: bytes | memoryview, box: Box, *, most: float = 1) -> tuple[bytes, Box] | None:
    """Return a JPEG with the intervals that a box of the picture touches, and the place of the box in it.

    Decoders give these pixels exactly the values that they have in the complete picture. None if the box is not within
    the picture, if the file does not have the form that the module describes, or if the intervals cover more than
    `most` of the picture's area.
    """
    header = _header(data)
    if header is None:
        return None
    frame = header.frame
    picture = Box(0, 0, frame.height, frame.width)
    rows, columns = -(-frame.height // frame.mcu_height), -(-frame.width // frame.mcu_width)
    if box.is_empty or box.intersection(picture) != box or columns % header.interval:
        return None
    step = header.interval * frame.mcu_width
    touched = box.grown(CONTEXT).intersection(picture)
    top, bottom = touched.top // frame.mcu_height, -(-touched.bottom // frame.mcu_height)
    left, right = touched.left // step, -(-touched.right // step)
    part = Box(top * frame.mcu_height, left * step, bottom * frame.mcu_height, right * step).intersection(picture)
    if part.height * part.width > most * frame.height * frame.width:
        return None
    found = _interval_lengths(np.frombuffer(data, np.uint8, offset=header.length), rows * columns // header.interval)
    if found is None:
        return None
    lengths = found.reshape(rows, -1)
    ends = header.length + np.cumsum(found).reshape(rows, -1)
    begins = (ends - lengths)[top:bottom, left]
    pieces = [data[begin:end] for begin, end in zip(begins, ends[top:bottom, right - 1], strict=True)]
    coded = bytearray().join(pieces)
    ends_in_part = np.cumsum(lengths[top:bottom, left:right])
    np.frombuffer(coded, np.uint8)[ends_in_part - 1] = _markers(len(ends_in_part))
    size = struct.pack(">HH", part.height, part.width)
    head = (data[: header.height_at], size, data[header.height_at + len(size) : header.length])
    shifted = Box(box.top - part.top, box.left - part.left, box.bottom - part.top, box.right - part.left)
    return b"".join((*head, coded)), shifted


def _header(data: bytes | memoryview) -> _Header | None:
    """Return the header of a JPEG with restart markers, or None if it is not of the accepted form."""
    found: dict[int, tuple[int, int]] = {}
    for kind, begin, end in _segments(data):
        if kind not in COPIED:
            if kind in found or kind not in (SOF0, DRI, SOS):
                return None
            found[kind] = begin, end
    if len(found) < 3:
        return None
    frame_header, restart, scan = (bytes(data[slice(*found[kind])]) for kind in (SOF0, DRI, SOS))
    frame, interval = _frame(frame_header), int.from_bytes(restart, "big")
    if frame is None or len(restart) != 2 or not interval:
        return None
    selectors, parameters = scan[1:-3], scan[-3:]
    is_complete = selectors[::2] == frame.components and len(selectors) == 2 * len(frame.components) == 2 * scan[0]
    if not is_complete or parameters != SEQUENTIAL:
        return None
    return _Header(found[SOS][1], found[SOF0][0] + 1, frame, interval)


def _segments(data: bytes | memoryview) -> Iterator[tuple[int, int, int]]:
    """Yield type, begin and end of the content of each segment up to SOS; stop where the file is malformed."""
    position, kind = len(SOI), 0
    while data[:2] == SOI and kind != SOS and position + 4 <= len(data):
        fill, kind, length = struct.unpack_from(">BBH", data, position)
        begin, position = position + 4, position + 2 + length
        if fill != 0xFF or length < 2:
            return
        yield kind, begin, position


def _frame(content: bytes) -> _Frame | None:
    """Return the contents of SOF0; None if it is not 8-bit, grey or with chroma of a supported size. B.2.2."""
    if len(content) < 6:
        return None
    precision, height, width, count = struct.unpack_from(">BHHB", content)
    components, samplings, luma = content[6::3], content[7::3], content[7]
    is_grey = count == 1 and samplings == b"\x11"
    is_colour = count == 3 and luma in SAMPLINGS and samplings[1:] == b"\x11\x11"
    if precision != 8 or not height or not width or len(content) != 6 + 3 * count or not (is_grey or is_colour):
        return None
    return _Frame(height, width, BLOCK * (luma & 15), BLOCK * (luma >> 4), components)


def _interval_lengths(coded: Pixels, intervals: int) -> npt.NDArray[np.intp] | None:
    """Return the bytes of each interval with the marker that ends it; None if there are other markers than these."""
    at = np.flatnonzero(coded[:-1] == 0xFF)  # a byte of this value that is no marker is followed by 0; B.1.1.5
    at = at[coded[at + 1] != 0] + 1
    if not np.array_equal(coded[at], _markers(intervals)) or at[-1] + 1 != len(coded):
        return None
    lengths: npt.NDArray[np.intp] = np.diff(at, prepend=-1)
    return lengths


def _markers(intervals: int) -> Pixels:
    """Return the second byte of the marker after each interval of a picture: RST0 to RST7 in turn, then EOI."""
    markers = RST0 + np.arange(intervals, dtype=np.uint8) % 8
    markers[-1] = EOI
    return markers
