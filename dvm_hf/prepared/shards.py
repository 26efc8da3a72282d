"""One shard: a fixed group of clips, rendered into one Parquet file with a sidecar. The unit of work.

`build_shard` is idempotent and knows nothing of other shards: any process, node or cluster engine may call it for any
shard, again and at the same time. A shard is renamed to its name only when it is whole, then its sidecar is written.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features

from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.windows import Window, retried_windows
from dvm_hf.dataset.columns import features, frame_encoder, row
from dvm_hf.dataset.config import DVMConfig, rendering_of
from dvm_hf.errors import DamagedError, MachineError, PreparedError, SourceError
from dvm_hf.prepared.atomic_io import (
    checksum_of,
    flush,
    forget_cached,
    retrying_lost,
    write_whole,
    written_whole,
)
from dvm_hf.prepared.folder import FORMAT, REPAIR, PreparedFolder, seal, sealed, shard_name, unsealed
from dvm_hf.prepared.parquet_rows import ParquetRows, own_metadata, parquet_rows
from dvm_hf.prepared.shard_plan import KIND as PLAN_KIND
from dvm_hf.prepared.shard_plan import ShardPlan, located, require_sources, without_paths
from dvm_hf.prepared.source_digests import SourceDigests

KIND = "sidecar"
SKIP_HINT = "(on_error='skip' leaves such clips out)"
NOT_LEFT_OUT = "(the manifest does not list it as skipped, so nothing was replaced; fix the source, or run dvm prepare)"
TOO_SHORT = "is shorter than a window; a smaller clip_length or remainder='keep' keeps it"


@dataclass(frozen=True)
class Sidecar:
    """What stands beside a shard.

    plan: digest of the plan that it was made of. clips: rows of each clip, in the plan's order. rows, frames: in the
    shard. file_size, sha256: of its file. arrow_size: of its rows in Arrow, in bytes. left_out: (clip_id, reason) of
    its clips that have no rows, or not all.
    """

    file: str
    plan: str
    clips: Mapping[str, int]
    rows: int
    frames: int
    arrow_size: int
    file_size: int
    sha256: str
    left_out: tuple[tuple[str, str], ...] = ()

    def file_bytes(self) -> bytes:
        return sealed({"format": FORMAT, "kind": KIND, **self.content()})

    def content(self) -> dict[str, Any]:
        """As JSON holds it."""
        sizes = {"bytes": self.file_size, "arrow_bytes": self.arrow_size}
        left_out = [{"name": name, "reason": reason} for name, reason in self.left_out]
        plain = {name: getattr(self, name) for name in ("file", "rows", "frames", "sha256", "plan")}
        return {**plain, **sizes, "clips": dict(self.clips), "left_out": left_out}


@dataclass(frozen=True)
class Recorded:
    """What a shard that is made again must become: its SHA-256, where known, and the clips that it may leave out."""

    sha256: str | None = None
    left_out: frozenset[str] = frozenset()


@dataclass(frozen=True)
class PreparedSplit:
    """A split whose shards are all there."""

    plan: ShardPlan
    sidecars: tuple[Sidecar, ...]

    def total(self, what: str) -> int:
        """Sum over the shards: rows, frames, arrow_size, file_size."""
        return sum(int(getattr(sidecar, what)) for sidecar in self.sidecars)

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]:
        """(name, reason) of sources and clips that have no rows, or not all."""
        return self.plan.left_out + tuple(entry for sidecar in self.sidecars for entry in sidecar.left_out)


@dataclass(frozen=True)
class Progress:
    """What has been done since the last word of it."""

    clips: int = 0
    frames: int = 0
    bytes: int = 0


def build_shard(
    plan: ShardPlan,
    index: int,
    *,
    out: Path,
    data_dir: Path,
    on_error: str = "raise",
    recorded: Recorded | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Sidecar:
    """Make shard `index` of a plan under `out` out of the sources in `data_dir`, whatever is there already.

    `on_error`: "raise" stops at a source that cannot be used, "skip" leaves its clip out. `recorded`: what the shard
    was; what is there is replaced only by that. Raises SourceError, or PreparedError where the shard cannot be written
    or is not what was recorded.
    """
    folder, clips = PreparedFolder(out), plan.clips_of(index)
    refusals = {clip.clip_id: SKIP_HINT for clip in clips} if on_error == "raise" else {}
    if recorded is not None:
        refusals = {clip.clip_id: NOT_LEFT_OUT for clip in clips if clip.clip_id not in recorded.left_out}
    return retrying_lost(lambda: _written(plan, index, folder, data_dir, refusals, recorded or Recorded(), on_progress))


def finished(plan: ShardPlan, index: int, *, out: Path) -> Sidecar | None:
    """The sidecar of a shard that is there, whole by its size and footer, of this plan; else None. Hashes nothing."""
    folder = PreparedFolder(out)
    path = folder.shard(plan.split, index, plan.num_shards)
    try:
        sidecar = read_sidecar(folder.sidecar(plan.split, index, plan.num_shards))
        if not is_of(sidecar, plan, index) or path.stat().st_size != sidecar.file_size:
            return None
        require_footer(path, plan, index, sidecar.rows)
    except (PreparedError, OSError):
        return None
    return sidecar


def read_sidecar(path: Path) -> Sidecar:
    """A sidecar from its file; raises DamagedError where it is missing or damaged, else PreparedError."""
    held = unsealed(path, KIND)
    try:
        return Sidecar(
            **{name: held[name] for name in ("file", "plan", "rows", "frames", "sha256")},
            clips={name: int(rows) for name, rows in held["clips"].items()},
            arrow_size=held["arrow_bytes"],
            file_size=held["bytes"],
            left_out=tuple((entry["name"], entry["reason"]) for entry in held["left_out"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"{path}: is not a valid sidecar ({type(error).__name__}: {error}); {REPAIR}") from error


def is_of(sidecar: Sidecar, plan: ShardPlan, index: int) -> bool:
    """Whether a sidecar is that of a shard of a plan."""
    ids = [clip.clip_id for clip in plan.clips_of(index)]
    name = f"{shard_name(plan.split, index, plan.num_shards)}.parquet"
    return (sidecar.file, sidecar.plan, list(sidecar.clips)) == (name, plan.digest, ids)


def features_of(config: DVMConfig) -> Features:
    """Features of the rows of a config."""
    return features(
        rendering_of(config).columns,
        encoding=config.encoding,
        clip_length=config.clip_length,
        crop_size=config.crop_size,
    )


def is_made_of(path: Path, plan: ShardPlan) -> bool:
    """Whether a shard's footer says that it was made of this plan."""
    try:
        own = own_metadata(pq.read_metadata(path))
    except (pa.ArrowException, ValueError, OSError):
        return False
    return isinstance(own, dict) and own.get("plan") == plan.digest


def is_somebodys(path: Path) -> bool:
    """Whether a file is a Parquet file, and none that was made here."""
    try:
        return own_metadata(pq.read_metadata(path)) is None
    except (pa.ArrowException, ValueError, OSError):
        return False


def _written(
    plan: ShardPlan,
    index: int,
    folder: PreparedFolder,
    data_dir: Path,
    refusals: Mapping[str, str],
    recorded: Recorded,
    on_progress: Callable[[Progress], None],
) -> Sidecar:
    path = folder.shard(plan.split, index, plan.num_shards)
    clips = plan.clips_of(index)
    counts: dict[str, int] = {}
    left_out: list[tuple[str, str]] = []
    metadata = {"plan": plan.digest, "split": plan.split, "shard": index}
    digests = SourceDigests.remembered(data_dir, folder.local_sources)
    require_sources(plan, digests, clips)
    with written_whole(path) as temporary:
        with parquet_rows(temporary, features_of(plan.config), metadata) as rows:
            for clip in clips:
                before = rows.written.rows
                refusal = refusals.get(clip.clip_id)
                reason = _append_clip(rows, located(clip, data_dir), plan.config.encoding, refusal, on_progress)
                if reason is not None:
                    left_out.append((clip.clip_id, without_paths(reason, data_dir)))
                counts[clip.clip_id] = rows.written.rows - before
                on_progress(Progress(clips=1))
        require_sources(plan, digests, clips)  # as they were: else the shard is of no plan
        if recorded.sha256 not in (None, rows.written.sha256):
            raise PreparedError(
                f"{path}: the rebuilt shard differs from the recorded one ({rows.written.sha256[:12]} instead of "
                f"{str(recorded.sha256)[:12]}): a codec, library or CPU here produces different pixels, so nothing was "
                "replaced; repair it on the machine that built it, or prepare into another folder"
            )
        _read_back(temporary, plan, index, rows)
        require_still_planned(folder, plan)
    made = rows.written
    sidecar = Sidecar(path.name, plan.digest, counts, **vars(made), left_out=tuple(left_out))
    write_whole(folder.sidecar(plan.split, index, plan.num_shards), sidecar.file_bytes())
    return sidecar


def _append_clip(
    rows: ParquetRows, clip: ClipPlan, encoding: str, refusal: str | None, on_progress: Callable[[Progress], None]
) -> str | None:
    """Append the windows of a clip; the reason, where it is left out, as a whole or from some window on."""
    count = 0
    try:
        for window in _windows(clip, encoding):
            before = rows.written.arrow_size
            rows.append(row(window, encoding=encoding))
            count += 1
            on_progress(Progress(frames=len(window.frames), bytes=rows.written.arrow_size - before))
    except MachineError as error:  # no reason to leave the clip out for ever
        raise MachineError(f"{clip.clip_id}: {error}") from error
    except SourceError as error:
        if refusal is not None:
            raise SourceError(f"{clip.clip_id}: {error} {refusal}") from error
        return f"{error} (from window {count} on; the windows before it stay)" if count else str(error)
    return None if count else TOO_SHORT


def _windows(clip: ClipPlan, encoding: str) -> Iterator[Window[Any]]:
    return retried_windows(clip, each=frame_encoder(clip.rendering.columns, encoding=encoding, streaming=False))


def _read_back(path: Path, plan: ShardPlan, index: int, rows: ParquetRows) -> None:
    """Raise PreparedError where what the disk gives is not what was written."""
    flush(path)
    forget_cached(path)  # or memory would be read, not the disk
    require_footer(path, plan, index, rows.written.rows)
    if checksum_of(path) != rows.checksum:
        raise PreparedError(
            f"{path.parent}: a file reads differently than it was written; fix this disk, or use another one"
        )


def require_still_planned(folder: PreparedFolder, plan: ShardPlan) -> None:
    """Raise PreparedError where the folder has another plan of this split by now.

    One that is missing or damaged is no other: whoever describes the folder reads it again.
    """
    path = folder.plan(plan.split)
    try:
        is_another = seal(unsealed(path, PLAN_KIND)) != plan.digest
    except PreparedError:
        return
    if is_another:
        raise PreparedError(
            f"{path}: was replaced by another plan during the build; a folder can contain only one, so use a "
            "folder for each"
        )


def require_footer(path: Path, plan: ShardPlan, index: int, rows: int) -> None:
    """Raise DamagedError where a file's footer does not say that it is this shard, with so many rows."""
    try:
        metadata = pq.read_metadata(path)
        own = own_metadata(metadata)
    except (pa.ArrowException, ValueError) as error:
        raise DamagedError(f"{path}: has no readable Parquet footer ({error})") from error
    if own != {"plan": plan.digest, "split": plan.split, "shard": index}:
        raise DamagedError(f"{path}: is a different shard, or belongs to another plan ({own})")
    if metadata.num_rows != rows:
        raise DamagedError(f"{path}: has {metadata.num_rows} rows instead of {rows}")
