"""Prepare shards: plan, build the missing ones, write the metadata. Another run resumes an interrupted one.

plans (compared with existing ones) -> shards, in any number of processes -> samples, manifest, card
"""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.utils import tqdm

from dvm_hf.dataset.config import DVMConfig, require_buildable
from dvm_hf.dataset.config import plans as clips_of
from dvm_hf.dataset.features import features_of, portable
from dvm_hf.errors import ConfigError, PreparedError
from dvm_hf.prepared.atomic_io import atomic_create, leftovers, make_writable
from dvm_hf.prepared.card import PLACEHOLDER_CARD
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.manifest import PreparedSplit, read_manifest
from dvm_hf.prepared.published_metadata import write_metadata, write_placeholder
from dvm_hf.prepared.shard_plan import ShardPlan, differences, made_plan, read_plan
from dvm_hf.prepared.shard_pool import Job, Task, pooled_shards
from dvm_hf.prepared.shard_size import WantedShards, require_window
from dvm_hf.prepared.shards import Progress, Sidecar, finished, is_made_of, require_still_planned
from dvm_hf.prepared.source_digests import SourceDigests
from dvm_hf.sources.tree import media_folders, root_of
from dvm_hf.wording import counted

Found = Mapping[str, tuple[ShardPlan, Sequence[Sidecar | None]]]


@dataclass(frozen=True)
class PreparedShards:
    """The result of a run. complete: whether all planned splits are built, and with them manifest and card."""

    out: Path
    shards: Mapping[str, int]  # number of planned shards by split
    missing: Mapping[str, int]  # number of unbuilt shards by split
    built: tuple[str, ...]  # files built by this run
    rows: int
    frames: int
    file_size: int
    skipped: tuple[tuple[str, str], ...]
    complete: bool


def planned(
    configs: Sequence[DVMConfig], out: Path, *, data_dir: Path, wanted: WantedShards | None = None
) -> dict[str, ShardPlan]:
    """Return the plans of configs, one per split, and write them to `out` unless they exist.

    data_dir: the source folder or sources file of the configs.
    Tests that `out` is writable before anything is rendered. Raises ConfigError or SourceError if a plan cannot be
    made, and PreparedError if `out` cannot be written or has shards of another plan.
    """
    for config in configs:
        require_buildable(config)
    folder = PreparedFolder(out)
    for config in configs:
        _require_separate_folder(folder, data_dir, layout=config.layout)
    clips = {config.name: clips_of(config) for config in configs}  # before anything is written, because this can fail
    for path in folder.folders:
        make_writable(path)
        sweep(path)
    existing_plans = read_plans(folder)
    digests = SourceDigests.cached(root_of(data_dir), folder.local_sources, progress=hashing_bar)
    plans = {}
    for config in configs:
        existing = existing_plans.get(config.name)
        former = None if existing is None else existing.sharding
        if existing is None:
            require_window(clips[config.name].clips, split=config.name)
        plan = made_plan(config, clips[config.name], digests, wanted=wanted or WantedShards(), former=former)
        if existing is not None and existing.digest != plan.digest:
            raise _different_plan_error(folder, existing, plan)
        if existing is None:
            _require_no_foreign_shards(folder, plan)
        _require_no_other_files(folder, plan)
        plans[plan.split] = plan
    _require_same_features(folder, {**existing_plans, **plans})
    digests.save()
    atomic_create(folder.card, PLACEHOLDER_CARD)  # otherwise load_dataset would load an incomplete folder
    for split, plan in plans.items():
        atomic_create(folder.plan(split), plan.file_bytes())
    for split, existing in read_plans(folder).items():  # another run may have written a different plan meanwhile
        if split in plans and existing.digest != plans[split].digest:
            raise _different_plan_error(folder, existing, plans[split])
    _require_same_features(folder, read_plans(folder))
    return plans


def prepare(
    plans: Mapping[str, ShardPlan],
    out: Path,
    *,
    data_dir: Path,
    indices: Sequence[int] | None = None,
    num_proc: int = 1,
    on_error: str = "raise",
) -> PreparedShards:
    """Build the missing shards of plans, or only those with the given indices.

    Then write the manifest and the card, if no shard of any plan in `out` is missing.

    data_dir: the source folder or sources file of the plans.

    Raises SourceError if a source cannot be used, and PreparedError if `out` cannot be written or workers end
    repeatedly. Finished shards are kept.
    """
    chosen = [plan.shard(index) for plan in plans.values() for index in _indices(plan, indices)]
    missing = [shard for shard in chosen if finished(shard, out=out) is None]
    if missing:
        write_placeholder(PreparedFolder(out), {shard.split for shard in missing})
    root = root_of(data_dir)
    built = built_shards([Task(shard, out, root, on_error) for shard in missing], num_proc=num_proc)
    return _summary(plans, out, built)


def built_shards(tasks: Sequence[Task], *, num_proc: int) -> dict[Job, Sidecar]:
    """Build shards with a progress bar; return the sidecars of those that this run built, in the order of `tasks`."""
    built = {}
    with _ProgressBar(sum(len(task.shard.clips) for task in tasks)) as bar:
        for job, sidecar, is_new in pooled_shards(tasks, num_proc=num_proc, on_progress=bar.add):
            if is_new:
                built[job] = sidecar
    return {task.job: built[task.job] for task in tasks if task.job in built}


def read_plans(folder: PreparedFolder) -> dict[str, ShardPlan]:
    """Return the plans in a folder by split."""
    return {split: read_plan(folder.plan(split)) for split in folder.planned_splits()}


def found_shards(folder: PreparedFolder) -> Found:
    """Return each split's plan and the sidecars of its shards; None for an unfinished shard."""
    return {
        split: (plan, [finished(plan.shard(index), out=folder.root) for index in range(plan.num_shards)])
        for split, plan in read_plans(folder).items()
    }


def describe_if_complete(folder: PreparedFolder, found: Found) -> None:
    """Write samples, manifest and card if no shard of any plan is missing.

    Raises PreparedError if `load_dataset` would load other files as shards of these splits, and ConfigError if the
    splits have different columns.
    """
    if not all(all(sidecars) for _, sidecars in found.values()):
        return
    plans = {split: plan for split, (plan, _) in found.items()}
    _require_same_features(folder, plans)
    for plan in plans.values():
        _require_no_other_files(folder, plan)
    write_metadata(folder, [PreparedSplit(plan, tuple(s for s in sidecars if s)) for plan, sidecars in found.values()])


def other_files(folder: PreparedFolder, plan: ShardPlan) -> list[Path]:
    """Return files that match a split's name but are not its shards: those of another plan, or foreign files."""
    own = {folder.shard(plan.split, index, plan.num_shards) for index in range(plan.num_shards)}
    return sorted(set((folder.root / "data").glob(f"{plan.split}-*.parquet")) - own)


def sweep(folder: Path) -> None:
    """Remove the temporary files that ended builders left in a folder."""
    for path in leftovers(folder):
        path.unlink(missing_ok=True)


def _summary(plans: Mapping[str, ShardPlan], out: Path, built: Mapping[Job, Sidecar]) -> PreparedShards:
    folder = PreparedFolder(out)
    for plan in plans.values():
        require_still_planned(folder, plan.split, plan.digest)
    found = found_shards(folder)
    describe_if_complete(folder, found)
    existing = {split: [sidecar for sidecar in sidecars if sidecar] for split, (_, sidecars) in found.items()}
    sidecars = [sidecar for group in existing.values() for sidecar in group]
    missing = {split: plan.num_shards - len(existing[split]) for split, (plan, _) in found.items()}
    return PreparedShards(
        out=out,
        shards={split: plan.num_shards for split, (plan, _) in found.items()},
        missing=missing,
        built=tuple(sidecar.file for sidecar in built.values()),
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


def _indices(plan: ShardPlan, indices: Sequence[int] | None) -> Sequence[int]:
    if indices is None:
        return range(plan.num_shards)
    beyond = next((index for index in indices if not 0 <= index < plan.num_shards), None)  # a range may be endless
    if beyond is not None:
        raise ConfigError(
            f"shards={beyond}: the split {plan.split!r} has {plan.num_shards} shards, numbered 0 to "
            f"{plan.num_shards - 1}; pass shards in that range (and --config, if the splits have different numbers)"
        )
    return indices


def _require_separate_folder(folder: PreparedFolder, data_dir: Path, *, layout: str) -> None:
    """Raise ConfigError if the folder is among the sources, PreparedError if a build would replace foreign files."""
    if not _is_utf8(str(folder.root)):
        raise ConfigError(
            f"{folder.root}: its path is not UTF-8, from which Parquet files cannot be read; pass another folder"
        )
    real = Path(os.path.realpath(folder.root))
    for media in (Path(os.path.realpath(media)) for media in media_folders(data_dir, layout)):
        if real == Path(os.path.realpath(data_dir)) or real == media or media in real.parents:
            raise ConfigError(f"{folder.root}: is the source folder, or inside it; pass another folder as OUT")
    if folder.planned_splits() or _is_manifest(folder.manifest):
        return
    for path in (folder.card, folder.manifest, folder.samples, folder.croissant):
        if path.exists() and not (path == folder.card and path.read_bytes() == PLACEHOLDER_CARD):
            raise PreparedError(
                f"{path}: exists, is not owned by dvm prepare, and would be replaced; move it elsewhere, or pass "
                "another folder"
            )


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_manifest(path: Path) -> bool:
    try:
        read_manifest(path)
    except PreparedError:
        return False
    return True


def _different_plan_error(folder: PreparedFolder, existing: ShardPlan, plan: ShardPlan) -> PreparedError:
    return PreparedError(
        f"{folder.plan(plan.split)}: the shards here have a different plan: {'; '.join(differences(existing, plan))}. "
        "Shards of two plans are never mixed; pass another folder, use the previous options, or delete this folder"
    )


def _require_no_foreign_shards(folder: PreparedFolder, plan: ShardPlan) -> None:
    """Raise PreparedError if a split without a plan file has shards of another plan than the new one."""
    for path in sorted((folder.root / "data").glob(f"{plan.split}-*.parquet")):
        if not is_made_of(path, plan.digest):
            raise PreparedError(
                f"{path}: belongs to another plan, which is missing; pass another folder, or delete the shards of "
                f"{plan.split!r} first"
            )


def _require_no_other_files(folder: PreparedFolder, plan: ShardPlan) -> None:
    others = other_files(folder, plan)
    if others:
        raise PreparedError(
            f"{others[0]}: is not a shard of this plan, but could be loaded as one of {plan.split!r} "
            f"({counted(len(others), 'such file')}); move them away, use a separate folder for each set of "
            "options, and run the command again"
        )


def _require_same_features(folder: PreparedFolder, plans: Mapping[str, ShardPlan]) -> None:
    features = {split: portable(features_of(plan.config).to_dict()) for split, plan in plans.items()}
    first, *others = features
    for other in others:
        if features[other] != features[first]:
            names = ("columns", "encoding", "clip_length", "crop_size")
            values = {s: {name: getattr(plans[s].config, name) for name in names} for s in (first, other)}
            differing = [name for name in names if values[first][name] != values[other][name]]
            shown = "; ".join(
                f"{n}={values[first][n]!r} in {first}, {values[other][n]!r} in {other}" for n in differing
            )
            raise ConfigError(
                f"{shown}: splits of one folder must have the same columns; use the same values, or another folder "
                f"than {folder.root}"
            )


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
