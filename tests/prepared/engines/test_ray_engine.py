"""The engine `ray` on a cluster of three nodes on this machine: workers, nodes and the driver are killed."""

import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import FEW_ARGUMENTS, file_hashes, published_hashes, require_ray
from deadly_task import DeadlyTask, EndlessTask, bullet
from listening_sockets import is_loopback, listening_addresses
from object_store import BUCKET, ObjectStore
from stored_plans import stored_plan

from dvm_hf import PreparedError
from dvm_hf.cli import main
from dvm_hf.prepared.atomic_io import temporaries
from dvm_hf.prepared.engines.ray_engine import LOOPBACK, RayCluster, ray_outcomes
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.prepare import describe_if_complete, found_shards
from dvm_hf.prepared.shard_task import MAX_DEATHS, Job
from dvm_hf.prepared.shards import Progress
from dvm_hf.prepared.storage.object_path import location
from dvm_hf.prepared.storage.object_storage import scratch_folder
from dvm_hf.sources.remote.source_files import local_root

require_ray()
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
os.environ |= LOOPBACK  # or Ray, once it is imported, looks for the cluster at the address of another interface
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
MAX_SECONDS = 300  # for a build
JOBS = [Job(split, index) for split in ("test", "train") for index in range(3)]


class Nodes:
    """A cluster. address: of its first node. folder: of its files, also temporary ones. add: starts another node."""

    def __init__(self, server: "subprocess.Popen[str]", folder: Path) -> None:
        self._server, self.folder = server, folder
        self.address = self._line()

    @property
    def caches(self) -> list[Path]:
        """The caches of remote sources, one of each node that has fetched files."""
        return sorted(self.folder.glob("sources/*"))

    def add(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.write("\n")
        self._server.stdin.flush()
        self._line()

    def _line(self) -> str:
        assert self._server.stdout is not None
        return self._server.stdout.readline().strip()


def processes_of(folder: str) -> set[int]:
    """Return the processes whose command line names a folder."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if folder in path.read_text(errors="replace"):
                found.add(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def nodes(request: pytest.FixtureRequest) -> Iterator[Nodes]:
    environment = ENVIRONMENT
    if importlib.util.find_spec("moto"):  # Ray's workers have the environment of their node
        environment = environment | request.getfixturevalue("running_store").environment
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:  # a short path, for the names of sockets
        command = [sys.executable, str(ROOT / "tests/ray_cluster.py"), folder]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        server = subprocess.Popen(command, env=environment, text=True, **pipes)
        try:
            yield Nodes(server, Path(folder))
        finally:
            try:
                server.communicate(timeout=60)
            finally:
                server.kill()  # if it has not ended; all processes of Ray end with it
        assert processes_of(folder) == set()


@pytest.fixture
def out(prepared: Path) -> Path:
    """A folder with plans and no shard."""
    for path in [*prepared.glob("data/*"), *prepared.glob("shards/*"), prepared / "README.md"]:
        path.unlink()
    (prepared / "manifest.json").unlink()
    (prepared / "bullets").mkdir()
    return prepared


def make(out: Path, sources: Path, nodes: Nodes, *bullets: str) -> tuple[list[Job], int]:
    """Return the shards that were made, and the number of clips that were reported."""
    for name in bullets:
        (out / "bullets" / name).touch()
    plans = {split: stored_plan(out, split) for split in ("train", "test")}
    tasks = [DeadlyTask(plans[job.split].shard(job.shard), out, sources) for job in JOBS]
    reports: list[Progress] = []
    made = [
        outcome.job for outcome in ray_outcomes(tasks, cluster=RayCluster(nodes.address), on_progress=reports.append)
    ]
    return made, sum(report.clips for report in reports)


def test_lost_workers_and_nodes_lose_no_shard(nodes: Nodes, out: Path, few_sources: Path, prepared_once: Path) -> None:
    assert {address for address in listening_addresses(os.getpid()) if not is_loopback(address)} == set()
    bullets = [bullet(Job("train", 0), "worker", number) for number in range(MAX_DEATHS - 1)]
    made, clips = make(out, few_sources, nodes, *bullets, bullet(Job("test", 1), "node", 0))
    nodes.add()
    assert sorted(made) == JOBS
    assert clips == 8
    assert not list((out / "bullets").iterdir())
    (out / "bullets").rmdir()
    describe_if_complete(PreparedFolder(out), found_shards(PreparedFolder(out)))
    assert file_hashes(out) == file_hashes(prepared_once)  # temporary files would be more files


def test_a_shard_for_which_memory_runs_out_repeatedly_is_named(
    nodes: Nodes, prepared: Path, few_sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Ray for which more memory is in use than it allows, whatever the machine has, kills each worker at its task.

    Not the last test: this process can use the cluster of the others afterwards.
    """
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.001")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "50")
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    tasks = [EndlessTask(stored_plan(prepared).shard(0), prepared, few_sources)]
    with pytest.raises(PreparedError, match=rf"^train-00000-of-00003: {MAX_DEATHS} workers ended .*memory of its node"):
        list(ray_outcomes(tasks, cluster=RayCluster(), on_progress=lambda progress: None))


def test_a_shard_that_repeatedly_kills_its_worker_is_named(nodes: Nodes, out: Path, few_sources: Path) -> None:
    bullets = [bullet(Job("train", 0), "worker", number) for number in range(MAX_DEATHS)]
    with pytest.raises(PreparedError, match=r"^train-00000-of-00003: 3 workers ended .*--num-proc"):
        make(out, few_sources, nodes, *bullets)
    assert temporaries(out / "data") == []


@pytest.fixture
def remote(
    nodes: Nodes, few_sources: Path, object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The address of `few_sources` in an object store. This process has a cache of its own, as each node has.

    Nothing may remain in the folder of temporary files.
    """
    for name in ("DVM_SOURCE_CACHE", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("TMPDIR", str(nodes.folder))
    monkeypatch.setattr("tempfile.tempdir", str(nodes.folder))
    yield object_store.put(few_sources, "sources")
    assert list(scratch_folder().iterdir()) == []


def assert_same_objects(store: ObjectStore, prefix: str, folder: Path) -> None:
    """The objects are the files of a folder, and no upload is incomplete."""
    found = {name: hashlib.sha256(data).hexdigest() for name, data in store.objects(f"{prefix}/").items()}
    assert found == published_hashes(folder)
    assert "Uploads" not in store.client().list_multipart_uploads(Bucket=BUCKET)


def test_nodes_share_nothing_if_sources_and_shards_are_objects(
    nodes: Nodes, remote: str, few_sources: Path, prepared_once: Path, object_store: ObjectStore
) -> None:
    """A worker and a node are killed, and then the driver is run again."""
    out = location(f"s3://{BUCKET}/ray")
    plan = ["prepare", remote, str(out), *FEW_ARGUMENTS, "--json"]
    main([*plan, "--plan-only"], standalone_mode=False)
    for job, victim in ((Job("train", 0), "worker"), (Job("test", 1), "node")):
        object_store.client().put_object(Bucket=BUCKET, Key=f"ray/bullets/{bullet(job, victim, 0)}", Body=b"")
    made, clips = make(out, local_root(remote), nodes)
    nodes.add()
    assert (sorted(made), clips) == (JOBS, 8)
    main([*plan, "--engine", "ray", "--ray-address", nodes.address], standalone_mode=False)
    assert_same_objects(object_store, "ray", prepared_once)  # and the bullets are gone: worker and node were killed
    fetched = [path for cache in nodes.caches for path in (cache / "trees").rglob("*") if path.is_file()]
    contents = {hashlib.sha256(path.read_bytes()).hexdigest() for path in fetched}
    assert contents == {sha for name, sha in file_hashes(few_sources).items() if "/trimap/" not in name}  # not used


def killed_and_run_again(command: list[str], environment: dict[str, str], out: Path, temporary: Path) -> None:
    """Kill a driver when a temporary file is in a folder, and then run it again."""
    end = time.monotonic() + MAX_SECONDS
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, start_new_session=True) as driver:
        while driver.poll() is None and not list(temporary.glob(".*.tmp")) and time.monotonic() < end:
            try:
                driver.wait(0.01)
            except subprocess.TimeoutExpired:
                continue
        os.killpg(driver.pid, signal.SIGKILL)
    assert driver.returncode == -signal.SIGKILL
    assert not (out / "manifest.json").exists()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=MAX_SECONDS)
    assert done.returncode == 0, done.stderr


def test_a_killed_driver_is_run_again(nodes: Nodes, few_sources: Path, prepared_once: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "dvm_hf", "prepare", str(few_sources), str(out), *FEW_ARGUMENTS]
    command += ["--engine", "ray", "--ray-address", nodes.address]
    killed_and_run_again(command, ENVIRONMENT, out, out / "data")
    assert file_hashes(out) == file_hashes(prepared_once)


def test_a_killed_driver_is_run_again_if_sources_and_shards_are_objects(
    nodes: Nodes, remote: str, prepared_once: Path, object_store: ObjectStore
) -> None:
    out = location(f"s3://{BUCKET}/driver")
    command = [sys.executable, "-m", "dvm_hf", "prepare", remote, str(out), *FEW_ARGUMENTS]
    command += ["--engine", "ray", "--ray-address", nodes.address]
    killed_and_run_again(command, os.environ | {"PYTHONPATH": ENVIRONMENT["PYTHONPATH"]}, out, scratch_folder())
    assert_same_objects(object_store, "driver", prepared_once)
