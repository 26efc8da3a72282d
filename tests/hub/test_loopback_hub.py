"""The loopback Hub, as the real client sees it: what the tests of pushing stand on."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_client import HubClient
from loopback_hub import TOKEN, LoopbackHub
from loopback_repos import git_oid

pytestmark = [pytest.mark.one_lane, pytest.mark.slow]

FILES = {
    "README.md": b"---\nlicense: other\n---\n",
    "data/a.parquet": bytes(range(256)) * 300,
    "data/b.parquet": b"PAR1" * 999,
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackHub]:
    with LoopbackHub(tmp_path_factory.mktemp("hub"), part_bytes=30_000, page=2) as running:
        yield running
        assert running.problems == []


@pytest.fixture(scope="module")
def client(hub: LoopbackHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubClient]:
    made = HubClient(hub.endpoint, tmp_path_factory.mktemp("client") / "home", token=TOKEN)
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_bytes(content)
    return tmp_path / "out"


@pytest.fixture
def repo_id(hub: LoopbackHub, client: HubClient, folder: Path, request: pytest.FixtureRequest) -> str:
    """A repository of the test's own that holds `folder`."""
    name = f"alice/{request.node.name.replace('[', '-').strip(']')[:80]}"
    hub.faults.clear()
    made = client.run("plain_upload", name, str(folder))
    assert made.code == 0, made.stderr
    return name


def test_git_hashes_are_those_of_git() -> None:
    assert git_oid(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"  # git hash-object /dev/null
    assert git_oid(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"  # echo hello | git hash-object --stdin


def test_an_upload_is_one_commit_and_comes_back_by_name(hub: LoopbackHub, client: HubClient, repo_id: str) -> None:
    newest, first = hub.repos[repo_id].history()
    assert set(first.files) == {".gitattributes"}
    assert set(newest.files) == {".gitattributes", *FILES}
    for name, content in FILES.items():
        assert hub.blobs.content(newest.files[name]) == content
        assert client.run("downloaded", repo_id, name).value == hashlib.sha256(content).hexdigest()
    assert any("/part/" in entry for entry in hub.log)  # the larger one went in parts
    assert any("/put/" in entry for entry in hub.log)


def test_an_upload_of_the_same_sends_nothing(hub: LoopbackHub, client: HubClient, repo_id: str, folder: Path) -> None:
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
def test_an_ordered_status_is_answered_as_often_as_ordered(
    hub: LoopbackHub, client: HubClient, repo_id: str, folder: Path, status: int
) -> None:
    (folder / "data" / "c.parquet").write_bytes(f"new {status}".encode())
    hub.fail("PUT", "/put/", status=status, times=2, headers={"Retry-After": "7"} if status == 429 else {})
    sent = client.run("plain_upload", repo_id, str(folder))
    assert sent.code == 0, sent.stderr
    assert len(sent.sleeps) == 2  # the client retries an upload by itself


@pytest.mark.parametrize("cut", ["before", "reply"])
def test_a_cut_upload_is_sent_again(hub: LoopbackHub, client: HubClient, repo_id: str, folder: Path, cut: str) -> None:
    (folder / "data" / "c.parquet").write_bytes(f"cut {cut}".encode() * 100)
    hub.fail("PUT", "/put/", cut=cut)
    sent = client.run("plain_upload", repo_id, str(folder))
    assert sent.code == 0, sent.stderr
    assert "data/c.parquet" in hub.repos[repo_id].history()[0].files


def test_a_cut_download_goes_on_where_it_stopped(
    hub: LoopbackHub, client: HubClient, repo_id: str, folder: Path
) -> None:
    content = FILES["data/a.parquet"]
    hub.fail("GET", "/get/", cut="body")
    assert client.run("downloaded", repo_id, "data/a.parquet").value == hashlib.sha256(content).hexdigest()
    assert len([fault for fault in hub.faults if fault.times == 0]) == 1


def test_tokens_are_told_apart(hub: LoopbackHub, client: HubClient, repo_id: str) -> None:
    assert client.run("who").value == "alice"
    wrong = client.run("who", environment={"HF_TOKEN": "hf_" + "x" * 34})
    assert wrong.code == 1
    assert "401" in wrong.stderr


def test_what_no_client_asks_for_is_a_fault_of_the_server(tmp_path: Path) -> None:
    import urllib.error
    import urllib.request

    with LoopbackHub(tmp_path) as hub:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with pytest.raises(urllib.error.HTTPError, match="501") as refusal:
            opener.open(f"{hub.endpoint}/api/spaces", timeout=10)
        refusal.value.close()
        assert len(hub.problems) == 1
