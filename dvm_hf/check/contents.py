"""Files with the same bytes: backgrounds shared by train and test, and duplicates."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from dvm_hf.check.findings import Finding, finding

CHUNK = 2**20  # bytes
ENDS = 2**16  # bytes at both ends that are compared before the complete file is read


def of_contents(root: Path, sizes: dict[str, int], parts: Mapping[str, str]) -> Iterator[Finding]:
    """Yield findings about files with the same content.

    sizes: of the files in bytes, by path relative to the root. parts: "colour", "alpha" or "trimap" of each file;
    "colour" for a background. Alphas may be equal to each other, and so may trimaps.

    Only files of the same size are opened. They are read completely only if their ends are equal.
    """
    for same_size in _groups(sizes, sizes.__getitem__):
        for same_ends in _groups(same_size, lambda path: _digest(root / path, complete=False)):
            for same in _groups(same_ends, lambda path: _digest(root / path, complete=True)):
                yield from _of_same(sorted(same), sizes[same[0]], parts)


def _of_same(paths: list[str], size: int, parts: Mapping[str, str]) -> Iterator[Finding]:
    by_part = {part: [path for path in paths if parts[path] == part] for part in ("colour", "alpha", "trimap")}
    for path in by_part["colour"][1:]:
        first = by_part["colour"][0]
        kinds, splits = zip(*(_kind_and_split(one) for one in (path, first)), strict=True)
        shared = "shared-content" if kinds == ("bg", "bg") else "shared-foreground"
        is_shared = kinds[0] == kinds[1] and splits[0] != splits[1]
        yield finding(shared if is_shared else "duplicate", path, bytes=size, other=first)
    for part, code in (("alpha", "alpha-is-colour"), ("trimap", "trimap-is-copy")):
        others = by_part["colour"] + (by_part["alpha"] if part == "trimap" else [])
        for path in by_part[part] if others else []:
            name = Path(path).stem
            own = [other for other in others if name in (Path(other).stem, "a")] or others
            yield finding(code, path, bytes=size, other=own[0])


def _kind_and_split(path: str) -> tuple[str, str]:
    """("bg", "train"), ("image", "test"), ("video", "train")"""
    first, second, third, *_ = path.split("/")
    return (first, second) if first == "bg" else (second, third)


def _groups(paths: Iterable[str], key: Callable[[str], object]) -> list[list[str]]:
    """Return the groups of two or more paths that have the same key."""
    found: dict[object, list[str]] = defaultdict(list)
    for path in paths:
        found[key(path)].append(path)
    return [group for group in found.values() if len(group) > 1]


def _digest(path: Path, *, complete: bool) -> object:
    """Return a hash of a file's content or of its ends. A file that cannot be read differs from all others."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            if not complete:
                digest.update(file.read(ENDS))
                file.seek(max(ENDS, os.fstat(file.fileno()).st_size - ENDS))
                digest.update(file.read(ENDS))
            else:
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
    except OSError:
        return path
    return digest.digest()
