"""Builds that are killed, run concurrently or fill the disk lose nothing."""

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FEW_ARGUMENTS, file_hashes
from datasets import load_dataset
from prepare_runs import answer, finished_shards, is_shown, prepare
from stored_plans import stored_plan

import dvm_hf.prepared.atomic_io
import dvm_hf.prepared.parquet_rows
import dvm_hf.prepared.plans.shard_size
import dvm_hf.prepared.shards
from dvm_hf import PreparedError
from dvm_hf.commands.config_options import config
from dvm_hf.prepared import prepare as preparing
from dvm_hf.prepared.plans.shard_plan import ShardPlan
from dvm_hf.prepared.plans.shard_size import WantedShards
from dvm_hf.prepared.prepare import planned

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


KILLS = 16


SHARDS = 6  # of both splits


Builders = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def builders() -> Iterator[Builders]:
    """`dvm` in forked children: see forked_builders.py."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "tests" / "forked_builders.py")]
    with subprocess.Popen(
        command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def call(*arguments: str, count: int = 1, die: Any = None, without_locks: bool = False) -> dict[str, Any]:
            asked = {"arguments": arguments, "count": count, "die": die, "without_locks": without_locks}
            server.stdin.write(json.dumps(asked) + "\n")  # type: ignore[union-attr]
            server.stdin.flush()  # type: ignore[union-attr]
            return dict(json.loads(server.stdout.readline()))  # type: ignore[union-attr]

        yield call
        server.stdin.close()


def test_a_killed_build_resumes_and_loses_at_most_one_shard(
    builders: Builders, few_sources: Path, prepared_once: Path, tmp_path: Path
) -> None:
    expected, rng = file_hashes(prepared_once), np.random.default_rng(5)
    undisturbed = builders("prepare", str(few_sources), str(tmp_path / "whole"), *FEW_ARGUMENTS)
    assert undisturbed["ends"] == [0]
    assert undisturbed["moments"] > 80  # otherwise no moment was counted
    assert len(undisturbed["begun"]) == SHARDS
    kills: Counter[int] = Counter()
    number = 0
    while kills.total() < KILLS:
        out = tmp_path / f"out_{number}"
        command = ("prepare", str(few_sources), str(out), *FEW_ARGUMENTS)
        begun: Counter[str] = Counter()
        deaths = 0
        for _ in range(5):
            finished = finished_shards(out)
            die = {"after": float(rng.uniform(0.01, 0.25))} if number % 2 else {"at_moment": int(rng.integers(1, 60))}
            report = builders(*command, die=die)
            assert not finished & set(report["begun"])  # no shard twice
            begun.update(report["begun"])
            deaths += report["ends"][0] < 0
            kills[report["ends"][0]] += report["ends"][0] < 0
            is_described = out.exists() and is_shown(out)
            assert not is_described or finished_shards(out) == set(undisturbed["begun"])  # the card comes last
        last = builders(*command)
        assert last["ends"] == [0]
        begun.update(last["begun"])
        assert begun.total() <= SHARDS + deaths  # one worker: a death costs one shard at most
        assert file_hashes(out) == expected  # temporary files would be more files
        shutil.rmtree(out)
        number += 1
    assert set(kills) >= {-signal.SIGKILL, -signal.SIGALRM}


def test_a_build_killed_with_its_workers_resumes(few_sources: Path, prepared_once: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "dvm_hf", "prepare", str(few_sources), str(out), *FEW_ARGUMENTS, "--num-proc", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, start_new_session=True)
    while process.poll() is None and not finished_shards(out):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not is_shown(out)
    finished = {path: path.stat().st_mtime_ns for path in (out / "shards").iterdir() if path.suffix == ".json"}
    answer(few_sources, out)
    assert file_hashes(out) == file_hashes(prepared_once)
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items())


@pytest.mark.parametrize("without_locks", [False, True], ids=["flock", "flock is a no-op"])
def test_concurrent_builders_produce_the_same_tree(
    builders: Builders, few_sources: Path, prepared_once: Path, tmp_path: Path, without_locks: bool
) -> None:
    expected = file_hashes(prepared_once)
    for number in range(3):
        out = tmp_path / str(number)
        command = ("prepare", str(few_sources), str(out), *FEW_ARGUMENTS)
        report = builders(*command, count=4, without_locks=without_locks)
        assert report["ends"] == [0] * 4
        assert file_hashes(out) == expected


def test_one_of_several_concurrent_builders_may_die(
    builders: Builders, few_sources: Path, prepared_once: Path, tmp_path: Path
) -> None:
    for moment in (15, 30, 45):
        out = tmp_path / str(moment)
        command = ("prepare", str(few_sources), str(out), *FEW_ARGUMENTS)
        report = builders(*command, count=3, die={"at_moment": moment})
        assert report["ends"] == [-signal.SIGKILL, 0, 0]
        assert builders(*command)["ends"] == [0]
        assert file_hashes(out) == file_hashes(prepared_once)


def test_concurrent_builders_share_the_work(builders: Builders, few_sources: Path, tmp_path: Path) -> None:
    begun = 0
    for number in range(3):
        command = ("prepare", str(few_sources), str(tmp_path / str(number)), "--clip-length", "2", "--num-shards", "4")
        report = builders(*command, count=2)
        assert report["ends"] == [0, 0]
        begun += len(report["begun"])
    assert 3 * 8 <= begun <= 3 * 12  # of 8 shards; each builder for itself would make 16


def test_a_shard_without_its_sidecar_is_rebuilt(few_sources: Path, prepared: Path, prepared_once: Path) -> None:
    (prepared / "shards/train-00001-of-00003.json").unlink()
    assert answer(few_sources, prepared)["built"] == ["train-00001-of-00003.parquet"]
    assert file_hashes(prepared) == file_hashes(prepared_once)


def few_plans(sources: Path, out: Path, num_shards: int) -> dict[str, ShardPlan]:
    """Plans of the split train only, as `planned` writes them."""
    configs = [config("train", str(sources), {"clip_length": "2"})]
    return planned(configs, out, data_dir=sources, wanted=WantedShards(num_shards))


@pytest.mark.parametrize("has_links", [True, False], ids=["hard links", "no hard links"])
def test_the_first_of_two_concurrent_plans_wins(
    few_sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    made_plan = preparing.made_plan
    inner: list[Any] = []

    def overtaken(*args: Any, **kwargs: Any) -> ShardPlan:
        plan = made_plan(*args, **kwargs)
        if not inner:  # the outer run is between looking for a plan and writing its own
            inner.append(None)
            few_plans(few_sources, tmp_path, 4)
        return plan

    def refused(*paths: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if not has_links:
        monkeypatch.setattr(os, "link", refused)
    monkeypatch.setattr(preparing, "made_plan", overtaken)
    with pytest.raises(PreparedError, match="num_shards was 4, is 3"):
        few_plans(few_sources, tmp_path, 3)
    assert stored_plan(tmp_path).num_shards == 4


def test_a_run_whose_plan_was_replaced_adds_no_shard(few_sources: Path, tmp_path: Path) -> None:
    replaced = few_plans(few_sources, tmp_path, 3)
    (tmp_path / "plan/train.json").unlink()
    plans = few_plans(few_sources, tmp_path, 4)
    assert (
        tmp_path / "README.md"
    ).exists()  # before any shard: callers of build_shard cannot create an incomplete loadable folder
    assert not is_shown(tmp_path)
    with pytest.raises(PreparedError, match="replaced by another plan"):
        preparing.prepare(replaced, tmp_path, data_dir=few_sources)
    assert preparing.prepare(plans, tmp_path, data_dir=few_sources).complete
    rows = list(load_dataset(str(tmp_path), split="train", streaming=True))
    assert len(rows) == 10
    assert len({(row["clip_id"], row["window"]) for row in rows}) == 10


def test_a_full_disk_is_named_and_a_rerun_resumes(
    few_sources: Path, prepared_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, room = tmp_path / "out", [60_000]
    write = dvm_hf.prepared.parquet_rows._HashingSink.write

    def limited(sink: Any, data: bytes) -> int:
        room[0] -= len(data)
        if room[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(sink, data)

    with monkeypatch.context() as patch:
        patch.setattr(dvm_hf.prepared.parquet_rows._HashingSink, "write", limited)
        result = prepare(few_sources, out)
    assert result.exit_code == 2
    assert f"{out}/data/" in result.stderr
    assert "No space left on device" in result.stderr
    assert "finished shards are kept" in result.stderr
    assert 0 < len(finished_shards(out)) < SHARDS
    assert not list(out.rglob("*.tmp"))
    kept = finished_shards(out)
    assert len(answer(few_sources, out)["built"]) == SHARDS - len(kept)
    assert file_hashes(out) == file_hashes(prepared_once)


@pytest.mark.parametrize("num_proc", ["1", "2"])
def test_an_actual_full_disk_is_named_and_a_rerun_resumes(
    few_sources: Path, prepared_once: Path, small_disk: Callable[[str], Path], num_proc: str
) -> None:
    out = small_disk("size=128k") / "out"
    arguments = (*FEW_ARGUMENTS, "--num-proc", num_proc)
    result = prepare(few_sources, out, *arguments)
    assert result.exit_code == 2
    assert "No space left on device" in result.stderr
    assert not list(out.rglob("*.tmp"))
    assert len(finished_shards(out)) < SHARDS
    small_disk("remount,size=8m")
    answer(few_sources, out, *arguments)
    assert file_hashes(out) == file_hashes(prepared_once)
