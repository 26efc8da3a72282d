"""Run `dvm prepare`, and look at the folder that it makes."""

import json
from pathlib import Path
from typing import Any

from command_runs import run
from conftest import FEW_ARGUMENTS


def prepare(sources: Path, out: Path, *arguments: str) -> Any:
    return run("prepare", str(sources), str(out), *(arguments or FEW_ARGUMENTS))


def answer(sources: Path, out: Path, *arguments: str) -> dict[str, Any]:
    """What a run that succeeds prints with --json."""
    result = prepare(sources, out, *(arguments or FEW_ARGUMENTS), "--json")
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


def finished_shards(out: Path) -> set[str]:
    """Shards with a sidecar, as the log names them: train-0."""
    found = (path.name.split("-") for path in (out / "shards").glob("*.json"))
    return {f"{split}-{int(index)}" for split, index, *_ in found}


def is_shown(out: Path) -> bool:
    """Whether a card is there that names the data."""
    path = out / "README.md"
    return path.exists() and b"not-complete-yet" not in path.read_bytes()
