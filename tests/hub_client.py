"""Processes in which the real clients talk to a loopback Hub; they read their environment when they are imported.

`HubClient` starts this file once; for each call it forks a process in which everything is imported already. Sleeping
takes no time there and is recorded. `tests/test_docs.py` runs the commands and programs of the documentation there.
"""

import atexit
import contextlib
import gc
import importlib
import importlib.util
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 60  # that a call may take, unless the client allows more


@dataclass(frozen=True)
class Result:
    """Result of a call: exit code (-9: killed), output, return value, and requested sleep times."""

    code: int
    stdout: str
    stderr: str
    value: Any
    sleeps: tuple[float, ...]


@dataclass(frozen=True)
class Call:
    folder: Path
    seconds: float

    def kill(self) -> None:
        """Send SIGKILL, then wait until the process has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(int((self.folder / "pid").read_text()), signal.SIGKILL)
        _wait_for(self.folder / "code", SECONDS)

    def result(self) -> Result:
        if not _wait_for(self.folder / "code", self.seconds):
            self.kill()
            raise AssertionError(f"took over {self.seconds} s: {(self.folder / 'stderr').read_text()}")
        texts = {name: (self.folder / name).read_text() for name in ("stdout", "stderr", "value", "sleeps")}
        value = json.loads(texts["value"]) if texts["value"] else None
        sleeps = tuple(map(float, texts["sleeps"].split()))
        return Result(int((self.folder / "code").read_text()), texts["stdout"], texts["stderr"], value, sleeps)


class HubClient:
    """Clients of one endpoint; they write to folders under `home` only, and to their working directory.

    folder: the working directory; `home` by default. seconds: how long a call may take. variables: of the environment.
    """

    def __init__(
        self,
        endpoint: str,
        home: Path,
        *,
        token: str,
        xet: bool = False,
        folder: Path | None = None,
        seconds: float = SECONDS,
        variables: dict[str, str] | None = None,
    ) -> None:
        self.home, self.calls, self.seconds = home, 0, seconds
        home.mkdir(parents=True)
        wanted = {"HF_ENDPOINT": endpoint, "HF_TOKEN": token, "HF_HOME": str(home / "hf"), "NO_PROXY": "127.0.0.1"}
        wanted |= {
            "HF_HUB_DISABLE_XET": str(int(not xet)),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        }
        wanted |= {"TMPDIR": str(home), "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), *sys.path])}
        unwanted = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "no_proxy")
        kept = {name: value for name, value in os.environ.items() if name not in unwanted}
        self._parent = subprocess.Popen(
            [sys.executable, __file__],
            env=kept | wanted | (variables or {}),
            stdin=subprocess.PIPE,
            text=True,
            cwd=folder or home,
        )

    def start(self, function: str, *arguments: Any, environment: dict[str, str] | None = None) -> Call:
        """Call a function of hub_calls.py in a separate process; arguments and value are passed as JSON."""
        self.calls += 1
        folder = self.home / f"call-{self.calls}"
        folder.mkdir()
        assert self._parent.stdin
        asked = {"folder": str(folder), "call": function, "arguments": arguments, "environment": environment or {}}
        self._parent.stdin.write(json.dumps(asked) + "\n")
        self._parent.stdin.flush()
        assert _wait_for(folder / "pid", SECONDS), "no process was forked"
        return Call(folder, self.seconds)

    def run(self, function: str, *arguments: Any, environment: dict[str, str] | None = None) -> Result:
        return self.start(function, *arguments, environment=environment).result()

    def close(self) -> None:
        assert self._parent.stdin
        self._parent.stdin.close()
        self._parent.wait(SECONDS)


def _wait_for(path: Path, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.005)
    return path.exists()


def _write(path: Path, text: str) -> None:
    """Write the file atomically, because another process waits for it."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def _serve() -> None:
    time.sleep = _sleep_no_time
    ssl.SSLContext.load_verify_locations = lambda *args, **kwargs: (
        None
    )  # costly in each process; all addresses are http
    importlib.import_module("hub_calls")
    importlib.import_module("scipy.io")  # `datasets` imports it with a stream: once here, not in each process
    if importlib.util.find_spec("s3fs") is not None:
        importlib.import_module("s3fs")
    gc.freeze()  # otherwise each process copies most of this one's memory when it collects garbage at its end
    signal.signal(signal.SIGCHLD, _record_ends)
    for line in sys.stdin:
        asked = json.loads(line)
        folder = Path(asked["folder"])
        for name in ("stdout", "stderr", "value", "sleeps"):
            (folder / name).touch()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # until the process is known
        worker = os.fork()
        if worker == 0:
            _work(folder, asked)
        _working[worker] = folder
        _write(folder / "pid", str(worker))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def _record_ends(*_: object) -> None:
    """Record how each call ended whose process has ended since the last time."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            _write(_working.pop(ended[0]) / "code", str(os.waitstatus_to_exitcode(ended[1])))


def _work(folder: Path, asked: dict[str, Any]) -> None:
    """End like a separate process, by SystemExit or by an exception that the interpreter prints; see `_end`."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    os.environ.update(asked["environment"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(folder / name, os.O_WRONLY), number)
    _noted.append(folder / "sleeps")
    code: Any = 0
    try:
        value = getattr(importlib.import_module("hub_calls"), asked["call"])(*asked["arguments"])
        (folder / "value").write_text(json.dumps(value))
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        code = 1
    _end(code)


def _end(code: Any) -> None:
    """End as the interpreter does, without tearing the modules down: after a fork, this copies most of the memory and
    costs more than most calls. `tests/test_open_iterators.py` has programs that end as usual.
    """
    threading._shutdown()  # waits for threads
    atexit._run_exitfuncs()
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


_working: dict[int, Path] = {}  # the folder of each process's call
_sleep = time.sleep
_noted: list[Path] = []


def _sleep_no_time(seconds: float) -> None:
    if seconds >= 0.5:  # shorter is a loop that waits for a thread
        with _noted[0].open("a") as file:
            file.write(f"{seconds}\n")
    _sleep(min(seconds, 0.01))


if __name__ == "__main__":
    _serve()
