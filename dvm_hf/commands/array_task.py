"""`dvm prepare --shard-index` without the rest of the command line, whose imports take longer than a finished task."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dvm_hf.commands.group import Commands
from dvm_hf.errors import DVMError, MachineError, SourceError
from dvm_hf.prepared.array_task import (
    ArrayTask,
    TaskResult,
    built_result,
    finished_result,
    planned_fields,
    planned_header,
)
from dvm_hf.prepared.storage.object_path import location
from dvm_hf.wording import counted
from dvm_hf.worker_processes import lean_environment


def run_if_plain(arguments: Sequence[str], **extra: Any) -> bool:
    """Run a task if its plan exists and all arguments are plain; return whether that is so.

    All others are left to the rest of the command line, which also reports errors in them.
    """
    named = _options(arguments)
    if named is None:
        return False
    task = ArrayTask(
        data_dir=Path(os.path.abspath(named.pop("DATA_DIR"))),
        out=location(named.pop("OUT")),
        index=int(named.pop("--shard-index")),
        split=named.pop("--config", None),
        on_error=named.pop("--on-error", "raise"),
    )
    as_json = named.pop("--json", None) is not None
    try:
        planned = planned_fields(planned_header(task))
    except DVMError:
        return False
    texts = {f"--{name.replace('_', '-')}": _texts(value) for name, value in planned.items()}
    if not task.data_dir.exists() or any(text not in texts.get(name, ()) for name, text in named.items()):
        return False
    command = click.Command("prepare", callback=lambda: run_task(task, as_json=as_json))
    with lean_environment():
        Commands("dvm", commands={"prepare": command}).main(["prepare"], **extra)
    return True


def run_task(task: ArrayTask, *, as_json: bool) -> None:
    """Build a shard unless it is finished, and print the result."""
    try:
        result = finished_result(task, planned_header(task)) or built_result(task)
    except MachineError:
        raise
    except SourceError as error:
        refuse_data(error)
    click.echo(json.dumps(_as_json(task, result)) if as_json else _in_words(result))


def refuse_data(error: SourceError) -> None:
    """End the command because of a source that cannot be used."""
    click.echo(f"Error: {error}\nFinished shards are kept. Run the same command again to resume.", err=True)
    raise SystemExit(1) from error


def _options(arguments: Sequence[str]) -> dict[str, str] | None:
    """Return the arguments of a task by name, with those of no value as ""; None if they are not plain."""
    found: dict[str, str] = {}
    remaining = iter(arguments)
    if next(remaining, None) != "prepare":
        return None
    for argument in remaining:
        name, equals, value = argument.partition("=")
        if not argument.startswith("-"):
            name, value = ("OUT" if "DATA_DIR" in found else "DATA_DIR"), argument
        elif name != "--json" and not equals:
            value = next(remaining, "")
        if name in found or (name != "--json" and not value):
            return None
        found[name] = value
    found.pop("--num-proc", None)  # a task has one process
    is_plain = found.keys() >= {"DATA_DIR", "OUT", "--shard-index"} and found["--shard-index"].isdecimal()
    is_plain = is_plain and found.get("--on-error", "raise") in ("raise", "skip") and "://" not in found["DATA_DIR"]
    return found if is_plain else None


def _texts(value: Any) -> tuple[str, ...]:
    """Return the texts of an option that surely stand for a value of the plan."""
    return (",".join(value),) if isinstance(value, list) else (str(value),)


def _as_json(task: ArrayTask, result: TaskResult) -> dict[str, Any]:
    return {
        "out": str(task.out),
        "built": [result.file] if result.built else [],
        "rows": result.rows,
        "frames": result.frames,
        "bytes": result.file_size,
        "left_out": [{"name": name, "reason": reason} for name, reason in result.skipped],
    }


def _in_words(result: TaskResult) -> str:
    state = "built" if result.built else "was finished already"
    skipped = "".join(f"\n  skipped: {name}: {reason}" for name, reason in result.skipped)
    return f"{result.file} {state}: {counted(result.rows, 'row')}, {counted(result.frames, 'frame')}{skipped}"
