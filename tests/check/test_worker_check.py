"""A check in worker processes: crashes, disappearing files, memory."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from check_runs import ALPHA, COLOUR, TRIMAP, A, B, claiming, cut, keyed, looked_at
from crashing_checks import crashing, sending_half

from dvm_hf.check import worker_check
from dvm_hf.check.check_cache import CheckCache
from dvm_hf.check.findings import finding
from dvm_hf.check.report import Report, check
from dvm_hf.check.source import Facts, Source, SourceCheck, sources
from dvm_hf.dataset.config import DVMConfig
from dvm_hf.sources.tree import survey
from dvm_hf.worker_processes import LEAN

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def test_several_processes_find_the_same_as_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_check, "FEW", 0)
    for damage in (cut(COLOUR, keep=0.5), claiming, keyed(16)):
        damage(root)
    alone = [looked_at(root, deep=deep) for deep in (False, True)]
    shutil.rmtree(root.parent / "checked")
    configs = [DVMConfig(name=name, data_dir=str(root)) for name in ("train", "test")]
    together = [
        check(root, configs=configs, checked=checked, processes=processes)
        for checked, processes in ((None, 1), (CheckCache(root.parent / "checked", root), 2))
    ]
    for one, other in zip(alone, together, strict=True):
        assert (one.findings, one.holdings) == (other.findings, other.holdings)
        assert one.findings


def test_a_file_that_crashes_its_worker_is_reported_and_the_check_continues(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(worker_check.METHODS, "decoding", crashing)
    report = looked_at_by(root, processes=2)
    assert [(one.code, one.path) for one in report.findings] == [("crash", "bg/train/0001.mp4")]
    assert sum(one.count for one in report.holdings) == 8


@pytest.mark.timeout(240)
def test_a_worker_that_is_killed_while_it_sends_its_results_loses_none_of_the_others(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Headers are checked many at a time."""
    monkeypatch.setitem(worker_check.METHODS, "headers", sending_half)
    todo = [*sources(survey(root, "train")), *sources(survey(root, "test"))]
    found = dict(worker_check.checked_sources(todo, method="headers", processes=1))
    assert {source.colour: one.code for source, result in found.items() for one in result.findings} == {
        "bg/train/0001.mp4": "crash"
    }
    assert found.keys() == set(todo)


PROGRAM = """
import os, sys, time
from pathlib import Path
from dvm_hf.check import worker_check
from dvm_hf.check.source import Source

def slow(source):
    Path(source.root, str(os.getpid())).touch()
    time.sleep(60)

if __name__ == "__main__":
    worker_check.METHODS["decoding"] = slow
    wanted = [Source(Path(sys.argv[1]), "background", "train", name, name) for name in "ab"]
    list(worker_check.checked_sources(wanted, method="decoding", processes=2))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_process_that_checks(tmp_path: Path, number: int) -> None:
    """After Ctrl-C, and if it is killed."""
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "pids").mkdir()
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "pids")]
    environment = os.environ | LEAN | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as program:
        while program.poll() is None and len(list((tmp_path / "pids").iterdir())) < 2:
            time.sleep(0.05)
        program.send_signal(number)
        program.communicate(timeout=20)  # ends when no process has the other end open
    assert program.returncode == -number
    assert len(list((tmp_path / "pids").iterdir())) == 2


def test_transient_faults_are_checked_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(source: Source) -> SourceCheck:
        code = {"0000": "crash", "0001": "unreadable"}.get(source.name, "alpha-flat")
        return SourceCheck((finding(code, source.colour, value=1),), Facts())

    monkeypatch.setitem(worker_check.METHODS, "decoding", look)
    first = check(root, configs=[], checked=CheckCache(root.parent / "checked", root), processes=0)
    assert {"crash", "unreadable", "alpha-flat"} <= {one.code for one in first.findings}
    monkeypatch.setitem(worker_check.METHODS, "decoding", lambda source: SourceCheck((), Facts()))
    second = check(root, configs=[], checked=CheckCache(root.parent / "checked", root), processes=0)
    assert {one.code for one in second.findings} == {"alpha-flat"}


@pytest.mark.parametrize("deep", [False, True])
def test_a_file_that_disappears_during_the_check_is_a_finding(
    root: Path, monkeypatch: pytest.MonkeyPatch, deep: bool
) -> None:
    name = "decoding" if deep else "headers"
    look = worker_check.METHODS[name]

    def after_removal(source: Source) -> SourceCheck:
        (source.root / source.paths[-1]).unlink()
        return look(source)

    monkeypatch.setitem(worker_check.METHODS, name, after_removal)
    report = looked_at(root, deep=deep)
    gone = {one.path for one in report.findings if one.code == "unreadable"}
    assert gone >= {A, B, ALPHA}


def test_a_file_that_disappears_between_two_reads_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(source: Source) -> SourceCheck:
        (source.root / source.paths[-1]).unlink()
        (source.root / source.paths[-1]).stat()
        raise AssertionError

    monkeypatch.setitem(worker_check.METHODS, "headers", look)
    assert {one.path for one in looked_at(root).findings if one.code == "unreadable"} >= {A, B, ALPHA, TRIMAP}


@pytest.mark.parametrize("path", [COLOUR, B])
def test_permission_errors_are_not_faults_of_the_file(root: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    def refused(file: object, *arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr("PIL.Image.open" if path == COLOUR else "av.open", refused)
    told = {one.path: one for one in looked_at(root).findings}
    assert (told[path].code, told[path].text) == ("unreadable", "cannot be read (Permission denied)")


def test_the_cache_does_not_grow_with_changes(root: Path) -> None:
    for turn in range(10):
        os.utime(root / B, ns=(0, turn))
        looked_at(root, deep=True)
    (path,) = (root.parent / "checked").iterdir()
    lines = path.read_text().splitlines()
    assert len(lines) < 20
    for turn in range(10, 180):
        with path.open("a") as file:
            file.write(lines[-1].replace(", 9]", f", {turn}]") + "\n")
    assert looked_at(root, deep=True).findings == looked_at(root, deep=True).findings
    assert len(path.read_text().splitlines()) < 20


def looked_at_by(root: Path, *, processes: int) -> Report:
    return check(root, configs=[], checked=CheckCache(root.parent / "checked", root), processes=processes)
