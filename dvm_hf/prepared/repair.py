"""Repair a folder of prepared shards: what is bad is made again, byte for byte; what is good is left alone."""

import os
from pathlib import Path

from dvm_hf.errors import PreparedError
from dvm_hf.prepared.atomic_io import make_writable, sha256_of, write_whole
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.prepare import describe_if_whole, found_shards, ordered, other_files
from dvm_hf.prepared.published_metadata import hide
from dvm_hf.prepared.shard_plan import current_versions, require_sources
from dvm_hf.prepared.shard_pool import Task
from dvm_hf.prepared.shards import is_somebodys, read_sidecar
from dvm_hf.prepared.source_digests import SourceDigests, remembered_root
from dvm_hf.prepared.verify import Fault, Verification, verify


def repaired(
    out: Path, found: Verification, *, read_data: bool = False, data_dir: Path | None = None, num_proc: int = 1
) -> Verification:
    """Mend what `verify` found, and verify again; faults that are left could not be mended.

    `data_dir`: where the sources are; None: where they were when the folder was made on this machine. They are needed
    for bad shards only. Raises PreparedError where they are not known or this machine's codecs are others, SourceError
    where they have changed.
    """
    folder = PreparedFolder(out)
    for path in folder.folders:
        make_writable(path)
    for split, plan in found.plans.items():
        write_whole(folder.plan(split), plan.file_bytes())
    if found.bad:
        hide(folder, {job.split for job in found.bad})
        for job in found.bad:
            plan = found.plans[job.split]
            _put_aside(folder, folder.shard(job.split, job.shard, plan.num_shards), unless_of=plan.digest)
        _make_again(folder, found, data_dir=data_dir, num_proc=num_proc)
    _put_away(folder, found.strays)  # last, when all that was to be made is there
    is_known = set(found.plans) == set(folder.planned_splits())  # else a plan is lost: the whole cannot be described
    if found.plans and is_known and not any(other_files(folder, plan) for plan in found.plans.values()):
        describe_if_whole(folder, found_shards(folder))
    return verify(out, read_data=read_data)


def _make_again(folder: PreparedFolder, found: Verification, *, data_dir: Path | None, num_proc: int) -> None:
    root = data_dir or remembered_root(folder.local_sources)
    if root is None:
        raise PreparedError(
            f"{folder.root}: {len(found.bad)} shards must be rebuilt, but the location of the sources is unknown; "
            "pass the folder that contains fg/ and bg/ as --data-dir"
        )
    digests = SourceDigests.remembered(root, folder.local_sources)
    for split, plan in found.plans.items():
        _require_same_versions(folder, split, plan.versions)
        clips = tuple(clip for job in found.bad if job.split == split for clip in plan.clips_of(job.shard))
        require_sources(plan, digests, clips)
    digests.keep()
    ordered(Task(found.plans, folder.root, root, recorded=found.bad), list(found.bad), num_proc=num_proc)


def _put_away(folder: PreparedFolder, strays: list[Path]) -> None:
    """Take files out of the folder: whole shards of other plans, and Parquet files of others, are moved aside."""
    for path in strays:
        if not _put_aside(folder, path):
            path.unlink(missing_ok=True)


def _put_aside(folder: PreparedFolder, path: Path, *, unless_of: str = "") -> bool:
    """Move aside a shard that its own sidecar vouches for, with it, but for those of one plan, or somebody's Parquet
    file; whether it was one.
    """
    sidecar_path = folder.root / "shards" / f"{path.stem}.json"
    if path.suffix != ".parquet" or not path.is_file():
        return False
    try:
        sidecar = read_sidecar(sidecar_path)
    except PreparedError:
        sidecar = None
    if sidecar is not None and (sidecar.file, sidecar.sha256) == (path.name, sha256_of(path)):
        if sidecar.plan == unless_of:
            return False
        moved, aside = [path, sidecar_path], folder.strays / sidecar.plan[:12]
    elif not unless_of and is_somebodys(path):
        moved, aside = [path], folder.strays / "others"
    else:
        return False
    if (aside / path.name).exists():  # of a repair before
        aside = aside.with_name(f"{aside.name}-{sha256_of(path)[:12]}")
    aside.mkdir(parents=True, exist_ok=True)
    for one in moved:  # the shard first: without its sidecar it would be removed next time
        os.replace(one, aside / one.name)
    return True


def _require_same_versions(folder: PreparedFolder, split: str, planned: object) -> None:
    now = current_versions()
    if planned != now:
        assert isinstance(planned, dict)
        changed = [
            f"{name} was {planned.get(name)}, is {now.get(name)}"
            for name in dict.fromkeys([*planned, *now])
            if planned.get(name) != now.get(name)
        ]
        raise PreparedError(
            f"{folder.plan(split)}: {'; '.join(changed)}: rebuilt shards would have different bytes; "
            "install the recorded versions, or prepare into another folder"
        )


def mended(before: list[Fault], after: list[Fault]) -> list[Fault]:
    """The faults that are gone."""
    return [fault for fault in before if fault not in after]
