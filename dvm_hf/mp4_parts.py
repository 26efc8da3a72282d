"""What FFmpeg decodes a frame to tell, or does not tell, of an MP4 or MOV: read from its parts."""

import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

Span: TypeAlias = tuple[int, int]  # of bytes: start and end
IDENTITY = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
MATRIX_AT = {("mvhd", 0): 36, ("mvhd", 1): 48, ("tkhd", 0): 40, ("tkhd", 1): 52}  # by version of the part


def display_rotation(path: Path) -> int | None:
    """Degrees, anticlockwise, by which frames of the first video track are turned; None where not told."""
    with path.open("rb") as file:
        movie = _moov(file)
        if movie is None or _matrix(file, "mvhd", dict(movie).get("mvhd", (0, 0))) != IDENTITY:
            return None
        for kind, span in movie:
            track = dict(parts(file, *span)) if kind == "trak" else {}
            media = dict(parts(file, *track["mdia"])) if "mdia" in track else {}
            if "tkhd" in track and "hdlr" in media and _read(file, media["hdlr"][0] + 8, 4) == b"vide":
                return _rotation(_matrix(file, "tkhd", track["tkhd"]))
    return None


def right_angle(degrees: float) -> int:
    """0, 90, 180 or 270, the nearest."""
    return round(degrees / 90) % 4 * 90


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


def _matrix(file: BinaryIO, kind: str, span: Span) -> tuple[int, ...]:
    version = min(1, int.from_bytes(_read(file, span[0], 1), "big"))
    data = _read(file, span[0] + MATRIX_AT[kind, version], 36)
    return struct.unpack(">9i", data) if len(data) == 36 else ()


def _rotation(matrix: tuple[int, ...]) -> int | None:
    """As FFmpeg's av_display_rotation_get has it."""
    if len(matrix) < 9:
        return None
    a, b, _, c, d, *_ = matrix
    across, down = math.hypot(a, c), math.hypot(b, d)
    return right_angle(math.degrees(-math.atan2(b / down, a / across))) if across and down else None


def _read(file: BinaryIO, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count)
