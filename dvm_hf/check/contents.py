"""Sources with the same bytes: backgrounds shared by train and test, and duplicates."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import xxhash

from dvm_hf.check.findings import Finding, finding
from dvm_hf.check.source import Source
from dvm_hf.media.video.frame_names import frame_names
from dvm_hf.sources.remote.source_files import listed_files

CHUNK = 2**20  # bytes
ENDS = 2**16  # bytes at both ends that are compared before the complete file is read


class Use(NamedTuple):
    """What a file, or a folder of numbered pictures, is used for.

    part: "colour", "alpha" or "trimap". kind, name: of its source. splits: those that use it.
    """

    part: str
    kind: str
    name: str
    splits: set[str]


def of_contents(root: Path, sizes: Mapping[str, int], sources: Iterable[Source]) -> Iterator[Finding]:
    """Yield findings about files with the same content, and files that both splits use.

    sizes: of the files in bytes, for a folder of all its files, by path relative to the root. Alphas may be equal to
    each other, and so may trimaps.

    Only files of the same size are opened. They are read completely only if their ends are equal.
    """
    uses = _uses(sources)
    for path, use in uses.items():
        if use.part == "colour" and len(use.splits) > 1:
            yield finding("shared-source", path, kind="background" if use.kind == "background" else "foreground")
    for same_size in _groups(uses, sizes.__getitem__):
        for same_ends in _groups(same_size, lambda path: _digest(root / path, complete=False)):
            for same in _groups(same_ends, lambda path: _digest(root / path, complete=True)):
                yield from _of_same(sorted(same), sizes[same[0]], uses)


def _uses(sources: Iterable[Source]) -> dict[str, Use]:
    found: dict[str, Use] = {}
    for source in sources:
        for part, path in (("colour", source.colour), ("alpha", source.alpha), ("trimap", source.trimap)):
            if path:
                found.setdefault(path, Use(part, source.kind, source.name, set())).splits.add(source.split)
    return found


def _of_same(paths: list[str], size: int, uses: Mapping[str, Use]) -> Iterator[Finding]:
    by_part = {part: [path for path in paths if uses[path].part == part] for part in ("colour", "alpha", "trimap")}
    for path in by_part["colour"][1:]:
        first = by_part["colour"][0]
        one, other = uses[path], uses[first]
        shared = "shared-content" if one.kind == "background" else "shared-foreground"
        is_shared = one.kind == other.kind and one.splits != other.splits
        yield finding(shared if is_shared else "duplicate", path, bytes=size, other=first)
    for part, code in (("alpha", "alpha-is-colour"), ("trimap", "trimap-is-copy")):
        others = by_part["colour"] + (by_part["alpha"] if part == "trimap" else [])
        for path in by_part[part] if others else []:
            own = [other for other in others if uses[other][1:3] == uses[path][1:3]]
            yield finding(code, path, bytes=size, other=(own or others)[0])


def _groups(paths: Iterable[str], key: Callable[[str], object]) -> list[list[str]]:
    """Return the groups of two or more paths that have the same key."""
    found: dict[object, list[str]] = defaultdict(list)
    for path in paths:
        found[key(path)].append(path)
    return [group for group in found.values() if len(group) > 1]


def _digest(path: Path, *, complete: bool) -> object:
    """Return a hash of the content, or of its ends. What cannot be read differs from all others."""
    listed = listed_files(path)
    if listed is not None:  # the listing has hashes of the content
        return tuple(one.file.content for one in listed)
    digest = hashlib.blake2b(digest_size=16) if complete else xxhash.xxh3_128()  # ten times as fast
    try:
        files = _files(path)
        for file in files if complete else dict.fromkeys((files[0], files[-1])):
            for data in _read(file) if complete else _ends(file):
                digest.update(data)
    except OSError:
        return path
    return digest.digest()


def _files(path: Path) -> list[Path]:
    """Return the file, or the frames of a folder of numbered pictures."""
    if not os.path.isdir(path):
        return [path]
    frames = frame_names(os.listdir(path)).frames
    if not frames:
        raise FileNotFoundError(path)
    return [path / name for name in frames]


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _ends(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield file.read(ENDS)
        file.seek(max(ENDS, os.fstat(file.fileno()).st_size - ENDS))
        yield file.read(ENDS)
