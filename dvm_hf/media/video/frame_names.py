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


def frame_names(names: Iterable[str]) -> FrameNames:
    """Return the numbered pictures among the names of a folder, in the order of their numbers.

    A frame's number is the last number in its name without extension: 17 in "clip2_00017.png" and "00017_rgb.png". The
    first number is arbitrary. The others must follow without a gap and must not repeat.
    """
    numbered: list[tuple[int, str]] = []
    others = []
    for name in names:
        stem, suffix = os.path.splitext(name)
        found = NUMBER.search(stem) if suffix.lower() in FRAME_SUFFIXES else None
        if found is None:
            others.append(name)
        else:
            numbered.append((int(found[1]), name))
    numbered.sort()
    return FrameNames(tuple(name for _, name in numbered), tuple(sorted(others)), _fault(numbered))


def frame_numbers(frames: Sequence[str]) -> range:
    """Return the numbers of frames without a fault: `range(1, 101)` of 00001.png to 00100.png."""
    found = NUMBER.search(os.path.splitext(frames[0])[0]) if frames else None
    first = int(found[1]) if found else 0
    return range(first, first + len(frames))


def _fault(numbered: list[tuple[int, str]]) -> str:
    if not numbered:
        return "contains no numbered pictures"
    for (number, name), (following, next_name) in pairwise(numbered):
        if following == number:
            return f"has two frames {number}: {name} and {next_name}; remove one of them"
        if following > number + 1:
            many = following - number - 1
            missing = f"frame {number + 1} is" if many == 1 else f"the frames {number + 1} to {following - 1} are"
            return f"{missing} missing between {name} and {next_name}; add what is missing, or renumber the frames"
    return ""
