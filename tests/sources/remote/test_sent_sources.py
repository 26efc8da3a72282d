"""Remote sources that another machine fetches: what is sent, and what the receiver does with it."""

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from conftest import FEW_ARGUMENTS, file_hashes
from stored_plans import stored_plan

from dvm_hf import addresses
from dvm_hf.cli import main
from dvm_hf.errors import ConfigError, FetchError, SourceError
from dvm_hf.prepared.engines.ray_engine import _sources
from dvm_hf.prepared.engines.ray_task import Failure, events, installed_versions
from dvm_hf.prepared.shard_task import Outcome, Task
from dvm_hf.prepared.source_digests import content_digest, signature
from dvm_hf.sources.remote import object_files
from dvm_hf.sources.remote.sent_sources import SentSources, receive, sent_sources
from dvm_hf.sources.remote.sent_tree import received_trees
from dvm_hf.sources.remote.source_files import local_root, present

NAMES = ("bg/train/a.mp4", "bg/train/b.mp4", "fg/frames/00001.png", "fg/frames/00002.png", "fg/frames/notes.txt")


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a folder in memory. The trees that this process receives are forgotten at the end."""
    monkeypatch.setattr(addresses, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(addresses, "FIRST_WAIT", 0.02)
    yield f"memory://{request.node.name}"
    received_trees.clear()


@pytest.fixture
def address(memory: str) -> str:
    """The address of small files, each with its name as content."""
    for name in NAMES:
        fsspec.filesystem("memory").pipe_file(f"{memory}/{name}", name.encode())
    return memory


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Use the cache of another machine; return its folder."""

    def use(name: str) -> Path:
        monkeypatch.setenv("DVM_SOURCE_CACHE", str(tmp_path / name))
        return tmp_path / name

    return use


def sent(root: Path, *paths: str) -> SentSources:
    found = sent_sources(root, paths)
    assert found is not None
    return pickle.loads(pickle.dumps(found))


def fetched(cache: Path) -> set[str]:
    """Return the contents of the links in a cache."""
    return {path.read_text() for path in (cache / "trees").rglob("*") if path.is_file()}


def test_the_receiver_fetches_what_was_sent_and_lists_nothing(
    address: str, machine: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine("sender")
    root = local_root(address)
    sources = sent(root, "bg/train/a.mp4", "fg/frames", "bg/train/a.mp4")
    before = signature(root / "fg/frames"), content_digest(root / "fg/frames")
    monkeypatch.setattr(object_files, "listed", lambda address: pytest.fail("the receiver lists the address"))
    cache = machine("receiver")
    here = receive(sources, root)
    assert here == cache / root.relative_to(root.parents[2])
    assert fetched(cache) == set()
    assert (signature(here / "fg/frames"), content_digest(here / "fg/frames")) == before
    with present([here / "bg/train/a.mp4", here / "fg/frames"]):
        assert fetched(cache) == {NAMES[0], *NAMES[2:4]}
    with present([here / "bg/train/b.mp4"]):  # was not sent
        assert not (here / "bg/train/b.mp4").exists()


def test_the_receiver_verifies_what_it_fetches(address: str, machine: Callable[[str], Path]) -> None:
    machine("sender")
    root = local_root(address)
    sources = sent(root, NAMES[0])
    fsspec.filesystem("memory").pipe_file(f"{address}/{NAMES[0]}", b"other bytes")
    machine("receiver")
    here = receive(sources, root)
    with pytest.raises(SourceError, match=r"a\.mp4: the bytes that the store sends differ from the size or ETag"):
        present([here / NAMES[0]]).__enter__()


def test_local_folders_beside_the_cache_need_the_same_path(address: str, machine: Callable[[str], Path]) -> None:
    """The root of a sources file with local folders and addresses contains both."""
    cache = machine("sender")
    sources = sent(cache.parent, str(local_root(address).relative_to(cache.parent) / NAMES[0]))
    assert receive(sources, cache.parent) == cache.parent
    other = machine("receiver")
    with pytest.raises(ConfigError, match=rf"^{other}: is the cache of remote sources, but {cache} where dvm prepare"):
        receive(sources, cache.parent)


def test_sources_of_several_addresses_have_the_folder_of_all_trees(
    address: str, machine: Callable[[str], Path]
) -> None:
    """It is the root of a sources file whose entries are addresses."""
    fsspec.filesystem("memory").pipe_file(f"{address}2/c.mp4", b"another tree")
    cache = machine("sender")
    files = (local_root(address) / NAMES[0], local_root(f"{address}2") / "c.mp4")
    paths = [str(file.relative_to(cache / "trees")) for file in files]
    sources = sent(cache / "trees", *paths)
    other = machine("receiver")
    assert receive(sources, cache / "trees") == other / "trees"
    with present(other / "trees" / path for path in paths):
        assert fetched(other) == {NAMES[0], "another tree"}


def test_nothing_is_sent_of_local_sources(
    few_sources: Path, prepared_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even a cache is needed."""
    monkeypatch.setenv("DVM_SOURCE_CACHE", "")
    assert sent_sources(Path("/"), (str(path) for path in few_sources.rglob("*"))) is None
    assert _sources(Task(stored_plan(prepared_once).shard(0), prepared_once, few_sources)) is None


@pytest.mark.slow
def test_a_task_of_ray_fetches_the_sources_of_its_shard_into_the_cache_of_its_node(
    memory: str,
    machine: Callable[[str], Path],
    few_sources: Path,
    prepared_once: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A node that reaches the sources builds the shard of local sources; another one is named."""
    fsspec.filesystem("memory").put(f"{few_sources}/", f"{memory}/", recursive=True)
    machine("driver")
    root, out = local_root(memory), tmp_path / "out"
    main(["prepare", memory, str(out), *FEW_ARGUMENTS, "--plan-only", "--json"], standalone_mode=False)
    tasks = [Task(stored_plan(out).shard(index), out, root) for index in (0, 1)]
    sources = [pickle.loads(pickle.dumps(_sources(task))) for task in tasks]
    cache = machine("node")
    *_, outcome = events(tasks[0], installed_versions(), sources[0])
    assert isinstance(outcome, Outcome)
    name = f"data/{outcome.sidecar.file}"
    assert file_hashes(out)[name] == file_hashes(prepared_once)[name]
    links = {
        str(path).partition(memory.partition("://")[2])[2] for path in (cache / "trees").rglob("*.*") if path.is_file()
    }
    assert links == {f"/{path}" for path in tasks[0].shard.sources}

    def lost(*arguments: Any, **options: Any) -> None:
        raise ConnectionResetError("lost")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "get_file", lost)
    machine("other node")
    *_, failure = events(tasks[1], installed_versions(), sources[1])
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, FetchError)
    assert str(failure.error).startswith(f"node {os.uname().nodename}: {memory}/")
    assert "could not be fetched (ConnectionResetError: lost); check the network" in str(failure.error)
