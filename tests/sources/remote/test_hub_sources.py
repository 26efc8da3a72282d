"""Sources in a dataset repository of a loopback Hub: the same results as local ones, and which bytes are fetched."""

import hashlib
import json
import queue
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import TreeWriter, file_hashes
from hub_client import Call, HubClient, Result
from loopback_hub import LoopbackHub

from dvm_hf.sources.remote.source_cache import SourceCache

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


def answer(ended: Result) -> Any:
    assert ended.code == 0, ended.stderr
    return json.loads(ended.stdout)


def digest(client: HubClient, source: str, cache: Path) -> Any:
    return answer(client.run("command_line", "digest", source, *TRAIN, "--json", environment=cached_in(cache)))


def fetches(hub: LoopbackHub) -> list[str]:
    """Return the requests so far that send files. Those of LFS files are answered by the storage."""
    return [entry for entry in hub.log if entry.startswith("GET") and ("/get/" in entry or "/resolve/" in entry)]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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


def test_a_build_has_the_same_plan_and_shards(
    client: HubClient, hub: LoopbackHub, few_sources: Path, tmp_path: Path
) -> None:
    made = {}
    for name, source in (("local", str(few_sources)), ("remote", ADDRESS)):
        options = ("--num-shards", "2", "--json", *TRAIN)
        call = ("prepare", source, str(tmp_path / name), *options)
        answer(client.run("command_line", *call, environment=cached_in(tmp_path / "cache")))
        made[name] = {path: of for path, of in file_hashes(tmp_path / name).items() if not path.startswith(".cache/")}
    assert made["remote"] == made["local"]
    assert any(name.endswith(".parquet") for name in made["local"])
    assert len(fetches(hub)) == len(set(fetches(hub))) == 6  # the plan takes the hashes of stills from the listing
    (tmp_path / "remote" / "data" / "train-00001-of-00002.parquet").unlink()
    shutil.rmtree(tmp_path / "cache")
    repair = ("verify", str(tmp_path / "remote"), "--repair", "--json")
    answer(client.run("command_line", *repair, environment=cached_in(tmp_path / "other cache")))
    repaired = {path: of for path, of in file_hashes(tmp_path / "remote").items() if not path.startswith(".cache/")}
    assert repaired == made["local"]


def test_check_finds_what_it_finds_in_local_sources(client: HubClient, few_sources: Path, tmp_path: Path) -> None:
    found = []
    for source in (str(few_sources), ADDRESS):
        call = ("check", source, "--deep", "--num-proc", "0", "--config", "train", "--json")
        ended = client.run("command_line", *call, environment=cached_in(tmp_path / "cache"))
        found.append([(one["code"], one["path"]) for one in json.loads(ended.stdout)["findings"]])
    assert found[1] == found[0] != []


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


def test_load_dataset_takes_an_address(client: HubClient, few_sources: Path, tmp_path: Path) -> None:
    sources = (str(few_sources), ADDRESS)
    rows = [client.run("source_rows", source, environment=cached_in(tmp_path)) for source in sources]
    assert rows[1].value == rows[0].value != [], rows[1].stderr


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


def test_a_killed_fetch_goes_on(client: HubClient, hub: LoopbackHub, few_sources: Path, tmp_path: Path) -> None:
    started: queue.Queue[Call] = queue.Queue()
    hub.fail("GET", "/get/|/resolve/", skip=2, cut="body", act=lambda: started.get(timeout=30).kill())
    paths = (STILL, ALPHA, VIDEO, "bg/train/0001.mp4")
    call = client.start("fetched_one_by_one", ADDRESS, *paths, environment=cached_in(tmp_path))
    started.put(call)
    assert call.result().code == -9
    assert len(fetches(hub)) == 3
    hub.log.clear()
    ended = client.run("fetched_sources", ADDRESS, *paths, environment=cached_in(tmp_path))
    assert ended.value == {path: sha256(few_sources / path) for path in paths}
    assert len(fetches(hub)) == 2  # the one that was cut, and the next one


def test_two_processes_fetch_each_file_once(
    client: HubClient, hub: LoopbackHub, few_sources: Path, tmp_path: Path
) -> None:
    paths = (STILL, ALPHA, VIDEO, "bg/train/0001.mp4")
    calls = [client.start("fetched_sources", ADDRESS, *paths, environment=cached_in(tmp_path)) for _ in range(2)]
    for call in calls:
        assert call.result().value == {path: sha256(few_sources / path) for path in paths}
    assert len(fetches(hub)) == len(set(fetches(hub))) == 4


def test_two_processes_hold_the_limit(client: HubClient, hub: LoopbackHub, tree: TreeWriter, tmp_path: Path) -> None:
    """The limit is enough for the files of two clips, and two processes render six clips each."""
    tree.still("disc", size=(32, 24))
    for number in range(6):
        tree.background(f"{number:04d}", size=(64, 64), frames=3 + number)
    assert client.run("plain_upload", "alice/many", str(tree.root)).code == 0
    files = {path: path.stat().st_size for path in tree.root.rglob("*") if path.is_file()}
    backgrounds = sorted(size for path, size in files.items() if "bg" in path.parts)
    limit = sum(files.values()) - sum(backgrounds) + sum(backgrounds[-3:])
    cache, seen, is_over = SourceCache(tmp_path / "cache"), [0], threading.Event()

    def watch() -> None:
        while not is_over.wait(0.005):
            seen.append(cache.total_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    environment = cached_in(cache.folder, DVM_SOURCE_CACHE_SIZE=str(limit))
    call = ("digest", "hf://datasets/alice/many", "--backgrounds-per-foreground", "6", "--config", "train", "--json")
    hub.log.clear()
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
    assert len(set(fetches(hub))) == len(files)


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
