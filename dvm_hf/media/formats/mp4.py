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
SAMPLE_ENTRY = 78  # bytes of a visual sample entry before its boxes


class _Track(NamedTuple):
    """Display matrix (empty if there is none) and clean aperture of a track."""

    matrix: tuple[int, ...] = ()
    aperture: Box | None = None


def track_orientation(path: Path, track: int) -> int | None:
    """Return the EXIF orientation of a track, or None if the file is not an MP4 or has no such track.

    Raises UnsupportedRotation if the angle is not a multiple of 90 degrees.
    """
    matrix = _declared(path, track).matrix
    return orientation(matrix) if matrix else None


def clean_aperture(path: Path, track: int) -> Box | None:
    """Return the part of a frame that the `clap` box of a track displays, or None if it is missing or invalid.

    `clap` stores the size, and the offset of its centre from the centre of the frame; edges are rounded to pixels.
    """
    return _declared(path, track).aperture


def _declared(path: Path, track: int) -> _Track:
    found = path.stat()
    return _read_track(path, track, (found.st_size, found.st_mtime_ns))


@functools.lru_cache(maxsize=4)  # the matrix and the aperture are requested separately
def _read_track(path: Path, track: int, signature: tuple[int, int]) -> _Track:
    with path.open("rb", buffering=0) as file:
        data = _moov(file)
    movie = list(boxes(data, 0, len(data)))
    children = _track(data, movie, track)
    if children is None:
        return _Track()
    matrices = _matrix(data, "tkhd", children["tkhd"]), _matrix(data, "mvhd", dict(movie).get("mvhd", (0, 0)))
    matrix = matrix_product(*matrices) if all(len(one) == 9 for one in matrices) else ()
    return _Track(matrix, _clap(data, children.get("mdia", (0, 0))))


def _moov(file: RawIOBase) -> bytes:
    """Return the content of the `moov` box; empty if the file is not an MP4 or the box is too large."""
    start, size, has_type = 0, os.fstat(file.fileno()).st_size, False
    while start + 8 <= size:
        file.seek(start)
        found = next(boxes(file.read(16) or b"", 0, size - start), None)
        if found is None:
            break
        kind, (begin, end) = found
        has_type |= kind == "ftyp"
        if kind == "moov":
            file.seek(start + begin)
            return (file.read(end - begin) or b"") if has_type and end - begin <= MAX_MOOV_BYTES else b""
        start += end
    return b""


def _clap(data: bytes, media: Span) -> Box | None:
    if b"clap" not in data:
        return None
    span = media
    for kind in ("minf", "stbl", "stsd"):
        span = next((inner for name, inner in boxes(data, *span) if name == kind), (0, 0))
    for _, (start, end) in boxes(data, span[0] + 8, span[1]):
        found = dict(boxes(data, start + SAMPLE_ENTRY, end)).get("clap", (0, 0))
        if found[1] - found[0] < 32:
            return None
        width, height = struct.unpack(">2H", data[start + 24 : start + 28])
        return _aperture(data[found[0] : found[0] + 32], width, height)
    return None


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


def _track(data: bytes, movie: list[tuple[str, Span]], number: int) -> dict[str, Span] | None:
    """Return the boxes of the track with an ID, or None."""
    for kind, span in movie:
        children = dict(boxes(data, *span)) if kind == "trak" else {}
        if "tkhd" in children:
            head = data[children["tkhd"][0] : children["tkhd"][0] + 24]
            at = TRACK_AT[min(1, head[0])] if head else 0
            if len(head) == 24 and int.from_bytes(head[at : at + 4], "big") == number:
                return children
    return None


def _matrix(data: bytes, kind: str, span: Span) -> tuple[int, ...]:
    version = min(1, data[span[0]]) if span[0] < len(data) else 0
    at = span[0] + MATRIX_AT[kind, version]
    return struct.unpack_from(">9i", data, at) if at + 36 <= len(data) else ()
