"""Files with the same bytes: backgrounds shared by train and test, and duplicates."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from dvm_hf.check.findings import Finding, finding

CHUNK = 2**20  # bytes
ENDS = 2**16  # bytes at both ends that are compared before a file is read whole


def of_contents(root: Path, sizes: dict[str, int]) -> Iterator[Finding]:
    """Findings about files, by path relative to the root with their sizes, that have the same content.

    Only files of one size are opened, and read whole only where their ends are equal.
    """
    for alike in _groups(sizes, sizes.__getitem__):
        for closer in _groups(alike, lambda path: _digest(root / path, whole=False)):
            for same in _groups(closer, lambda path: _digest(root / path, whole=True)):
                yield from _of_same(sorted(same), sizes[same[0]])


def _of_same(paths: list[str], size: int) -> Iterator[Finding]:
    first = paths[0]
    for path in paths[1:]:
        in_both = {"/".join(one.split("/")[:2]) for one in (path, first)} == {"bg/train", "bg/test"}
        yield finding("shared-content" if in_both else "duplicate", path, bytes=size, other=first)


def _groups(paths: Iterable[str], key: Callable[[str], object]) -> list[list[str]]:
    """Paths of equal keys, where there are two and more."""
    found: dict[object, list[str]] = defaultdict(list)
    for path in paths:
        found[key(path)].append(path)
    return [group for group in found.values() if len(group) > 1]


def _digest(path: Path, *, whole: bool) -> object:
    """Of a file's content, or of its ends; a file that cannot be read equals no other."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as file:
            if not whole:
                digest.update(file.read(ENDS))
                file.seek(max(ENDS, os.fstat(file.fileno()).st_size - ENDS))
                digest.update(file.read(ENDS))
            else:
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
    except OSError:
        return path
    return digest.digest()
