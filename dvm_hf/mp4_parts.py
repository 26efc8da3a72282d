"""What FFmpeg decodes a frame to tell, or does not tell, of an MP4 or MOV: read from its parts."""

import functools
import os
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias

from dvm_hf.frame_geometry import matrix_product, orientation
from dvm_hf.geometry import Box

Span: TypeAlias = tuple[int, int]  # of bytes: start and end
MATRIX_AT = {("mvhd", 0): 36, ("mvhd", 1): 48, ("tkhd", 0): 40, ("tkhd", 1): 52}  # by version of the part
TRACK_AT = (12, 20)  # where tkhd has the track's number, by version
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
    with path.open("rb") as file:
        movie = _moov(file)
        held = _track(file, movie, track)
        if movie is None or held is None:
            return _Track()
        matrices = _matrix(file, "tkhd", held["tkhd"]), _matrix(file, "mvhd", dict(movie).get("mvhd", (0, 0)))
        matrix = matrix_product(*matrices) if all(len(one) == 9 for one in matrices) else ()
        return _Track(matrix, _clap(file, held.get("mdia", (0, 0))))


def _clap(file: BinaryIO, media: Span) -> Box | None:
    span = media
    for kind in ("minf", "stbl", "stsd"):
        span = next((inner for name, inner in parts(file, *span) if name == kind), (0, 0))
    for _, (start, end) in parts(file, span[0] + 8, span[1]):
        height_at, found = start + 24, dict(parts(file, start + SAMPLE_ENTRY, end)).get("clap", (0, 0))
        width, height = struct.unpack(">2H", _read(file, height_at, 4).ljust(4, b"\0"))
        return _aperture(_read(file, found[0], 32), width, height) if found[1] - found[0] >= 32 else None
    return None


def _aperture(data: bytes, width: int, height: int) -> Box | None:
    values = struct.unpack(">2I2I2i2i", data)
    if not all(values[1::2]):
        return None
    across, down, right_by, down_by = (Fraction(*pair) for pair in zip(values[::2], values[1::2], strict=True))
    left, top = round((width - across) / 2 + right_by), round((height - down) / 2 + down_by)
    box = Box(top, left, top + round(down), left + round(across))
    return box if not box.is_empty and box == box.intersection(Box(0, 0, height, width)) else None


def parts(file: BinaryIO, start: int, end: int) -> Iterator[tuple[str, Span]]:
    """Of each part between two positions its type and where its content lies, up to one that cannot be."""
    while start + 8 <= end:
        length, kind = struct.unpack(">I4s", _read(file, start, 8))
        head = 8
        if length == 1:
            head, length = 16, int.from_bytes(_read(file, start + 8, 8), "big")
        length = length or end - start  # 0: the last one, of any length
        if length < head:
            return
        yield kind.decode("latin-1"), (start + head, min(start + length, end))
        start += length


def _moov(file: BinaryIO) -> list[tuple[str, Span]] | None:
    top = dict(parts(file, 0, os.fstat(file.fileno()).st_size))
    return list(parts(file, *top["moov"])) if "moov" in top and "ftyp" in top else None


def _track(file: BinaryIO, movie: list[tuple[str, Span]] | None, number: int) -> dict[str, Span] | None:
    """Parts of the track of a number."""
    for kind, span in movie or ():
        held = dict(parts(file, *span)) if kind == "trak" else {}
        if "tkhd" in held:
            head = _read(file, held["tkhd"][0], 24)
            at = TRACK_AT[min(1, head[0])] if head else 0
            if len(head) == 24 and int.from_bytes(head[at : at + 4], "big") == number:
                return held
    return None


def _matrix(file: BinaryIO, kind: str, span: Span) -> tuple[int, ...]:
    version = min(1, int.from_bytes(_read(file, span[0], 1), "big"))
    data = _read(file, span[0] + MATRIX_AT[kind, version], 36)
    return struct.unpack(">9i", data) if len(data) == 36 else ()


def _read(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)
