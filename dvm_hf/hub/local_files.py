"""A prepared folder as a push needs it: its files, held against its manifest.

manifest.json lists each shard with its bytes and sha256; a file is hashed here once, and its sha256 is what the Hub
stores it by. A change between hashing and sending is found by size and time of change.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dvm_hf.errors import DamagedError

MANIFEST, CARD = "manifest.json", "README.md"
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class LocalFile:
    """A file to send: `path` in the repository, where it lies, its size in bytes, sha256 and time of change."""

    path: str
    source: Path
    size: int
    sha256: str
    changed_ns: int

    def require_unchanged(self) -> None:
        """Raises DamagedError where the file is no longer the one that was hashed."""
        now = self.source.stat()
        if (now.st_size, now.st_mtime_ns) != (self.size, self.changed_ns):
            raise DamagedError(
                f"{self.source}: changed while it was being pushed; nothing of it is visible; wait until nobody writes "
                "there, run `dvm verify` and push again"
            )


@dataclass(frozen=True)
class LocalFolder:
    """A prepared folder that is whole: files to send, the shards of each split in order, files to leave here."""

    root: Path
    files: tuple[LocalFile, ...]
    splits: dict[str, tuple[str, ...]]
    left_here: tuple[str, ...]

    @property
    def shard_count(self) -> int:
        return sum(map(len, self.splits.values()))

    @property
    def manifest_sha256(self) -> str:
        return next(file.sha256 for file in self.files if file.path == MANIFEST)


@dataclass(frozen=True)
class Stated:
    """What a manifest states: shards of each split by path, and sha256 and bytes of files (None: not stated)."""

    splits: dict[str, tuple[str, ...]]
    sha256: dict[str, str]
    bytes: dict[str, int]

    @property
    def shards(self) -> tuple[str, ...]:
        return tuple(path for paths in self.splits.values() for path in paths)

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file of the folder, from it."""
        plans = [f"plan/{split}.json" for split in self.splits]
        return (
            CARD,
            MANIFEST,
            *sorted(self.sha256.keys() - {*self.shards, CARD}),
            *plans,
            *self._shards_and_sidecars(),
        )

    def _shards_and_sidecars(self) -> Iterator[str]:
        for path in self.shards:
            yield from (path, sidecar(path))


def stated(manifest: Any) -> Stated | None:
    """What the content of a manifest states; None where it is no manifest of `dvm prepare`."""
    try:
        splits = {
            split: {f"data/{shard['file']}": shard for shard in described["shards"]}
            for split, described in manifest["splits"].items()
        }
        shards = {path: shard for paths in splits.values() for path, shard in paths.items()}
        sha256 = dict(manifest["files"]) | {path: shard["sha256"] for path, shard in shards.items()}
        sizes = {path: shard["bytes"] for path, shard in shards.items()}
    except (KeyError, TypeError, AttributeError, ValueError):
        return None
    return Stated({split: tuple(paths) for split, paths in splits.items()}, sha256, sizes) if shards else None


def sidecar(shard: str) -> str:
    """The path of the JSON file beside a shard."""
    return f"shards/{PurePosixPath(shard).stem}.json"


def require_whole(out: Path) -> Stated:
    """What the manifest of `out` states, all of it there and of its size; reads no shard.

    Raises DamagedError where a file is missing, foreign or not as the manifest says.
    """
    found = _read_manifest(out)
    for path in found.paths:
        if not (out / path).is_file():
            raise DamagedError(f"{out / path}: is missing; a whole folder has it; {_remedy(out)}")
    for path, size in found.bytes.items():
        actual = (out / path).stat().st_size
        if actual != size:
            raise DamagedError(f"{out / path}: has {actual} bytes, must have {size} as {MANIFEST} says; {_remedy(out)}")
        _require_sidecar(out, path, found.sha256[path])
    foreign = {str(path) for path in _files_below(out) if path.suffix == ".parquet"} - set(found.shards)
    if foreign:
        raise DamagedError(
            f"{out / min(foreign)}: is not in {MANIFEST} but would be loaded with its shards; move it away"
        )
    return found


def read_folder(out: Path, *, hashed: Callable[[int], object] = lambda size: None) -> LocalFolder:
    """The prepared folder `out`; `hashed` is called with the bytes of each block that has been hashed.

    Raises DamagedError as `require_whole` does, and where a sha256 differs. The card may have been written to by hand.
    """
    found = require_whole(out)
    files = tuple(_hashed(out, path, hashed) for path in found.paths)
    for file in files:
        expected = found.sha256.get(file.path, file.sha256)
        if file.path != CARD and file.sha256 != expected:
            raise DamagedError(
                f"{file.source}: has the sha256 {file.sha256[:12]}..., must have {expected[:12]}... as {MANIFEST} "
                f"says; {_remedy(out)}"
            )
    left_here = {str(path) for path in _files_below(out)} - set(found.paths)
    return LocalFolder(out, files, found.splits, tuple(sorted(left_here)))


def total_bytes(out: Path) -> int:
    """Bytes of the files under `out`, about what `read_folder` will hash."""
    return sum((out / path).stat().st_size for path in _files_below(out))


def _read_manifest(out: Path) -> Stated:
    if not out.is_dir():
        raise DamagedError(f"{out}: no such folder; OUT must be a folder that `dvm prepare` made")
    path = out / MANIFEST
    try:
        found = stated(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DamagedError(
            f"{path}: is missing; it is written when all shards are made; run `dvm prepare` again to finish"
        ) from None
    except ValueError as error:
        raise DamagedError(f"{path}: is no JSON ({error}); {_remedy(out)}") from None
    if found is None:
        raise DamagedError(f"{path}: states no shards, must be as `dvm prepare` wrote it; {_remedy(out)}")
    return found


def _require_sidecar(out: Path, shard: str, sha256: str) -> None:
    path = out / sidecar(shard)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))["sha256"]
    except (ValueError, KeyError, TypeError):
        told = None
    if told != sha256:
        raise DamagedError(f"{path}: tells of another shard than {MANIFEST} does, must be of {shard}; {_remedy(out)}")


def _remedy(out: Path) -> str:
    return f"`dvm verify {out}` lists what is wrong, with --repair it is made again"


def _files_below(out: Path) -> Iterator[PurePosixPath]:
    """Files of the folder, from it; names that begin with a dot are this machine's."""
    for path in sorted(out.rglob("*")):
        inside = PurePosixPath(path.relative_to(out).as_posix())
        if path.is_file() and not any(name.startswith(".") for name in inside.parts):
            yield inside


def _hashed(out: Path, path: str, hashed: Callable[[int], object]) -> LocalFile:
    source, digest = out / path, hashlib.sha256()
    before = source.stat()
    with source.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            hashed(len(block))
    return LocalFile(path, source, before.st_size, digest.hexdigest(), before.st_mtime_ns)
