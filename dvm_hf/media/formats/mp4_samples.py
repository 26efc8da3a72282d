"""Compute which samples of an MP4 or MOV are shown, and when, from its edit list and tables.

FFmpeg shows the same samples. But if frames are reordered, its timestamps can leave a gap between two edits, or they
overlap.
"""

import struct
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from dvm_hf.media.formats.mp4 import Span, boxes, declared_track, moov, track_boxes

MAX_SHOWN = 2**20  # samples, 9 hours at 30 frames/s; a short edit list can repeat them any number of times
SCALE_AT = (12, 20)  # offset of the time scale in mvhd, by version


class _Edited(NamedTuple):
    number: int  # index of the sample in the file, in decoding order
    edit: int
    time: int


class ShownSample(NamedTuple):
    """A sample that is displayed.

    edit: index of the edit that shows it.
    time: presentation time in the stream's time base.
    picture: index among all samples with a picture, in decoding order; -1 for an empty sample.
    """

    edit: int
    time: int
    picture: int


@dataclass(frozen=True)
class Mp4Samples:
    """The samples of a video; empty if they are not needed, or the tables contradict each other.

    shown: displayed samples, in the order in which FFmpeg outputs their packets.
    pictures: `ShownSample.picture` by the position of its packet in the file.
    """

    shown: tuple[ShownSample, ...] = ()
    pictures: Mapping[int, int] = field(default_factory=dict)

    def is_jump(self, before: int | None, position: int | None) -> bool:
        """Return whether a packet does not follow the one at another position, so that a part begins with it."""
        if before is None or position is None or not self.pictures:
            return False
        return self.pictures.get(position, -1) != self.pictures.get(before, -1) + 1


def has_joins(path: Path, track: int) -> bool:
    """Return whether an edit list shows more than one part of the media."""
    return sum(not one.is_empty for one in declared_track(path, track).edits) > 1


def mp4_samples(path: Path, track: int, entries: Sequence[tuple[int, bool]], scale: int) -> Mp4Samples:
    """Return the samples of a track, whose edits show the samples that start within them, as in FFmpeg.

    entries: position in the file of each sample, and whether it has a picture.
    scale: time scale of the track.
    """
    positions = [position for position, has_picture in entries if has_picture]
    pictures = {position: number for number, position in enumerate(positions)}
    if len(pictures) < len(positions):
        return Mp4Samples()
    numbers = [pictures[position] if has_picture else -1 for position, has_picture in entries]
    found = _edited(path, track, scale, len(entries))
    return Mp4Samples(tuple(ShownSample(one.edit, one.time, numbers[one.number]) for one in found), pictures)


def _edited(path: Path, track: int, scale: int, count: int) -> list[_Edited]:
    """Return the shown samples, edit by edit, each in decoding order; empty if they are unknown."""
    with path.open("rb", buffering=0) as file:
        data = moov(file)
    decoded, delays = _sample_times(data, track, count)
    movie_scale, times = _movie_scale(data), [time + delay for time, delay in zip(decoded, delays, strict=True)]
    edits = declared_track(path, track).edits
    if not edits:
        return [_Edited(number, 0, time) for number, time in enumerate(times)]
    if not movie_scale or any(not one.is_empty and not one.duration for one in edits):
        return []
    in_order = sorted((time, number) for number, time in enumerate(times))
    found: list[_Edited] = []
    start = 0  # of the edit, in units of the movie's time scale
    for at, edit in enumerate(edits):
        if not edit.is_empty:
            end = edit.start + _rescaled(edit.duration, scale, movie_scale)
            parts = in_order[bisect_left(in_order, (edit.start, 0)) : bisect_left(in_order, (end, 0))]
            shift = _rescaled(start, scale, movie_scale) - edit.start
            found += sorted(_Edited(number, at, time + shift) for time, number in parts)
        if len(found) > MAX_SHOWN:
            return []
        start += edit.duration
    return found


def _rescaled(duration: int, scale: int, movie_scale: int) -> int:
    """Convert from the movie's time scale to the track's, rounded as in FFmpeg."""
    return (duration * scale + movie_scale // 2) // movie_scale


def _movie_scale(data: bytes) -> int:
    start, end = dict(boxes(data, 0, len(data))).get("mvhd", (0, 0))
    at = start + (SCALE_AT[min(1, data[start])] if start < end else 0)
    return int.from_bytes(data[at : at + 4], "big") if at + 4 <= end else 0


def sample_times(path: Path, track: int, count: int) -> tuple[list[int], list[int]]:
    """Return the decoding time of each sample, and how much later it is presented, in the track's time scale.

    Both are empty if the tables do not contain `count` samples, or if other samples follow in fragments.
    """
    with path.open("rb", buffering=0) as file:
        data = moov(file)
    if "mvex" in dict(boxes(data, 0, len(data))):
        return [], []
    return _sample_times(data, track, count)


def _sample_times(data: bytes, track: int, count: int) -> tuple[list[int], list[int]]:
    """Return `sample_times` from the content of `moov` (ISO/IEC 14496-12, 8.6.1)."""
    span = (track_boxes(data, track) or {}).get("mdia", (0, 0))
    for kind in ("minf", "stbl"):
        span = dict(boxes(data, *span)).get(kind, (0, 0))
    tables = dict(boxes(data, *span))
    steps, shifts = (_entries(data, tables.get(kind, (0, 0))) for kind in ("stts", "ctts"))
    if sum(many for many, _ in steps) != count or (shifts and sum(many for many, _ in shifts) != count):
        return [], []
    times = list(accumulate((step for many, step in steps for _ in range(many)), initial=0))[:-1]
    return times, [shift for many, shift in shifts for _ in range(many)] or [0] * count


def _entries(data: bytes, span: Span) -> list[tuple[int, int]]:
    """Return the pairs (number of samples, value) of `stts` or `ctts`."""
    start, end = span
    if end - start < 8:
        return []
    (count,) = struct.unpack_from(">I", data, start + 4)
    return [struct.unpack_from(">Ii", data, start + 8 + 8 * at) for at in range(min(count, (end - start - 8) // 8))]
