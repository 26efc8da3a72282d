"""Names of the numbered pictures in a folder that is read as a video."""

import os
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

FRAME_RATE = 25  # frames/s, unless a sources file gives another; pictures declare none
FRAME_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
NUMBER = re.compile(r"(\d+)(?=\D*$)", re.ASCII)  # the last number of a name without extension


class FrameNames(NamedTuple):
    """The names of a folder.

    frames: names of the pictures, by number. others: names that are no numbered pictures.
    fault: why the pictures are not the frames of a video; empty if they are.
    """

    frames: tuple[str, ...]
    others: tuple[str, ...]
    fault: str = ""

    @property
    def is_probably_video(self) -> bool:
        """Whether the names are meant as the frames of a video, even if some are missing or repeat.

        There are at least two, and most numbers from the first to the last one exist. Photographs are sparse.
        """
        if len(self.frames) < 2:
            return False
        first, last = (frame_number(name) for name in (self.frames[0], self.frames[-1]))
        return last - first < 2 * len(self.frames)


def frame_names(names: Iterable[str]) -> FrameNames:
    """Return the numbered pictures among the names of a folder, in the order of their numbers.

    A frame's number is the last number in its name without extension: 17 in "clip2_00017.png" and "00017_rgb.png". The
    first number is arbitrary. The others must follow without a gap and must not repeat. All names must be equal before
    the number, except for case: otherwise a poster, or the next sequence, would become frames.
    """
    numbered: list[tuple[int, str, str]] = []
    others = []
    for name in names:
        stem, suffix = os.path.splitext(name)
        found = NUMBER.search(stem) if suffix.lower() in FRAME_SUFFIXES else None
        if found is None:
            others.append(name)
        else:
            numbered.append((int(found[1]), name, stem[: found.start()]))
    numbered.sort()
    return FrameNames(tuple(name for _, name, _ in numbered), tuple(sorted(others)), _fault(numbered))


def frame_numbers(frames: Sequence[str]) -> range:
    """Return the numbers of frames without a fault: `range(1, 101)` of 00001.png to 00100.png."""
    first = frame_number(frames[0]) if frames else 0
    return range(first, first + len(frames))


def frame_number(name: str) -> int:
    """Return the number of a frame, 17 of clip2_00017.png; 0 if the name has none."""
    found = NUMBER.search(os.path.splitext(name)[0])
    return int(found[1]) if found else 0


def _fault(numbered: list[tuple[int, str, str]]) -> str:
    """Return why the frames are not those of one video. numbered: number, name, and the name before the number."""
    if not numbered:
        return "contains no numbered pictures"
    for (number, name, before), (following, next_name, next_before) in pairwise(numbered):
        if following == number:
            return f"has two frames {number}: {name} and {next_name}; remove one of them"
        if following > number + 1:
            many = following - number - 1
            missing = f"frame {number + 1} is" if many == 1 else f"the frames {number + 1} to {following - 1} are"
            return f"{missing} missing between {name} and {next_name}; add what is missing, or renumber the frames"
        if before != next_before and before.casefold() != next_before.casefold():
            return (
                f"has frames of two sequences, such as {name} and {next_name}, because the names differ before the "
                "number; move the others to their own folder"
            )
    return ""
