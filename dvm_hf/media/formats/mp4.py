"""What FFmpeg decodes a frame to tell, or does not tell, of an MP4 or MOV: read from its parts."""

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

Span: TypeAlias = tuple[int, int]  # of bytes: start and end
MATRIX_AT = {("mvhd", 0): 36, ("mvhd", 1): 48, ("tkhd", 0): 40, ("tkhd", 1): 52}  # by version of the part
TRACK_AT = (12, 20)  # where tkhd has the track's number, by version
LARGEST_MOOV = 2**28  # bytes; ten hours of film have some 2 * 10**7
SAMPLE_ENTRY = 78  # bytes of a video's description before its parts


class _Track(NamedTuple):
    """What a track declares of its frames: display matrix, which is empty if it has none, and clean aperture."""

    matrix: tuple[int, ...] = ()
    aperture: Box | None = None


def track_orientation(path: Path, track: int) -> int | None:
    """EXIF's orientation by which a track's frames are shown, None where the file is no MP4 or has no such track.

    Raises UnknownTurn for an angle that is no multiple of 90 degrees.
    """
    matrix = _declared(path, track).matrix
    return orientation(matrix) if matrix else None


def clean_aperture(path: Path, track: int) -> Box | None:
    """The part of a track's frames that its `clap` declares to be shown; None where it has none, or one that cannot be.

    Its middle lies beside the frame's by an offset; edges are rounded to whole pixels.
    """
    return _declared(path, track).aperture


def _declared(path: Path, track: int) -> _Track:
    found = path.stat()
    return _read_track(path, track, (found.st_size, found.st_mtime_ns))


@functools.lru_cache(maxsize=4)  # asked for the matrix and for the aperture, one after the other
def _read_track(path: Path, track: int, signature: tuple[int, int]) -> _Track:
    with path.open("rb", buffering=0) as file:
        data = _moov(file)
    movie = list(parts(data, 0, len(data)))
    held = _track(data, movie, track)
    if held is None:
        return _Track()
    matrices = _matrix(data, "tkhd", held["tkhd"]), _matrix(data, "mvhd", dict(movie).get("mvhd", (0, 0)))
    matrix = matrix_product(*matrices) if all(len(one) == 9 for one in matrices) else ()
    return _Track(matrix, _clap(data, held.get("mdia", (0, 0))))


def _moov(file: RawIOBase) -> bytes:
    """The content of the part that describes the tracks; empty if the file is no MP4, or the part is too large."""
    start, size, has_type = 0, os.fstat(file.fileno()).st_size, False
    while start + 8 <= size:
        file.seek(start)
        found = next(parts(file.read(16) or b"", 0, size - start), None)
        if found is None:
            break
        kind, (begin, end) = found
        has_type |= kind == "ftyp"
        if kind == "moov":
            file.seek(start + begin)
            return (file.read(end - begin) or b"") if has_type and end - begin <= LARGEST_MOOV else b""
        start += end
    return b""


def _clap(data: bytes, media: Span) -> Box | None:
    if b"clap" not in data:
        return None
    span = media
    for kind in ("minf", "stbl", "stsd"):
        span = next((inner for name, inner in parts(data, *span) if name == kind), (0, 0))
    for _, (start, end) in parts(data, span[0] + 8, span[1]):
        found = dict(parts(data, start + SAMPLE_ENTRY, end)).get("clap", (0, 0))
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


def parts(data: bytes, start: int, end: int) -> Iterator[tuple[str, Span]]:
    """Of each part between two positions its type and where its content lies, up to one that cannot be.

    Only the head of a part needs to be in `data`.
    """
    while start + 8 <= min(end, len(data)):
        length, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if length == 1:
            head, length = 16, int.from_bytes(data[start + 8 : start + 16], "big")
        length = length or end - start  # 0: the last one, of any length
        if length < head:
            return
        yield kind.decode("latin-1"), (start + head, min(start + length, end))
        start += length


def _track(data: bytes, movie: list[tuple[str, Span]], number: int) -> dict[str, Span] | None:
    """Parts of the track of a number."""
    for kind, span in movie:
        held = dict(parts(data, *span)) if kind == "trak" else {}
        if "tkhd" in held:
            head = data[held["tkhd"][0] : held["tkhd"][0] + 24]
            at = TRACK_AT[min(1, head[0])] if head else 0
            if len(head) == 24 and int.from_bytes(head[at : at + 4], "big") == number:
                return held
    return None


def _matrix(data: bytes, kind: str, span: Span) -> tuple[int, ...]:
    version = min(1, data[span[0]]) if span[0] < len(data) else 0
    at = span[0] + MATRIX_AT[kind, version]
    return struct.unpack_from(">9i", data, at) if at + 36 <= len(data) else ()
