"""One shard, the unit of work: a fixed group of clips, rendered into one Parquet file with a sidecar.

`build_shard` is idempotent and independent of other shards: any process, node or cluster engine may call it for any
shard, repeatedly and concurrently. A shard gets its final name only when it is complete; then its sidecar is written.
This module does not import `datasets`, which takes as much memory as the rest of a worker.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.windows import Window
from dvm_hf.dataset.columns import frame_collector, frame_encoder, row
from dvm_hf.dataset.content_digest import ClipDigest, digested_windows
from dvm_hf.errors import DamagedError, MachineError, PreparedError, SourceError
from dvm_hf.prepared.atomic_io import (
    checksum_of,
    flush,
    forget_cached,
    retried_write,
)
from dvm_hf.prepared.folder import (
    FORMAT,
    PLAN_KIND,
    REPAIR,
    PreparedFolder,
    checksummed,
    read_checksummed,
    shard_name,
)
from dvm_hf.prepared.parquet_rows import ParquetRows, own_metadata, parquet_rows
from dvm_hf.prepared.source_digests import SourceDigests, require_sources
from dvm_hf.prepared.source_paths import located, without_paths
from dvm_hf.prepared.storage.storage import storage_of

KIND = "sidecar"
SKIP_HINT = "(pass on_error='skip' to skip such clips)"
NOT_LISTED = "(the manifest does not list it as skipped, so nothing was replaced; fix the source, or run dvm prepare)"
TOO_SHORT = "is shorter than a window; use a smaller clip_length, or remainder='keep'"


@dataclass(frozen=True)
class ShardIdentity:
    """What identifies the files of a shard. plan: digest of the plan, which determines the clips of the shard."""

    split: str
    index: int
    num_shards: int
    plan: str

    @property
    def name(self) -> str:
        return shard_name(self.split, self.index, self.num_shards)


@dataclass(frozen=True)
class PlannedShard(ShardIdentity):
    """A shard of a plan: all that a process needs to build it.

    clips: with source paths relative to the root. sources: SHA-256 of their sources by relative path. encoding: of the
    image columns. schema: `file_schema` of the rows, serialized: a pickled one with extension types would import
    `datasets`.
    """

    clips: tuple[ClipPlan, ...]
    sources: Mapping[str, str]
    encoding: str
    schema: bytes


@dataclass(frozen=True)
class Sidecar:
    """The description of a shard, stored beside it.

    plan: digest of its plan. clips: number of rows by clip, in the plan's order. rows, frames: totals of the shard.
    file_size, sha256: size in bytes and hash of its file. arrow_size: bytes of its rows in Arrow. skipped:
    (clip_id, reason) of completely or partly skipped clips. digests: content digests of clips with rows; empty if a
    version without digests built the shard.
    """

    file: str
    plan: str
    clips: Mapping[str, int]
    rows: int
    frames: int
    arrow_size: int
    file_size: int
    sha256: str
    skipped: tuple[tuple[str, str], ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_digests(self) -> bool:
        """Whether each clip with rows has a content digest."""
        return self.digests.keys() == {name for name, rows in self.clips.items() if rows}

    def file_bytes(self) -> bytes:
        return checksummed({"format": FORMAT, "kind": KIND, **self.content()})

    def content(self) -> dict[str, Any]:
        """Return the sidecar as a JSON object, without format and kind."""
        sizes = {"bytes": self.file_size, "arrow_bytes": self.arrow_size}
        skipped = [{"name": name, "reason": reason} for name, reason in self.skipped]
        plain = {name: getattr(self, name) for name in ("file", "rows", "frames", "sha256", "plan")}
        return {**plain, **sizes, "clips": dict(self.clips), "digests": dict(self.digests), "left_out": skipped}


@dataclass(frozen=True)
class Recorded:
    """The recorded state that a rebuilt shard must match: its SHA-256, if known, and the clips that were skipped."""

    sha256: str | None = None
    skipped: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Progress:
    """Progress since the previous report."""

    clips: int = 0
    frames: int = 0
    bytes: int = 0


def build_shard(
    shard: PlannedShard,
    *,
    out: Path,
    data_dir: Path,
    on_error: str = "raise",
    recorded: Recorded | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Sidecar:
    """Build a shard under `out` from the sources in `data_dir`, even if it exists.

    `on_error`: "raise" stops at a source that cannot be used, "skip" skips its clip. `recorded`: the state that a
    rebuilt shard must match to replace the existing file. Raises SourceError if a source cannot be used, and
    PreparedError if the shard cannot be written or does not match its recorded state.
    """
    folder = PreparedFolder(out)
    hints = {clip.clip_id: SKIP_HINT for clip in shard.clips} if on_error == "raise" else {}
    if recorded is not None:
        hints = {clip.clip_id: NOT_LISTED for clip in shard.clips if clip.clip_id not in recorded.skipped}
    replaces, state = recorded is not None, recorded or Recorded()
    return retried_write(lambda: _built(shard, folder, data_dir, hints, state, on_progress, replaces=replaces))


def finished(shard: ShardIdentity, *, out: Path) -> Sidecar | None:
    """Return the sidecar of a finished shard, else None. Checks size and footer, but no hash."""
    folder = PreparedFolder(out)
    path = folder.shard(shard.split, shard.index, shard.num_shards)
    try:
        sidecar = read_sidecar(folder.sidecar(shard.split, shard.index, shard.num_shards))
        if not is_of(sidecar, shard) or path.stat().st_size != sidecar.file_size:
            return None
        require_footer(path, shard, sidecar.rows)
    except (PreparedError, OSError):
        return None
    return sidecar


def read_sidecar(path: Path) -> Sidecar:
    """Read a sidecar; raises DamagedError if it is missing or damaged, PreparedError if it cannot be read."""
    content = read_checksummed(path, KIND)
    try:
        return Sidecar(
            **{name: content[name] for name in ("file", "plan", "rows", "frames", "sha256")},
            clips={name: int(rows) for name, rows in content["clips"].items()},
            arrow_size=content["arrow_bytes"],
            file_size=content["bytes"],
            skipped=tuple((entry["name"], entry["reason"]) for entry in content["left_out"]),
            digests=dict(content.get("digests", {})),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"{path}: is not a valid sidecar ({type(error).__name__}: {error}); {REPAIR}") from error


def is_of(sidecar: Sidecar, shard: ShardIdentity) -> bool:
    """Whether a sidecar belongs to a shard."""
    return (sidecar.file, sidecar.plan) == (f"{shard.name}.parquet", shard.plan)


def is_made_of(path: Path, plan: str) -> bool:
    """Whether a shard was built from the plan with this digest, according to its footer."""
    try:
        own = own_metadata(pq.read_metadata(storage_of(path).footer(path)))
    except (pa.ArrowException, ValueError, OSError):
        return False
    return isinstance(own, dict) and own.get("plan") == plan


def is_foreign(path: Path) -> bool:
    """Whether a file is a Parquet file that this package did not write."""
    try:
        return own_metadata(pq.read_metadata(storage_of(path).footer(path))) is None
    except (pa.ArrowException, ValueError, OSError):
        return False


def _built(
    shard: PlannedShard,
    folder: PreparedFolder,
    data_dir: Path,
    hints: Mapping[str, str],
    recorded: Recorded,
    on_progress: Callable[[Progress], None],
    *,
    replaces: bool,
) -> Sidecar:
    path = folder.shard(shard.split, shard.index, shard.num_shards)
    counts: dict[str, int] = {}
    clip_digests: dict[str, str] = {}
    skipped: list[tuple[str, str]] = []
    schema = pa.ipc.read_schema(pa.py_buffer(shard.schema))
    digests = SourceDigests(data_dir, folder.local_sources)
    require_sources(shard.sources, digests, shard.clips)
    with storage_of(path).new_file(path, replaces=replaces) as temporary:
        with parquet_rows(temporary, schema, _own_metadata(shard)) as rows:
            for clip in shard.clips:
                before, digest = rows.written.rows, ClipDigest(clip.rendering)
                hint = hints.get(clip.clip_id)
                reason = _append_clip(rows, located(clip, data_dir), digest, shard.encoding, hint, on_progress)
                if reason is not None:
                    skipped.append((clip.clip_id, without_paths(reason, data_dir)))
                counts[clip.clip_id] = rows.written.rows - before
                if counts[clip.clip_id]:
                    clip_digests[clip.clip_id] = digest.hex()
                on_progress(Progress(clips=1))
        require_sources(shard.sources, digests, shard.clips)  # they may have changed during the build
        if recorded.sha256 not in (None, rows.written.sha256):
            raise PreparedError(
                f"{path}: the rebuilt shard differs from the recorded one ({rows.written.sha256[:12]} instead of "
                f"{str(recorded.sha256)[:12]}): a codec, library or CPU here produces different pixels, so nothing was "
                "replaced; repair it on the machine that built it, or prepare into another folder"
            )
        _read_back(temporary, shard, rows)
        require_still_planned(folder, shard.split, shard.plan)
    written = vars(rows.written)
    sidecar = Sidecar(path.name, shard.plan, counts, **written, skipped=tuple(skipped), digests=clip_digests)
    storage_of(path).write(folder.sidecar(shard.split, shard.index, shard.num_shards), sidecar.file_bytes())
    return sidecar


def _append_clip(
    rows: ParquetRows,
    clip: ClipPlan,
    digest: ClipDigest,
    encoding: str,
    hint: str | None,
    on_progress: Callable[[Progress], None],
) -> str | None:
    """Append the windows of a clip, also to its digest.

    Return the reason if the clip or its last windows are skipped, else None.
    """
    count = 0
    try:
        for window in _windows(clip, digest, encoding):
            before = rows.written.arrow_size
            rows.append(row(window, encoding=encoding))
            count += 1
            on_progress(Progress(frames=len(window.frames), bytes=rows.written.arrow_size - before))
            del window  # otherwise it would stay in memory while the next one is rendered
    except MachineError as error:  # temporary, so the clip must not be skipped
        raise MachineError(f"{clip.clip_id}: {error}") from error
    except SourceError as error:
        if hint is not None:
            raise SourceError(f"{clip.clip_id}: {error} {hint}") from error
        return f"{error} (starting at window {count}; earlier windows are kept)" if count else str(error)
    return None if count else TOO_SHORT


def _windows(clip: ClipPlan, digest: ClipDigest, encoding: str) -> Iterator[Window[Any]]:
    columns = clip.rendering.columns
    each = frame_encoder(columns, encoding=encoding, streaming=False)
    return digested_windows(clip, digest, each=each, collect=frame_collector(columns, encoding=encoding))


def _read_back(path: Path, shard: PlannedShard, rows: ParquetRows) -> None:
    """Raise PreparedError if the file on disk differs from what was written."""
    flush(path)
    forget_cached(path)  # otherwise the page cache is read, not the disk
    require_footer(path, shard, rows.written.rows)
    if checksum_of(path) != rows.checksum:
        raise PreparedError(
            f"{path.parent}: a file reads differently than it was written; fix this disk, or use another one"
        )


def require_still_planned(folder: PreparedFolder, split: str, plan: str) -> None:
    """Raise PreparedError if the folder has a plan with another digest for this split now.

    Ignores a missing or damaged plan, which is detected before the manifest is written.
    """
    path = folder.plan(split)
    try:
        is_different = read_checksummed(path, PLAN_KIND).get("digest") != plan
    except PreparedError:
        return
    if is_different:
        raise PreparedError(
            f"{path}: was replaced by another plan during the build; a folder can contain only one, so use a "
            "separate folder for each"
        )


def require_footer(path: Path, shard: ShardIdentity, rows: int, *, local: Path | None = None) -> None:
    """Raise DamagedError if a file's footer does not identify it as this shard, with this number of rows.

    local: a file with the same bytes; None: only the end of `path` is read.
    """
    try:
        metadata = pq.read_metadata(storage_of(path).footer(path) if local is None else local)
        own = own_metadata(metadata)
    except (pa.ArrowException, ValueError) as error:
        raise DamagedError(f"{path}: has no readable Parquet footer ({error})") from error
    if own != _own_metadata(shard):
        raise DamagedError(f"{path}: is a different shard, or belongs to another plan ({own})")
    if metadata.num_rows != rows:
        raise DamagedError(f"{path}: has {metadata.num_rows} rows instead of {rows}")


def _own_metadata(shard: ShardIdentity) -> dict[str, Any]:
    """Return the metadata by which a file's footer identifies its shard."""
    return {"plan": shard.plan, "split": shard.split, "shard": shard.index}
