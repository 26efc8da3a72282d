"""Repair a folder of prepared shards: rebuild damaged shards byte for byte and leave valid ones unchanged."""

from contextlib import suppress
from pathlib import Path

from dvm_hf.dataset.config import plans as clips_of
from dvm_hf.dataset.encoders import encoder_versions, require_encoder
from dvm_hf.errors import ConfigError, PreparedError, SourceError
from dvm_hf.media.estimation.estimates import ESTIMATION, method_key
from dvm_hf.prepared.atomic_io import make_writable
from dvm_hf.prepared.engines.engine_table import local
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.placeholder_card import write_placeholder
from dvm_hf.prepared.plans.digest_cache import cached_facts
from dvm_hf.prepared.plans.plan_conflicts import other_files
from dvm_hf.prepared.plans.shard_plan import current_versions, made_plan, replanned_config
from dvm_hf.prepared.plans.shard_size import Sharding, WantedShards
from dvm_hf.prepared.plans.stored_plan import StoredPlan
from dvm_hf.prepared.prepare import built_shards, describe_if_complete, found_shards, hashing_bar
from dvm_hf.prepared.shard_task import Task
from dvm_hf.prepared.shards import is_foreign, read_sidecar
from dvm_hf.prepared.shuffled_work import shuffled
from dvm_hf.prepared.source_digests import SourceDigests, cached_root, require_sources
from dvm_hf.prepared.storage.storage import storage_of
from dvm_hf.prepared.verify import Fault, Verification, verify
from dvm_hf.sources.tree import root_of
from dvm_hf.wording import counted


def repaired(
    out: Path,
    found: Verification,
    *,
    read_data: bool = False,
    render: bool = False,
    data_dir: Path | None = None,
    num_proc: int = 1,
) -> Verification:
    """Repair the faults that `verify` found and verify again; returned faults could not be repaired.

    `data_dir`: the source folder or sources file; None: where the sources were when the folder was built on this
    machine. Only damaged shards need them. Raises PreparedError if their location is unknown or the versions of codecs
    differ, and SourceError if the sources changed.
    """
    folder = PreparedFolder(out)
    storage = storage_of(out)
    storage.make_writable(out)
    for path in folder.folders:
        make_writable(path)
    if any([_restored_plan(folder, found, split, data_dir=data_dir) for split in found.unknown]):
        found = verify(out, read_data=read_data, render=render, data_dir=data_dir)
    if found.to_rebuild:
        write_placeholder(folder, {job.split for job in found.to_rebuild})
        for job in found.to_rebuild:
            plan = found.plans[job.split]
            _quarantine(folder, folder.shard(job.split, job.shard, plan.num_shards), unless_of=plan.digest)
        _rebuild(folder, found, data_dir=data_dir, num_proc=num_proc)
    _remove_unexpected(folder, found.unexpected)  # last, after all shards are rebuilt
    # without the plan of a planned split, the manifest would be incomplete
    has_all_plans = set(found.plans) == set(folder.planned_splits())
    if found.plans and has_all_plans and not any(other_files(folder, plan) for plan in found.plans.values()):
        describe_if_complete(folder, found_shards(folder))
    return verify(out, read_data=read_data, render=render, data_dir=data_dir)


def _restored_plan(folder: PreparedFolder, found: Verification, split: str, *, data_dir: Path | None) -> bool:
    """Make the plan again that the manifest names, from the sources and the options of the build on this machine.

    Returns whether that gave the same plan. Changes nothing if it did not, or if a sidecar is of another plan: then the
    manifest may be the file that does not belong here.
    """
    root = data_dir or cached_root(folder.local_sources)
    listed = found.manifest.splits.get(split) if found.manifest else None
    facts = cached_facts(folder.local_sources)
    if root is None or listed is None or f"config of {split}" not in facts:
        return False
    former = StoredPlan(folder, listed["plan"])
    if _has_sidecars_of_others(folder, former):
        return False
    try:
        config = replanned_config(former, facts[f"config of {split}"], data_dir=root)
        digests = SourceDigests(root_of(root), folder.local_sources, progress=hashing_bar)
        sharding = Sharding(**former.content["sharding"])
        plan = made_plan(config, clips_of(config), digests, wanted=WantedShards(), former=sharding)
    except (ConfigError, SourceError):
        return False
    if plan.digest != former.digest:
        return False
    folder.plan(split).unlink(missing_ok=True)
    plan.write(folder)
    return True


def _has_sidecars_of_others(folder: PreparedFolder, plan: StoredPlan) -> bool:
    for path in (folder.root / "shards").glob(f"{plan.split}-*.json"):
        with suppress(PreparedError):  # damaged: it names no plan
            if read_sidecar(path).plan != plan.digest:
                return True
    return False


def _rebuild(folder: PreparedFolder, found: Verification, *, data_dir: Path | None, num_proc: int) -> None:
    root = root_of(data_dir) if data_dir else cached_root(folder.local_sources)
    if root is None:
        shards = counted(len(found.to_rebuild), "shard")
        raise PreparedError(
            f"{folder.root}: {shards} must be rebuilt, but the location of the sources is unknown; "
            "pass the source folder or the sources file as --data-dir"
        )
    digests = SourceDigests(root, folder.local_sources, progress=hashing_bar, threads=num_proc)
    for split, plan in found.plans.items():
        _require_same_versions(folder, split, plan)
    for job in found.to_rebuild:
        shard = found.plans[job.split].shard(job.shard)
        require_sources(shard.sources, digests, shard.clips)
    digests.save()
    tasks = (
        Task(found.plans[job.split].shard(job.shard), folder.root, root, recorded=found.to_rebuild[job])
        for job in shuffled(list(found.to_rebuild))
    )
    clips = sum(found.plans[job.split].clip_count(job.shard) for job in found.to_rebuild)
    built_shards(tasks, clips=clips, engine=local(num_proc))


def _remove_unexpected(folder: PreparedFolder, paths: list[Path]) -> None:
    """Quarantine complete shards of other plans and foreign Parquet files; delete the other unexpected files."""
    for path in paths:
        if not _quarantine(folder, path):
            path.unlink(missing_ok=True)


def _quarantine(folder: PreparedFolder, path: Path, *, unless_of: str = "") -> bool:
    """Move a complete shard and its sidecar, or a foreign Parquet file, to the quarantine; return whether it was moved.

    A shard is complete if it matches its sidecar. `unless_of`: digest of a plan whose shards stay; if given, foreign
    files stay, too.
    """
    sidecar_path = folder.root / "shards" / f"{path.stem}.json"
    if path.suffix != ".parquet" or not path.is_file():
        return False
    try:
        sidecar = read_sidecar(sidecar_path)
    except PreparedError:
        sidecar = None
    if sidecar is not None and (sidecar.file, sidecar.sha256) == (path.name, storage_of(path).sha256_of(path)):
        if sidecar.plan == unless_of:
            return False
        moved, target = [path, sidecar_path], folder.quarantine / sidecar.plan[:12]
    elif not unless_of and is_foreign(path):
        moved, target = [path], folder.quarantine / "others"
    else:
        return False
    if (target / path.name).exists():  # from an earlier repair
        target = target.with_name(f"{target.name}-{storage_of(path).sha256_of(path)[:12]}")
    for one in moved:  # the shard first: the next repair would delete a shard without its sidecar
        storage_of(one).move(one, target / one.name)
    return True


def _require_same_versions(folder: PreparedFolder, split: str, plan: StoredPlan) -> None:
    planned, users = plan.versions, (plan.fields["encoding"], plan.fields.get("camera", "none"))
    require_encoder(*users)
    now = current_versions() | ({ESTIMATION: method_key()} if ESTIMATION in planned else {})
    now |= encoder_versions(*users)
    if planned != now:
        changed = [
            f"{name} was {planned.get(name)}, is {now.get(name)}"
            for name in dict.fromkeys([*planned, *now])
            if planned.get(name) != now.get(name)
        ]
        raise PreparedError(
            f"{folder.plan(split)}: {'; '.join(changed)}: rebuilt shards would have different bytes; "
            "install the recorded versions, or prepare into another folder"
        )


def fixed_faults(before: list[Fault], after: list[Fault]) -> list[Fault]:
    """Return the faults that were repaired."""
    return [fault for fault in before if fault not in after]
