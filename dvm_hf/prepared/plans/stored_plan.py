"""A plan as it is stored: a header with its digest, and a table with a line for each shard, read one at a time.

What a process reads to build a shard does not grow with the number of clips. This module does not import `datasets`.
"""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from dvm_hf.clips.plan import Rendering
from dvm_hf.errors import DamagedError, PreparedError
from dvm_hf.prepared.folder import PLAN_KIND, REPAIR, PreparedFolder, read_checksummed
from dvm_hf.prepared.plans.indexed_lines import indexed_line
from dvm_hf.prepared.plans.plan_clips import clip_of, parsed_line
from dvm_hf.prepared.shards import PlannedShard, ShardIdentity
from dvm_hf.prepared.storage.storage import storage_of
from dvm_hf.sources.records import Entry

COUNTS = ("clips", "images", "videos", "backgrounds", "sources")


@dataclass(frozen=True)
class StoredPlan:
    """The plan of one split in a folder. content: its header, see `ShardPlan.header`."""

    folder: PreparedFolder
    content: Mapping[str, Any]

    @property
    def split(self) -> str:
        return str(self.content["split"])

    @property
    def digest(self) -> str:
        """The digest by which shards and sidecars identify their plan."""
        return str(self.content["digest"])

    @property
    def num_shards(self) -> int:
        return int(self.content["sharding"]["num_shards"])

    @property
    def counts(self) -> Mapping[str, int]:
        """Numbers of clips, of their images, videos and backgrounds by name, and of source files."""
        return dict(self.content["counts"])

    @property
    def fields(self) -> Mapping[str, Any]:
        """The config fields by name, with lists in their fixed order."""
        return dict(self.content["config"])

    @property
    def versions(self) -> Mapping[str, str]:
        return dict(self.content["versions"])

    @property
    def drawn(self) -> bool:
        return bool(self.content["drawn"])

    @property
    def pairs(self) -> Mapping[str, str] | None:
        """Name and sha256 of the pair list."""
        return self.content["pairs"] and dict(self.content["pairs"])

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        return entries_of(self.content)

    @cached_property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """(name, reason) of skipped sources or pair lines."""
        return tuple((entry["name"], entry["reason"]) for entry in self.content["left_out"])

    @cached_property
    def rendering(self) -> Rendering:
        planned = self.content["config"]  # an earlier release has planned fewer fields
        fields = {name: planned[name] for name in Rendering.__dataclass_fields__ if name in planned}
        return Rendering(**{**fields, "columns": tuple(fields["columns"])})

    @property
    def serialized_schema(self) -> bytes:
        return base64.b64decode(self.content["schema"])

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the rows."""
        return pa.ipc.read_schema(pa.py_buffer(self.serialized_schema))

    @property
    def table(self) -> Path:
        return self.folder.clip_table(self.split, self.digest)

    def clip_count(self, index: int) -> int:
        """Return the number of clips of a shard."""
        return len(range(index, self.counts["clips"], self.num_shards))

    def identity(self, index: int) -> ShardIdentity:
        """Return the names by which files belong to a shard; reads nothing."""
        return ShardIdentity(self.split, index, self.num_shards, self.digest)

    def shard(self, index: int) -> PlannedShard:
        """Return all that a process needs to build a shard, from its line of the table.

        Raises DamagedError if the table is missing or damaged there, and PreparedError if it cannot be read.
        """
        line = self.line(index)
        seed = int(self.content["config"]["seed"])
        try:
            return PlannedShard(
                split=self.split,
                index=index,
                num_shards=self.num_shards,
                plan=self.digest,
                clips=tuple(clip_of(clip, seed=seed, rendering=self.rendering) for clip in line["clips"]),
                sources=line["sources"],
                encoding=self.content["config"]["encoding"],
                schema=self.serialized_schema,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _damaged(self.table, f"shard {index}: {type(error).__name__}: {error}") from error

    def line(self, index: int) -> dict[str, Any]:
        """Return a shard's line of the table; raises the errors of `shard`."""
        try:
            with _read_errors(self.table), storage_of(self.table).reader(self.table) as read:
                line = parsed_line(indexed_line(read, index))
        except (ValueError, RecursionError) as error:
            raise _damaged(self.table, f"shard {index}: {error}") from error
        if (line.get("plan"), line.get("shard")) != (self.digest, index):
            raise _damaged(self.table, f"shard {index}: a line of another shard or plan")
        return line

    def has_table(self) -> bool:
        """Whether the table is there and intact; raises PreparedError if it cannot be read."""
        try:
            self.require_table()
        except DamagedError:
            return False
        return True

    def require_table(self) -> None:
        """Raise DamagedError if the table is missing or damaged, and PreparedError if it cannot be read."""
        with _read_errors(self.table):
            is_intact = storage_of(self.table).sha256_of(self.table) == self.content["table"]
        if not is_intact:
            raise _damaged(self.table, "its SHA-256 differs")


def open_plan(folder: PreparedFolder, split: str) -> StoredPlan:
    """Read the header of a split's plan; raises DamagedError if it is missing or damaged.

    Raises PreparedError if it cannot be read or has another format.
    """
    path = folder.plan(split)
    content = read_checksummed(path, PLAN_KIND)
    try:
        require_header(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"{path}: is not a valid plan ({type(error).__name__}: {error}); {REPAIR}") from error
    if content["split"] != split:
        raise DamagedError(f"{path}: is the plan of {content['split']!r}; {REPAIR}")
    return StoredPlan(folder, content)


def require_header(content: Mapping[str, Any]) -> None:
    """Raise KeyError, TypeError, ValueError or AttributeError if a plan's header is not valid."""
    plan = StoredPlan(PreparedFolder(Path()), content)
    parts = (plan.rendering, plan.entries, plan.skipped, plan.schema, plan.versions, plan.pairs, content["table"])
    if len(parts) < 7 or plan.num_shards < 1 or any(plan.counts[name] < 0 for name in COUNTS):
        raise ValueError("it has no shards")
    bytes.fromhex(plan.digest)


def entries_of(content: Mapping[str, Any]) -> tuple[Entry, ...]:
    """Return the entries of a plan's header."""
    return tuple(Entry(**entry) for entry in content.get("entries", ()))


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    """Raise DamagedError if a file is missing, and PreparedError if it cannot be read."""
    try:
        yield
    except FileNotFoundError as error:
        raise DamagedError(f"{path}: is missing; {REPAIR}") from error
    except OSError as error:
        raise PreparedError(f"{path}: cannot be read ({error.strerror}); fix that, or move it elsewhere") from error


def _damaged(path: Path, what: str) -> DamagedError:
    return DamagedError(f"{path}: is damaged ({what}); {REPAIR}")
