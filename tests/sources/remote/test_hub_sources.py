"""Sources in a dataset repository of a loopback Hub: the same results as local ones, and which bytes are fetched."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import published_hashes
from hub_client import HubClient
from loopback_hub import LoopbackHub
from remote_source_tests import RemoteSourceTests, answer

pytestmark = pytest.mark.slow

HUB_OPTIONS: dict[str, Any] = {"page": 5}
ADDRESS = "hf://datasets/alice/matting"
TRAIN = ("--clip-length", "4", "--backgrounds-per-foreground", "2", "--config", "train")
STILL, ALPHA, VIDEO = "fg/image/train/fg/disc.png", "fg/image/train/alpha/disc.png", "bg/train/0000.mp4"


@pytest.fixture(scope="module")
def uploaded(client: HubClient, few_sources: Path) -> str:
    """Return the commit of `few_sources` on the Hub: its PNG files are in LFS storage, its videos are not."""
    ended = client.run("plain_upload", "alice/matting", str(few_sources))
    assert ended.code == 0, ended.stderr
    return str(ended.value)


@pytest.fixture(autouse=True)
def no_faults(hub: LoopbackHub, uploaded: str) -> None:
    hub.faults.clear()
    hub.log.clear()


def cached_in(folder: Path, **more: str) -> dict[str, str]:
    return {"DVM_SOURCE_CACHE": str(folder), **more}


def digest(client: HubClient, source: str, cache: Path) -> Any:
    return answer(client.run("command_line", "digest", source, *TRAIN, "--json", environment=cached_in(cache)))


def fetches(hub: LoopbackHub) -> list[str]:
    """Return the requests so far that send files. Those of LFS files are answered by the storage."""
    return [entry for entry in hub.log if entry.startswith("GET") and ("/get/" in entry or "/resolve/" in entry)]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class HubSources:
    """Repositories with sources on the Hub."""

    def __init__(self, client: HubClient, hub: LoopbackHub) -> None:
        self.environment: dict[str, str] = {}
        self._client, self._hub = client, hub

    def put(self, folder: Path, name: str) -> str:
        assert self._client.run("plain_upload", f"alice/{name}", str(folder)).code == 0
        return f"hf://datasets/alice/{name}"

    def fetched(self) -> list[str]:
        found = fetches(self._hub)
        self._hub.log.clear()
        return found

    def cut(self, skip: int, act: Callable[[], object]) -> None:
        self._hub.fail("GET", "/get/|/resolve/", skip=skip, cut="body", act=act)


@pytest.fixture
def remote(client: HubClient, hub: LoopbackHub) -> HubSources:
    return HubSources(client, hub)


class TestHubSources(RemoteSourceTests):
    """A push of the same files again makes no commit that changes a listing."""


def test_pixels_are_those_of_local_sources_and_a_second_run_fetches_nothing(
    client: HubClient, hub: LoopbackHub, uploaded: str, few_sources: Path, tmp_path: Path
) -> None:
    local = digest(client, str(few_sources), tmp_path)
    assert digest(client, ADDRESS, tmp_path / "cache") == local
    first = fetches(hub)
    assert len(first) == len(set(first)) == 6  # of 12 files: those of the split train
    hub.log.clear()
    assert digest(client, ADDRESS, tmp_path / "cache") == local
    assert hub.log == ["GET /api/datasets/alice/matting/revision/main?expand=sha"]
    hub.log.clear()
    again = client.run("fetched_sources", f"{ADDRESS}@{uploaded}/", STILL, environment=cached_in(tmp_path / "cache"))
    assert again.value == {STILL: sha256(few_sources / STILL)}
    assert hub.log == []


def test_a_repair_fetches_the_sources_of_a_shard(client: HubClient, few_sources: Path, tmp_path: Path) -> None:
    options, out = ("--num-shards", "2", "--json", *TRAIN), tmp_path / "out"
    for cache, call in (("cache", ("prepare", ADDRESS, str(out), *options)), ("other", ("verify", str(out)))):
        if call[0] == "verify":
            before = published_hashes(out)
            (out / "data" / "train-00001-of-00002.parquet").unlink()
            call += ("--repair", "--json")
        answer(client.run("command_line", *call, environment=cached_in(tmp_path / cache)))
    assert published_hashes(out) == before


def test_a_sources_file_lists_folders_of_the_hub(client: HubClient, few_sources: Path, tmp_path: Path) -> None:
    text = """train:
  foregrounds: [{path: FROM/fg/image/train, name: still, layout: image-mask, colour: straight}]
  backgrounds: [{path: FROM/bg/train, name: street}]
"""
    clips = []
    for name, source in (("local", str(few_sources)), ("remote", ADDRESS)):
        file = tmp_path / f"{name}.yaml"
        file.write_text(text.replace("FROM", source))
        clips.append(digest(client, str(file), tmp_path / "cache")["clips"])
    assert clips[1] == clips[0]
    assert len(clips[0]) == 2


def test_faults_are_tried_again(client: HubClient, hub: LoopbackHub, few_sources: Path, tmp_path: Path) -> None:
    injected = [
        hub.fail("GET", "/revision/", cut="before"),
        hub.fail("GET", "/tree/", status=502),
        hub.fail("HEAD", "/resolve/", status=503),
        hub.fail("GET", "/get/", cut="body"),
        hub.fail("GET", "/get/", status=500),
        hub.fail("GET", "/get/", cut="answer"),  # 200, with other bytes of another length
    ]
    ended = client.run("fetched_sources", ADDRESS, STILL, ALPHA, VIDEO, environment=cached_in(tmp_path))
    assert ended.code == 0, ended.stderr
    assert [fault.times for fault in injected] == [0] * len(injected)
    assert ended.value == {path: sha256(few_sources / path) for path in (STILL, ALPHA, VIDEO)}


def test_a_lost_connection_is_named_and_what_was_fetched_is_kept(
    client: HubClient, hub: LoopbackHub, tmp_path: Path
) -> None:
    environment = cached_in(tmp_path)
    assert client.run("fetched_sources", ADDRESS, VIDEO, environment=environment).code == 0
    hub.fail("GET|HEAD", "/get/|/resolve/", times=1000, cut="before")
    ended = client.run("command_line", "digest", ADDRESS, *TRAIN, environment=environment)
    assert ended.code == 2
    assert "could not be fetched from http://127.0.0.1" in ended.stderr
    assert "run the same command again. Files that were fetched are kept" in ended.stderr
    assert "Traceback" not in ended.stderr
    hub.faults.clear()
    hub.log.clear()
    assert client.run("fetched_sources", ADDRESS, VIDEO, STILL, environment=environment).code == 0
    assert len(fetches(hub)) == 1


def test_wrong_bytes_are_never_used(client: HubClient, hub: LoopbackHub, few_sources: Path, tmp_path: Path) -> None:
    """The storage sends a file of the right length with a changed byte."""
    stored = hub.blobs.path(sha256(few_sources / STILL))
    content = stored.read_bytes()
    try:
        stored.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        ended = client.run("fetched_sources", ADDRESS, STILL, environment=cached_in(tmp_path))
    finally:
        stored.write_bytes(content)
    assert ended.code == 1
    assert f"{STILL}: the bytes that the Hub sends differ from the size or hash that it lists" in ended.stderr
    assert len(fetches(hub)) == 2
    again = client.run("fetched_sources", ADDRESS, STILL, environment=cached_in(tmp_path))
    assert again.value == {STILL: sha256(few_sources / STILL)}


def test_a_listing_cannot_name_files_outside(
    client: HubClient, hub: LoopbackHub, uploaded: str, tmp_path: Path
) -> None:
    repo = hub.repos["alice/matting"]
    files = repo.commits[uploaded].files
    repo.commit("refs/heads/outside", "t", {**files, "fg/../../../stolen.png": files[STILL]}, parent=uploaded)
    ended = client.run("fetched_sources", f"{ADDRESS}@outside", STILL, environment=cached_in(tmp_path / "cache"))
    assert ended.code == 1
    assert "fg/../../../stolen.png', which is not a path inside the source tree" in ended.stderr
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".png"]


def test_two_processes_fetch_each_file_once(
    client: HubClient, hub: LoopbackHub, few_sources: Path, tmp_path: Path
) -> None:
    paths = (STILL, ALPHA, VIDEO, "bg/train/0001.mp4")
    calls = [client.start("fetched_sources", ADDRESS, *paths, environment=cached_in(tmp_path)) for _ in range(2)]
    for call in calls:
        assert call.result().value == {path: sha256(few_sources / path) for path in paths}
    assert len(fetches(hub)) == len(set(fetches(hub))) == 4


def test_files_are_fetched_ahead(client: HubClient, hub: LoopbackHub, tmp_path: Path) -> None:
    ended = client.run("prefetched_sources", ADDRESS, STILL, ALPHA, VIDEO, environment=cached_in(tmp_path))
    assert ended.value == [STILL, ALPHA, VIDEO]
    hub.log.clear()
    client.run("fetched_sources", ADDRESS, STILL, ALPHA, VIDEO, environment=cached_in(tmp_path))
    assert fetches(hub) == []


def test_init_writes_the_address_with_its_commit(client: HubClient, uploaded: str, tmp_path: Path) -> None:
    call = ("init", str(tmp_path / "sources.yaml"), ADDRESS, "--json")
    ended = client.run("command_line", *call, environment=cached_in(tmp_path / "cache"))
    assert {entry["path"] for entry in answer(ended)["entries"]} == {f"{ADDRESS}@{uploaded}"}
    written = yaml.safe_load((tmp_path / "sources.yaml").read_text())
    assert written["train"]["foregrounds"] == [{"path": f"{ADDRESS}@{uploaded}", "layout": "dvm"}]


WRONG = {
    "hf://datasets/alice": "is not the address of a data set on the Hub",
    "hf://alice/matting": "is not the address of a data set on the Hub",
    "hf://datasets/alice/matting@": "is not the address of a data set on the Hub",
    "hf://datasets/alice/nothing": "not found on the Hub, or hidden from this token",
    "hf://datasets/alice/matting@nothing": "has no revision 'nothing'; correct it, or omit it",
    "hf://datasets/alice/matting/nothing": "not found on the Hub, or hidden from this token",
    "http://127.0.0.1/matting": "web servers have no list of their files",
    "unknown://alice/matting": "fsspec knows no file system for unknown://",
}


def test_wrong_addresses_are_explained(client: HubClient, tmp_path: Path) -> None:
    ended = client.run("refusals_of_sources", *WRONG, environment=cached_in(tmp_path))
    assert ended.code == 0, ended.stderr
    assert [text for address, text in WRONG.items() if text not in ended.value[address]] == []
