"""What stops a plan from being built in a folder: sources, foreign files, and the shards of another plan."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvm_hf.dataset.config import DVMConfig
from dvm_hf.dataset.features import features_of, portable
from dvm_hf.errors import ConfigError, PreparedError
from dvm_hf.prepared.folder import FormerFormat, PreparedFolder, read_former
from dvm_hf.prepared.manifest import read_manifest
from dvm_hf.prepared.placeholder_card import PLACEHOLDER_CARD
from dvm_hf.prepared.plans.shard_plan import ShardPlan, differences, header_differences, whole_plan
from dvm_hf.prepared.plans.stored_plan import StoredPlan, open_plan
from dvm_hf.prepared.shards import is_made_of
from dvm_hf.prepared.storage.object_path import location
from dvm_hf.prepared.storage.storage import storage_of
from dvm_hf.sources.remote.source_files import address_below
from dvm_hf.sources.tree import media_folders
from dvm_hf.wording import counted


def require_separate_folder(folder: PreparedFolder, data_dir: Path, *, layout: str) -> None:
    """Raise ConfigError if the folder is among the sources, PreparedError if a build would replace foreign files."""
    if not _is_utf8(str(folder.root)):
        raise ConfigError(
            f"{folder.root}: its path is not UTF-8, from which Parquet files cannot be read; pass another folder"
        )
    real = storage_of(folder.root).real(folder.root)
    for media in map(real_source, media_folders(data_dir, layout)):
        if real == real_source(data_dir) or real == media or media in real.parents:
            raise ConfigError(f"{folder.root}: is the source folder, or inside it; pass another folder as OUT")
    if folder.planned_splits() or _is_manifest(folder.manifest):
        return
    for path in (folder.card, folder.manifest, folder.samples, folder.croissant):
        if path.exists() and not (path == folder.card and path.read_bytes() == PLACEHOLDER_CARD):
            raise PreparedError(
                f"{path}: exists, is not owned by dvm prepare, and would be replaced; move it elsewhere, or pass "
                "another folder"
            )


def real_source(path: Path) -> Path:
    """Return a source folder without symbolic links, or the address that it stands for."""
    address = address_below(path)
    return Path(os.path.realpath(path)) if address is None or address.startswith("hf:") else location(address)


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


def existing_plans(folder: PreparedFolder) -> tuple[dict[str, StoredPlan], dict[str, Mapping[str, Any]]]:
    """Return the plans in a folder by split, and the content of those in the format of an earlier release."""
    plans: dict[str, StoredPlan] = {}
    former: dict[str, Mapping[str, Any]] = {}
    for split in folder.planned_splits():
        try:
            plans[split] = open_plan(folder, split)
        except FormerFormat:
            former[split] = read_former(folder.plan(split))
    return plans, former


def different_former_plan_error(folder: PreparedFolder, former: Mapping[str, Any], plan: ShardPlan) -> PreparedError:
    """Return the error for a folder with another plan of an earlier release, with the differences."""
    changed = header_differences(former, plan.header("")) or ["clips or sources"]
    return PreparedError(
        f"{folder.plan(plan.split)}: the shards here have a different plan, in the format of an earlier release: "
        f"{'; '.join(changed)}. Shards of two plans are never mixed; pass another folder, use the previous options, or "
        "delete this folder"
    )


def different_plan_error(existing: StoredPlan, plan: ShardPlan) -> PreparedError:
    """Return the error for a folder with another plan, with the differences."""
    changed = differences(whole_plan(existing), plan)
    return PreparedError(
        f"{existing.folder.plan(plan.split)}: the shards here have a different plan: {'; '.join(changed)}. "
        "Shards of two plans are never mixed; pass another folder, use the previous options, or delete this folder"
    )


def require_no_foreign_shards(folder: PreparedFolder, plan: ShardPlan) -> None:
    """Raise PreparedError if a split without a plan file has shards of another plan than the new one."""
    for path in sorted((folder.root / "data").glob(f"{plan.split}-*.parquet")):
        if not is_made_of(path, plan.digest):
            raise PreparedError(
                f"{path}: belongs to another plan, which is missing; pass another folder, or delete the shards of "
                f"{plan.split!r} first"
            )


def require_no_other_files(folder: PreparedFolder, plan: StoredPlan | ShardPlan) -> None:
    """Raise PreparedError if `load_dataset` would load files of another plan, or foreign ones, as a split."""
    others = other_files(folder, plan)
    if others:
        raise PreparedError(
            f"{others[0]}: is not a shard of this plan, but could be loaded as one of {plan.split!r} "
            f"({counted(len(others), 'such file')}); move them away, use a separate folder for each set of "
            "options, and run the command again"
        )


def require_same_features(folder: PreparedFolder, configs: Mapping[str, DVMConfig]) -> None:
    """Raise ConfigError if the configs of a folder's splits, by split, have different columns."""
    features = {split: portable(features_of(config).to_dict()) for split, config in configs.items()}
    first, *others = features
    for other in others:
        if features[other] != features[first]:
            names = ("columns", "encoding", "clip_length", "crop_size")
            values = {s: {name: getattr(configs[s], name) for name in names} for s in (first, other)}
            differing = [name for name in names if values[first][name] != values[other][name]]
            shown = "; ".join(
                f"{n}={values[first][n]!r} in {first}, {values[other][n]!r} in {other}" for n in differing
            )
            raise ConfigError(
                f"{shown}: splits of one folder must have the same columns; use the same values, or another folder "
                f"than {folder.root}"
            )


def other_files(folder: PreparedFolder, plan: StoredPlan | ShardPlan) -> list[Path]:
    """Return files that match a split's name but are not its shards: those of another plan, or foreign files."""
    own = {folder.shard(plan.split, index, plan.num_shards) for index in range(plan.num_shards)}
    return sorted(set((folder.root / "data").glob(f"{plan.split}-*.parquet")) - own)
