"""A prepared folder as a push needs it: its files, held against its manifest.

manifest.json lists each shard with its bytes and sha256; a file is hashed here once, and its sha256 is what the Hub
stores it by. A change between hashing and sending is found by size and time of change.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import yaml

from dvm_hf.errors import DamagedError
from dvm_hf.prepared.atomic_io import CHUNK
from dvm_hf.prepared.card import FRONT_MATTER, HIDING_CARD, front_matter
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.manifest import Manifest, read_manifest
from dvm_hf.prepared.shard_plan import read_plan
from dvm_hf.prepared.shards import PreparedSplit, Sidecar, is_of, read_sidecar

CARD, MANIFEST = "README.md", "manifest.json"
HELD = ("configs", "dataset_info")  # of a card's front matter: what load_dataset goes by


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
                f"{self.source}: changed during the push, of which nothing is visible; wait until no build runs in the "
                "folder, run `dvm verify` and push again"
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


def require_whole(out: Path) -> Manifest:
    """The manifest of `out`: every file that it names is there, sealed files are whole and agree; reads no shard.

    Raises DamagedError where a file is missing, foreign or not as it was made, PreparedError where one cannot be read.
    """
    folder = PreparedFolder(out)
    if not out.is_dir():
        raise DamagedError(f"{out}: no such folder; OUT must be a folder built by `dvm prepare`")
    if not folder.manifest.exists():
        raise DamagedError(
            f"{folder.manifest}: is missing, because not all shards are built; run `dvm prepare` again to finish"
        )
    found = read_manifest(folder.manifest)
    for path in found.paths:
        if not (out / path).is_file():
            raise DamagedError(f"{out / path}: is missing from the folder; {_remedy(out)}")
    splits = [_require_split(folder, found, split) for split in found.splits]
    _require_card(folder, splits)
    foreign = {str(path) for path in _files_below(out) if path.suffix == ".parquet"} - found.shards.keys()
    if foreign:
        _refuse_foreign(folder, found, min(foreign))
    return found


def read_folder(out: Path, *, hashed: Callable[[int], object] = lambda size: None) -> LocalFolder:
    """The prepared folder `out`; `hashed` is called with the bytes of each block that has been hashed.

    Raises DamagedError as `require_whole` does, and where a sha256 differs. The card may have been written to by hand.
    """
    found = require_whole(out)
    expected = dict(found.files) | {path: shard["sha256"] for path, shard in found.shards.items()}
    files = tuple(_hashed(out, path, hashed) for path in found.paths)
    for file in files:
        if file.path != CARD and file.sha256 != expected.get(file.path, file.sha256):
            raise DamagedError(
                f"{file.source}: has the sha256 {file.sha256[:12]}... instead of {expected[file.path][:12]}... in "
                f"{MANIFEST}; {_remedy(out)}"
            )
    left_here = {str(path) for path in _files_below(out)} - set(found.paths)
    splits = {
        split: tuple(f"data/{shard['file']}" for shard in described["shards"])
        for split, described in found.splits.items()
    }
    return LocalFolder(out, files, splits, tuple(sorted(left_here)))


def total_bytes(out: Path) -> int:
    """Bytes of the files under `out`, about what `read_folder` will hash."""
    return sum((out / path).stat().st_size for path in _files_below(out))


def _require_split(folder: PreparedFolder, manifest: Manifest, split: str) -> PreparedSplit:
    """A split as its plan and sidecars tell of it; raises DamagedError where the manifest tells otherwise."""
    plan, described = read_plan(folder.plan(split)), manifest.splits[split]
    if (plan.split, plan.digest) != (split, described["plan_seal"]):
        raise DamagedError(f"{folder.plan(split)}: is not the plan in {MANIFEST}; {_remedy(folder.root)}")
    if plan.num_shards != len(described["shards"]):
        raise DamagedError(
            f"{folder.manifest}: lists {len(described['shards'])} shards of {split!r}, but the plan has "
            f"{plan.num_shards}; {_remedy(folder.root)}"
        )
    sidecars: list[Sidecar] = []
    for index in range(plan.num_shards):
        path = folder.sidecar(split, index, plan.num_shards)
        sidecar = read_sidecar(path)
        if not is_of(sidecar, plan, index) or not manifest.agrees_with(sidecar):
            raise DamagedError(f"{path}: describes a different shard than {MANIFEST}; {_remedy(folder.root)}")
        shard = folder.shard(split, index, plan.num_shards)
        size = shard.stat().st_size
        if size != sidecar.file_size:
            raise DamagedError(
                f"{shard}: has {size} bytes instead of {sidecar.file_size} in {MANIFEST}; {_remedy(folder.root)}"
            )
        sidecars.append(sidecar)
    return PreparedSplit(plan, tuple(sidecars))


def _require_card(folder: PreparedFolder, splits: list[PreparedSplit]) -> None:
    """Text may be written to by hand; what `load_dataset` goes by must be true, or the push would show a wrong one."""
    data = folder.card.read_bytes()
    if data == HIDING_CARD:
        raise DamagedError(
            f"{folder.card}: is a placeholder, because the folder is not complete; {_remedy(folder.root)}"
        )
    found = FRONT_MATTER.match(data.decode("utf-8", "replace").replace("\r\n", "\n"))
    try:
        matter = yaml.safe_load(found["yaml"]) if found else None
    except yaml.YAMLError:
        matter = None
    expected = front_matter(splits)
    wrong = [name for name in HELD if not isinstance(matter, dict) or matter.get(name) != expected[name]]
    if wrong:
        raise DamagedError(
            f"{folder.card}: its {' and '.join(wrong)} do not match the shards; you can edit its text, "
            f"but not these fields; {_remedy(folder.root)}"
        )


def _refuse_foreign(folder: PreparedFolder, manifest: Manifest, path: str) -> None:
    """Raise DamagedError for a Parquet file that no manifest lists: of a split that is being made, or of somebody."""
    split = PurePosixPath(path).name.split("-")[0]
    if split in folder.planned_splits() and split not in manifest.splits:
        raise DamagedError(
            f"{folder.root / path}: the split {split!r} is not finished; run `dvm prepare` again with the same "
            "options, then push both"
        )
    raise DamagedError(f"{folder.root / path}: is not in {MANIFEST} but would be loaded with its shards; move it away")


def _remedy(out: Path) -> str:
    return f"run `dvm verify {out}` to list the faults, and pass --repair to rebuild the files"


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
        while block := file.read(CHUNK):
            digest.update(block)
            hashed(len(block))
    return LocalFile(path, source, before.st_size, digest.hexdigest(), before.st_mtime_ns)
