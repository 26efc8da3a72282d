"""The engine `ray`: a task of Ray for each shard, on nodes that share OUT and the sources, unless these are remote.

A task whose worker or node is lost is submitted again by this module, not by Ray, which does not limit how often if
memory ran out, and does not name the shard.
"""

import importlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from dvm_hf.errors import ConfigError, MachineError
from dvm_hf.prepared.atomic_io import leftovers, temporaries
from dvm_hf.prepared.engines.ray_task import Failure, Started, events, installed_versions
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.shard_task import MAX_DEATHS, Crash, Outcome, Task, WaitingTasks, outcome_of
from dvm_hf.prepared.shards import Progress
from dvm_hf.prepared.source_paths import source_paths
from dvm_hf.sources.remote.sent_sources import SentSources, sent_sources
from dvm_hf.worker_processes import LEAN, lean_environment

logger = logging.getLogger(__name__)

SUBMITTED = 1000  # tasks at a time, so that a cluster can grow; a task has about 14 kB
MAX_LOST_NODES = 10  # at one shard before the build stops; nodes of a cloud may end often
POLL = 0.2  # seconds
PATIENCE = 60.0  # seconds without an event before a warning
CONNECT_TIMEOUT = 10.0  # seconds
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS_FRAME = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # empty: length (3 bytes), type, flags, stream (4)
TASK_MEMORY = 1_000_000_000  # bytes; a worker takes 280 MB for rows of 19 MB
INSTALL = 'python -m pip install -e ".[ray]"'
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # send no statistics
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or each task warns of a change in a later version
}
TOKENS = "RAY_AUTH_MODE"  # Ray sets it to "token" when it starts a Ray, for this process and its children
TOKEN_HINT = (
    ". Or the cluster was started without the token that Ray found here, and cannot return results: stop this run, and "
    f"set {TOKENS}=disabled"
)
_have_tokens: list[int] = []  # ids of processes that cannot be reset: a forked one has its parent's list
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # listen on the loopback interface only, also on Linux


@dataclass(frozen=True)
class RayCluster:
    """Where tasks run. address: HOST:PORT, or "auto"; None: a Ray that this process starts, with `num_proc` CPUs.

    memory: bytes that a task asks for.
    """

    address: str | None = None
    num_proc: int = 1
    memory: int = TASK_MEMORY


def require_ray(cluster: RayCluster) -> None:
    """Raise ConfigError if Ray is not installed or the address has another form, and MachineError if none answers."""
    if importlib.util.find_spec("ray") is None:
        raise ConfigError(f"engine='ray': Ray is not installed; run in the clone: {INSTALL}")
    if cluster.address in (None, "auto"):
        return
    host, colon, port = str(cluster.address).rpartition(":")
    if "://" in str(cluster.address) or not colon or not port.isdecimal():
        raise ConfigError(
            f"ray_address={cluster.address!r}: not an address; pass HOST:PORT, as ray start --head printed it, or auto "
            "on a node of the cluster"
        )
    try:
        answer = _answer(host.removeprefix("[").removesuffix("]"), int(port))
    except (OSError, UnicodeError) as error:  # UnicodeError: no host can have this name
        raise _no_answer(cluster, getattr(error, "strerror", None) or error) from error
    if not (answer[3:4] == SETTINGS_FRAME[3:4] and answer[5:9] == SETTINGS_FRAME[5:9]):
        raise _no_answer(cluster, f"another server answered {answer!r}" if answer else "the connection was closed")


def _answer(host: str, port: int) -> bytes:
    """Return the beginning of what a server answers to a client of HTTP/2, which Ray uses, before any request.

    Ray itself asks another server again for more than three minutes.
    """
    with socket.create_connection((host, port), timeout=CONNECT_TIMEOUT) as connection:
        if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
            return SETTINGS_FRAME  # the server expects certificates
        connection.sendall(HTTP2_PREFACE + SETTINGS_FRAME)
        answer = b""
        while len(answer) < len(SETTINGS_FRAME) and (more := connection.recv(64)):
            answer += more
    return answer


def ray_outcomes(
    tasks: Iterable[Task], *, cluster: RayCluster, on_progress: Callable[[Progress], None]
) -> Iterator[Outcome]:
    """Yield each shard when it is finished.

    Raises the first expected error and cancels the other tasks, PreparedError if workers or nodes end repeatedly at a
    shard, and MachineError if the cluster does not answer or cannot run the tasks. Finished shards are kept.
    """
    build = _Build(WaitingTasks(tasks), on_progress)
    try:
        with connected(cluster) as ray:
            yield from build.outcomes(ray, cluster)
    finally:
        build.sweep()


class _Build:
    """The tasks of this driver on a cluster."""

    def __init__(self, waiting: WaitingTasks, on_progress: Callable[[Progress], None]) -> None:
        self._waiting, self._on_progress = waiting, on_progress
        self._running: dict[Any, Task] = {}
        self._writers: dict[Any, str] = {}
        self._lost: list[tuple[PreparedFolder, str | None]] = []  # writers whose task did not end

    def outcomes(self, ray: Any, cluster: RayCluster) -> Iterator[Outcome]:
        run = ray.remote(num_returns="streaming", num_cpus=1, memory=cluster.memory, max_retries=0)(events)
        expected, last, has_warned = installed_versions(), time.monotonic(), False
        while True:
            while len(self._running) < SUBMITTED and (task := next(self._waiting, None)) is not None:
                self._running[run.remote(task, expected, _sources(task))] = task
            if not self._running:
                return
            ready, _ = ray.wait([*self._running], num_returns=len(self._running), timeout=POLL, fetch_local=False)
            if ready:
                last = time.monotonic()
            elif not has_warned and time.monotonic() > last + PATIENCE:
                has_warned = True
                logger.warning(
                    "Ray has run no task for %d seconds: each needs a CPU and %d MB of memory. See `ray status`%s",
                    PATIENCE,
                    cluster.memory // 1_000_000,
                    TOKEN_HINT if os.environ.get(TOKENS) == "token" else "",
                )
            for stream in ready:
                outcome = self._advance(ray, stream)
                if outcome is not None:
                    yield outcome

    def sweep(self) -> None:
        """Remove the temporary files of tasks that did not end, also of nodes whose processes cannot be seen here."""
        for stream, task in self._running.items():
            self._lost.append((PreparedFolder(task.out), self._writers.get(stream)))
        writers = {f".{writer}-" for _, writer in self._lost if writer is not None}
        for parent in {parent for folder, _ in self._lost for parent in folder.folders}:
            ended = {path for path in temporaries(parent) if any(writer in path.name for writer in writers)}
            for path in ended | set(leftovers(parent)):
                path.unlink(missing_ok=True)

    def _advance(self, ray: Any, stream: Any) -> Outcome | None:
        """Take the next event of a task; return the outcome if it is that."""
        try:
            event = ray.get(next(stream))
        except ray.exceptions.RayTaskError as error:
            raise _cannot_run(self._running[stream], error) from error
        except (ray.exceptions.RuntimeEnvSetupError, ray.exceptions.TaskUnschedulableError) as error:
            raise _cannot_run(self._running[stream], error) from error
        except (ray.exceptions.RayError, StopIteration) as error:
            self._retry(ray, stream, error)
            return None
        if isinstance(event, Started):
            self._writers[stream] = event.writer
        elif isinstance(event, Progress):
            self._on_progress(event)
        else:
            task = self._running.pop(stream)
            self._writers.pop(stream, None)
            assert isinstance(event, Failure | Crash | Outcome)
            return outcome_of(task, event.error if isinstance(event, Failure) else event)
        return None

    def _retry(self, ray: Any, stream: Any, error: Exception) -> None:
        task, writer = self._running.pop(stream), self._writers.pop(stream, None)
        self._lost.append((PreparedFolder(task.out), writer))
        if isinstance(error, ray.exceptions.OutOfMemoryError):
            self._waiting.retry(task, "by Ray, because memory of its node ran out")
        elif isinstance(error, ray.exceptions.NodeDiedError):
            self._waiting.retry(task, "with its node", most=MAX_LOST_NODES)
        else:
            self._waiting.retry(task, f"({type(error).__name__})", most=MAX_DEATHS)


def _sources(task: Task) -> SentSources | None:
    """Return what a node needs to fetch the remote sources of a task; None if all are local."""
    return sent_sources(task.data_dir, (path for clip in task.shard.clips for path in source_paths(clip)))


@contextmanager
def connected(cluster: RayCluster) -> Iterator[Any]:
    """Connect to a cluster, or start one; disconnect or stop it at the end, with its tasks."""
    is_own, mode = cluster.address is None, os.environ.get(TOKENS)
    if not is_own and os.getpid() in _have_tokens:  # the tasks would run, and their results be refused
        raise MachineError(
            f"ray_address={cluster.address!r}: this process had a Ray of its own before, so Ray would get no results "
            "of a cluster; build in a new process"
        )
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    ray = importlib.import_module("ray")
    own = {"address": "local", "num_cpus": cluster.num_proc, "include_dashboard": False}
    other = {"address": cluster.address, "runtime_env": {"env_vars": {**LEAN, **QUIET}}}
    try:
        with (
            _loopback_only(ray) if is_own else nullcontext(),
            lean_environment(),  # inherited by all workers; with a runtime_env, the first ones would not be used
        ):
            ray.init(**(own if is_own else other), log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError as error:
        raise _no_answer(cluster, error) from error
    except RuntimeError as error:
        if "ersion mismatch" not in str(error):
            raise
        raise MachineError(
            f"ray_address={cluster.address!r}: {' '.join(str(error).split())}; install the same versions of Ray and "
            "Python on all nodes"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()
        if mode is None and TOKENS in os.environ:
            _reset_authentication(ray)


@contextmanager
def _loopback_only(ray: Any) -> Iterator[None]:
    """Let a Ray that is started in this context listen on the loopback interface only.

    Ray reads the variable when it is imported, which this process may have done before. A later connection to a cluster
    is not affected.
    """
    constants, before = ray._private.ray_constants, {name: os.environ.get(name) for name in LOOPBACK}
    enabled = getattr(constants, "ENABLE_RAY_CLUSTER", True)  # not public: another version may not have it
    constants.ENABLE_RAY_CLUSTER = False
    os.environ.update(LOOPBACK)
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = enabled
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _reset_authentication(ray: Any) -> None:
    """Undo what Ray 2.60 does in a process that starts a Ray: it uses tokens from then on, also for other clusters.

    A worker of a cluster without tokens cannot return its results to such a process.
    """
    del os.environ[TOKENS]
    try:
        ray._raylet.Config.initialize("")
        ray._raylet.AuthenticationTokenLoader.instance().reset_cache()
    except AttributeError:  # another version: they are not public
        _have_tokens.append(os.getpid())


def _no_answer(cluster: RayCluster, error: object) -> MachineError:
    return MachineError(
        f"ray_address={cluster.address!r}: no Ray cluster answers ({error}); start one with ray start --head, or "
        "pass the address that it printed"
    )


def _cannot_run(task: Task, error: Exception) -> MachineError:
    reason = getattr(error, "cause", None) or error
    return MachineError(
        f"{task.shard.name}: a worker of Ray cannot run the task ({type(reason).__name__}: {reason}); install dvm_hf "
        "with the same versions on all nodes"
    )
