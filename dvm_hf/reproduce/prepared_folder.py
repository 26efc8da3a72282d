"""The content digests of a prepared folder: those that the build recorded, or those of the stored pixels."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import numpy as np
from datasets.utils import tqdm

from dvm_hf.dataset.content_digest import EXACT_ENCODINGS, ClipDigest, frame_digest
from dvm_hf.errors import DamagedError, PreparedError
from dvm_hf.media.pixels import Pixels
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.plans.stored_plan import StoredPlan, open_plan
from dvm_hf.prepared.row_check import picture_names, shard_rows
from dvm_hf.prepared.shards import Sidecar, is_of, read_sidecar
from dvm_hf.prepared.storage.storage import storage_of
from dvm_hf.reproduce.digests import Digests
from dvm_hf.wording import counted


def recorded_digests(out: Path, split: str | None = None) -> Digests:
    """Return the digests in the sidecars of a folder, or of one of its splits. The shards are not read.

    Raises PreparedError if the folder has no such split, is not complete, or was built without digests, and
    DamagedError if the plan of a split with shards is missing.
    """
    folder = PreparedFolder(out)
    plans = _plans(folder, split)
    sidecars = {name: _sidecars(folder, plan) for name, plan in plans.items()}
    for path, sidecar in (pair for pairs in sidecars.values() for pair in pairs):
        if not sidecar.has_digests:
            raise PreparedError(
                f"{path}: lacks content digests, because an earlier version built this folder; pass --read-data to "
                "compute them from the images of a lossless folder, or prepare again"
            )
    clips = {
        name: {clip: digest for _, sidecar in pairs for clip, digest in sidecar.digests.items()}
        for name, pairs in sidecars.items()
    }
    return Digests(clips, _skipped(plans, sidecars))


def stored_digests(out: Path, split: str | None = None) -> Digests:
    """Return the digests of the images in the shards of a folder, or of one of its splits; decodes every image.

    Raises PreparedError as `recorded_digests` does, except for a lack of recorded digests, or if the encoding is not
    lossless; and DamagedError if an image is damaged or a digest differs from the recorded one.
    """
    folder = PreparedFolder(out)
    plans = _plans(folder, split)
    for plan in plans.values():
        if plan.fields["encoding"] not in EXACT_ENCODINGS:
            raise PreparedError(
                f"{folder.plan(plan.split)}: encoding is {plan.fields['encoding']!r}, which changes pixels, so their "
                "digests cannot be computed from the images; omit --read-data, or run dvm verify --pixels to compare "
                "with a fresh rendering"
            )
    sidecars = {name: _sidecars(folder, plan) for name, plan in plans.items()}
    clips: dict[str, dict[str, str]] = {}
    with tqdm(total=sum(map(len, sidecars.values())), desc="Reading", unit=" shards", delay=2) as bar:
        for name, plan in plans.items():
            clips[name] = {}
            for _, sidecar in sidecars[name]:
                path = folder.root / "data" / sidecar.file
                with storage_of(path).local_copy(path) as local:
                    found = dict(_digests_in(path, local, plan))
                _require_recorded(path, sidecar, found)
                clips[name] |= found
                bar.update()
    return Digests(clips, _skipped(plans, sidecars))


def _plans(folder: PreparedFolder, split: str | None) -> dict[str, StoredPlan]:
    plans = {name: open_plan(folder, name) for name in folder.splits()}
    if not plans or split not in (None, *plans):
        raise PreparedError(
            f"{folder.root}: has no plan{f' of the split {split!r}' if split else ''}; pass "
            f"{f'--config {next(iter(plans))}' if plans else 'a folder built by dvm prepare'}"
        )
    return plans if split is None else {split: plans[split]}


def _sidecars(folder: PreparedFolder, plan: StoredPlan) -> list[tuple[Path, Sidecar]]:
    """Return the sidecars of all shards of a plan with their paths."""
    paths = [folder.sidecar(plan.split, index, plan.num_shards) for index in range(plan.num_shards)]
    storage = storage_of(folder.root)
    missing = len({path.stem for path in paths} - storage.stems(folder.root / "shards", ".json"))
    if missing:
        raise PreparedError(
            f"{folder.root}: {missing} of {counted(len(paths), 'shard')} of {plan.split!r} are not built; run dvm "
            "prepare again to complete the folder"
        )
    pairs = list(zip(paths, storage.mapped(read_sidecar, paths), strict=True))
    for index, (path, sidecar) in enumerate(pairs):
        if not is_of(sidecar, plan.identity(index)):
            raise DamagedError(f"{path}: belongs to another plan; dvm verify --repair rebuilds it")
    return pairs


def _digests_in(path: Path, local: Path, plan: StoredPlan) -> Iterator[tuple[str, str]]:
    """Return the digest of each clip of a shard. local: a file with its bytes."""
    rendering = plan.rendering
    found: dict[str, ClipDigest] = {}
    for number, row in enumerate(shard_rows(local)):
        columns = picture_names(row)
        pictures = zip_longest(*(row[column] for column in columns), fillvalue="of the last frame is missing")
        frames = (_frame(path, number, dict(zip(columns, one, strict=True))) for one in pictures)
        found.setdefault(row["clip_id"], ClipDigest(rendering)).add(row["window"], row["start"], frames)
    return ((name, digest.hex()) for name, digest in found.items())


def _frame(path: Path, number: int, pictures: dict[str, Pixels | str]) -> bytes:
    for column, picture in pictures.items():
        if isinstance(picture, str):
            raise DamagedError(f"{path}: row {number}: {column} {picture}; dvm verify --repair rebuilds the shard")
    return frame_digest({column: np.asarray(picture) for column, picture in pictures.items()})


def _require_recorded(path: Path, sidecar: Sidecar, found: dict[str, str]) -> None:
    """Raise DamagedError if a clip differs from the recorded one."""
    if not sidecar.has_digests:
        return
    for name in sidecar.digests.keys() | found.keys():
        if sidecar.digests.get(name) != found.get(name):
            raise DamagedError(
                f"{path}: the images of {name} have the content digest {found.get(name)}, but the build recorded "
                f"{sidecar.digests.get(name)}; dvm verify --repair rebuilds a damaged shard"
            )


def _skipped(
    plans: dict[str, StoredPlan], sidecars: dict[str, list[tuple[Path, Sidecar]]]
) -> tuple[tuple[str, str], ...]:
    of_plans = (entry for plan in plans.values() for entry in plan.skipped)
    return (*of_plans, *(entry for pairs in sidecars.values() for _, sidecar in pairs for entry in sidecar.skipped))
