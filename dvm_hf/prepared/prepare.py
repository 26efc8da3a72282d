"""Prepare shards: plan, build the missing ones, write the metadata. Another run resumes an interrupted one.

plans (compared with existing ones) -> shards, in any number of processes -> samples, manifest, card
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from datasets.utils import tqdm

from dvm_hf.dataset.config import DVMConfig, require_buildable
from dvm_hf.dataset.config import plans as clips_of
from dvm_hf.prepared.atomic_io import leftovers, make_writable
from dvm_hf.prepared.engines.engine_table import Engine, local
from dvm_hf.prepared.folder import PreparedFolder, no_plan, require_shard
from dvm_hf.prepared.manifest import PreparedSplit
from dvm_hf.prepared.placeholder_card import PLACEHOLDER_CARD, write_placeholder
from dvm_hf.prepared.plans.plan_conflicts import (
    different_former_plan_error,
    different_plan_error,
    existing_plans,
    require_no_foreign_shards,
    require_no_other_files,
    require_same_features,
    require_separate_folder,
)
from dvm_hf.prepared.plans.shard_plan import made_plan, planned_config, replanned_fields
from dvm_hf.prepared.plans.shard_size import Sharding, WantedShards, require_window
from dvm_hf.prepared.plans.stored_plan import StoredPlan, open_plan
from dvm_hf.prepared.published_metadata import write_metadata
from dvm_hf.prepared.shard_task import Job, Task
from dvm_hf.prepared.shards import Progress, Sidecar, finished, require_still_planned
from dvm_hf.prepared.shuffled_work import shuffled
from dvm_hf.prepared.source_digests import SourceDigests
from dvm_hf.prepared.storage.storage import storage_of
from dvm_hf.sources.tree import root_of

Found = Mapping[str, tuple[StoredPlan, Sequence[Sidecar | None]]]


@dataclass(frozen=True)
class PreparedShards:
    """The result of a run. complete: whether all planned splits are built, and with them manifest and card."""

    out: Path
    shards: Mapping[str, int]  # number of planned shards by split
    missing: Mapping[str, Sequence[int]]  # unbuilt shards by split
    built: tuple[str, ...]  # files built by this run
    rows: int
    frames: int
    file_size: int
    skipped: tuple[tuple[str, str], ...]
    complete: bool


def planned(
    configs: Sequence[DVMConfig], out: Path, *, data_dir: Path, wanted: WantedShards | None = None, threads: int = 1
) -> dict[str, StoredPlan]:
    """Return the plans of configs, one per split, and write them to `out` unless they exist.

    data_dir: the source folder or sources file of the configs. threads: that hash sources.
    Tests that `out` is writable before anything is rendered. Raises ConfigError or SourceError if a plan cannot be
    made, and PreparedError if `out` cannot be written or has shards of another plan.
    """
    for config in configs:
        require_buildable(config)
    folder = PreparedFolder(out)
    for config in configs:
        require_separate_folder(folder, data_dir, layout=config.layout)
    clips = {config.name: clips_of(config) for config in configs}  # before anything is written, because this can fail
    _make_writable(folder)
    stored_plans, former_plans = existing_plans(folder)
    digests = SourceDigests(root_of(data_dir), folder.local_sources, progress=hashing_bar, threads=threads)
    plans = {}
    for config in configs:
        existing, former = stored_plans.get(config.name), former_plans.get(config.name)
        known = existing.content if existing is not None else former
        if known is None:
            require_window(clips[config.name].clips, split=config.name)
        sharding = None if known is None else Sharding(**known["sharding"])
        plan = made_plan(config, clips.pop(config.name), digests, wanted=wanted or WantedShards(), former=sharding)
        if existing is not None and existing.digest != plan.digest:
            raise different_plan_error(existing, plan)
        if former is not None and former["digest"] != plan.digest:
            raise different_former_plan_error(folder, former, plan)
        if existing is None:
            require_no_foreign_shards(folder, plan)
        require_no_other_files(folder, plan)
        plans[plan.split] = plan
        digests.facts[f"config of {plan.split}"] = replanned_fields(config)
    planned_before = {split: planned_config(plan) for split, plan in stored_plans.items()}
    require_same_features(folder, planned_before | {split: plan.config for split, plan in plans.items()})
    digests.save()
    storage_of(out).create(folder.card, PLACEHOLDER_CARD)  # otherwise load_dataset would load an incomplete folder
    for split, plan in plans.items():
        if split not in stored_plans or not stored_plans[split].has_table():
            plan.write(folder, replaces_former=split in former_plans)
    stored = {split: open_plan(folder, split) for split in plans}
    for split, existing in stored.items():  # another run may have written a different plan meanwhile
        if existing.digest != plans[split].digest:
            folder.clip_table(split, plans[split].digest).unlink(missing_ok=True)
            raise different_plan_error(existing, plans[split])
    storage_of(out).require_exclusive_writes(folder.plan(next(iter(stored))))
    return stored


def prepare(
    plans: Mapping[str, StoredPlan],
    out: Path,
    *,
    data_dir: Path,
    indices: Sequence[int] | None = None,
    engine: Engine | None = None,
    on_error: str = "raise",
) -> PreparedShards:
    """Build the missing shards of plans, or only those with the given indices.

    Then write the manifest and the card, if no shard of any plan in `out` is missing.

    data_dir: the source folder or sources file of the plans. engine: what runs the tasks of the shards; None: this
    process.

    Raises SourceError if a source cannot be used, and PreparedError if `out` cannot be written or workers end
    repeatedly. Finished shards are kept.
    """
    folder, root = PreparedFolder(out), root_of(data_dir)
    chosen = [Job(split, index) for split, plan in plans.items() for index in _indices(plan, indices)]

    def build(jobs: Sequence[Job]) -> None:
        write_placeholder(folder, {job.split for job in jobs})
        tasks = (Task(plans[job.split].shard(job.shard), out, root, on_error) for job in shuffled(jobs))
        clips = sum(plans[job.split].clip_count(job.shard) for job in jobs)
        built.update(built_shards(tasks, clips=clips, engine=engine or local()))

    built: dict[Job, Sidecar] = {}
    unlisted = unlisted_shards(folder, plans, chosen)
    if unlisted:
        build(unlisted)
    for plan in plans.values():
        require_still_planned(folder, plan.split, plan.digest)
    found = found_shards(folder)
    unfinished = [job for job in chosen if found[job.split][1][job.shard] is None]
    if unfinished:  # their files exist, but do not match
        build(unfinished)
        found = found_shards(folder)
    describe_if_complete(folder, found)
    return _summary(out, found, [built[job] for job in chosen if job in built])


def finish(out: Path) -> PreparedShards:
    """Write manifest and card, if no shard of any plan in `out` is missing; plans and builds nothing.

    Raises PreparedError if `out` has no plan.
    """
    folder = PreparedFolder(out)
    if not folder.planned_splits():
        raise no_plan(folder)
    _make_writable(folder)
    found = found_shards(folder)
    describe_if_complete(folder, found)
    return _summary(out, found, [])


def built_shards(tasks: Iterable[Task], *, clips: int, engine: Engine) -> dict[Job, Sidecar]:
    """Build shards with a progress bar; return the sidecars of those that this run built. clips: their number."""
    built = {}
    with _ProgressBar(clips) as bar:
        for job, sidecar, is_new in engine(tasks, on_progress=bar.add):
            if is_new:
                built[job] = sidecar
    return built


def unlisted_shards(folder: PreparedFolder, plans: Mapping[str, StoredPlan], jobs: Sequence[Job]) -> list[Job]:
    """Return the shards of `jobs` without a file or a sidecar, by one listing of each folder; opens no file."""
    storage = storage_of(folder.root)
    listed = storage.stems(folder.root / "data", ".parquet") & storage.stems(folder.root / "shards", ".json")
    return [job for job in jobs if plans[job.split].identity(job.shard).name not in listed]


def read_plans(folder: PreparedFolder) -> dict[str, StoredPlan]:
    """Return the plans in a folder by split."""
    return {split: open_plan(folder, split) for split in folder.planned_splits()}


def found_shards(folder: PreparedFolder) -> Found:
    """Return each split's plan and the sidecars of its shards; None for an unfinished shard."""
    return {
        split: (plan, list(storage_of(folder.root).mapped(partial(_finished, plan), range(plan.num_shards))))
        for split, plan in read_plans(folder).items()
    }


def _finished(plan: StoredPlan, index: int) -> Sidecar | None:
    return finished(plan.identity(index), out=plan.folder.root)


def describe_if_complete(folder: PreparedFolder, found: Found) -> None:
    """Write samples, manifest and card if no shard of any plan is missing.

    Raises PreparedError if `load_dataset` would load other files as shards of these splits, and ConfigError if the
    splits have different columns.
    """
    if not all(all(sidecars) for _, sidecars in found.values()):
        return
    require_same_features(folder, {split: planned_config(plan) for split, (plan, _) in found.items()})
    for plan, _ in found.values():
        require_no_other_files(folder, plan)
    write_metadata(folder, [PreparedSplit(plan, tuple(s for s in sidecars if s)) for plan, sidecars in found.values()])


def _make_writable(folder: PreparedFolder) -> None:
    """Test that a build can write, and remove what ended builders left."""
    storage_of(folder.root).make_writable(folder.root)
    for path in folder.folders:
        make_writable(path)
        sweep(path)


def sweep(folder: Path) -> None:
    """Remove the temporary files that ended builders left in a folder."""
    for path in leftovers(folder):
        path.unlink(missing_ok=True)


def _summary(out: Path, found: Found, built: Sequence[Sidecar]) -> PreparedShards:
    existing = {split: [sidecar for sidecar in sidecars if sidecar] for split, (_, sidecars) in found.items()}
    sidecars = [sidecar for group in existing.values() for sidecar in group]
    missing = {
        split: [index for index, sidecar in enumerate(sidecars) if sidecar is None]
        for split, (_, sidecars) in found.items()
    }
    return PreparedShards(
        out=out,
        shards={split: plan.num_shards for split, (plan, _) in found.items()},
        missing=missing,
        built=tuple(sidecar.file for sidecar in built),
        rows=sum(sidecar.rows for sidecar in sidecars),
        frames=sum(sidecar.frames for sidecar in sidecars),
        file_size=sum(sidecar.file_size for sidecar in sidecars),
        skipped=tuple(
            entry
            for plan, group in found.values()
            for entry in (*plan.skipped, *(one for sidecar in group if sidecar for one in sidecar.skipped))
        ),
        complete=not any(missing.values()),
    )


def _indices(plan: StoredPlan, indices: Sequence[int] | None) -> Sequence[int]:
    if indices is None:
        return range(plan.num_shards)
    for index in indices:  # a range may be endless
        require_shard(plan.split, index, plan.num_shards)
    return indices


def hashing_bar(paths: list[str]) -> Iterable[str]:
    """Show a progress bar of files after two seconds."""
    return tqdm(paths, desc="Hashing sources", unit=" files", delay=2)  # type: ignore[no-any-return]


class _ProgressBar:
    """A progress bar of clips with frames per second and bytes, shown after two seconds."""

    def __init__(self, clips: int) -> None:
        self._bar = tqdm(total=clips, desc="Preparing", unit=" clips", delay=2)
        self._frames = self._bytes = 0
        self._start = time.monotonic()

    def __enter__(self) -> "_ProgressBar":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def add(self, progress: Progress) -> None:
        self._frames += progress.frames
        self._bytes += progress.bytes
        rate = self._frames / max(time.monotonic() - self._start, 1e-9)
        self._bar.set_postfix_str(f"{rate:.1f} frames/s, {self._bytes / 1e6:,.0f} MB", refresh=False)
        self._bar.update(progress.clips)
