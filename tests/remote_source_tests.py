"""What holds for sources on every kind of server: results of local sources, and which files are fetched.

The module of a kind of server has a subclass of `RemoteSourceTests` and a fixture `remote`.
"""

import json
import queue
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from conftest import TreeWriter, published_hashes
from hub_client import Call, HubClient, Result

from dvm_hf.sources.remote.source_cache import SourceCache

TRAIN = ("--clip-length", "2", "--backgrounds-per-foreground", "2", "--config", "train")


class RemoteSources(Protocol):
    """A server on the loopback interface. environment: what the processes of its clients need."""

    environment: dict[str, str]

    def put(self, folder: Path, name: str) -> str:
        """Send a source folder to the server; return its address."""

    def fetched(self) -> list[str]:
        """Return what requested each file that the server has sent since the last call."""

    def cut(self, skip: int, act: Callable[[], object]) -> None:
        """After `skip` files, call `act` in the middle of the next one, and close the connection."""


def answer(ended: Result) -> Any:
    assert ended.code == 0, ended.stderr
    return json.loads(ended.stdout)


def started_check(client: HubClient, source: str, out: Path, environment: dict[str, str]) -> Call:
    options = ("--deep", "--num-proc", "0", "--config", "train", "--json")
    return client.start("command_line", "check", source, *options, environment=environment)


def started_prepare(client: HubClient, source: str, out: Path, environment: dict[str, str]) -> Call:
    options = ("--num-shards", "2", *TRAIN, "--json")
    return client.start("command_line", "prepare", source, str(out), *options, environment=environment)


def started_rows(client: HubClient, source: str, out: Path, environment: dict[str, str]) -> Call:
    return client.start("source_rows", source, environment=environment)


def findings(ended: Result, out: Path) -> Any:
    return [(one["code"], one["path"]) for one in json.loads(ended.stdout)["findings"]]


def shards(ended: Result, out: Path) -> Any:
    assert ended.code == 0, ended.stderr
    hashes = published_hashes(out)
    shutil.rmtree(out)
    return hashes


def rows(ended: Result, out: Path) -> Any:
    return ended.value


RUNS = {
    "check": (started_check, findings),
    "prepare": (started_prepare, shards),
    "load_dataset": (started_rows, rows),
}


class RemoteSourceTests:
    @pytest.mark.parametrize("kind", RUNS)
    def test_a_killed_run_is_resumed_and_has_the_results_of_local_sources(
        self, client: HubClient, remote: RemoteSources, few_sources: Path, tmp_path: Path, kind: str
    ) -> None:
        """A further run fetches nothing."""
        start, results = RUNS[kind]
        address, out = remote.put(few_sources, "DVM"), tmp_path / "out"
        environment = remote.environment | {"DVM_SOURCE_CACHE": str(tmp_path / "cache")}
        expected = results(start(client, str(few_sources), out, environment).result(), out)
        assert expected != []
        started: queue.Queue[Call] = queue.Queue()
        remote.fetched()
        remote.cut(4, lambda: started.get(timeout=30).kill())
        started.put(call := start(client, address, out, environment))
        assert call.result().code == -9
        before = remote.fetched()
        assert results(start(client, address, out, environment).result(), out) == expected
        after = remote.fetched()
        assert len(after) == len(set(after))
        assert 0 < len(after) < len({*before, *after}) < 12  # the files of the split train, and those fetched before
        assert results(start(client, address, out, environment).result(), out) == expected
        assert remote.fetched() == []

    def test_two_processes_hold_the_limit(
        self, client: HubClient, remote: RemoteSources, tree: TreeWriter, tmp_path: Path
    ) -> None:
        """The limit is enough for the files of two clips, and two processes render six clips each."""
        tree.still("disc", size=(32, 24))
        for number in range(6):
            tree.background(f"{number:04d}", size=(64, 64), frames=3 + number)
        address = remote.put(tree.root, "many")
        files = {path: path.stat().st_size for path in tree.root.rglob("*") if path.is_file()}
        backgrounds = sorted(size for path, size in files.items() if "bg" in path.parts)
        limit = sum(files.values()) - sum(backgrounds) + sum(backgrounds[-3:])
        cache, seen, is_over = SourceCache(tmp_path / "cache"), [0], threading.Event()

        def watch() -> None:
            while not is_over.wait(0.005):
                seen.append(cache.total_bytes())

        watcher = threading.Thread(target=watch)
        watcher.start()
        environment = remote.environment | {
            "DVM_SOURCE_CACHE": str(cache.folder),
            "DVM_SOURCE_CACHE_SIZE": str(limit),
        }
        call = ("digest", address, "--backgrounds-per-foreground", "6", "--config", "train", "--json")
        remote.fetched()
        try:
            calls = [client.start("command_line", *call, environment=environment) for _ in range(2)]
            ended = [call.result() for call in calls]
        finally:
            is_over.set()
            watcher.join()
        local = client.run("command_line", "digest", str(tree.root), *call[2:])
        assert [answer(one) for one in ended] == [answer(local)] * 2
        assert limit / 2 < max(seen) <= limit
        assert "more than the limit" not in ended[0].stderr + ended[1].stderr
        assert len(set(remote.fetched())) == len(files)
