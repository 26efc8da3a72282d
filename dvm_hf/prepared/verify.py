"""Verify a folder of prepared shards: every file against what it must be, by hashes or by decoding all of it."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets.utils import tqdm

from dvm_hf.errors import PreparedError
from dvm_hf.prepared.folder import SHARD_FILE, PreparedFolder, unsealed
from dvm_hf.prepared.manifest import described_splits
from dvm_hf.prepared.row_check import row_faults
from dvm_hf.prepared.shard_plan import ShardPlan, plan_of, read_plan
from dvm_hf.prepared.shard_pool import Job
from dvm_hf.prepared.shards import PreparedSplit, Sidecar, read_sidecar, require_footer
from dvm_hf.prepared.whole_file import TEMPORARY, leftovers, sha256_of
from dvm_hf.sources import SPLITS

SHOWN_ROW_FAULTS = 5  # of one shard


@dataclass(frozen=True)
class Fault:
    """Something wrong with a prepared folder; `path` is relative to it."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


@dataclass
class Verification:
    """What a folder was found to be.

    plans: by split, those that can be trusted. shards: how many there must be. bad: shards to make again. strays:
    files to remove. faults: all that is wrong.
    """

    plans: dict[str, ShardPlan] = field(default_factory=dict)
    manifest: dict[str, Any] | None = None
    sidecars: dict[Job, Sidecar] = field(default_factory=dict)
    bad: list[Job] = field(default_factory=list)
    strays: list[Path] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def shards(self) -> int:
        return sum(plan.num_shards for plan in self.plans.values())


def verify(out: Path, *, read_data: bool = False) -> Verification:
    """Check every file of a prepared folder; with `read_data` also decode every picture and hold rows against the plan.

    Raises PreparedError where the folder holds no plan at all.
    """
    folder = PreparedFolder(out)
    found = Verification()
    _read_plans(folder, found)
    jobs = [Job(split, index) for split, plan in found.plans.items() for index in range(plan.num_shards)]
    for job in tqdm(jobs, desc="Verifying", unit=" shards", delay=2):
        _check_shard(folder, found, job, read_data=read_data)
    _find_strays(folder, found)
    _check_description(folder, found)
    return found


def _read_plans(folder: PreparedFolder, found: Verification) -> None:
    try:
        found.manifest = unsealed(folder.manifest)
    except PreparedError as error:
        _note(folder, found, folder.manifest, error)
    in_manifest = {} if found.manifest is None else found.manifest["splits"]
    for split in SPLITS:
        path, faults = folder.plan(split), []
        candidates = []
        try:
            candidates.append(read_plan(path))
        except PreparedError as error:
            faults.append(error)
        if split in in_manifest:
            candidates.append(plan_of(in_manifest[split]["plan"]))
        votes = _votes(folder, split)
        if not candidates and not votes and not path.exists():
            continue  # there is no such split
        found.faults += [Fault(*_told(folder, path, error)) for error in faults]
        if candidates:  # max takes the first, the file's own, of equals
            found.plans[split] = max(candidates, key=lambda plan: votes[plan.digest])
            if not faults and found.plans[split].digest != candidates[0].digest:
                _note(folder, found, path, "is another plan than the one that the shards were made of")
    if not found.plans:
        raise PreparedError(
            f"{folder.root}: holds no plan that can be read, neither in plan/ nor in manifest.json; name a folder that "
            "dvm prepare has made, or prepare it again with the same options"
        )


def _votes(folder: PreparedFolder, split: str) -> Counter[str]:
    """How many sidecars of a split name which plan."""
    votes: Counter[str] = Counter()
    for path in sorted((folder.root / "shards").glob(f"{split}-*.json")):
        try:
            votes[read_sidecar(path).plan] += 1
        except PreparedError:
            continue  # told of where its shard is checked
    return votes


def _check_shard(folder: PreparedFolder, found: Verification, job: Job, *, read_data: bool) -> None:
    plan = found.plans[job.split]
    path = folder.shard(job.split, job.shard, plan.num_shards)
    sidecar_path = folder.sidecar(job.split, job.shard, plan.num_shards)
    before = len(found.faults)
    try:
        sidecar = read_sidecar(sidecar_path)
        clips = tuple(clip.clip_id for clip in plan.clips_of(job.shard))
        if (sidecar.file, sidecar.plan, sidecar.clips) != (path.name, plan.digest, clips):
            raise PreparedError(
                f"{sidecar_path}: is of another shard or plan ({sidecar.file}, plan {sidecar.plan[:12]})"
            )
        found.sidecars[job] = sidecar
    except PreparedError as error:
        _note(folder, found, sidecar_path, error)
    for text in _shard_faults(path, plan, job.shard, found.sidecars.get(job), read_data=read_data):
        _note(folder, found, path, text)
    if len(found.faults) > before:
        found.bad.append(job)
        found.sidecars.pop(job, None)


def _shard_faults(
    path: Path, plan: ShardPlan, index: int, sidecar: Sidecar | None, *, read_data: bool
) -> Iterator[str | PreparedError]:
    """What is wrong with a shard's file, as far as can be told: where there is no sidecar, only whether it is there."""
    try:
        size = path.stat().st_size
        if sidecar is None:
            return
        if size != sidecar.file_size:
            yield f"has {size} bytes, by its sidecar {sidecar.file_size}: it was cut or replaced"
        elif sha256_of(path) != sidecar.sha256:
            yield "has other bytes than those that were written: its SHA-256 is not its sidecar's"
        else:
            require_footer(path, plan, index, sidecar.rows)
            for number, text in enumerate(row_faults(path, plan, index, sidecar) if read_data else ()):
                if number == SHOWN_ROW_FAULTS:
                    yield "and more of the same"
                    return
                yield text
    except FileNotFoundError:
        yield "is missing"
    except OSError as error:
        yield f"cannot be read ({error.strerror})"
    except PreparedError as error:
        yield error


def _find_strays(folder: PreparedFolder, found: Verification) -> None:
    """Files that nothing asked for: leftovers, shards of other plans; what is no shard is told of but not removed."""
    expected = {folder.plan(split) for split in SPLITS}
    for split, plan in found.plans.items():
        for index in range(plan.num_shards):
            expected |= {make(split, index, plan.num_shards) for make in (folder.shard, folder.sidecar)}
    for where in folder.folders:
        for path in leftovers(where):
            found.strays.append(path)
            _note(folder, found, path, "was left by a builder that is gone; --repair removes it")
    for name in ("plan", "data", "shards"):
        for path in sorted((folder.root / name).glob("*")):
            if path in expected or TEMPORARY.fullmatch(path.name):
                continue
            shard = SHARD_FILE.fullmatch(path.name)
            if shard is None:
                _note(folder, found, path, "is no file of this dataset; move it elsewhere")
            elif shard["split"] in found.plans:
                found.strays.append(path)
                _note(
                    folder,
                    found,
                    path,
                    "is a shard of another plan, and load_dataset would load it; --repair removes it",
                )


def _check_description(folder: PreparedFolder, found: Verification) -> None:
    """Manifest against plans and sidecars; card and samples against the manifest."""
    if found.manifest is None:
        return
    hashes = found.manifest["files"]
    for path in (folder.samples, folder.card):
        try:
            if hashlib.sha256(path.read_bytes()).hexdigest() != hashes.get(path.name):
                _note(folder, found, path, "is not as it was written; --repair writes it again")
        except OSError as error:
            _note(folder, found, path, f"cannot be read ({error.strerror}); --repair writes it again")
    if found.bad or len(found.sidecars) < found.shards:
        return  # the manifest will be held against the shards when they are whole
    splits = [
        PreparedSplit(plan, tuple(found.sidecars[Job(split, index)] for index in range(plan.num_shards)))
        for split, plan in found.plans.items()
    ]
    if found.manifest["splits"] != described_splits(splits):
        _note(folder, found, folder.manifest, "does not tell of the shards that are here; --repair writes it again")


def _note(folder: PreparedFolder, found: Verification, path: Path, what: str | PreparedError) -> None:
    found.faults.append(Fault(*_told(folder, path, what)))


def _told(folder: PreparedFolder, path: Path, what: str | PreparedError) -> tuple[str, str]:
    """Relative path and text; an error's text names the path itself."""
    return path.relative_to(folder.root).as_posix(), str(what).removeprefix(f"{path}: ")
