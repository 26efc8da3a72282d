"""Fetching and listing, with fsspec's file system in memory."""

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest

from dvm_hf import addresses, machine_faults
from dvm_hf.errors import FetchError, SourceError
from dvm_hf.hub_requests import _LibraryError
from dvm_hf.machine_faults import retried
from dvm_hf.prepared.plans.plan_conflicts import real_source
from dvm_hf.prepared.source_digests import SourceDigests, require_sources
from dvm_hf.prepared.storage.object_path import location
from dvm_hf.sources.remote import hub_files
from dvm_hf.sources.remote.listed_tree import RemoteFile
from dvm_hf.sources.remote.source_files import local_root, present
from dvm_hf.sources.tree import scan

NAMES = ("bg/train/a.mp4", "bg/train/b.mp4", "fg/image/train/fg/c.png")


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Three files of 1,000 bytes, and an empty cache."""
    monkeypatch.setenv("DVM_SOURCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(addresses, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(addresses, "FIRST_WAIT", 0.02)
    folder = f"memory://{request.node.name}"
    for name in NAMES:
        fsspec.filesystem("memory").pipe_file(f"{folder}/{name}", name.encode().ljust(1000))
    return folder


@pytest.mark.parametrize("size", ["1KB", "2500", "100KB"])
def test_needed_files_are_fetched_also_beyond_the_limit(
    address: str, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVM_SOURCE_CACHE_SIZE", size)
    root = local_root(address)
    with present(root / name for name in NAMES):
        assert [(root / name).read_bytes().strip().decode() for name in NAMES] == list(NAMES)


def test_a_lost_connection_is_not_tried_again_by_the_renderer(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The renderer repeats what fails for a moment. A fetch that fails was repeated for half a minute."""
    root, tries = local_root(address), []

    def lost(*arguments: Any, **options: Any) -> None:
        tries.append(arguments)
        raise ConnectionResetError(errno.ECONNRESET, "lost")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "get_file", lost)
    monkeypatch.setattr(machine_faults, "PAUSES", (0.0, 0.0, 0.0))

    def rendered(done: int) -> Any:
        with present([root / NAMES[0]]):
            yield done

    with pytest.raises(FetchError, match=rf"^{address}/{NAMES[0]}: could not be fetched \(.*lost"):
        list(retried(rendered))
    assert len(tries) == 3  # after 0, 0.02 and 0.06 s


def test_denied_access_is_no_fault_of_a_source(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With on_error="skip", a node without credentials would otherwise skip the clips of its shards."""

    def denied(*arguments: Any, **options: Any) -> None:
        raise PermissionError("Forbidden")

    def hidden(*arguments: Any, **options: Any) -> None:
        error = _LibraryError("403 Client Error")
        error.response = SimpleNamespace(status_code=403, headers={})
        raise error

    root = local_root(address)
    monkeypatch.setattr(type(fsspec.filesystem("memory")), "get_file", denied)
    with pytest.raises(FetchError, match=rf"^{address}/{NAMES[0]}: access is denied"):
        present([root / NAMES[0]]).__enter__()
    monkeypatch.setattr(hub_files, "hf_hub_download", hidden)
    folder = hub_files.hub_folder("hf://datasets/alice/matting@v1")
    with pytest.raises(FetchError, match=f"{NAMES[0]}: not found on the Hub, or hidden from this token"):
        hub_files.fetched(folder, RemoteFile(NAMES[0], 1000, "sha256:0"), tmp_path)


def test_a_remote_folder_is_known_by_its_address(address: str, tmp_path: Path) -> None:
    root = local_root(f"{address}/")
    assert real_source(root) == location(address)
    assert real_source(root / "bg") == location(f"{address}/bg")
    assert real_source(tmp_path) == tmp_path.resolve()


def test_spellings_of_an_address_are_one_tree(address: str) -> None:
    """Its path is in plans of sources files with several addresses."""
    spellings = (f"{address}/", address.replace("memory", "MEMORY", 1))
    assert {local_root(spelling) for spelling in spellings} == {local_root(address)}


def test_messages_about_a_folder_have_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVM_SOURCE_CACHE", str(tmp_path))
    memory, folder = fsspec.filesystem("memory"), "memory://messages"
    for name in ("unknown/a/b.xyz", "stills/0001.jpg", "empty/fg/image/train/fg/a.txt", "out/data/a", "out/plan/a"):
        memory.pipe_file(f"{folder}/{name}", b"")
    memory.pipe_file(f"{folder}/out/shards/a", b"")
    for name, text in (
        ("unknown", "has no known layout"),
        ("stills", "has the layout 'bg20k', which has backgrounds, but no foregrounds"),
        ("empty", "contains no usable file in"),
        ("out", "was built by dvm prepare"),
    ):
        with pytest.raises(SourceError, match=rf"^{folder}/{name}: {text}"):
            scan(local_root(f"{folder}/{name}"), "train")
    root = local_root(f"{folder}/stills")
    clips = [SimpleNamespace(foregrounds=(), background=SimpleNamespace(path=Path("0001.jpg")))]
    with pytest.raises(SourceError, match=rf"^{folder}/stills: 0001\.jpg changed since the plan was made"):
        require_sources({}, SourceDigests(root, tmp_path / "digests"), clips)
