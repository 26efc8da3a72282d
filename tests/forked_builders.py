"""Run `dvm` in forked children that die at a chosen moment. A separate process, because forks need one without threads.

Reads one JSON object per line: arguments; count, the number of concurrent children; die, for the first child
{"at_moment": n}, {"after": seconds}, or null; without_locks. Prints one line: ends, the exit code of each child, or
minus its signal; begun, the shards that they began; moments, the number of moments of a child that was not killed.

A child that dies at a moment is started alone, and the others shortly before that moment; otherwise they could finish
the build first.
"""

import contextlib
import fcntl
import gc
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import PIL.Image

import dvm_hf.prepared.prepare
import dvm_hf.prepared.shard_task
from dvm_hf.cli import main
from dvm_hf.sources.known_layouts import known_layouts

LEAD = 4  # moments before its death at which the other children are started


class Moments:
    """Count the moments before, within and after each write, flush and rename; kill the process at one of them."""

    def __init__(self, deadly: int | None, gate: int | None) -> None:
        self.count, self._deadly, self._gate = 0, deadly, gate

    def pass_by(self) -> None:
        self.count += 1
        if self._gate is not None and self._deadly is not None and self.count == max(1, self._deadly - LEAD):
            os.write(self._gate, b"\n")
        if self.count == self._deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(self, function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.pass_by()
            result = function(*args, **kwargs)
            self.pass_by()
            return result

        return call

    def half_written(self, path: Path, data: bytes) -> int:
        self.pass_by()
        with path.open("wb", buffering=0) as file:
            file.write(data[: len(data) // 2])
            self.pass_by()
            file.write(data[len(data) // 2 :])
        return len(data)


def child(command: dict[str, Any], log: int, gate: int | None) -> int:
    """Run `dvm`. gate: of the first child only, written to shortly before it dies at a moment."""
    die = (command["die"] or {}) if gate is not None else {}
    moments = Moments(die.get("at_moment"), gate)
    os.replace, os.fsync = moments.watched(os.replace), moments.watched(os.fsync)
    Path.write_bytes = lambda path, data: moments.half_written(path, data)  # type: ignore[assignment,method-assign]
    if command["without_locks"]:
        fcntl.flock = lambda *args: None  # type: ignore[assignment]
    build_shard = dvm_hf.prepared.shard_task.build_shard

    def logged(shard: Any, **kwargs: Any) -> Any:
        os.write(log, f"begun {shard.split}-{shard.index}\n".encode())
        return build_shard(shard, **kwargs)

    dvm_hf.prepared.shard_task.build_shard = logged
    if "after" in die:
        signal.setitimer(signal.ITIMER_REAL, die["after"])  # unhandled, SIGALRM ends a process as SIGKILL does
    try:
        main(command["arguments"])
    except SystemExit as done:
        os.write(log, f"moments {moments.count}\n".encode())
        return int(done.code or 0)
    return 0


def forked(command: dict[str, Any], log: int, gate: int | None) -> int:
    pid = os.fork()
    if pid == 0:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            os._exit(child(command, log, gate))
    return pid


def run(command: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as log:
        os.set_inheritable(log.fileno(), True)
        os.lseek(log.fileno(), 0, os.SEEK_END)
        fcntl.fcntl(log.fileno(), fcntl.F_SETFL, os.O_APPEND)
        reached, gate = os.pipe()
        children = [forked(command, log.fileno(), gate)]
        os.close(gate)
        if "at_moment" in (command["die"] or {}):
            os.read(reached, 1)  # empty if the child ended before that moment
        os.close(reached)
        children += [forked(command, log.fileno(), None) for _ in range(1, command["count"])]
        ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
        log.seek(0)
        lines = [line.split() for line in log.read().decode().splitlines()]
    begun = [value for name, value in lines if name == "begun"]
    moments = [int(value) for name, value in lines if name == "moments"]
    return {"ends": ends, "begun": begun, "moments": max(moments, default=0)}


if __name__ == "__main__":
    PIL.Image.preinit()  # with the layouts of packages: found once, instead of in each child
    known_layouts()
    gc.freeze()  # otherwise each child copies most of this process's memory when it collects garbage
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)
