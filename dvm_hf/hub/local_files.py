"""The files of a prepared folder to push, compared with its manifest.

manifest.json lists the size and sha256 of each shard. Each file is hashed once, and the Hub stores it by its sha256. A
file that changes between hashing and sending is detected by its size and modification time.
"""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import yaml

from dvm_hf.errors import DamagedError, PreparedError
from dvm_hf.prepared.atomic_io import CHUNK
from dvm_hf.prepared.card import FRONT_MATTER, front_matter
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.manifest import Manifest, PreparedSplit, read_manifest
from dvm_hf.prepared.placeholder_card import PLACEHOLDER_CARD
from dvm_hf.prepared.plans.stored_plan import open_plan
from dvm_hf.prepared.shards import Sidecar, is_of, read_sidecar
from dvm_hf.prepared.storage.storage import storage_of
from dvm_hf.sources.tree import is_source_tree

CARD, MANIFEST = "README.md", "manifest.json"
LOADED_FIELDS = ("configs", "dataset_info")  # fields of a card's front matter that load_dataset uses


@dataclass(frozen=True)
class LocalFile:
    """A file to upload: its path in the repository, its local path, size in bytes, sha256 and modification time."""

    path: str
    source: Path
    size: int
    sha256: str
    changed_ns: int

    @property
    def is_local(self) -> bool:
        return storage_of(self.source).is_local

    def readable(self, copies: ExitStack | None) -> Path | bytes:
        """Return what the Hub's client reads the file from: a path; or the bytes of a small object.

        copies: holds the local copy of a shard that is an object.
        """
        if self.is_local:
            return self.source
        if copies is None or not self.path.endswith(".parquet"):
            return self.source.read_bytes()  # the client reads it again when it commits
        return copies.enter_context(storage_of(self.source).local_copy(self.source))

    def is_unchanged(self) -> bool:
        """Return whether the file is the one that was hashed, by size and time."""
        now = self.source.stat()
        return (now.st_size, now.st_mtime_ns) == (self.size, self.changed_ns)

    def require_unchanged(self) -> None:
        """Raise DamagedError if the file has changed since it was hashed."""
        if not self.is_unchanged():
            raise DamagedError(
                f"{self.source}: changed during the push, so nothing of it is visible; wait until no build runs in the "
                "folder, run `dvm verify` and push again"
            )


@dataclass(frozen=True)
class LocalFolder:
    """A complete prepared folder: the files to upload, the shards of each split in order, and files not to upload."""

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


def require_complete(out: Path) -> Manifest:
    """Return the manifest of `out`, after a check that all files exist and match it. Shards are not read.

    Raises DamagedError if a file is missing, foreign or changed, and PreparedError if one cannot be read or `out` was
    not built by `dvm prepare`.
    """
    folder = PreparedFolder(out)
    _require_prepared(folder)
    if not folder.manifest.exists():
        raise DamagedError(
            f"{folder.manifest}: is missing, because not all shards are built; run `dvm prepare` again to finish"
        )
    found = read_manifest(folder.manifest)
    held = storage_of(out).files(out)
    for path in found.paths:
        if path not in held:
            raise DamagedError(f"{out / path}: is missing from the folder; {_remedy(out)}")
    splits = [_require_split(folder, found, split, held) for split in found.splits]
    _require_card(folder, splits)
    foreign = {path for path in _published(held) if path.endswith(".parquet")} - found.shards.keys()
    if foreign:
        _refuse_foreign(folder, found, min(foreign))
    return found


def _require_prepared(folder: PreparedFolder) -> None:
    """Raise PreparedError for a folder without a plan and without a valid manifest: wrong use, not damage."""
    out = folder.root
    if not out.is_dir():
        what = "is not a folder" if out.exists() else "no such folder"
        raise PreparedError(f"{out}: {what}; OUT must be a folder built by `dvm prepare`")
    if folder.planned_splits():
        return
    try:
        read_manifest(folder.manifest)
    except PreparedError:
        if is_source_tree(out):
            raise PreparedError(
                f"{out}: is a source folder, and not a prepared folder; build one with `dvm prepare {out} OUT`, then "
                "push OUT, or pass --sources to push the sources"
            ) from None
        raise PreparedError(
            f"{out}: contains neither a plan/ nor a valid manifest.json, so it is not a prepared folder; build one "
            "with `dvm prepare DATA_DIR OUT`, then push OUT"
        ) from None


def read_folder(out: Path, *, hashed: Callable[[int], object] = lambda size: None) -> LocalFolder:
    """Read and hash the prepared folder `out`. The text of the card may have been edited.

    hashed: called with the size in bytes of each hashed block, to show progress. Raises the errors of
    `require_complete`, and DamagedError if a sha256 differs.
    """
    found = require_complete(out)
    expected = dict(found.files) | {path: shard["sha256"] for path, shard in found.shards.items()}
    files = tuple(hashed_file(path, out / path, hashed) for path in found.paths)
    for file in files:
        if file.path != CARD and file.sha256 != expected.get(file.path, file.sha256):
            raise DamagedError(
                f"{file.source}: has the sha256 {file.sha256[:12]}... instead of {expected[file.path][:12]}... in "
                f"{MANIFEST}; {_remedy(out)}"
            )
    left_here = {*_published(storage_of(out).files(out))} - set(found.paths)
    splits = {
        split: tuple(f"data/{shard['file']}" for shard in described["shards"])
        for split, described in found.splits.items()
    }
    return LocalFolder(out, files, splits, tuple(sorted(left_here)))


def total_bytes(out: Path) -> int:
    """Return the size in bytes of all files in `out`, approximately those that `read_folder` hashes."""
    return sum(_published(storage_of(out).files(out)).values())


def _require_split(folder: PreparedFolder, manifest: Manifest, split: str, held: Mapping[str, int]) -> PreparedSplit:
    """Return a split, read from its plan and sidecars. held: sizes of all files.

    Raises DamagedError if the manifest differs from them.
    """
    plan, described = open_plan(folder, split), manifest.splits[split]
    plan.require_table()
    if plan.content != described["plan"]:
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
        if not is_of(sidecar, plan.identity(index)) or not manifest.agrees_with(sidecar):
            raise DamagedError(f"{path}: describes a different shard than {MANIFEST}; {_remedy(folder.root)}")
        shard = folder.shard(split, index, plan.num_shards)
        size = held[f"data/{shard.name}"]
        if size != sidecar.file_size:
            raise DamagedError(
                f"{shard}: has {size} bytes instead of {sidecar.file_size} in {MANIFEST}; {_remedy(folder.root)}"
            )
        sidecars.append(sidecar)
    return PreparedSplit(plan, tuple(sidecars))


def _require_card(folder: PreparedFolder, splits: list[PreparedSplit]) -> None:
    """Raise DamagedError if the fields of the card that load_dataset uses do not match the shards.

    The text of the card may have been edited.
    """
    data = folder.card.read_bytes()
    if data == PLACEHOLDER_CARD:
        raise DamagedError(
            f"{folder.card}: is a placeholder, because the folder is not complete; {_remedy(folder.root)}"
        )
    found = FRONT_MATTER.match(data.decode("utf-8", "replace").replace("\r\n", "\n"))
    try:
        matter = yaml.safe_load(found["yaml"]) if found else None
    except yaml.YAMLError:
        matter = None
    expected = front_matter(splits)
    wrong = [name for name in LOADED_FIELDS if not isinstance(matter, dict) or matter.get(name) != expected[name]]
    if wrong:
        raise DamagedError(
            f"{folder.card}: its {' and '.join(wrong)} do not match the shards; you can edit its text, "
            f"but not these fields; {_remedy(folder.root)}"
        )


def _refuse_foreign(folder: PreparedFolder, manifest: Manifest, path: str) -> None:
    """Raise DamagedError for a Parquet file that the manifest does not list: foreign, or of an unfinished split."""
    split = PurePosixPath(path).name.split("-")[0]
    if split in folder.planned_splits() and split not in manifest.splits:
        raise DamagedError(
            f"{folder.root / path}: the split {split!r} is not finished; run `dvm prepare` again with the same "
            "options, then push both"
        )
    raise DamagedError(f"{folder.root / path}: is not in {MANIFEST} but would be loaded with its shards; move it away")


def _remedy(out: Path) -> str:
    return f"run `dvm verify {out}` to list the faults, and pass --repair to rebuild the files"


def _published(files: Mapping[str, int]) -> dict[str, int]:
    """Return the files without those whose path has a name that begins with a dot."""
    return {path: size for path, size in files.items() if not any(name.startswith(".") for name in path.split("/"))}


def hashed_file(path: str, source: Path, hashed: Callable[[int], object]) -> LocalFile:
    """Read a file that becomes `path` in the repository. hashed: called with the size in bytes of each block."""
    digest = hashlib.sha256()
    before = source.stat()
    with source.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
            hashed(len(block))
    return LocalFile(path, source, before.st_size, digest.hexdigest(), before.st_mtime_ns)
