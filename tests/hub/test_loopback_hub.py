"""The loopback Hub as the real client sees it; the push tests rely on it."""

import hashlib
from pathlib import Path

import pytest
from hub_client import HubClient
from loopback_hub import LoopbackHub
from loopback_repos import git_oid

pytestmark = [pytest.mark.one_lane, pytest.mark.slow]

HUB_OPTIONS = {"part_bytes": 30_000, "page": 2}
FILES = {
    "README.md": b"---\nlicense: other\n---\n",
    "data/a.parquet": bytes(range(256)) * 300,
    "data/b.parquet": b"PAR1" * 999,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_bytes(content)
    return tmp_path / "out"


@pytest.fixture
def repo_id(hub: LoopbackHub, client: HubClient, folder: Path, request: pytest.FixtureRequest) -> str:
    """A new repository with the files of `folder`."""
    name = f"alice/{request.node.name.replace('[', '-').strip(']')[:80]}"
    hub.faults.clear()
    made = client.run("plain_upload", name, str(folder))
    assert made.code == 0, made.stderr
    return name


def test_git_hashes_are_those_of_git() -> None:
    assert git_oid(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"  # git hash-object /dev/null
    assert git_oid(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"  # echo hello | git hash-object --stdin


def test_an_upload_is_one_commit_and_can_be_downloaded(hub: LoopbackHub, client: HubClient, repo_id: str) -> None:
    newest, first = hub.repos[repo_id].history()
    assert set(first.files) == {".gitattributes"}
    assert set(newest.files) == {".gitattributes", *FILES}
    for name, content in FILES.items():
        assert hub.blobs.content(newest.files[name]) == content
        assert client.run("downloaded", repo_id, name).value == hashlib.sha256(content).hexdigest()
    assert any("/part/" in entry for entry in hub.log)  # the larger one went in parts
    assert any("/put/" in entry for entry in hub.log)


def test_a_repeated_upload_sends_nothing(hub: LoopbackHub, client: HubClient, repo_id: str, folder: Path) -> None:
    before = len(hub.log)
    assert client.run("plain_upload", repo_id, str(folder)).value == hub.repos[repo_id].history()[0].oid
    assert not [entry for entry in hub.log[before:] if entry.startswith("PUT")]
    assert len(hub.repos[repo_id].history()) == 2


def test_a_tree_is_listed_page_by_page(client: HubClient, repo_id: str) -> None:
    assert client.run("listed", repo_id).value == sorted([".gitattributes", "data", *FILES])
    assert client.run("listed", repo_id, "data").value == ["data/a.parquet", "data/b.parquet"]


def test_a_commit_on_another_parent_is_refused(hub: LoopbackHub, client: HubClient, repo_id: str) -> None:
    newest, first = hub.repos[repo_id].history()
    refused = client.run("commit", repo_id, {"a.txt": "a"}, [], first.oid)
    assert refused.code == 1
    assert "412" in refused.stderr
    assert client.run("commit", repo_id, {"a.txt": "a"}, ["data/a.parquet"], newest.oid).code == 0
    assert set(hub.repos[repo_id].history()[0].files) == {".gitattributes", *FILES, "a.txt"} - {"data/a.parquet"}


@pytest.mark.parametrize("status", [500, 503, 429])
def test_an_injected_status_is_returned_as_often_as_requested(
    hub: LoopbackHub, client: HubClient, repo_id: str, folder: Path, status: int
) -> None:
    (folder / "data" / "c.parquet").write_bytes(f"new {status}".encode())
    hub.fail("PUT", "/put/", status=status, times=2, headers={"Retry-After": "7"} if status == 429 else {})
    sent = client.run("plain_upload", repo_id, str(folder))
    assert sent.code == 0, sent.stderr
    assert len(sent.sleeps) == 2  # the client retries an upload by itself


@pytest.mark.parametrize("cut", ["before", "reply"])
def test_an_interrupted_upload_is_retried(
    hub: LoopbackHub, client: HubClient, repo_id: str, folder: Path, cut: str
) -> None:
    (folder / "data" / "c.parquet").write_bytes(f"cut {cut}".encode() * 100)
    hub.fail("PUT", "/put/", cut=cut)
    sent = client.run("plain_upload", repo_id, str(folder))
    assert sent.code == 0, sent.stderr
    assert "data/c.parquet" in hub.repos[repo_id].history()[0].files


def test_an_interrupted_download_resumes(hub: LoopbackHub, client: HubClient, repo_id: str, folder: Path) -> None:
    content = FILES["data/a.parquet"]
    hub.fail("GET", "/get/", cut="body")
    assert client.run("downloaded", repo_id, "data/a.parquet").value == hashlib.sha256(content).hexdigest()
    assert len([fault for fault in hub.faults if fault.times == 0]) == 1


def test_tokens_are_distinguished(hub: LoopbackHub, client: HubClient, repo_id: str) -> None:
    assert client.run("who").value == "alice"
    wrong = client.run("who", environment={"HF_TOKEN": "hf_" + "x" * 34})
    assert wrong.code == 1
    assert "401" in wrong.stderr


def test_an_unknown_request_is_a_server_error(tmp_path: Path) -> None:
    import urllib.error
    import urllib.request

    with LoopbackHub(tmp_path) as hub:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with pytest.raises(urllib.error.HTTPError, match="501") as refusal:
            opener.open(f"{hub.endpoint}/api/spaces", timeout=10)
        refusal.value.close()
        assert len(hub.problems) == 1
