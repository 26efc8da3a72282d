"""The task of a job array: build one shard of a plan that exists. It neither plans nor writes the metadata.

A task whose shard is finished reads two small files, and imports none of the libraries that render.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvm_hf.errors import ConfigError, DamagedError, PreparedError
from dvm_hf.prepared.folder import (
    PLAN_KIND,
    SIDECAR_KIND,
    PreparedFolder,
    no_plan,
    read_checksummed,
    require_shard,
)
from dvm_hf.prepared.storage.storage import storage_of

# The end of a Parquet file: its footer, the length of the footer in 4 bytes, the magic bytes.
MAGIC, TRAILER = b"PAR1", 8


@dataclass(frozen=True)
class ArrayTask:
    """A task. split: may be None if `out` has the plan of one split. on_error: see `build_shard`."""

    data_dir: Path
    out: Path
    index: int
    split: str | None = None
    on_error: str = "raise"


@dataclass(frozen=True)
class TaskResult:
    """The result of a task. built: whether this task built the shard; False if it was finished."""

    file: str
    built: bool
    rows: int
    frames: int
    file_size: int
    skipped: tuple[tuple[str, str], ...]


def planned_header(task: ArrayTask) -> Mapping[str, Any]:
    """Return the header of the plan that has the task's shard.

    Raises ConfigError if it has no such shard or the split is not determined, and PreparedError or DamagedError if
    `out` has no readable plan.
    """
    folder = PreparedFolder(task.out)
    planned = folder.planned_splits()
    if not planned or task.split not in (None, *planned):
        raise no_plan(folder, task.split)
    if task.split is None and len(planned) > 1:
        raise ConfigError(
            f"shard_index={task.index}: {task.out} has plans of {' and '.join(planned)}; pass --config "
            f"{' or --config '.join(planned)}"
        )
    content = read_checksummed(folder.plan(task.split or planned[0]), PLAN_KIND)
    require_shard(content["split"], task.index, content["sharding"]["num_shards"])
    return content


def finished_result(task: ArrayTask, header: Mapping[str, Any]) -> TaskResult | None:
    """Return the result of a task whose shard is finished, else None. Checks size and footer, but no hash."""
    folder, split, count = PreparedFolder(task.out), header["split"], header["sharding"]["num_shards"]
    path = folder.shard(split, task.index, count)
    try:
        sidecar = read_checksummed(folder.sidecar(split, task.index, count), SIDECAR_KIND)
        if (sidecar["file"], sidecar["plan"]) != (path.name, header["digest"]):
            return None
        if path.stat().st_size != sidecar["bytes"] or header["digest"].encode() not in _footer(path):
            return None
    except (DamagedError, OSError):
        return None
    skipped = tuple((entry["name"], entry["reason"]) for entry in sidecar["left_out"])
    return TaskResult(path.name, False, sidecar["rows"], sidecar["frames"], sidecar["bytes"], skipped)


def built_result(task: ArrayTask) -> TaskResult:
    """Build the shard of a task, unless another process finishes it; raises the errors of `build_shard`."""
    # importing what renders takes most of a second
    from dvm_hf.prepared.placeholder_card import require_placeholder
    from dvm_hf.prepared.plans.stored_plan import open_plan
    from dvm_hf.prepared.shard_task import Task, import_arrow
    from dvm_hf.sources.tree import root_of

    import_arrow()
    folder = PreparedFolder(task.out)
    split = str(planned_header(task)["split"])
    shard = open_plan(folder, split).shard(task.index)
    require_placeholder(folder, split)
    outcome = Task(shard, task.out, root_of(task.data_dir), task.on_error).outcome(lambda progress: None)
    sidecar = outcome.sidecar
    return TaskResult(
        sidecar.file, outcome.is_new, sidecar.rows, sidecar.frames, sidecar.file_size, tuple(sidecar.skipped)
    )


def planned_fields(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a plan by name: the config fields and the number of shards."""
    return {**header["config"], "num_shards": header["sharding"]["num_shards"]}


def require_same_fields(task: ArrayTask, header: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise PreparedError if fields that a task is given differ from the plan's. Values are as in a plan."""
    planned = planned_fields(header)
    for name, value in given.items():
        if name in planned and value != planned[name]:
            raise PreparedError(
                f"{name}={value!r}: the plan in {task.out} has {planned[name]!r}; a task builds a shard of that plan, "
                "so omit this option"
            )


def _footer(path: Path) -> bytes:
    """Return the footer of a Parquet file; empty if it has none."""
    size = path.stat().st_size
    with storage_of(path).reader(path) as read:
        trailer = read(max(0, size - TRAILER), TRAILER)
        length = int.from_bytes(trailer[:4], "little")
        if not trailer.endswith(MAGIC) or length + TRAILER > size:
            return b""
        return read(size - TRAILER - length, length)
