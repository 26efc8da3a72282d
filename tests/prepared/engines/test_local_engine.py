"""The engine `local`: no shard is lost if workers die."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_runs import run
from conftest import FEW_ARGUMENTS, file_hashes
from deadly_task import DeadlyTask, bullet
from stored_plans import stored_plan

from dvm_hf import PreparedError
from dvm_hf.prepared.atomic_io import temporaries
from dvm_hf.prepared.engines.local_engine import local_outcomes
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.prepare import describe_if_complete, found_shards
from dvm_hf.prepared.shard_task import MAX_DEATHS, Job, Outcome, Task
from dvm_hf.prepared.shards import Progress

ROOT = Path(__file__).resolve().parents[3]
DEADLY = Job("train", 0)


@pytest.fixture
def out(prepared: Path) -> Path:
    """A folder with plans and no shard."""
    for path in [
        *prepared.glob("data/*"),
        *prepared.glob("shards/*"),
        prepared / "README.md",
        prepared / "manifest.json",
    ]:
        path.unlink()
    (prepared / "bullets").mkdir()
    return prepared


def make(out: Path, sources: Path, *, bullets: int) -> list[Job]:
    for number in range(bullets):
        (out / "bullets" / bullet(DEADLY, "worker", number)).touch()
    plans = {split: stored_plan(out, split) for split in ("train", "test")}
    tasks = [DeadlyTask(plan.shard(index), out, sources) for plan in plans.values() for index in range(3)]
    return [job for job, _, _ in local_outcomes(tasks, num_proc=2, on_progress=lambda progress: None)]


@pytest.mark.slow
def test_another_worker_takes_over_from_a_killed_one(out: Path, few_sources: Path, prepared_once: Path) -> None:
    made = make(out, few_sources, bullets=MAX_DEATHS - 1)
    assert sorted(made) == [Job(split, index) for split in ("test", "train") for index in range(3)]
    (out / "bullets").rmdir()
    describe_if_complete(PreparedFolder(out), found_shards(PreparedFolder(out)))
    assert file_hashes(out) == file_hashes(prepared_once)


@pytest.mark.slow
def test_a_shard_that_repeatedly_kills_its_worker_is_named(out: Path, few_sources: Path) -> None:
    with pytest.raises(PreparedError, match=r"^train-00000-of-00003: 3 workers ended .* signal 9.*--num-proc"):
        make(out, few_sources, bullets=MAX_DEATHS)
    assert temporaries(out / "data") == []


class FaultyTask(Task):
    """Raises an unexpected error."""

    def outcome(self, on_progress: Callable[[Progress], None]) -> Outcome:
        (self.out / "bullets" / f"{os.getpid()}-{self.job.shard}").touch()
        raise ZeroDivisionError("nobody has foreseen this")


@pytest.mark.slow
def test_an_unexpected_worker_error_is_reported_with_its_traceback(out: Path, few_sources: Path) -> None:
    plan = stored_plan(out)
    tasks = [FaultyTask(plan.shard(index), out, few_sources) for index in range(2)]
    with pytest.raises(RuntimeError, match=r"(?s)worker failed.*in outcome\n.*nobody has foreseen this"):
        list(local_outcomes(tasks, num_proc=2, on_progress=lambda progress: None))
    assert len(list((out / "bullets").iterdir())) <= 2  # none was tried again


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(few_sources: Path, prepared_once: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "dvm_hf", "prepare", str(few_sources), str(out), *FEW_ARGUMENTS, "--num-proc", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as parent:
        while parent.poll() is None and not list((out / "data").glob("*")):
            try:
                parent.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
        parent.kill()
        parent.communicate(timeout=60)  # ends when no process has the other end open
    assert run("prepare", str(few_sources), str(out), *FEW_ARGUMENTS).exit_code == 0
    assert file_hashes(out) == file_hashes(prepared_once)
