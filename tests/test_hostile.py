"""The corpus of `hostile.py`: every case ends in an error that names the file, or in a documented conversion."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hostile import CLASSES, EITHER, READ, REFUSED

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # two processes build every case
FEWEST = 300  # cases
ROWS = 9  # of the sound tree


def run(folder: Path, kinds: list[str]) -> list[dict[str, Any]]:
    """What `hostile.py` prints of some classes, in a process of its own; fails where that ended early, and names it."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]), "TMPDIR": str(folder)}
    command = [sys.executable, str(ROOT / "tests" / "hostile.py"), str(folder), *kinds]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=540)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended by {done.returncode} after {lines[-1:]}: {done.stderr[-2000:]}"
    assert lines[0]["case"] == "sound"
    assert lines[0]["raise"] == lines[0]["skip"] == ["", ROWS]
    assert lines[0]["headers"] == lines[0]["decoded"] == []
    return lines[1:]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Of all classes, by two processes: what starting one costs is more than most classes do."""
    halves = [[*CLASSES][0::2], [*CLASSES][1::2]]
    folders = [tmp_path_factory.mktemp("hostile") for _ in halves]
    with ThreadPoolExecutor() as pool:  # each waits for a process
        return [line for half in pool.map(run, folders, halves) for line in half]


@pytest.fixture(scope="module")
def results(lines: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Of each class what came of its cases, in order."""
    cases = [line for line in lines if "case" in line]
    return {name: [one for one in cases if one["group"] == name] for name in CLASSES}


def test_there_are_enough_cases(results: dict[str, list[dict[str, Any]]]) -> None:
    assert sum(map(len, results.values())) >= FEWEST
    assert min(map(len, results.values())) > 0
    names = [(one["class"], one["case"]) for cases in results.values() for one in cases]
    assert len(set(names)) == len(names)


def test_nothing_outside_of_the_root_is_opened(results: dict[str, list[dict[str, Any]]]) -> None:
    assert {one["case"]: one["outside"] for cases in results.values() for one in cases if one["outside"]} == {}


def test_a_pool_of_processes_finds_the_same(lines: list[dict[str, Any]]) -> None:
    assert [line for line in lines if "differs" in line] == []
    assert sum(line["pool"] for line in lines if "pool" in line) > FEWEST


@pytest.mark.parametrize("kind", CLASSES)
def test_every_case_ends_as_documented(results: dict[str, list[dict[str, Any]]], kind: str) -> None:
    wrong = {one["case"]: fault for one in results[kind] for fault in [fault_of(one)] if fault}
    assert wrong == {}


def fault_of(one: dict[str, Any]) -> str:
    """What is not as it should be in a case's end."""
    (error, rows), (skip_error, skip_rows) = one["raise"], one["skip"]
    errors = [entry for entry in one["decoded"] if entry["severity"] == "error"]
    if one["expected"] != EITHER and one["expected"] != (REFUSED if error else READ):
        return f"the build says {error!r}"
    if error and one["file"] not in error:
        return f"the error does not name {one['file']}: {error}"
    if error and not errors:
        return f"check finds no error where the build says {error}"
    if not error and not rows:
        return "no error and no row"
    if one["class"] == "pair list":  # nothing of a bad list is used
        return "" if bool(skip_error) == bool(error) else f"skip says {skip_error!r}"
    if skip_error or not skip_rows:
        return f"with on_error='skip': {skip_error!r}, {skip_rows} rows"
    if error and skip_rows >= ROWS and one["class"] not in ("name", "special"):
        return "skip leaves nothing out"
    if not error and rows < ROWS and not one["decoded"]:
        return f"{rows} of {ROWS} rows, and check finds nothing"
    if one["expected"] == READ and errors:
        return f"check finds {errors} where the build reads"
    return ""
