"""Pair the files of foregrounds by name: the same name with any extension in parallel folders, trimaps NAME_k.

A pair is a still with a still, or a video (a file or a folder of frames) with a video. What lacks its partner becomes a
problem of the scan. Sources are sorted by name: NFC, by code points, so that "10" precedes "2" on every machine.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from dvm_hf.sources.folder_scan import STILL_SUFFIXES, VIDEO_SUFFIXES, FolderScan
from dvm_hf.sources.layout import Place
from dvm_hf.sources.records import Background, Foreground, path_in_tree

Files = Mapping[str, str]  # name without extension to path relative to the root
Selected = Callable[[str], bool]


class Part(NamedTuple):
    """The files of one part of foregrounds, and their folder, relative to the root.

    suffix: expected extension of a still that is missing. end: what the names of its files have after the names here.
    """

    folder: str
    files: Files
    suffix: str = ".png"
    end: str = ""


def any_name(name: str) -> bool:
    return True


def part(place: Place, folder: str, *, selected: Selected = any_name, suffix: str = ".png") -> Part:
    """Return the stills, videos and folders of frames in a folder, relative to the place, of the place's kinds."""
    path = place.path(folder)
    folders: Literal["frames", "skip"] = "frames" if "video" in place.kinds else "skip"
    found = place.scan.media(path, STILL_SUFFIXES + VIDEO_SUFFIXES, folders=folders, selected=selected)
    files = {name: file for name, file in found.items() if kind_of(place.scan, file) in place.kinds}
    return Part(path, files, suffix)


def still_part(
    place: Place,
    folder: str,
    *,
    suffixes: tuple[str, ...] = STILL_SUFFIXES,
    selected: Selected = any_name,
    suffix: str = ".png",
) -> Part:
    """Return the stills in a folder, relative to the place."""
    path = place.path(folder)
    return Part(path, place.scan.media(path, suffixes, selected=selected), suffix)


def kind_of(scan: FolderScan, path: str) -> str:
    """Return "image" for a still, "video" for a video or a scanned folder of frames."""
    is_still = os.path.splitext(path)[1].lower() in STILL_SUFFIXES and path not in scan.frame_numbers
    return "image" if is_still else "video"


def pairs(
    place: Place, colours: Part, alphas: Part, *, trimaps: Part | None = None, stored: str = "straight"
) -> Iterator[Foreground]:
    """Yield the foregrounds that have both a colour and an alpha, by name.

    A foreground whose trimap is unusable is skipped, because the trimap is a problem. stored: how the colour is stored,
    see `Foreground.colours`.
    """
    scan, held = place.scan, trimaps.files if trimaps else {}
    for path in (path for name, path in held.items() if name not in colours.files):
        scan.note_unexpected(path)
    for name in sorted((colours.files.keys() | alphas.files.keys()) - _unusable(scan, trimaps)):
        if name not in alphas.files:
            _note_missing(scan, colours.files[name], name, "alpha", alphas)
        elif name not in colours.files:
            _note_missing(scan, alphas.files[name], name, "colour", colours)
        elif _is_pair(scan, colours.files[name], alphas.files[name]):
            colour, alpha = scan.root / colours.files[name], scan.root / alphas.files[name]
            trimap = scan.root / held[name] if name in held else None
            kind = kind_of(scan, colours.files[name])
            yield Foreground(kind, name, colour, alpha, trimap, stored, place.entry)


def own_alphas(place: Place, files: Files, *, stored: str = "straight") -> Iterator[Foreground]:
    """Yield the foregrounds whose alpha is the alpha channel of their colour file, by name."""
    for name, path in sorted(files.items()):
        file = place.scan.root / path
        yield Foreground(kind_of(place.scan, path), name, file, file, colours=stored, entry=place.entry)


def backgrounds(place: Place, files: Files) -> list[Background]:
    """Return the backgrounds of some files, by name."""
    return [Background(name, place.scan.root / path, place.entry) for name, path in sorted(files.items())]


def numbered_trimaps(place: Place, folder: str, *, number: int = 0) -> Part:
    """Return the trimaps NAME_k of one number k by NAME; the others are not read."""
    end = f"_{number}"
    found = still_part(place, folder, selected=lambda name: name.endswith(end))
    return found._replace(files={name.removesuffix(end): path for name, path in found.files.items()}, end=end)


def distinct(scan: FolderScan, foregrounds: Iterable[Foreground]) -> list[Foreground]:
    """Return the foregrounds of several folders, by name; a name that repeats is a problem of the later one."""
    kept: dict[str, Foreground] = {}
    for one in foregrounds:
        other = kept.setdefault(one.name, one)
        if other is not one:
            paths = [path_in_tree(each.colour, scan.root) for each in (one, other)]
            text = f"has the same name as {paths[1]}; names without extension must differ; rename one of them"
            scan.note(paths[0], text, "same-name")
    return [kept[name] for name in sorted(kept)]


def _unusable(scan: FolderScan, trimaps: Part | None) -> set[str]:
    if trimaps is None:
        return set()
    paths = (problem.path for problem in scan.problems if problem.path.startswith(f"{trimaps.folder}/"))
    return {Path(path).stem.removesuffix(trimaps.end) for path in paths}


def _note_missing(scan: FolderScan, path: str, name: str, lacking: str, part: Part) -> None:
    """Note that a file has no partner in the folder of another part."""
    if path in scan.frame_numbers:
        expected, this = f"{part.folder}/{name}/", "folder"
    else:
        suffix = part.suffix if kind_of(scan, path) == "image" else os.path.splitext(path)[1]
        expected, this = f"{part.folder}/{name}{suffix}", "file"
    scan.note(path, f"has no usable {lacking}, expected {expected}; add it, or remove this {this}", f"no-{lacking}")


def _is_pair(scan: FolderScan, colour: str, alpha: str) -> bool:
    """Return whether a colour and an alpha can belong together; otherwise note a problem."""
    kinds = kind_of(scan, colour), kind_of(scan, alpha)
    if kinds[0] != kinds[1]:
        text = f"is of the kind {kinds[0]}, but {alpha} is of the kind {kinds[1]}; both must match; replace one of them"
        scan.note(colour, text, "no-alpha")
        return False
    numbers = scan.frame_numbers.get(colour), scan.frame_numbers.get(alpha)
    if None not in numbers and numbers[0] != numbers[1]:
        shown = tuple(f"{one.start} to {one.stop - 1}" if one else "" for one in numbers)
        text = (
            f"has the frames {shown[0]}, but {alpha} has the frames {shown[1]}; both must match; add the missing frames"
        )
        scan.note(colour, text, "frames")
        return False
    return True
