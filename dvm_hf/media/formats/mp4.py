"""Parse boxes of MP4 and MOV files that FFmpeg does not export, or exports only with a decoded frame."""

import functools
import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from io import RawIOBase
from pathlib import Path
from typing import NamedTuple, TypeAlias

from dvm_hf.media.frame_geometry import matrix_product, orientation
from dvm_hf.media.pixels import Box

Span: TypeAlias = tuple[int, int]  # start and end in bytes
MATRIX_AT = {("mvhd", 0): 36, ("mvhd", 1): 48, ("tkhd", 0): 40, ("tkhd", 1): 52}  # (box, version): offset
TRACK_AT = (12, 20)  # offset of the track ID in tkhd, by version
MAX_MOOV_BYTES = 2**28  # bytes; ten hours of video take about 2 * 10**7
NORMAL_RATE, ONE = 1 << 16, Fraction(1)  # media rate of an edit that is shown at normal speed
SAMPLE_ENTRY = 78  # bytes of a visual sample entry before its boxes


class Edit(NamedTuple):
    """An entry of an edit list (ISO/IEC 14496-12, 8.6.6).

    duration: in units of the movie's time scale.
    start: media time at which it starts, in units of the track's time scale; -1 for an empty edit.
    rate: media_rate, 16.16 fixed-point; 0 shows one frame for the complete duration.
    """

    duration: int
    start: int
    rate: int

    @property
    def is_empty(self) -> bool:
        return self.start == -1


class Track(NamedTuple):
    """What the headers of a track declare.

    matrix: display matrix; empty if there is none.
    aperture: part of a frame that is displayed (`clap`); None if it is missing or invalid.
    has_aspect: whether the track has a pixel aspect ratio (`pasp`). Without one, FFmpeg derives it from the displayed
        size in the track header and the size of a stored frame.
    edits: edit list; empty if there is none.
    """

    matrix: tuple[int, ...] = ()
    aperture: Box | None = None
    has_aspect: bool = False
    edits: tuple[Edit, ...] = ()

    @property
    def orientation(self) -> int | None:
        """EXIF orientation, or None if there is no matrix.

        Raises UnsupportedRotation if the angle is not a multiple of 90 degrees.
        """
        return orientation(self.matrix) if self.matrix else None

    @property
    def has_gap(self) -> bool:
        """Whether the edit list has an empty edit between other edits; empty edits before them only delay."""
        shown = [at for at, edit in enumerate(self.edits) if not edit.is_empty]
        return bool(shown) and any(edit.is_empty for edit in self.edits[shown[0] : shown[-1]])

    @property
    def edit_rate(self) -> Fraction:
        """First media rate of the edit list that is not 1, which FFmpeg ignores, or 1 if there is none."""
        rates = (edit.rate for edit in self.edits if not edit.is_empty and edit.rate != NORMAL_RATE)
        rate = next(rates, None)
        return ONE if rate is None else Fraction(rate, NORMAL_RATE)


def declared_track(path: Path, track: int) -> Track:
    """Return what the headers of a track declare; empty if the file is not an MP4 or has no such track."""
    found = path.stat()
    return _read_track(path, track, (found.st_size, found.st_mtime_ns))


@functools.lru_cache(maxsize=4)  # a header check asks three times
def _read_track(path: Path, track: int, signature: tuple[int, int]) -> Track:
    with path.open("rb", buffering=0) as file:
        data = moov(file)
    children = track_boxes(data, track)
    if children is None:
        return Track()
    movie = dict(boxes(data, 0, len(data)))
    matrices = _matrix(data, "tkhd", children["tkhd"]), _matrix(data, "mvhd", movie.get("mvhd", (0, 0)))
    matrix = matrix_product(*matrices) if all(len(one) == 9 for one in matrices) else ()
    edits = _edits(data, dict(boxes(data, *children.get("edts", (0, 0)))).get("elst", (0, 0)))
    return Track(matrix, *_of_sample_entry(data, children.get("mdia", (0, 0))), edits)


def moov(file: RawIOBase) -> bytes:
    """Return the content of the `moov` box; empty if there is none or it is too large.

    MOV files of QuickTime may lack `ftyp`.
    """
    start, size = 0, os.fstat(file.fileno()).st_size
    while start + 8 <= size:
        file.seek(start)
        found = next(boxes(file.read(16) or b"", 0, size - start), None)
        if found is None:
            break
        kind, (begin, end) = found
        if kind == "moov":
            file.seek(start + begin)
            return (file.read(end - begin) or b"") if end - begin <= MAX_MOOV_BYTES else b""
        start += end
    return b""


def _of_sample_entry(data: bytes, media: Span) -> tuple[Box | None, bool]:
    """Return the clean aperture, and whether there is a pixel aspect ratio; searched only if there is an aperture.

    `clap` stores the size, and the offset of its centre from the centre of the frame; edges are rounded to pixels.
    """
    if b"clap" not in data:
        return None, False
    span = media
    for kind in ("minf", "stbl", "stsd"):
        span = next((inner for name, inner in boxes(data, *span) if name == kind), (0, 0))
    for _, (start, end) in boxes(data, span[0] + 8, span[1]):
        inner = dict(boxes(data, start + SAMPLE_ENTRY, end))
        found = inner.get("clap", (0, 0))
        if found[1] - found[0] < 32:
            return None, "pasp" in inner
        width, height = struct.unpack(">2H", data[start + 24 : start + 28])
        return _aperture(data[found[0] : found[0] + 32], width, height), "pasp" in inner
    return None, False


def _aperture(data: bytes, width: int, height: int) -> Box | None:
    values = struct.unpack(">2I2I2i2i", data)
    if not all(values[1::2]):
        return None
    across, down, right_by, down_by = (Fraction(*pair) for pair in zip(values[::2], values[1::2], strict=True))
    left, top = round((width - across) / 2 + right_by), round((height - down) / 2 + down_by)
    box = Box(top, left, top + round(down), left + round(across))
    return box if not box.is_empty and box == box.intersection(Box(0, 0, height, width)) else None


def boxes(data: bytes, start: int, end: int) -> Iterator[tuple[str, Span]]:
    """Yield (type, span of the content) for each box between two positions, up to an invalid box.

    `data` needs to contain only the header of a box.
    """
    while start + 8 <= min(end, len(data)):
        length, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if length == 1:
            head, length = 16, int.from_bytes(data[start + 8 : start + 16], "big")
        length = length or end - start  # 0: the last box, which extends to the end
        if length < head:
            return
        yield kind.decode("latin-1"), (start + head, min(start + length, end))
        start += length


def track_boxes(data: bytes, number: int) -> dict[str, Span] | None:
    """Return the boxes of the track with an ID in the content of `moov`, or None."""
    for kind, span in boxes(data, 0, len(data)):
        children = dict(boxes(data, *span)) if kind == "trak" else {}
        if "tkhd" in children:
            head = data[children["tkhd"][0] : children["tkhd"][0] + 24]
            at = TRACK_AT[min(1, head[0])] if head else 0
            if len(head) == 24 and int.from_bytes(head[at : at + 4], "big") == number:
                return children
    return None


def _edits(data: bytes, span: Span) -> tuple[Edit, ...]:
    start, end = span
    if end - start < 8:
        return ()
    layout = ">Qqi" if data[start] == 1 else ">Iii"  # the fields of Edit
    (count,) = struct.unpack_from(">I", data, start + 4)
    size = struct.calcsize(layout)
    count = min(count, (end - start - 8) // size)
    return tuple(Edit(*struct.unpack_from(layout, data, start + 8 + at * size)) for at in range(count))


def _matrix(data: bytes, kind: str, span: Span) -> tuple[int, ...]:
    version = min(1, data[span[0]]) if span[0] < len(data) else 0
    at = span[0] + MATRIX_AT[kind, version]
    return struct.unpack_from(">9i", data, at) if at + 36 <= len(data) else ()
