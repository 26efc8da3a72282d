"""Which engine a name and its options give, and what Ray's errors become."""

import importlib.util
import os
import socket
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command_runs import run
from stored_plans import stored_plan

from dvm_hf import ConfigError, PreparedError
from dvm_hf.errors import MachineError
from dvm_hf.media.video import videos
from dvm_hf.prepared.atomic_io import temporaries
from dvm_hf.prepared.engines import ray_engine
from dvm_hf.prepared.engines.engine_table import engine_named
from dvm_hf.prepared.engines.ray_engine import MAX_LOST_NODES, RayCluster, ray_outcomes
from dvm_hf.prepared.engines.ray_task import Failure, Started, events, installed_versions
from dvm_hf.prepared.shard_task import MAX_DEATHS, Outcome, Task
from dvm_hf.prepared.shards import Progress


def is_installed(name: str) -> object:
    return name


@pytest.mark.one_lane
def test_a_missing_ray_is_named_with_the_command_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigError,
        match=r"^engine='ray': Ray is not installed; run in the clone: python -m pip install -e \"\.\[ray\]\"$",
    ):
        engine_named("ray", num_proc=2)


@pytest.mark.one_lane
@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:port"])
def test_an_address_of_another_form_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", is_installed)
    with pytest.raises(ConfigError, match="not an address; pass HOST:PORT"):
        engine_named("ray", num_proc=1, ray_address=address)


def test_an_address_where_nothing_listens_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", is_installed)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(MachineError, match=rf"^ray_address='{address}': no Ray cluster answers \(.*refused"):
            engine_named("ray", num_proc=1, ray_address=address)


@pytest.mark.one_lane
def test_a_process_whose_ray_cannot_be_reset_cannot_use_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Ray without the functions that reset its tokens would run the tasks, and never return their results."""
    monkeypatch.setattr(ray_engine, "_have_tokens", [])
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)

    def init(address: str, **options: object) -> None:
        if address == "local":
            monkeypatch.setenv("RAY_AUTH_MODE", "token")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init, shutdown=lambda: None))
    for address in ("head:6379", None):
        with ray_engine.connected(RayCluster(address)):
            pass
    assert "RAY_AUTH_MODE" not in os.environ
    with pytest.raises(MachineError, match=r"^ray_address='head:6379': this process had a Ray of its own before"):
        with ray_engine.connected(RayCluster("head:6379")):
            pass


@pytest.mark.one_lane
def test_an_address_whose_host_cannot_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", is_installed)
    with pytest.raises(MachineError, match=r"^ray_address='head\.\.local:6379': no Ray cluster answers \(.*label"):
        engine_named("ray", num_proc=1, ray_address="head..local:6379")


def answering(answer: bytes) -> str:
    """Return the address of a server that gives the next client this answer, and then closes the connection."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with server, server.accept()[0] as connection:
            connection.recv(1024)
            connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(
    ("answer", "named"),
    [(b"HTTP/1.1 400 Bad Request\r\n", "another server answered b'HTTP/1.1 400"), (b"", "the connection was closed")],
)
def test_an_address_where_another_server_answers_is_named(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, named: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", is_installed)
    with pytest.raises(MachineError, match=rf"no Ray cluster answers \({named}.*ray start --head"):
        engine_named("ray", num_proc=1, ray_address=answering(answer))


def test_an_address_where_nothing_is_answered_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", is_installed)
    monkeypatch.setattr(ray_engine, "CONNECT_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(MachineError, match=r"no Ray cluster answers \(timed out\)"):
            engine_named("ray", num_proc=1, ray_address=address)


def test_a_server_of_http2_may_be_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """gRPC's settings come in a frame that is not empty."""
    monkeypatch.setattr(importlib.util, "find_spec", is_installed)
    settings = bytes.fromhex("000006 04 00 00000000 0004 00400000")
    assert engine_named("ray", num_proc=1, ray_address=answering(settings))


@pytest.mark.one_lane
def test_options_of_ray_are_refused_for_the_local_engine(few_sources: Path, tmp_path: Path) -> None:
    done = run("prepare", str(few_sources), str(tmp_path / "out"), "--ray-address", "auto", "--ray-memory", "2GB")
    assert done.exit_code == 2
    assert "ray_address and ray_memory: only used with engine='ray'" in done.stderr
    assert not (tmp_path / "out").exists()


class RayError(Exception):
    pass


class FakeRay:
    """Stands for the package: each task is killed after it has started, with an error of Ray."""

    def __init__(self, error: type[Exception], writer: str) -> None:
        names = ("RayTaskError", "RuntimeEnvSetupError", "TaskUnschedulableError", "OutOfMemoryError", "NodeDiedError")
        self.exceptions = SimpleNamespace(**{name: type(name, (RayError,), {}) for name in names}, RayError=RayError)
        self.submitted = 0
        self._error, self._writer = error, writer

    def remote(self, **options: Any) -> Any:
        assert options["max_retries"] == 0
        return lambda function: SimpleNamespace(remote=self._submit)

    def _submit(self, task: Task, expected: object, sources: object) -> Any:
        self.submitted += 1
        return iter([Started(self._writer), self.exceptions.__dict__[self._error.__name__]("killed")])

    def wait(self, streams: list[Any], **options: Any) -> tuple[list[Any], list[Any]]:
        return streams, []

    def get(self, event: Any) -> Any:
        if isinstance(event, Exception):
            raise event
        return event


@pytest.mark.one_lane
@pytest.mark.parametrize(
    ("name", "most", "how"),
    [
        ("OutOfMemoryError", MAX_DEATHS, "memory of its node"),
        ("NodeDiedError", MAX_LOST_NODES, "with its node"),
    ],
)
def test_lost_tasks_are_submitted_again_a_limited_number_of_times(
    prepared: Path, few_sources: Path, monkeypatch: pytest.MonkeyPatch, name: str, most: int, how: str
) -> None:
    """The temporary files of their writers are removed, even of other hosts; those of other writers stay."""
    lost = prepared / "data/.train-00000-of-00003.parquet.lost-12-34-0123456789abcdef.tmp"
    other = prepared / "data/.train-00000-of-00003.parquet.other-12-34-0123456789abcdef.tmp"
    lost.touch()
    other.touch()
    fake = FakeRay(type(name, (Exception,), {}), "lost-12-34")

    monkeypatch.setattr(ray_engine, "connected", lambda cluster: nullcontext(fake))
    tasks = [Task(stored_plan(prepared).shard(0), prepared, few_sources)]
    with pytest.raises(PreparedError, match=rf"^train-00000-of-00003: {most} workers ended .*{how}"):
        list(ray_outcomes(tasks, cluster=RayCluster(), on_progress=lambda progress: None))
    assert fake.submitted == most
    assert temporaries(prepared / "data") == [other]


@pytest.mark.one_lane
@pytest.mark.parametrize("mode", ["token", "disabled"])
def test_a_cluster_that_returns_nothing_is_a_warning(
    prepared: Path,
    few_sources: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    mode: str,
) -> None:
    """If Ray uses a token that the cluster may not have, the warning says so."""

    class Silent(FakeRay):
        def wait(self, streams: list[Any], **options: Any) -> tuple[list[Any], list[Any]]:
            return (streams, []) if "has run no task" in caplog.text else ([], streams)

    fake = Silent(type("OutOfMemoryError", (Exception,), {}), "lost-12-34")
    monkeypatch.setattr(ray_engine, "connected", lambda cluster: nullcontext(fake))
    monkeypatch.setattr(ray_engine, "PATIENCE", 0.0)
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    tasks = [Task(stored_plan(prepared).shard(0), prepared, few_sources)]
    with pytest.raises(PreparedError, match=r"^train-00000-of-00003: "):
        list(ray_outcomes(tasks, cluster=RayCluster(), on_progress=lambda progress: None))
    assert caplog.text.count("each needs a CPU and 1000 MB of memory") == 1
    assert ("set RAY_AUTH_MODE=disabled" in caplog.text) == (mode == "token")


def test_a_task_of_ray_yields_its_start_its_progress_and_its_outcome(
    prepared: Path, few_sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(videos, "_shares_cores", False)
    (prepared / "data/train-00000-of-00003.parquet").unlink()
    task = Task(stored_plan(prepared).shard(0), prepared, few_sources)
    first, *reports, last = events(task, installed_versions())
    assert isinstance(first, Started)
    assert isinstance(last, Outcome)
    assert videos.decoder_threads() == 1
    assert (last.job, last.is_new) == (task.job, True)
    assert sum(one.clips for one in reports if isinstance(one, Progress)) == 2
    assert sum(one.frames for one in reports if isinstance(one, Progress)) == last.sidecar.frames


@pytest.mark.one_lane
def test_a_node_with_other_versions_or_folders_builds_nothing(prepared: Path, few_sources: Path) -> None:
    task = Task(stored_plan(prepared).shard(0), prepared, few_sources)
    *_, failure = events(task, installed_versions() | {"opencv": "4.0.0"})
    assert isinstance(failure, Failure)
    assert "but 4.0.0 where dvm prepare runs" in str(failure.error)
    (prepared / "plan/train.json").unlink()
    *_, failure = events(task, installed_versions())
    assert isinstance(failure, Failure)
    assert "plan/train.json: does not exist on the node" in str(failure.error)
