"""dvm push against a loopback Hub, with the real clients in separate processes."""

import hashlib
import json
import queue
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import prepare_runs
import pyarrow.parquet as pq
import pytest
from conftest import TreeWriter
from hub_client import Call, HubClient, Result
from loopback_hub import READ_TOKEN, TOKEN, Fault, LoopbackHub
from loopback_repos import Commit, git_oid
from prepared_folder import write_prepared

from dvm_hf.prepared.placeholder_card import PLACEHOLDER_CARD
from dvm_hf.sources.records import Entry

pytestmark = pytest.mark.slow

SHARDS = {"train": 3, "test": 2}
HUB_OPTIONS = {"part_bytes": 14_400, "page": 5}  # small upload parts and small pages of tree listings


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete prepared folder. Tests must not change it."""
    return write_prepared(tmp_path_factory.mktemp("prepared") / "out", shards=SHARDS)


@pytest.fixture
def repo_id(hub: LoopbackHub, request: pytest.FixtureRequest) -> Iterator[str]:
    """A unique name for a repository that does not exist yet; the store has no bytes of other tests."""
    for path in hub.blobs.folder.iterdir():
        if len(path.name) == 64:
            path.unlink()
    hub.faults.clear()
    hub.repos.clear()
    hub.log.clear()
    yield "alice/mattes"
    hub.faults.clear()


@pytest.fixture
def push(client: HubClient, whole: Path, repo_id: str) -> Callable[..., Result]:
    """dvm push of `whole`, or of another folder, to `repo_id`."""

    def call(*options: str, out: Path = whole, **environment: str) -> Result:
        return client.run("command_line", "push", str(out), repo_id, *options, environment=environment)

    return call


def sent_files(out: Path) -> dict[str, bytes]:
    """Return the files of a folder that belong on the Hub."""
    files = [path for path in out.rglob("*") if path.is_file() and ".cache" not in path.parts]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def shards(commit: Commit) -> dict[str, str | None]:
    return {path: entry.sha256 for path, entry in commit.files.items() if path.endswith(".parquet")}


def local_shards(out: Path) -> dict[str, str]:
    found = sent_files(out).items()
    return {path: hashlib.sha256(content).hexdigest() for path, content in found if path.endswith(".parquet")}


def assert_holds(hub: LoopbackHub, commit: Commit, out: Path, *, besides: tuple[str, ...] = ()) -> None:
    """Assert that the commit has the folder's files, by bytes and hashes, and no others."""
    local = sent_files(out)
    assert set(commit.files) == {".gitattributes", *local, *besides}
    for path, content in local.items():
        entry = commit.files[path]
        assert hub.blobs.content(entry) == content
        assert (entry.sha256 or entry.oid) in (hashlib.sha256(content).hexdigest(), git_oid(content))


def assert_never_half(hub: LoopbackHub, repo_id: str, *folders: Path) -> None:
    """Assert that no commit has only some of a folder's shards, unless it has the placeholder card."""
    allowed: list[dict[str, Any]] = [{}, *map(local_shards, folders)]
    for commit in hub.repos[repo_id].commits.values():
        card = hub.blobs.content(commit.files["README.md"]) if "README.md" in commit.files else b""
        assert shards(commit) in allowed or card == PLACEHOLDER_CARD


def assert_done(result: Result) -> None:
    assert result.code == 0, result.stderr
    assert "Traceback" not in result.stderr


def assert_refused(result: Result, *words: str, code: int = 2) -> None:
    assert result.code == code, result.stderr
    (error,) = (line for line in result.stderr.splitlines() if line.startswith("Error: "))
    for word in words:
        assert word in error
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_push_creates_a_private_repository_in_one_commit(
    hub: LoopbackHub, push: Callable[..., Result], repo_id: str, whole: Path
) -> None:
    assert_done(push())
    newest, first = hub.repos[repo_id].history()
    assert hub.repos[repo_id].private
    assert set(first.files) == {".gitattributes"}
    assert_holds(hub, newest, whole)
    assert any("/part/" in entry for entry in hub.log)


@pytest.mark.parametrize("streaming", [True, False])
def test_a_pushed_dataset_loads_with_read_access(
    client: HubClient, push: Callable[..., Result], repo_id: str, whole: Path, streaming: bool
) -> None:
    assert_done(push())
    local = client.run("file_digests", str(whole)).value
    assert {name: len(rows) for name, rows in local.items()} == {"train": 9, "test": 6}
    for split, rows in local.items():
        assert client.run("row_digests", repo_id, split, None, streaming).value == rows


def test_rows_of_videos_are_pushed_and_read_back(
    hub: LoopbackHub, push: Callable[..., Result], repo_id: str, few_sources: Path, tmp_path: Path
) -> None:
    out = tmp_path / "videos"
    prepare_runs.answer(
        few_sources, out, "--encoding", "video", "--config", "test", "--clip-length", "3", "--num-shards", "1"
    )
    result = push("--json", out=out)
    assert_done(result)
    assert json.loads(result.stdout)["rows_compared"] == 2
    assert_holds(hub, hub.repos[repo_id].history()[0], out)


def test_a_second_push_uploads_nothing(hub: LoopbackHub, push: Callable[..., Result], repo_id: str) -> None:
    assert_done(push())
    hub.log.clear()
    again = push("--json")
    assert_done(again)
    answer = json.loads(again.stdout)
    assert (answer["sent"], answer["deleted"], answer["unchanged"]) == ([], [], 17)
    assert answer["commit"] == hub.repos[repo_id].history()[0].oid
    assert answer["rows_compared"] == 4  # the first and the last of two splits
    assert not [entry for entry in hub.log if entry.split()[0] not in ("GET", "HEAD")]
    assert len(hub.repos[repo_id].history()) == 2


def test_a_dry_run_lists_all_and_changes_nothing(
    hub: LoopbackHub, push: Callable[..., Result], repo_id: str, whole: Path
) -> None:
    result = push("--dry-run")
    assert_done(result)
    local = sent_files(whole)
    assert all(f"  {path}\n" in result.stdout for path in local)
    size = sum(map(len, local.values())) / 1000
    assert f"Would upload {len(local)} files, {size:.3g} kB" in result.stdout
    assert hub.repos == {}
    assert not [entry for entry in hub.log if entry.split()[0] not in ("GET", "HEAD")]


def test_a_dry_run_needs_no_write_access(
    hub: LoopbackHub, push: Callable[..., Result], client: HubClient, repo_id: str
) -> None:
    client.run("create_repo", repo_id, False)
    hub.log.clear()
    result = push("--dry-run", "--public", "--json", HF_TOKEN=READ_TOKEN)
    assert_done(result)
    assert len(json.loads(result.stdout)["sent"]) == 17
    assert not [entry for entry in hub.log if entry.split()[0] not in ("GET", "HEAD")]


def test_a_new_build_replaces_only_the_previous_one(
    hub: LoopbackHub, push: Callable[..., Result], client: HubClient, repo_id: str, whole: Path, tmp_path: Path
) -> None:
    assert_done(push())
    client.run("commit", repo_id, {"notes.txt": "theirs", "data/list.csv": "theirs"}, [])
    other = write_prepared(tmp_path / "other", shards={"train": 2, "test": 2}, seed=1)
    shutil.copy(whole / "data/test-00000-of-00002.parquet", tmp_path)  # of the older one, with the same name
    planned = push("--dry-run", "--json", out=other)
    before = hub.repos[repo_id].history()[0]
    done = push("--json", out=other)
    assert_done(done)
    gone = {f"{folder}/train-0000{n}-of-00003.{end}" for n in range(3) for folder, end in FOLDERS}
    gone |= {f"plan/{path.name}" for path in (whole / "plan").glob("*.jsonl")}
    for answer in (json.loads(planned.stdout), json.loads(done.stdout)):
        assert set(answer["deleted"]) == gone
    newest, parent = hub.repos[repo_id].history()[:2]
    assert parent == before  # one commit
    assert_holds(hub, newest, other, besides=("notes.txt", "data/list.csv"))
    assert_never_half(hub, repo_id, whole, other)


FOLDERS = (("data", "parquet"), ("shards", "json"))


@pytest.mark.parametrize(
    "there",
    ["data/train-00000-of-00001.parquet", "x.csv", "manifest.json", "README.md", "plan/train.json"],
)
def test_foreign_files_are_neither_mixed_in_nor_overwritten(
    hub: LoopbackHub, push: Callable[..., Result], client: HubClient, repo_id: str, there: str
) -> None:
    client.run("create_repo", repo_id, True)
    client.run("commit", repo_id, {there: "[]"}, [])
    assert_refused(push(), repo_id, there, "another repository")
    assert len(hub.repos[repo_id].history()) == 2


def test_the_empty_card_of_a_new_repository_is_replaced_and_reported(
    hub: LoopbackHub, push: Callable[..., Result], client: HubClient, repo_id: str, whole: Path
) -> None:
    client.run("create_repo", repo_id, True)
    client.run("commit", repo_id, {"README.md": "---\nlicense: mit\n---\n"}, [])
    assert "Would replace 1 of them:\n  README.md\n" in push("--dry-run").stdout
    result = push("--json")
    assert_done(result)
    assert json.loads(result.stdout)["replaced"] == ["README.md"]
    assert_holds(hub, hub.repos[repo_id].history()[0], whole)


@pytest.mark.parametrize("place", ["/revision/main", "/tree/", "/preupload/"])
def test_a_response_that_is_not_from_a_hub_is_one_sentence(
    hub: LoopbackHub, push: Callable[..., Result], repo_id: str, place: str
) -> None:
    hub.fail("GET|POST", place, status=200, times=99, message="please log in to this network")
    assert_refused(push("--json"), repo_id, "perhaps from a proxy or a login page")


def test_a_commit_with_a_foreign_response_can_be_retried(
    hub: LoopbackHub, push: Callable[..., Result], repo_id: str, whole: Path
) -> None:
    hub.fail("POST", "/commit/", status=200)
    assert_refused(push("--json"), "perhaps from a proxy or a login page")  # it did not land
    assert_done(push())
    assert_holds(hub, hub.repos[repo_id].history()[0], whole)


PASSING_FAULTS = {
    "the first look": Fault("GET", "/revision/main", status=503),
    "creating": Fault("POST", "/repos/create", status=500),
    "creating, reply lost": Fault("POST", "/repos/create", cut="reply"),
    "the tree": Fault("GET", "/tree/", status=502, times=2),
    "preupload": Fault("POST", "/preupload/", status=503),
    "LFS batch": Fault("POST", "/objects/batch", status=500, times=2),
    "an upload fails": Fault("PUT", "/p", status=503, times=3),
    "an upload is cut": Fault("PUT", "/p", cut="before", times=2),
    "an upload's reply is lost": Fault("PUT", "/p", cut="reply"),
    "too many uploads": Fault("PUT", "/p", status=429, headers={"Retry-After": "3"}),
    "commit fails": Fault("POST", "/commit/", status=503, times=4),
    "commit times out": Fault("POST", "/commit/", status=504),
    "commit is cut": Fault("POST", "/commit/", cut="before"),
    "commit's reply is lost": Fault("POST", "/commit/", cut="reply"),
    "unrelated reply to the commit": Fault("POST", "/commit/", cut="answer"),
    "reading back fails": Fault("GET", "/get/", status=503, times=2),
    "reading back is cut": Fault("GET", "/get/", cut="body", times=2),
}


@pytest.mark.parametrize("name", PASSING_FAULTS)
def test_transient_errors_are_retried(
    hub: LoopbackHub, push: Callable[..., Result], repo_id: str, whole: Path, name: str
) -> None:
    fault = PASSING_FAULTS[name]
    hub.fail(fault.method, fault.pattern, times=fault.times, status=fault.status, headers=fault.headers, cut=fault.cut)
    assert_done(push())
    assert hub.faults[0].times == 0
    assert len(hub.repos[repo_id].history()) == 2  # it landed once
    assert_holds(hub, hub.repos[repo_id].history()[0], whole)


def test_a_commit_waits_as_long_as_the_hub_requests(
    hub: LoopbackHub, push: Callable[..., Result], repo_id: str
) -> None:
    hub.fail("POST", "/commit/", status=429, headers={"Retry-After": "11"})
    hub.fail("POST", "/commit/", status=503)
    result = push()
    assert_done(result)
    assert result.sleeps == (11, 2)
    assert len(hub.repos[repo_id].history()) == 2


LASTING_FAULTS = {
    "forbidden": (Fault("POST", "/preupload/", status=403), ["403", "write", "--create-pr"]),
    "the folder's storage is full": (Fault("POST", "/objects/batch", status=402), ["402", "storage"]),
    "a file too large": (Fault("PUT", "/p", status=413), ["413", "smaller shards"]),
    "a commit too large": (Fault("POST", "/commit/", status=413), ["413", "fewer"]),
    "a file not taken": (Fault("POST", "/commit/", status=400), ["400", "dvm verify"]),
    "a long pause": (Fault("POST", "/commit/", status=429, headers={"Retry-After": "4000"}), ["429", "4000 seconds"]),
    "always too many": (Fault("POST", "/commit/", status=429, times=99), ["429", "again"]),
    "out of order": (Fault("POST", "/commit/", status=503, times=99), ["503", "later"]),
    "unknown": (Fault("POST", "/commit/", status=418), ["418"]),
    "no connection": (Fault("GET|POST|PUT", "", cut="before", times=999), ["no connection", "again"]),
    "a token sent back": (Fault("POST", "/commit/", status=403, message=f"{TOKEN} may not"), ["hf_*** may not"]),
}


@pytest.mark.parametrize("name", LASTING_FAULTS)
def test_a_permanent_error_is_one_sentence(
    hub: LoopbackHub, push: Callable[..., Result], repo_id: str, name: str
) -> None:
    fault, words = LASTING_FAULTS[name]
    hub.faults.append(Fault(**vars(fault)))
    result = push("--json")
    assert_refused(result, repo_id, *words)
    assert len(result.sleeps) <= 40
    assert sum(result.sleeps) <= 600
    for repo in hub.repos.values():
        assert not shards(repo.history()[0])


def test_an_invalid_and_a_missing_token_have_different_errors(
    hub: LoopbackHub, push: Callable[..., Result], repo_id: str
) -> None:
    wrong = "hf_" + "w" * 34
    refused = push(HF_TOKEN=wrong)
    assert_refused(refused, "401", "hf auth login")
    assert wrong not in refused.stderr
    assert_refused(push(HF_TOKEN=""), "no token", "hf auth login", "HF_TOKEN")
    assert hub.repos == {}


def test_a_foreign_repository_is_refused(
    hub: LoopbackHub, push: Callable[..., Result], client: HubClient, repo_id: str
) -> None:
    assert_refused(push(HF_TOKEN=READ_TOKEN), "403", "write")  # missing, and it may not be created either
    client.run("create_repo", repo_id, False)
    assert_refused(push("--public", "--yes", HF_TOKEN=READ_TOKEN), "403", "write")
    assert len(hub.repos[repo_id].history()) == 1


def test_a_name_that_hides_a_private_repository_is_refused(
    hub: LoopbackHub, push: Callable[..., Result], client: HubClient, repo_id: str
) -> None:
    client.run("create_repo", repo_id, True)
    assert_refused(push(HF_TOKEN=READ_TOKEN), repo_id)


@pytest.mark.parametrize("name", ["mattes", "a/b/c", "alice/", "alice/has space", "alice/a--b", "../mattes"])
def test_an_invalid_repository_name_is_refused(client: HubClient, whole: Path, name: str) -> None:
    assert_refused(client.run("command_line", "push", str(whole), name), name, "NAMESPACE/NAME")


def test_a_concurrent_commit_is_not_overwritten(
    hub: LoopbackHub, push: Callable[..., Result], repo_id: str, whole: Path
) -> None:
    def commit_first() -> None:
        with hub.lock:
            repo = hub.repos[repo_id]
            head = repo.history()[0]
            files = head.files | {"theirs.txt": hub.blobs.add_regular(b"theirs")}
            repo.commit("refs/heads/main", "theirs", files, parent=head.oid)

    hub.fail("POST", "/commit/", act=commit_first)
    assert_refused(push(), "412", "another commit", "again")
    assert not shards(hub.repos[repo_id].history()[0])
    assert_done(push())
    assert_holds(hub, hub.repos[repo_id].history()[0], whole, besides=("theirs.txt",))


KILLED_AT = {
    "the first look": Fault("GET", "/revision/main", cut="before"),
    "creating": Fault("POST", "/repos/create", cut="before"),
    "created": Fault("POST", "/repos/create", cut="reply"),
    "the empty tree": Fault("GET", "/tree/", cut="reply"),
    "preupload": Fault("POST", "/preupload/", cut="before"),
    "LFS batch": Fault("POST", "/objects/batch", cut="reply"),
    "the first upload": Fault("PUT", "/p", cut="before"),
    "the third upload": Fault("PUT", "/p", skip=2, cut="reply"),
    "the last verification": Fault("POST", "/lfs-verify/", skip=5, cut="reply"),
    "before the commit": Fault("POST", "/commit/", cut="before"),
    "after the commit": Fault("POST", "/commit/", cut="reply"),
    "reading back": Fault("GET", "/get/", cut="body"),
}


def killed(hub: LoopbackHub, fault: Fault, start: Callable[[], Call]) -> Result:
    """Run the call and kill it with SIGKILL at the fault; the server sees the connection end."""
    started: queue.Queue[Call] = queue.Queue()
    hub.faults.append(Fault(**vars(fault) | {"act": lambda: started.get(timeout=30).kill()}))
    call = start()
    started.put(call)
    return call.result()


@pytest.mark.parametrize("moment", KILLED_AT)
def test_a_killed_push_is_invisible_and_resumes(
    hub: LoopbackHub, client: HubClient, push: Callable[..., Result], repo_id: str, whole: Path, moment: str
) -> None:
    start = lambda: client.start("command_line", "push", str(whole), repo_id)  # noqa: E731
    assert killed(hub, KILLED_AT[moment], start).code == -9
    stored = {path.name for path in hub.blobs.folder.iterdir()}
    hub.log.clear()
    assert_done(push())
    assert_holds(hub, hub.repos[repo_id].history()[0], whole)
    assert_never_half(hub, repo_id, whole)
    assert len(hub.repos[repo_id].history()) == 2
    resent = {entry.split("/")[2] for entry in hub.asked("PUT")}
    assert not resent & stored


def test_a_push_of_several_commits_has_a_placeholder_card_until_the_last(
    hub: LoopbackHub, client: HubClient, repo_id: str, whole: Path, tmp_path: Path
) -> None:
    assert_done(client.run("push_in_commits_of", 4, str(whole), repo_id))
    first = hub.repos[repo_id].history()
    assert len(first) == 7  # initial, card and manifest, 4 + 4 + 4 + 1, card
    other = write_prepared(tmp_path / "other", shards={"train": 4, "test": 1}, seed=2)
    for skip in (1, 1):  # after the placeholder card, then after some files
        start = lambda: client.start("push_in_commits_of", 4, str(other), repo_id)  # noqa: E731
        assert killed(hub, Fault("POST", "/commit/", skip=skip, cut="reply"), start).code == -9
    assert_done(client.run("push_in_commits_of", 4, str(other), repo_id))
    assert_holds(hub, hub.repos[repo_id].history()[0], other)
    assert_never_half(hub, repo_id, whole, other)
    for commit in hub.repos[repo_id].history():
        is_whole = shards(commit) in (local_shards(whole), local_shards(other))
        card = hub.blobs.content(commit.files["README.md"]) if "README.md" in commit.files else b""
        is_loadable = client.run("is_loadable", repo_id, commit.oid)
        assert_done(is_loadable)
        assert is_loadable.value is (is_whole and card != PLACEHOLDER_CARD)


def test_a_revision_is_created_and_main_is_unchanged(
    hub: LoopbackHub, push: Callable[..., Result], client: HubClient, repo_id: str, whole: Path
) -> None:
    assert_done(push("--revision", "v2/draft"))
    repo = hub.repos[repo_id]
    assert_holds(hub, repo.history("v2/draft")[0], whole)
    assert set(repo.history("main")[0].files) == {".gitattributes"}
    assert_done(push("--revision", "v2/draft"))
    assert len(repo.commits) == 2
    local = client.run("file_digests", str(whole)).value
    assert client.run("row_digests", repo_id, "test", "v2/draft", True).value == local["test"]
    assert_refused(push("--revision", repo.history()[0].oid), "--revision", "branch")
    assert_refused(push("--revision", "v2", "--create-pr"), "--create-pr", "--revision")


@pytest.mark.parametrize("cut", ["", "reply"])
def test_a_pull_request_is_opened_once_and_needs_no_write_access(
    hub: LoopbackHub, push: Callable[..., Result], client: HubClient, repo_id: str, whole: Path, cut: str
) -> None:
    client.run("create_repo", repo_id, False)
    options = ("--create-pr", "--public", "--yes", "--json")
    if cut:
        hub.fail("POST", "/commit/", cut=cut)
    first, second = push(*options, HF_TOKEN=READ_TOKEN), push(*options, HF_TOKEN=READ_TOKEN)
    for result in (first, second):
        assert_done(result)
        answer = json.loads(result.stdout)
        assert answer["pull_request"].endswith("/discussions/1")
        assert answer["revision"] == "refs/pr/1"
    repo = hub.repos[repo_id]
    assert len(repo.pulls) == 1
    assert_holds(hub, repo.history("refs/pr/1")[0], whole)
    assert set(repo.history("main")[0].files) == {".gitattributes"}


def test_a_foreign_pull_request_is_not_pushed_to(
    hub: LoopbackHub, push: Callable[..., Result], client: HubClient, repo_id: str
) -> None:
    client.run("create_repo", repo_id, False)
    options = ("--create-pr", "--public", "--yes", "--json")
    for number, token in ((1, READ_TOKEN), (2, TOKEN), (1, READ_TOKEN)):  # of one title
        result = push(*options, HF_TOKEN=token)
        assert_done(result)
        assert json.loads(result.stdout)["revision"] == f"refs/pr/{number}"


def test_a_pull_request_needs_a_repository(hub: LoopbackHub, push: Callable[..., Result], repo_id: str) -> None:
    assert_refused(push("--create-pr"), repo_id, "does not exist")
    assert hub.repos == {}


def test_a_public_push_asks_once(
    hub: LoopbackHub, push: Callable[..., Result], repo_id: str, whole: Path, tmp_path: Path
) -> None:
    assert_refused(push("--public"), "yes", "nothing was pushed")  # no terminal to ask
    assert hub.repos == {}
    assert_done(push("--public", "--yes"))
    assert not hub.repos[repo_id].private
    assert_done(push("--public"))
    assert_refused(push(), "is public", "--public")  # public repositories need the option
    assert_refused(push("--dry-run"), "is public", "--public")


def test_sources_that_may_not_be_redistributed_stay_private(
    hub: LoopbackHub, push: Callable[..., Result], repo_id: str, tmp_path: Path
) -> None:
    entries = (Entry("aim", "foregrounds", "adobe", "aim", terms="non-commercial", is_redistributable=False), Entry())
    out = write_prepared(tmp_path / "out", shards={"train": 1}, entries=entries)
    for options in (("--public", "--yes"), ("--public", "--dry-run")):
        assert_refused(push(*options, out=out), "aim (layout 'adobe')", "non-commercial", "omit --public")
    assert hub.repos == {}
    assert_done(push(out=out))
    assert hub.repos[repo_id].private


def test_a_private_repository_stays_private(hub: LoopbackHub, push: Callable[..., Result], repo_id: str) -> None:
    assert_done(push())
    assert_refused(push("--public", "--yes"), "is private", "settings")
    assert hub.repos[repo_id].private


def test_an_incomplete_folder_is_not_uploaded(
    hub: LoopbackHub, push: Callable[..., Result], repo_id: str, whole: Path, tmp_path: Path
) -> None:
    broken = shutil.copytree(whole, tmp_path / "broken")
    shard = broken / "data/train-00001-of-00003.parquet"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    assert_refused(push(out=broken), str(shard), "sha256", "dvm verify", code=1)
    assert hub.repos == {}


def test_a_file_that_changes_during_a_push_is_not_published(
    hub: LoopbackHub, push: Callable[..., Result], repo_id: str, whole: Path, tmp_path: Path
) -> None:
    written_to = shutil.copytree(whole, tmp_path / "written")
    shard = written_to / "data/train-00001-of-00003.parquet"
    hub.fail("POST", "/lfs-verify/", skip=5, act=lambda: shard.write_bytes(b"other"))
    assert_refused(push(out=written_to), str(shard), "changed", code=1)
    assert not shards(hub.repos[repo_id].history()[0])


def test_rows_that_read_back_differently_are_an_error(
    hub: LoopbackHub, push: Callable[..., Result], repo_id: str, whole: Path
) -> None:
    assert_done(push())
    name = "data/train-00002-of-00003.parquet"
    stored = hub.blobs.path(hashlib.sha256((whole / name).read_bytes()).hexdigest())
    image = pq.read_table(whole / name)["frames"].to_pylist()[-1][0]["bytes"]
    content = stored.read_bytes()
    assert image in content
    stored.write_bytes(content.replace(image, bytes(byte ^ 1 for byte in image)))  # without a commit
    assert_refused(push(), name, "last row", code=1)


def test_files_missing_from_the_commit_are_an_error(
    hub: LoopbackHub, push: Callable[..., Result], client: HubClient, repo_id: str
) -> None:
    client.run("create_repo", repo_id, True)
    client.run("commit", repo_id, {".gitignore": "data/test-00001-of-00002.parquet\n"}, [])
    assert_refused(push(), "dropped", ".gitignore", code=1)


@pytest.mark.one_lane  # older clients choose LFS here
def test_a_push_with_xet_is_one_commit(hub: LoopbackHub, repo_id: str, whole: Path, tmp_path: Path) -> None:
    """The client's upload_folder makes several commits here."""
    pytest.importorskip("hf_xet")
    client = HubClient(hub.endpoint, tmp_path / "home", token=TOKEN, xet=True)
    in_lfs = {
        hashlib.sha256(c).hexdigest(): c for p, c in sent_files(whole).items() if p.endswith((".parquet", ".jpg"))
    }

    def rebuild() -> None:
        assert not any(hub.blobs.path(oid).exists() for oid in in_lfs)
        for oid, content in in_lfs.items():
            hub.blobs.path(oid).write_bytes(content)  # like the Hub does for clients without Xet

    hub.xet_folder.mkdir()
    hub.fail("POST", "/commit/", act=rebuild)
    assert_done(client.run("command_line", "push", str(whole), repo_id))
    client.close()
    assert hub.asked("GET", "/xet-write-token/")
    assert not hub.asked("PUT")
    assert len(hub.repos[repo_id].history()) == 2
    assert_holds(hub, hub.repos[repo_id].history()[0], whole)


def test_a_built_dataset_dict_round_trips(
    hub: LoopbackHub, client: HubClient, repo_id: str, tree: TreeWriter, tmp_path: Path
) -> None:
    for split in ("train", "test"):
        tree.still(split=split)
        tree.moving(split=split)
        tree.background(split=split)
    pushed = client.run("push_built", repo_id, str(tree.root), str(tmp_path / "cache"))
    assert pushed.code == 0, pushed.stderr
    assert {name: len(rows) for name, rows in pushed.value.items()} == {"train": 6, "test": 6}
    for split, rows in pushed.value.items():
        for streaming in (True, False):
            assert client.run("row_digests", repo_id, split, None, streaming).value == rows
    assert hub.repos[repo_id].private
