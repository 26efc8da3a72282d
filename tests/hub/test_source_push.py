"""dvm push --sources against a loopback Hub: the address gives what the local sources give."""

import hashlib
import json
import queue
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import TreeWriter
from hub_client import Call, HubClient, Result
from loopback_hub import LoopbackHub

pytestmark = pytest.mark.slow

HUB_OPTIONS: dict[str, Any] = {"page": 5}
REPO = "alice/sources"
TRAIN = ("--clip-length", "4", "--backgrounds-per-foreground", "2", "--config", "train")
INCOMPLETE = ".dvm_hf_incomplete"


@pytest.fixture(autouse=True)
def empty_hub(hub: LoopbackHub) -> Iterator[None]:
    hub.repos.clear()
    hub.faults.clear()
    hub.log.clear()
    yield
    hub.faults.clear()


def pushed(client: HubClient, data_dir: Path, *options: str) -> Any:
    ended = client.run("command_line", "push", str(data_dir), REPO, "--sources", "--json", *options)
    assert ended.code == 0, ended.stderr
    return json.loads(ended.stdout)


def digest(client: HubClient, source: str, cache: Path, *options: str) -> Any:
    environment = {"DVM_SOURCE_CACHE": str(cache)}
    ended = client.run("command_line", "digest", source, *TRAIN, *options, "--json", environment=environment)
    assert ended.code == 0, ended.stderr
    return json.loads(ended.stdout)


def export(client: HubClient, source: Path, file: Path, *options: str) -> None:
    """Write the clips of the split train as a list of frozen clips."""
    ended = client.run("command_line", "plan", str(source), "--export", str(file), *TRAIN, *options)
    assert ended.code == 0, ended.stderr


def plan(client: HubClient, source: str, out: Path) -> dict[str, bytes]:
    options = ("--plan-only", "--num-shards", "2", *TRAIN)
    environment = {"DVM_SOURCE_CACHE": str(out.parent / "cache")}
    ended = client.run("command_line", "prepare", source, str(out), *options, environment=environment)
    assert ended.code == 0, ended.stderr
    return {path.name: path.read_bytes() for path in (out / "plan").iterdir()}


def content(hub: LoopbackHub) -> dict[str, bytes]:
    """Return the files of the newest commit."""
    return {path: hub.blobs.content(entry) for path, entry in hub.repos[REPO].history()[0].files.items()}


def changes(hub: LoopbackHub) -> list[str]:
    """Return the requests so far that change something, or send bytes."""
    return [entry for entry in hub.log if entry.startswith(("PUT", "DELETE")) or "/commit/" in entry]


def refused(ended: Result, *words: str) -> None:
    assert ended.code == 2, ended.stderr
    assert all(word in ended.stderr for word in words), ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_folder_gives_the_same_clips_and_a_second_push_sends_nothing(
    client: HubClient, hub: LoopbackHub, few_sources: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(few_sources, tmp_path / "DVM")
    (root / "pairs.txt").write_text("image+disc.png+0000.mp4\n")
    for name, text in (("notes.txt", "no source"), ("notes.json", '{"notes": {"kind": "frozen clips"}}')):
        (root / name).write_text(text)
    export(client, root, root / "clips.json", "--pairs", str(root / "pairs.txt"))
    (root / "clips.json").write_text(json.dumps(json.loads((root / "clips.json").read_text()), sort_keys=True))
    report = pushed(client, root)
    assert report["address"] == f"hf://datasets/{REPO}"
    assert hub.repos[REPO].private
    local = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    held = content(hub)
    sent = {path: data for path, data in local.items() if not path.startswith("notes")}
    assert {path: held.get(path) for path in sent} == sent
    assert held.keys() - local.keys() == {".gitattributes", "README.md"}
    assert len(hub.repos[REPO].history()) == 2  # one commit
    assert digest(client, report["address"], tmp_path / "cache") == digest(client, str(root), tmp_path / "cache")
    frozen = digest(client, report["address"], tmp_path / "cache", "--pairs", "clips.json")
    assert frozen == digest(client, str(root), tmp_path / "cache", "--pairs", "clips.json")
    assert len(frozen["clips"]) == 1
    environment = {"DVM_SOURCE_CACHE": str(tmp_path / "cache")}
    assert client.run("kind_of_source", report["address"], environment=environment).value == "sources"  # for a preview
    hub.log.clear()
    again = pushed(client, root)
    assert (again["sent"], again["unchanged"]) == ([], len(held) - 1)
    assert changes(hub) == []


def test_a_sources_file_gives_the_same_clips_and_plan(
    client: HubClient, hub: LoopbackHub, few_sources: Path, tmp_path: Path
) -> None:
    shutil.copytree(few_sources, tmp_path / "sets" / "DVM")
    shutil.copytree(few_sources / "bg", tmp_path / "sets" / "streets" / "bg")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "used.txt").write_text("0000\n" * 60)
    file = tmp_path / "lists" / "mine.yaml"
    file.write_text(
        """train:
  foregrounds: [{path: ../sets/DVM, license: CC-BY-4.0, citation: Doe 2021}]
  backgrounds:
    - {path: ../sets/streets/bg/train, name: street, include: used.txt, share: 0.00001, license: cc-by-4.0}
    - {path: ../sets/DVM, license: CC BY 4.0}
"""
    )
    export(client, file, file.with_name("clips.json"))
    report = pushed(client, file)
    assert report["address"] == f"hf://datasets/{REPO}/sources.yaml"
    held = content(hub)
    assert {"streets/bg/train/0000.mp4", "entry-2-include.txt", "DVM/bg/train/0001.mp4"} <= held.keys()
    assert "streets/bg/train/0001.mp4" not in held
    card = held["README.md"].decode()
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "cc-by-4.0"
    assert "Cite: Doe 2021" in card
    frozen = ("--pairs", "clips.json")
    assert digest(client, report["address"], tmp_path, *frozen) == digest(client, str(file), tmp_path, *frozen)
    assert plan(client, report["address"], tmp_path / "remote") == plan(client, str(file), tmp_path / "local")


def test_a_push_that_was_killed_cannot_be_loaded_and_sends_only_what_is_missing(
    client: HubClient, hub: LoopbackHub, few_sources: Path, tmp_path: Path
) -> None:
    """Twelve files in commits of three: a marker, four commits with a limit of bytes, and the last one."""
    calls: queue.Queue[Call] = queue.Queue()
    hub.fail("POST", "/commit/", skip=2, cut="before", act=lambda: calls.get().kill())
    call = client.start("push_sources_in_commits_of", 3, str(few_sources), REPO, 50_000_000)
    calls.put(call)
    assert call.result().code == -9
    half = content(hub)
    assert INCOMPLETE in half
    address = f"hf://datasets/{REPO}"
    assert "is not complete" in client.run("refusals_of_sources", address).value[address]
    hub.log.clear()
    ended = client.run("push_sources_in_commits_of", 3, str(few_sources), REPO, 50_000_000)
    assert ended.code == 0, ended.stderr
    files = {path.relative_to(few_sources).as_posix() for path in few_sources.rglob("*") if path.is_file()}
    assert set(ended.value) == {*files, "README.md"} - half.keys()
    held = content(hub)
    assert held.keys() == {*files, "README.md", ".gitattributes"}
    assert all(held[path] == (few_sources / path).read_bytes() for path in files)
    sizes = [len(commit.files) for commit in hub.repos[REPO].history()]
    assert max(after - before for after, before in pairwise(sizes)) <= 3


def test_bytes_outside_of_lfs_are_limited_per_commit(client: HubClient, hub: LoopbackHub, few_sources: Path) -> None:
    """The loopback Hub has videos outside of LFS storage."""
    ended = client.run("push_sources_in_commits_of", 1000, str(few_sources), REPO, 1)
    assert ended.code == 0, ended.stderr
    videos = sum(path.suffix == ".mp4" for path in few_sources.rglob("*"))
    assert len(hub.repos[REPO].history()) == 1 + 1 + videos + 1  # new, marker, videos (the first with stills), last


def test_other_repositories_are_refused(client: HubClient, hub: LoopbackHub, few_sources: Path) -> None:
    call = ("command_line", "push", str(few_sources), REPO, "--sources")
    client.run("create_repo", REPO, False)
    client.run("commit", REPO, {"theirs.csv": "1"}, [])
    refused(client.run(*call), REPO, "is public, but sources are pushed to private repositories only")
    hub.repos[REPO].private = True
    refused(client.run(*call), REPO, "theirs.csv", "push to another repository")
    assert len(hub.repos[REPO].history()) == 2


def test_files_that_are_gone_are_deleted_on_confirmation(
    client: HubClient, hub: LoopbackHub, few_sources: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(few_sources, tmp_path / "DVM")
    pushed(client, root)
    (root / "bg/train/0001.mp4").unlink()
    TreeWriter(root).background("0000", frames=7)
    asked = pushed(client, root, "--dry-run")
    assert (asked["sent"], asked["deleted"]) == (["bg/train/0000.mp4", "README.md"], ["bg/train/0001.mp4"])
    refused(client.run("command_line", "push", str(root), REPO, "--sources"), "1 file would be deleted", "--yes")
    assert len(hub.repos[REPO].history()) == 2
    pushed(client, root, "--yes")
    held = content(hub)
    assert "bg/train/0001.mp4" not in held
    sha256 = hashlib.sha256((root / "bg/train/0000.mp4").read_bytes()).hexdigest()
    assert hashlib.sha256(held["bg/train/0000.mp4"]).hexdigest() == sha256
