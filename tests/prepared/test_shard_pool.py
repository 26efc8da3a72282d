"""The pool: workers may die, shards may not be lost."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest
from command_runs import run
from conftest import FEW_ARGUMENTS, file_hashes

from dvm_hf import PreparedError
from dvm_hf.prepared.atomic_io import temporaries
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.prepare import describe_if_complete, found_shards
from dvm_hf.prepared.shard_plan import read_plan
from dvm_hf.prepared.shard_pool import MAX_DEATHS, Job, Outcome, Task, pooled_shards
from dvm_hf.prepared.shards import Progress

ROOT = Path(__file__).resolve().parents[2]
DEADLY = Job("train", 0)


class DeadlyOrder(Task):
    """Its first shard kills its worker in the middle, as often as there are bullets (files) in `out`/bullets."""

    def shard(self, job: Job, on_progress: Callable[[Progress], None]) -> Outcome:
        bullets = sorted((self.out / "bullets").glob("*"))

        def deadly(progress: Progress) -> None:
            assert temporaries(self.out / "data")
            bullets[0].unlink()
            os.kill(os.getpid(), signal.SIGKILL)

        return super().shard(job, deadly if job == DEADLY and bullets else on_progress)


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
        (out / "bullets" / str(number)).touch()
    plans = {split: read_plan(out / "plan" / f"{split}.json") for split in ("train", "test")}
    jobs = [Job(split, index) for split in plans for index in range(3)]
    order = DeadlyOrder(plans, out, sources, "raise")
    return [job for job, _, _ in pooled_shards(order, jobs, num_proc=2, on_progress=lambda progress: None)]


def test_what_a_killed_worker_leaves_another_makes(out: Path, few_sources: Path, prepared_once: Path) -> None:
    made = make(out, few_sources, bullets=MAX_DEATHS - 1)
    assert sorted(made) == [Job(split, index) for split in ("test", "train") for index in range(3)]
    (out / "bullets").rmdir()
    describe_if_complete(PreparedFolder(out), found_shards(PreparedFolder(out)))
    assert file_hashes(out) == file_hashes(prepared_once)


def test_a_shard_that_keeps_killing_is_named(out: Path, few_sources: Path) -> None:
    with pytest.raises(PreparedError, match=r"^train-00000-of-00003: 3 workers ended .* signal 9.*--num-proc"):
        make(out, few_sources, bullets=MAX_DEATHS)
    assert temporaries(out / "data") == []


class FaultyOrder(Task):
    """Meets what nobody has foreseen."""

    def shard(self, job: Job, on_progress: Callable[[Progress], None]) -> Outcome:
        (self.out / "bullets" / f"{os.getpid()}-{job.shard}").touch()
        raise ZeroDivisionError("nobody has foreseen this")


def test_what_a_worker_did_not_foresee_is_told_at_once_with_its_traceback(out: Path, few_sources: Path) -> None:
    order = FaultyOrder({"train": read_plan(out / "plan/train.json")}, out, few_sources)
    with pytest.raises(RuntimeError, match=r"(?s)worker failed.*in shard\n.*nobody has foreseen this"):
        list(pooled_shards(order, [Job("train", 0), Job("train", 1)], num_proc=2, on_progress=lambda progress: None))
    assert len(list((out / "bullets").iterdir())) <= 2  # none was tried again


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
        parent.communicate(timeout=60)  # ends when no process holds the other end
    assert run("prepare", str(few_sources), str(out), *FEW_ARGUMENTS).exit_code == 0
    assert file_hashes(out) == file_hashes(prepared_once)


def test_a_worker_gets_no_interrupt_before_it_can_leave_it_to_its_parent(
    out: Path, few_sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(process: SpawnProcess) -> None:
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        raise InterruptedError

    monkeypatch.setattr(SpawnProcess, "start", start)
    with pytest.raises(InterruptedError):
        make(out, few_sources, bullets=0)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
