"""A prepared folder as it goes to the Hub: its files, held against its manifest.

manifest.json lists each shard with its bytes and sha256; a file is hashed here once, and its sha256 is what the Hub
stores it by. A change between hashing and sending is found by size and time of change.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from dvm_hf.errors import PreparedError

MANIFEST, CARD = "manifest.json", "README.md"
TOP_FILES = (CARD, MANIFEST, "plan.json", "samples.jpg")
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class StatedShard:
    """What a manifest says of a shard."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class PreparedFile:
    """A file to send: `path` in the repository, where it lies, its size in bytes, sha256 and time of change."""

    path: str
    source: Path
    size: int
    sha256: str
    changed_ns: int

    def require_unchanged(self) -> None:
        """Raises PreparedError where the file is no longer the one that was hashed."""
        now = self.source.stat()
        if (now.st_size, now.st_mtime_ns) != (self.size, self.changed_ns):
            raise PreparedError(
                f"{self.source}: changed while it was being pushed; nothing of it is visible; wait until nobody writes "
                "there, run `dvm verify` and push again"
            )


@dataclass(frozen=True)
class Prepared:
    """A folder that is whole: the files to send, the shards among them in order, and the names of files left here."""

    folder: Path
    files: tuple[PreparedFile, ...]
    shards: tuple[str, ...]
    left_here: tuple[str, ...]

    def shards_of_splits(self) -> dict[str, list[str]]:
        """`data/train-00007-of-00240.parquet` belongs to the split train."""
        splits: dict[str, list[str]] = {}
        for path in self.shards:
            splits.setdefault(PurePosixPath(path).name.rsplit("-", 3)[0], []).append(path)
        return splits

    def manifest_sha256(self) -> str:
        return next(file.sha256 for file in self.files if file.path == MANIFEST)


def read_prepared(out: Path, *, hashed: Callable[[int], object] = lambda size: None) -> Prepared:
    """The prepared folder `out`; `hashed` is called with the bytes of each block that has been hashed.

    Raises PreparedError where a file is missing, foreign or not as the manifest says.
    """
    stated = require_whole(out)
    wanted = [path for path in TOP_FILES if (out / path).is_file()]
    wanted += [name for path in sorted(stated) for name in (path, sidecar(path))]
    files = tuple(_hashed(out, path, hashed) for path in wanted)
    for file in files:
        if file.path in stated and file.sha256 != stated[file.path].sha256:
            raise PreparedError(
                f"{file.source}: its sha256 is {file.sha256[:12]}... but {MANIFEST} says "
                f"{stated[file.path].sha256[:12]}...; a shard must be as it was built; `dvm verify {out} --repair` "
                "makes it again"
            )
    left_here = sorted({str(path) for path in _files_below(out)} - set(wanted))
    return Prepared(out, files, tuple(sorted(stated)), tuple(left_here))


def require_whole(out: Path) -> dict[str, StatedShard]:
    """The shards that the manifest of `out` states, each there with its size and sidecar; reads no shard.

    Raises PreparedError as `read_prepared` does.
    """
    stated = _stated(out)
    _require_the_stated_files(out, stated)
    return stated


def total_bytes(out: Path) -> int:
    """Bytes of the files under `out`, about what `read_prepared` will hash."""
    return sum((out / path).stat().st_size for path in _files_below(out))


def stated_shards(manifest: Any) -> dict[str, StatedShard] | None:
    """The shards that a manifest lists, by their path from its folder; None where it is no manifest of ours."""
    try:
        shards = {
            _shard_path(shard["file"]): StatedShard(shard["bytes"], shard["sha256"]) for shard in manifest["shards"]
        }
    except (KeyError, TypeError, AttributeError):
        return None
    return shards or None


def sidecar(shard: str) -> str:
    """The path of the JSON file beside a shard."""
    return f"shards/{PurePosixPath(shard).stem}.json"


def _shard_path(file: str) -> str:
    return file if "/" in file else f"data/{file}"


def _stated(out: Path) -> dict[str, StatedShard]:
    """The manifest's shards."""
    if not out.is_dir():
        raise PreparedError(f"{out}: no such folder; OUT must be a folder that `dvm prepare` made")
    try:
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PreparedError(
            f"{out}: has no {MANIFEST}; it is written last, when all shards are made; run `dvm prepare` again to finish"
        ) from None
    except ValueError as error:
        raise PreparedError(f"{out / MANIFEST}: is no JSON ({error}); `dvm verify {out} --repair` writes it") from None
    stated = stated_shards(manifest)
    if stated is None:
        raise PreparedError(
            f"{out / MANIFEST}: lists no shards; it must be one that `dvm prepare` wrote, with the file, bytes and "
            f"sha256 of each; `dvm verify {out}` says what is wrong"
        )
    return stated


def _require_the_stated_files(out: Path, stated: dict[str, StatedShard]) -> None:
    """By names and sizes; hashing them takes long."""
    for path in (CARD, *sorted(stated), *map(sidecar, sorted(stated))):
        if not (out / path).is_file():
            raise PreparedError(
                f"{out / path}: is missing; {MANIFEST} needs it; `dvm verify {out} --repair` makes it again"
            )
    for path, shard in sorted(stated.items()):
        size = (out / path).stat().st_size
        if size != shard.bytes:
            raise PreparedError(
                f"{out / path}: has {size} bytes but {MANIFEST} says {shard.bytes}; a shard must be as it was built; "
                f"`dvm verify {out} --repair` makes it again"
            )
    foreign = {str(path) for path in _files_below(out) if path.suffix == ".parquet"} - stated.keys()
    if foreign:
        raise PreparedError(
            f"{out / min(foreign)}: is not in {MANIFEST} but would be loaded with its shards; move it away; "
            f"`dvm verify {out}` lists all such files"
        )


def _files_below(out: Path) -> Iterable[PurePosixPath]:
    """Files of the folder, from it; names that begin with a dot are this machine's."""
    for path in sorted(out.rglob("*")):
        inside = PurePosixPath(path.relative_to(out).as_posix())
        if path.is_file() and not any(name.startswith(".") for name in inside.parts):
            yield inside


def _hashed(out: Path, path: str, hashed: Callable[[int], object]) -> PreparedFile:
    source, digest = out / path, hashlib.sha256()
    before = source.stat()
    with source.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            hashed(len(block))
    return PreparedFile(path, source, before.st_size, digest.hexdigest(), before.st_mtime_ns)
