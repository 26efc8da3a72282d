"""Verify a folder of prepared shards: check every file against its recorded hash, and optionally decode all rows."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from datasets.utils import tqdm

from dvm_hf.errors import DamagedError, PreparedError
from dvm_hf.prepared.atomic_io import leftovers, sha256_of
from dvm_hf.prepared.folder import CLIP_TABLE, REPAIR, SHARD_FILE, FormerFormat, PreparedFolder
from dvm_hf.prepared.manifest import Manifest, PreparedSplit, described_splits, read_manifest
from dvm_hf.prepared.placeholder_card import PLACEHOLDER_CARD
from dvm_hf.prepared.plans.stored_plan import StoredPlan, open_plan
from dvm_hf.prepared.row_check import row_faults
from dvm_hf.prepared.shard_task import Job
from dvm_hf.prepared.shards import Recorded, Sidecar, is_of, read_sidecar, require_footer
from dvm_hf.prepared.source_digests import SourceDigests, cached_root, require_sources
from dvm_hf.prepared.storage.storage import storage_of
from dvm_hf.sources.records import SPLITS
from dvm_hf.sources.tree import root_of

SHOWN_ROW_FAULTS = 5  # of one shard


@dataclass(frozen=True)
class Fault:
    """A fault of a prepared folder; `path` is relative to it."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


@dataclass
class Verification:
    """The state of a prepared folder.

    plans: valid plans by split. unknown: splits whose shards cannot be checked without their plan. to_rebuild: damaged
    or missing shards, with their recorded state. unexpected: files to remove. faults: all faults found.
    """

    plans: dict[str, StoredPlan] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    manifest: Manifest | None = None
    sidecars: dict[Job, Sidecar] = field(default_factory=dict)
    to_rebuild: dict[Job, Recorded] = field(default_factory=dict)
    unexpected: list[Path] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def shards(self) -> int:
        """The number of planned shards."""
        return sum(plan.num_shards for plan in self.plans.values())

    @property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """(name, reason) of skipped sources and of completely or partly skipped clips."""
        of_plans = (entry for plan in self.plans.values() for entry in plan.skipped)
        return (*of_plans, *(entry for sidecar in self.sidecars.values() for entry in sidecar.skipped))


def verify(out: Path, *, read_data: bool = False, render: bool = False, data_dir: Path | None = None) -> Verification:
    """Check every file of a prepared folder. With `read_data`, also decode every image and check rows against the plan.

    render: whether to do that and compare every image with a fresh rendering. data_dir: the source folder or sources
    file for it; None: where the sources were when the folder was built on this machine.

    Raises PreparedError if the folder contains no readable plan, or the location of the sources is unknown, and
    SourceError if a source changed or cannot be used.
    """
    folder = PreparedFolder(out)
    found = Verification()
    try:
        found.manifest = read_manifest(folder.manifest)
    except PreparedError as error:
        _note(folder, found, folder.manifest, error)
    for split in SPLITS:
        _read_plan(folder, found, split)
    if not found.plans and not found.unknown:
        raise PreparedError(
            f"{folder.root}: contains no readable plan, neither in plan/ nor in manifest.json; pass a folder built by "
            "dvm prepare, or prepare it again with the same options"
        )
    root = _sources_root(folder, found, data_dir) if render else None
    _check_shards(folder, found, read_data=read_data or render, data_dir=root)
    _find_unexpected(folder, found)
    _check_description(folder, found)
    return found


def _read_plan(folder: PreparedFolder, found: Verification, split: str) -> None:
    """Find the plan of a split, from which its shards were built; the manifest tells which one that is, too."""
    path, stored = folder.plan(split), None
    counts = _plan_counts(folder, split)
    listed = found.manifest.splits.get(split) if found.manifest else None
    try:
        stored = open_plan(folder, split)
        stored.require_table()
    except FormerFormat:
        raise
    except PreparedError as error:
        if counts or path.exists() or listed:
            _note(folder, found, path if stored is None else stored.table, error)
    digests = [*([stored.digest] if stored else []), *([listed["plan_seal"]] if listed else [])]
    if not digests:
        return
    best = max(digests, key=lambda digest: counts[digest])  # in a tie the first, the plan file's
    agree = len(digests) == 2 and digests[0] == digests[1]
    if counts and not counts[best] and not agree:
        found.unknown.append(split)
        _note(
            folder,
            found,
            path,
            f"is not the plan of the shards of {split!r}, which is missing; restore plan/ or manifest.json of those "
            "shards, which are neither checked nor changed until then",
        )
    elif stored is None or stored.digest != best or not stored.has_table():
        found.unknown.append(split)
        if stored is not None and stored.digest != best:
            _note(folder, found, path, "is not the plan of the shards; --repair restores it")
    else:
        found.plans[split] = stored


def _plan_counts(folder: PreparedFolder, split: str) -> Counter[str]:
    """Count the sidecars of a split by plan; sidecars without a shard are ignored."""
    storage = storage_of(folder.root)
    shards = storage.stems(folder.root / "data", ".parquet")  # others were deleted after an earlier build
    paths = [path for path in sorted((folder.root / "shards").glob(f"{split}-*.json")) if path.stem in shards]
    return Counter(plan for plan in storage.mapped(_plan_of, paths) if plan is not None)


def _plan_of(sidecar: Path) -> str | None:
    try:
        return read_sidecar(sidecar).plan
    except PreparedError:
        return None  # reported by the check of its shard


def _sources_root(folder: PreparedFolder, found: Verification, data_dir: Path | None) -> Path:
    """Return the root of the sources, whose content is the plans'."""
    root = root_of(data_dir) if data_dir else cached_root(folder.local_sources)
    if root is None:
        raise PreparedError(
            f"{folder.root}: a fresh rendering needs the sources, but their location is unknown; "
            "pass the source folder or the sources file as --data-dir"
        )
    digests = SourceDigests(root, folder.local_sources)
    for plan in found.plans.values():
        for index in range(plan.num_shards):
            shard = plan.shard(index)
            require_sources(shard.sources, digests, shard.clips)
    return root


def _check_shards(folder: PreparedFolder, found: Verification, *, read_data: bool, data_dir: Path | None) -> None:
    """Check each shard with its sidecar; those of an object store are read ahead, each once."""
    jobs = [Job(split, index) for split, plan in found.plans.items() for index in range(plan.num_shards)]
    paths = (folder.shard(job.split, job.shard, found.plans[job.split].num_shards) for job in jobs)
    storage = storage_of(folder.root)
    with (
        closing(storage.mapped(partial(_own_sidecar, folder, found), jobs)) as sidecars,
        storage.local_copies(paths) as copies,
    ):
        bar = tqdm(jobs, desc="Verifying", unit=" shards", delay=2)
        for job, sidecar, copy in zip(bar, sidecars, copies, strict=True):
            _check_shard(folder, found, job, sidecar, copy, read_data=read_data, data_dir=data_dir)


def _check_shard(
    folder: PreparedFolder,
    found: Verification,
    job: Job,
    own: Sidecar | PreparedError,
    copy: AbstractContextManager[Path],
    *,
    read_data: bool,
    data_dir: Path | None,
) -> None:
    plan = found.plans[job.split]
    path = folder.shard(job.split, job.shard, plan.num_shards)
    before = len(found.faults)
    if isinstance(own, Sidecar):
        found.sidecars[job] = own
    else:
        _note(folder, found, folder.sidecar(job.split, job.shard, plan.num_shards), own)
    sidecar = found.sidecars.get(job)
    recorded = found.manifest and found.manifest.recorded(plan, job.shard)
    listed = found.manifest.shards.get(f"data/{path.name}") if found.manifest else None
    with ExitStack() as opened:
        try:
            local = opened.enter_context(copy)
            fault = _fault_of_bytes(
                local, {"bytes": sidecar.file_size, "sha256": sidecar.sha256} if sidecar else listed
            )
        except FileNotFoundError:
            fault = "is missing"
        except OSError as error:
            fault = f"cannot be read ({error.strerror})"
        if fault is not None:
            _note(folder, found, path, fault)
            if sidecar is not None and recorded is None:
                recorded = Recorded(sidecar.sha256, frozenset(name for name, _ in sidecar.skipped))
        elif sidecar is not None:
            for text in _faults_within(path, local, plan, job.shard, sidecar, read_data=read_data, data_dir=data_dir):
                _note(folder, found, path, text)
    if len(found.faults) > before:
        found.to_rebuild[job] = recorded or Recorded()
        found.sidecars.pop(job, None)


def _own_sidecar(folder: PreparedFolder, found: Verification, job: Job) -> Sidecar | PreparedError:
    """Return the sidecar of a planned shard, or what is wrong with it."""
    plan = found.plans[job.split]
    try:
        return _valid_sidecar(folder.sidecar(job.split, job.shard, plan.num_shards), plan, job.shard, found.manifest)
    except PreparedError as error:
        return error


def _valid_sidecar(path: Path, plan: StoredPlan, index: int, manifest: Manifest | None) -> Sidecar:
    sidecar = read_sidecar(path)
    ids = [clip["clip_id"] for clip in plan.line(index)["clips"]]
    if not is_of(sidecar, plan.identity(index)) or list(sidecar.clips) != ids:
        raise DamagedError(
            f"{path}: belongs to another shard or plan ({sidecar.file}, plan {sidecar.plan[:12]}); --repair rebuilds "
            "both"
        )
    if manifest is not None and not manifest.agrees_with(sidecar):
        raise DamagedError(f"{path}: describes a different shard than manifest.json; {REPAIR}")
    return sidecar


def _fault_of_bytes(file: Path, expected: Mapping[str, Any] | None) -> str | None:
    """Return the fault of a shard's bytes according to its sidecar or the manifest; None if they have none."""
    size = file.stat().st_size
    if expected is None:
        return None
    if size != expected["bytes"]:
        return f"has {size} bytes instead of {expected['bytes']}: it was truncated or replaced"
    if sha256_of(file) != expected["sha256"]:
        return "was changed after it was written: its SHA-256 differs"
    return None


def _faults_within(
    path: Path, local: Path, plan: StoredPlan, index: int, sidecar: Sidecar, *, read_data: bool, data_dir: Path | None
) -> Iterator[str | PreparedError]:
    """Yield the faults inside a shard whose bytes match its sidecar. local: a file with its bytes."""
    try:
        require_footer(path, plan.identity(index), sidecar.rows, local=local)
    except PreparedError as error:
        yield error
        return
    if not read_data:
        return
    for number, text in enumerate(row_faults(local, plan.shard(index), sidecar, data_dir=data_dir)):
        if number == SHOWN_ROW_FAULTS:
            yield "has more faults in its rows"
            return
        yield text


def _find_unexpected(folder: PreparedFolder, found: Verification) -> None:
    """Report unexpected files. Leftovers and shards of other plans are to be removed, other files are not."""
    expected = {folder.plan(split) for split in SPLITS}
    for split, plan in found.plans.items():
        expected.add(plan.table)
        for index in range(plan.num_shards):
            expected |= {make(split, index, plan.num_shards) for make in (folder.shard, folder.sidecar)}
    for parent in folder.folders:
        for path in leftovers(parent) if parent.is_relative_to(folder.root) else ():
            found.unexpected.append(path)
            _note(folder, found, path, "is a leftover of an interrupted build; --repair removes it")
    for name in ("plan", "data", "shards"):
        for path in sorted((folder.root / name).glob("*")):
            if path in expected or path.name.startswith("."):
                continue  # a push ignores hidden files, too; leftovers are reported above
            shard = SHARD_FILE.fullmatch(path.name) or CLIP_TABLE.fullmatch(path.name)
            if shard is None:
                _note(folder, found, path, "is not part of this dataset; move it elsewhere")
            elif shard["split"] in found.plans:
                found.unexpected.append(path)
                _note(
                    folder,
                    found,
                    path,
                    "belongs to another plan, and load_dataset might load it; --repair moves it away",
                )


def _check_description(folder: PreparedFolder, found: Verification) -> None:
    """Check the manifest against plans and sidecars, and card and samples against the manifest."""
    if found.manifest is None:
        return
    has_croissant = folder.croissant.name in found.manifest.files  # those of earlier versions lack it
    for path in (folder.samples, *([folder.croissant] if has_croissant else []), folder.card):
        try:
            data = path.read_bytes()
        except OSError as error:
            _note(folder, found, path, f"cannot be read ({error.strerror}); --repair rebuilds it")
            continue
        if path == folder.card and data == PLACEHOLDER_CARD:
            _note(
                folder,
                found,
                path,
                "is a placeholder, because shards are missing; --repair rebuilds it after the shards",
            )
        elif hashlib.sha256(data).hexdigest() != found.manifest.files.get(path.name):
            _note(folder, found, path, "was changed; --repair rebuilds it")
    if found.to_rebuild or found.unknown or len(found.sidecars) < found.shards:
        return  # the manifest can only be checked against complete shards
    splits = [
        PreparedSplit(plan, tuple(found.sidecars[Job(split, index)] for index in range(plan.num_shards)))
        for split, plan in found.plans.items()
    ]
    if found.manifest.splits != described_splits(splits):
        _note(folder, found, folder.manifest, "does not describe the shards in this folder; --repair rebuilds it")


def _note(folder: PreparedFolder, found: Verification, path: Path, what: str | PreparedError) -> None:
    found.faults.append(Fault(*_located(folder, path, what)))


def _located(folder: PreparedFolder, path: Path, what: str | PreparedError) -> tuple[str, str]:
    """Return relative path and text, without the path that an error's text starts with."""
    return path.relative_to(folder.root).as_posix(), str(what).removeprefix(f"{path}: ")
