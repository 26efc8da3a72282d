"""The corpus of `hostile.py`: every case ends in an error that names the file, or in a documented conversion."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hostile import CLASSES, EITHER, READ, REFUSED

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # a process builds every case of a part
PARTS = {  # each takes a process, which imports everything
    "damage": ("truncations", "flips"),
    "stills": ("wrong_kinds", "sizes", "conversions"),
    "claims and names": ("large", "bombs", "claims", "names", "pair_lists", "links", "specials"),
}
FEWEST = {"damage": 50, "stills": 110, "claims and names": 150}  # cases
ROWS, ROWS_OF_SKIP = 5, 9  # of the valid tree, with on_error="raise" and "skip"


def run(folder: Path, kinds: list[str]) -> list[dict[str, Any]]:
    """Return the output of `hostile.py` for some classes, from a separate process; fails if it ends early."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]), "TMPDIR": str(folder)}
    command = [sys.executable, str(ROOT / "tests" / "hostile.py"), str(folder), *kinds]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=540)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended by {done.returncode} after {lines[-1:]}: {done.stderr[-2000:]}"
    assert lines[0]["case"] == "sound"
    assert (lines[0]["raise"], lines[0]["skip"]) == (["", ROWS], ["", ROWS_OF_SKIP])
    assert lines[0]["headers"] == lines[0]["decoded"] == []
    return lines[1:]


def test_every_class_belongs_to_a_part() -> None:
    assert sorted(kind for kinds in PARTS.values() for kind in kinds) == sorted(CLASSES)


@pytest.mark.parametrize(
    "part",
    # like test_fuzz.py: what damage finds becomes a case of another class
    [pytest.param("damage", marks=pytest.mark.one_lane), "stills", "claims and names"],
)
def test_every_case_ends_as_documented(part: str, tmp_path: Path) -> None:
    """Also: nothing outside of the root is opened, and a pool of processes finds the same as one process."""
    found = run(tmp_path, list(PARTS[part]))
    cases = [line for line in found if "case" in line]
    assert len(cases) >= FEWEST[part]
    assert {one["group"] for one in cases} == set(PARTS[part])
    assert len({(one["class"], one["case"]) for one in cases}) == len(cases)
    assert {(one["group"], one["case"]): fault for one in cases for fault in [fault_of(one)] if fault} == {}
    assert {line["case"]: line["outside"] for line in found if line.get("outside")} == {}
    assert [line for line in found if "differs" in line] == []
    assert sum(line["pool"] for line in found if "pool" in line) >= 10


def fault_of(one: dict[str, Any]) -> str:
    """Return what is wrong with the result of a case."""
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
    if one["class"] == "pair list":  # an invalid list is not used at all
        return "" if bool(skip_error) == bool(error) else f"skip says {skip_error!r}"
    if skip_error or not skip_rows:
        return f"with on_error='skip': {skip_error!r}, {skip_rows} rows"
    if error and skip_rows >= ROWS_OF_SKIP and one["class"] not in ("name", "special"):
        return "skip leaves nothing out"
    if not error and rows < ROWS and not one["decoded"]:
        return f"{rows} of {ROWS} rows, and check finds nothing"
    if one["expected"] == READ and errors:
        return f"check finds {errors} where the build reads"
    return ""
