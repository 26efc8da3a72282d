"""A dataset repository on the Hub: its files, uploads, and commits that are made exactly once."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile

from dvm_hf.errors import HubError
from dvm_hf.hub.local_files import LocalFile
from dvm_hf.hub_requests import Made, retried, root

FILES_IN_A_BATCH = 50  # upload URLs expire, so they are requested in batches
# errors of the client if a response lacks required values
INVALID_RESPONSES = (KeyError, TypeError, AttributeError, IndexError, json.JSONDecodeError)
Operation = CommitOperationAdd | CommitOperationDelete


@dataclass(frozen=True)
class RemoteFile:
    """A file on the Hub. oid: the sha256 of a file in LFS storage, or the sha1 of its git blob."""

    size: int
    oid: str

    def has(self, content: LocalFile | bytes) -> bool:
        """Return whether the file has this content."""
        if isinstance(content, LocalFile):
            if self.size != content.size:
                return False
            if len(self.oid) == 64:
                return self.oid == content.sha256
            content = content.source.read_bytes()  # small, because the Hub stores large files in LFS
        if len(self.oid) == 64:
            return self.oid == hashlib.sha256(content).hexdigest()
        return self.oid == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class State:
    """A repository at a revision. head: its latest commit, or None if the revision does not exist."""

    exists: bool = False
    is_private: bool = True
    head: str | None = None
    files: dict[str, RemoteFile] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """The changes of a commit: files to upload, by path, and files to delete."""

    put: Mapping[str, LocalFile | bytes]
    delete: tuple[str, ...] = ()

    def is_in(self, files: dict[str, RemoteFile]) -> bool:
        """Return whether a tree contains all of these changes."""
        has_all = all(path in files and files[path].has(content) for path, content in self.put.items())
        return has_all and not any(path in files for path in self.delete)


class Remote:
    """A repository, with the branch or pull request to push to."""

    def __init__(self, repo_id: str, *, revision: str, wait: Callable[[float], object] = time.sleep) -> None:
        self.repo_id, self.revision, self._wait = repo_id, revision, wait
        self.pull_request_url: str | None = None
        self._api = HfApi(library_name="dvm_hf")
        self._where: dict[str, Any] = {"repo_id": repo_id, "repo_type": "dataset"}
        self._stored: dict[str, CommitOperationAdd] = {}

    def state(self) -> State:
        """Return the repository at the revision. If the revision does not exist, the files are those of main."""
        try:
            info = self._retried(lambda: self._info(self.revision))
        except RepositoryNotFoundError:
            return State()
        except RevisionNotFoundError:
            info = self._retried(lambda: self._info("main"))
            return State(True, bool(info.private), None, self.files(info.sha))
        return State(True, bool(info.private), info.sha, self.files(info.sha))

    def files(self, commit: str) -> dict[str, RemoteFile]:
        """Return the files of a commit, by path."""

        def listed() -> dict[str, RemoteFile]:
            return {
                item.path: RemoteFile(item.size, item.lfs.sha256 if item.lfs else item.blob_id)
                for item in self._api.list_repo_tree(**self._where, recursive=True, revision=commit)
                if isinstance(item, RepoFile)
            }

        return self._retried(listed)

    def create(self, *, private: bool) -> None:
        self._retried(lambda: self._api.create_repo(**self._where, private=private, exist_ok=True))

    def create_branch(self) -> None:
        self._retried(lambda: self._api.create_branch(**self._where, branch=self.revision, exist_ok=True))

    def text(self, path: str, commit: str) -> str:
        """Return the content of a small file."""
        local = self._retried(lambda: self._api.hf_hub_download(**self._where, filename=path, revision=commit))
        return Path(local).read_text(encoding="utf-8", errors="replace")

    def store(self, files: Sequence[LocalFile], *, opens_pull_request: bool) -> None:
        """Upload files that the Hub lacks, without a commit, so that they are not visible yet.

        Those of an object store are copied to scratch one after another.
        """
        for group in [files] if all(file.is_local for file in files) else [[file] for file in files]:
            with ExitStack() as copies:
                self._upload([self._addition(file, copies=copies) for file in group], opens_pull_request)

    def _upload(self, additions: list[CommitOperationAdd], opens_pull_request: bool) -> None:
        self._retried(
            lambda: self._api.preupload_lfs_files(
                **self._where,
                additions=additions,
                revision=self.revision,
                create_pr=opens_pull_request,
                free_memory=False,
            )
        )

    def commit(self, change: Change, *, title: str, parent: str, opens_pull_request: bool = False) -> str:
        """Make one commit on `parent`, and return its hash. It is made once, even if the response is lost.

        Raises the client's error 412 if another commit was made first.
        """
        operations: list[Operation] = [CommitOperationDelete(path, is_folder=False) for path in change.delete]
        operations += [self._addition(content, path) for path, content in change.put.items()]

        def send() -> str:
            made = self._api.create_commit(
                **self._where,
                operations=operations,
                commit_message=title,
                revision=self.revision,
                parent_commit=parent,
                create_pr=opens_pull_request,
            )
            if opens_pull_request and made.pr_revision is not None:
                self.revision, self.pull_request_url = made.pr_revision, made.pr_url
            return str(made.oid)

        def landed() -> str | None:
            if opens_pull_request and not self.follow_pull_request(title):
                return None
            state = self.state()
            return state.head if state.head != parent and change.is_in(state.files) else None

        commit = self._retried(send, landed)
        for path in change.put:
            self._stored.pop(path, None)
        return commit

    def bytes_in_commit(self, file: LocalFile) -> int:
        """Return the size of a file if its bytes are part of the commit; 0 for a file that is in LFS storage.

        file: one that `store` has uploaded.
        """
        is_stored = getattr(self._stored.get(file.path), "_upload_mode", None) == "lfs"  # no public attribute has it
        return 0 if is_stored else file.size

    def follow_pull_request(self, title: str) -> bool:
        """Push to this user's open pull request with this title from now on; return whether there is one."""
        opened = self._retried(lambda: list(self._api.get_repo_discussions(**self._where)))
        open_ones = [each for each in opened if each.is_pull_request and each.status == "open" and each.title == title]
        own_name = self._retried(lambda: self._api.whoami()["name"]) if open_ones else None
        numbers = [each.num for each in open_ones if each.author == own_name]
        if numbers:
            self.revision = f"refs/pr/{max(numbers)}"
            self.pull_request_url = f"{self._api.endpoint}/datasets/{self.repo_id}/discussions/{max(numbers)}"
        return bool(numbers)

    def _addition(
        self, content: LocalFile | bytes, path: str = "", *, copies: ExitStack | None = None
    ) -> CommitOperationAdd:
        """Return the client's object for a file: the one that uploaded it, which records the upload.

        copies: holds the local copies of files of an object store until they are uploaded.
        """
        if isinstance(content, bytes):
            return CommitOperationAdd(path, content)
        if content.path not in self._stored:
            addition = CommitOperationAdd(content.path, content.readable(copies))
            addition.upload_info.sha256 = bytes.fromhex(content.sha256)  # so the client does not hash the file again
            self._stored[content.path] = addition
        return self._stored[content.path]

    def _info(self, revision: str) -> Any:
        return self._api.repo_info(**self._where, revision=revision)

    def _retried(self, action: Callable[[], Made], landed: Callable[[], Made | None] = lambda: None) -> Made:
        def answered() -> Made:
            try:
                return action()
            except (*INVALID_RESPONSES, ValueError) as error:
                if not isinstance(error, INVALID_RESPONSES) and root(error) is not None:
                    raise
                if (made := landed()) is not None:
                    return made
                raise HubError(
                    f"{self.repo_id}: {constants.ENDPOINT} sent a response that is not from a Hub "
                    f"({type(error).__name__}: {error}), perhaps from a proxy or a login page; run the same command "
                    "again to resume when the Hub can be reached"
                ) from None

        return retried(answered, wait=self._wait, landed=landed)
