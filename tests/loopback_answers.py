"""Responses of the loopback Hub, one function per endpoint."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote

from loopback_repos import DATE, LFS_SUFFIXES, Commit, Entry, Repo, listed_file, tree
from loopback_request import Answer, Request, Route, View, ranged, refused

if TYPE_CHECKING:
    from loopback_hub import LoopbackHub


def authorized(request: Request) -> Answer | None:
    """Return the response to an invalid token."""
    if request.token is not None and request.token not in request.hub.users:
        return refused(401, "Invalid credentials in Authorization header")
    return None


def of_repo(*, write: bool = False) -> Callable[[View], View]:
    """Pass the repository instead of its name, if it exists and is readable or writable."""

    def decorated(view: View) -> View:
        def answer(request: Request, repo_id: str, *rest: str) -> Answer:
            if refusal := authorized(request):
                return refusal
            repo = request.hub.repos.get(repo_id)
            is_owner = request.user == repo_id.split("/")[0]
            if repo is None or (repo.private and not is_owner):
                return refused(404 if request.user else 401, "Repository not found", "RepoNotFound")
            may_write = is_owner and request.hub.users[request.token or ""][1] == "write"
            if write and not may_write and "create_pr" not in request.query:
                return refused(403, "You don't have the required permissions")
            with request.hub.lock:
                return view(request, repo, *map(unquote, rest))

        return answer

    return decorated


def of_commit(view: View) -> View:
    """Pass a commit instead of the name of a revision."""

    def answer(request: Request, repo: Repo, revision: str, *rest: str) -> Answer:
        commit = repo.resolve(revision)
        if commit is None:
            return refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return view(request, repo, commit, *rest)

    return answer


def whoami(request: Request) -> Answer:
    if refusal := authorized(request):
        return refusal
    if request.user is None:
        return refused(401, "Invalid username or password.")
    access = {"type": "access_token", "accessToken": {"displayName": "t", "role": "write"}}
    return Answer(200, {"type": "user", "name": request.user, "fullname": request.user, "orgs": [], "auth": access})


def create_repo(request: Request) -> Answer:
    if refusal := authorized(request):
        return refusal
    asked = request.json()
    assert asked["type"] == "dataset"
    owner = asked.get("organization") or request.user
    if request.user is None:
        return refused(401, "Invalid username or password.")
    if owner != request.user or request.hub.users[request.token or ""][1] != "write":
        return refused(403, f"You don't have the rights to create a dataset under the namespace {owner!r}")
    repo_id = f"{owner}/{asked['name']}"
    is_new = repo_id not in request.hub.repos
    if is_new:
        is_private = asked["visibility"] == "private" if "visibility" in asked else bool(asked.get("private"))
        repo = request.hub.repos[repo_id] = Repo(repo_id, is_private)
        attributes = request.hub.blobs.add_regular(b"*.parquet filter=lfs diff=lfs merge=lfs -text\n")
        repo.commit("refs/heads/main", "initial commit", {".gitattributes": attributes}, parent=None)
    url = f"{request.hub.endpoint}/datasets/{repo_id}"
    return Answer(200 if is_new else 409, {"url": url, "name": repo_id, "id": repo_id})


@of_repo()
def repo_info(request: Request, repo: Repo, revision: str = "main") -> Answer:
    commit = repo.resolve(revision)
    if commit is None:
        return refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    siblings = [{"rfilename": path} for path in commit.files]
    if "blobs" in request.query:
        siblings = [
            {"rfilename": item["path"], "size": item["size"], "blobId": item["oid"], "lfs": item.get("lfs")}
            for item in (listed_file(path, entry) for path, entry in commit.files.items())
        ]
    known = {"_id": "6", "id": repo.id, "author": repo.id.split("/")[0], "sha": commit.oid, "private": repo.private}
    more = {"gated": False, "disabled": False, "lastModified": DATE, "createdAt": DATE, "downloads": 0, "likes": 0}
    return Answer(200, known | more | {"tags": [], "siblings": siblings, "xetEnabled": False})


def validate_yaml(request: Request) -> Answer:
    request.json()
    return Answer(200, {"errors": [], "warnings": []})


@of_repo(write=True)
def preupload(request: Request, repo: Repo, revision: str) -> Answer:
    commit = repo.resolve(revision)
    if commit is None:
        return refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    answers = []
    ignored = request.hub.blobs.content(commit.files[".gitignore"]).decode() if ".gitignore" in commit.files else ""
    for file in request.json()["files"]:
        mode = "lfs" if file["path"].endswith(LFS_SUFFIXES) else "regular"
        answer = {"path": file["path"], "uploadMode": mode, "shouldIgnore": file["path"] in ignored.split()}
        if (there := commit.files.get(file["path"])) is not None:
            answer["oid"] = there.sha256 or there.oid
        answers.append(answer)
    return Answer(200, {"files": answers})


@of_repo()
def lfs_batch(request: Request, repo: Repo) -> Answer:
    asked = request.json()
    assert asked["operation"] == "upload"
    if request.user != repo.id.split("/")[0] and "ref" in asked:
        return refused(403, "You don't have the required permissions")
    return Answer(
        200, {"transfer": "basic", "objects": [_lfs_object(request.hub, repo, each) for each in asked["objects"]]}
    )


def _lfs_object(hub: "LoopbackHub", repo: Repo, asked: dict[str, Any]) -> dict[str, Any]:
    oid, size = asked["oid"], asked["size"]
    if hub.blobs.path(oid).is_file():
        return {"oid": oid, "size": size}
    upload = {"href": f"{hub.storage}/put/{oid}", "header": {}}
    if hub.part_bytes is not None and size > hub.part_bytes:
        parts = {str(n + 1): f"{hub.storage}/part/{oid}/{n + 1}" for n in range(-(-size // hub.part_bytes))}
        upload = {"href": f"{hub.storage}/complete/{oid}", "header": {"chunk_size": str(hub.part_bytes)} | parts}
    verify = {"href": f"{hub.endpoint}/lfs-verify/{repo.id}", "header": {}}
    return {"oid": oid, "size": size, "actions": {"upload": upload, "verify": verify}}


@of_repo()
def xet_token(request: Request, repo: Repo, revision: str) -> Answer:
    """hf_xet uses a folder as its server; this Hub cannot read what it stores there."""
    folder, until = f"local://{request.hub.xet_folder}", 4_000_000_000
    headers = {"X-Xet-Cas-Url": folder, "X-Xet-Access-Token": "t", "X-Xet-Token-Expiration": str(until)}
    return Answer(200, {"casUrl": folder, "accessToken": "t", "exp": until}, headers)


@of_repo()
def lfs_verify(request: Request, repo: Repo) -> Answer:
    asked = request.json()
    stored = request.hub.blobs.path(asked["oid"])
    is_there = stored.is_file() and stored.stat().st_size == asked["size"]
    return Answer() if is_there else refused(404, "object not found")


@of_repo(write=True)
def commit(request: Request, repo: Repo, revision: str) -> Answer:
    lines = [json.loads(line) for line in b"".join(request.chunks()).splitlines()]
    header, operations = lines[0]["value"], lines[1:]
    ref = repo.ref_to_commit_to(revision)
    if ref is None:
        return refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    head = repo.commits[repo.refs[ref]]
    if header.get("parentCommit", head.oid) != head.oid:
        return refused(412, "A commit has happened since. Please refresh and try again.")
    files = dict(head.files)
    for operation in operations:
        if refusal := _apply(request.hub, files, operation["key"], operation["value"]):
            return refusal
    opened = {}
    if "create_pr" in request.query:
        repo.pulls.append(header["summary"])
        repo.pull_authors.append(request.user or "")
        ref = f"refs/pr/{len(repo.pulls)}"
        opened = {"pullRequestUrl": f"{request.hub.endpoint}/datasets/{repo.id}/discussions/{len(repo.pulls)}"}
    made = repo.commit(ref, header["summary"], files, parent=head.oid)
    url = f"{request.hub.endpoint}/datasets/{repo.id}/commit/{made.oid}"
    return Answer(200, {"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""} | opened)


def _apply(hub: "LoopbackHub", files: dict[str, Entry], key: str, value: dict[str, Any]) -> Answer | None:
    """Apply one operation of a commit, or refuse it."""
    path = value["path"]
    if key == "file":
        files[path] = hub.blobs.add_regular(base64.b64decode(value["content"]))
    elif key == "lfsFile":
        if not hub.blobs.path(value["oid"]).is_file():
            return refused(400, f"LFS pointer pointed to a file that does not exist: {path}")
        files[path] = hub.blobs.lfs_entry(value["oid"])
    else:
        gone = [name for name in files if name == path or (key == "deletedFolder" and name.startswith(path))]
        if not gone:
            return refused(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
        for name in gone:
            del files[name]
    return None


@of_repo()
@of_commit
def list_tree(request: Request, repo: Repo, commit: Commit, folder: str = "") -> Answer:
    flags = {name: request.query.get(name, "").lower() == "true" for name in ("recursive", "expand")}
    items = tree(commit, folder, **flags)
    if items is None:
        return refused(404, f"{folder} does not exist on {commit.oid}", "EntryNotFound")
    start = int(request.query.get("cursor", 0))
    end = start + request.hub.page
    answer = Answer(200, items[start:end])
    if end < len(items):
        query = "&".join(f"{key}={value}" for key, value in (request.query | {"cursor": str(end)}).items())
        answer.headers["Link"] = f'<{request.hub.endpoint}{request.raw_path}?{query}>; rel="next"'
    return answer


@of_repo()
@of_commit
def paths_info(request: Request, repo: Repo, commit: Commit) -> Answer:
    form = parse_qs(b"".join(request.chunks()).decode())
    is_expanded = form.get("expand", [""])[0].lower() == "true"
    items = {item["path"]: item for item in tree(commit, "", recursive=True, expand=is_expanded) or []}
    return Answer(200, [items[path] for path in form.get("paths", []) if path in items])


@of_repo()
def list_refs(request: Request, repo: Repo) -> Answer:
    def named(prefix: str) -> list[dict[str, str]]:
        return [
            {"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": oid}
            for ref, oid in repo.refs.items()
            if ref.startswith(prefix)
        ]

    return Answer(200, {"branches": named("refs/heads/"), "converts": [], "tags": named("refs/tags/")})


@of_repo()
def list_commits(request: Request, repo: Repo, revision: str) -> Answer:
    known = {"message": "", "date": DATE, "authors": [{"user": "alice"}]}
    return Answer(200, [{"id": made.oid, "title": made.title} | known for made in repo.history(revision)])


@of_repo(write=True)
def create_branch(request: Request, repo: Repo, name: str) -> Answer:
    return _create_ref(repo, f"refs/heads/{name}", request.json().get("startingPoint", "main"))


@of_repo(write=True)
def create_tag(request: Request, repo: Repo, revision: str) -> Answer:
    return _create_ref(repo, f"refs/tags/{request.json()['tag']}", revision)


def _create_ref(repo: Repo, ref: str, revision: str) -> Answer:
    start = repo.resolve(revision)
    if start is None:
        return refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    if ref in repo.refs:
        return refused(409, "Reference already exists")
    repo.refs[ref] = start.oid
    return Answer()


@of_repo()
def list_discussions(request: Request, repo: Repo) -> Answer:
    shared = {"createdAt": DATE, "status": "open", "isPullRequest": True}
    named = {"repo": {"name": repo.id, "type": "dataset"}}
    found = [
        {"num": n + 1, "title": title, "author": {"name": author}} | shared | named
        for n, (title, author) in enumerate(zip(repo.pulls, repo.pull_authors, strict=True))
    ]
    return Answer(200, {"count": len(found), "start": 0, "discussions": found})


@of_repo()
def resolve(request: Request, repo: Repo, revision: str, path: str) -> Answer:
    commit = repo.resolve(revision)
    if commit is None:
        return refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
    named = {"X-Repo-Commit": commit.oid}
    entry = commit.files.get(path)
    if entry is None:
        answer = refused(404, "Entry not found", "EntryNotFound")
        return replace(answer, headers=answer.headers | named)
    if entry.sha256 is None:
        answer = ranged(request, request.hub.blobs.content(entry))
        return replace(answer, headers=answer.headers | named | {"ETag": f'"{entry.oid}"'})
    link = {"Location": f"{request.hub.storage}/get/{entry.sha256}?name={quote(path, safe='')}"}
    link |= {"X-Linked-Size": str(entry.size), "X-Linked-Etag": f'"{entry.sha256}"'}
    return Answer(302, b"", named | link)


_ID = "([^/]+/[^/]+)"
_API = f"/api/datasets/{_ID}"
HUB_ROUTES: tuple[Route, ...] = (
    ("GET", "/api/whoami-v2", whoami),
    ("POST", "/api/repos/create", create_repo),
    ("POST", "/api/validate-yaml", validate_yaml),
    ("GET", _API, repo_info),
    ("GET", f"{_API}/revision/([^/]+)", repo_info),
    ("POST", f"{_API}/preupload/([^/]+)", preupload),
    ("POST", f"/datasets/{_ID}.git/info/lfs/objects/batch", lfs_batch),
    ("GET", f"{_API}/xet-write-token/([^/]+)", xet_token),
    ("POST", f"/lfs-verify/{_ID}", lfs_verify),
    ("POST", f"{_API}/commit/([^/]+)", commit),
    ("GET", f"{_API}/tree/([^/]+)", list_tree),
    ("GET", f"{_API}/tree/([^/]+)/(.+)", list_tree),
    ("POST", f"{_API}/paths-info/([^/]+)", paths_info),
    ("GET", f"{_API}/refs", list_refs),
    ("GET", f"{_API}/commits/([^/]+)", list_commits),
    ("POST", f"{_API}/branch/([^/]+)", create_branch),
    ("POST", f"{_API}/tag/([^/]+)", create_tag),
    ("GET", f"{_API}/discussions", list_discussions),
    ("GET HEAD", f"/datasets/{_ID}/resolve/([^/]+)/(.+)", resolve),
)
