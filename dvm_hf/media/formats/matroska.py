"""Parse elements of Matroska and WebM files that FFmpeg does not export."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

from dvm_hf.media.pixels import Box

Span: TypeAlias = tuple[int, int]  # start and end in bytes
SEGMENT, TRACKS, ENTRY, TYPE, VIDEO, CLUSTER = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0xE0, 0x1F43B675
WIDTH, HEIGHT = 0xB0, 0xBA
BOTTOM, TOP, LEFT, RIGHT = 0x54AA, 0x54BB, 0x54CC, 0x54DD  # PixelCrop...
DURATION = 0x23E383  # DefaultDuration of a frame, in ns
IS_VIDEO = 1
MAX_ELEMENTS = 1000  # maximum number of elements that are read per level


def pixel_crop(path: Path, index: int) -> Box | None:
    """Return the part of a frame that a video track displays (PixelCrop).

    None if it is the complete frame or the file is not Matroska.

    index: position among the video tracks, from 0.
    """
    with path.open("rb") as file:
        track = _video_track(file, index)
        if VIDEO not in track:
            return None
        children = dict(_elements(file, *track[VIDEO]))
        size = [_number(file, children, kind) for kind in (HEIGHT, WIDTH)]
        top, left, bottom, right = (_number(file, children, kind) for kind in (TOP, LEFT, BOTTOM, RIGHT))
    box = Box(top, left, size[0] - bottom, size[1] - right)
    return None if box.is_empty or box == Box(0, 0, *size) else box


def default_duration(path: Path, index: int) -> int:
    """Return the DefaultDuration of a video track, in nanoseconds per frame; 0 if it declares none.

    index: position among the video tracks, from 0.
    """
    with path.open("rb") as file:
        return _number(file, _video_track(file, index), DURATION)


def _video_track(file: BinaryIO, index: int) -> dict[int, Span]:
    videos = (track for track in _tracks(file) if _number(file, track, TYPE) == IS_VIDEO)
    return next(itertools.islice(videos, index, None), {})


def _tracks(file: BinaryIO) -> Iterator[dict[int, Span]]:
    for kind, span in _elements(file, 0, os.fstat(file.fileno()).st_size):
        if kind != SEGMENT:
            continue
        for part, inner in _elements(file, *span):
            if part == TRACKS:
                for entry, content in _elements(file, *inner):
                    if entry == ENTRY:
                        yield dict(_elements(file, *content))
                return
            if part == CLUSTER:
                return


def _elements(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, Span]]:
    """Yield (identifier, span of the content) for each element between two positions."""
    for _ in range(MAX_ELEMENTS):
        if start >= end:
            return
        file.seek(start)
        kind, length = _coded(file, keeps_marker=True), _coded(file, keeps_marker=False)
        if kind is None or length is None:
            return
        start = file.tell()
        yield kind, (start, min(start + length, end))
        start += length


def _coded(file: BinaryIO, *, keeps_marker: bool) -> int | None:
    """Read a variable-length integer (EBML VINT). All ones mean "unknown", returned as 2**62; None if it is invalid."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    count = 8 - first[0].bit_length()
    rest = file.read(count)
    if len(rest) < count:
        return None
    head = first[0] if keeps_marker else first[0] & (0x7F >> count)
    value = int.from_bytes(bytes([head]) + rest, "big")
    is_unknown = not keeps_marker and value == (1 << (7 * (count + 1))) - 1
    return 1 << 62 if is_unknown else value


def _number(file: BinaryIO, children: dict[int, Span], kind: int) -> int:
    start, end = children.get(kind, (0, 0))
    file.seek(start)
    return int.from_bytes(file.read(min(end - start, 8)), "big")
