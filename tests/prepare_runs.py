"""Run `dvm prepare`, and inspect the folder that it builds."""

import json
from pathlib import Path
from typing import Any

from command_runs import run
from conftest import FEW_ARGUMENTS


def prepare(sources: Path, out: Path, *arguments: str) -> Any:
    return run("prepare", str(sources), str(out), *(arguments or FEW_ARGUMENTS))


def answer(sources: Path, out: Path, *arguments: str) -> dict[str, Any]:
    """Return the --json output of a successful run."""
    result = prepare(sources, out, *(arguments or FEW_ARGUMENTS), "--json")
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


def finished_shards(out: Path) -> set[str]:
    """Return the shards with a sidecar, named like in the log: train-0."""
    found = (path.name.split("-") for path in (out / "shards").glob("*.json"))
    return {f"{split}-{int(index)}" for split, index, *_ in found}


def is_shown(out: Path) -> bool:
    """Return whether there is a card that lists the data."""
    path = out / "README.md"
    return path.exists() and b"not-complete-yet" not in path.read_bytes()
