"""Source trees in dataset repositories on the Hub: list the files of a commit, and fetch them.

The contents are "sha256:HEX" for files in LFS or Xet storage, and "git:HEX", git's SHA-1, for the small ones in the
repository itself. Both are the names under which `huggingface_hub` stores them.
"""

import hashlib
import re
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.tqdm import disable_progress_bars

from dvm_hf.errors import ConfigError, FetchError, SourceError
from dvm_hf.hub_requests import CLIENT_ERRORS, is_transient, retried, root, status, without_token
from dvm_hf.sources.remote.listed_tree import RemoteFile

SCHEME = "hf://"
INCOMPLETE = ".dvm_hf_incomplete"  # a file that a repository has while its sources are pushed in several commits
COMMIT = re.compile(r"[0-9a-f]{40}")
CHUNK = 1 << 20


class HubFolder(NamedTuple):
    """A folder of a dataset repository. revision: branch, tag or commit. path: of the folder, "" for all files."""

    repo_id: str
    revision: str
    path: str

    @property
    def address(self) -> str:
        return f"{SCHEME}datasets/{self.repo_id}@{self.revision}{'/' * bool(self.path)}{self.path}"


def hub_folder(address: str) -> HubFolder:
    """Parse hf://datasets/USER/NAME[@REVISION][/PATH]; raises ConfigError. %2F in a revision is a slash."""
    kind, user, name, *path = [*address.removeprefix(SCHEME).split("/"), "", ""]
    name, at, revision = name.partition("@")
    if kind != "datasets" or not user or not name or (at and not revision):
        raise ConfigError(
            f"{address}: is not the address of a data set on the Hub; write hf://datasets/USER/NAME, "
            "hf://datasets/USER/NAME@REVISION or either with /PATH"
        )
    return HubFolder(f"{user}/{name}", unquote(revision) or "main", "/".join(filter(None, path)))


def pinned(folder: HubFolder) -> HubFolder:
    """Return the folder with the commit that its revision is at now. A commit needs no request."""
    if COMMIT.fullmatch(folder.revision):
        return folder

    def commit() -> str:
        info = HfApi().dataset_info(folder.repo_id, revision=folder.revision, expand=["sha"])
        return str(info.sha)

    try:
        return folder._replace(revision=retried(commit, wait=time.sleep))
    except CLIENT_ERRORS as error:
        raise _fault(folder, folder.address, error) from error


def listed(folder: HubFolder) -> list[RemoteFile]:
    """Return the files of a folder of a commit, with paths relative to it. One request lists up to 1,000 of them.

    Raises SourceError if the folder is a repository whose push is not complete.
    """
    prefix = f"{folder.path}/" * bool(folder.path)

    def files() -> list[RemoteFile]:
        items = HfApi().list_repo_tree(
            folder.repo_id, folder.path or None, recursive=True, revision=folder.revision, repo_type="dataset"
        )
        return [
            RemoteFile(
                item.path.removeprefix(prefix),
                item.size,
                f"git:{item.blob_id}" if item.lfs is None else f"sha256:{item.lfs.sha256}",
            )
            for item in items
            if isinstance(item, RepoFile)
        ]

    try:
        found = retried(files, wait=time.sleep)
    except CLIENT_ERRORS as error:
        raise _fault(folder, folder.address, error) from error
    if any(file.path == INCOMPLETE for file in found):
        raise SourceError(
            f"{folder.address}: the push of these sources is not complete; run the same `dvm push --sources` again, or "
            "pass an earlier commit as @REVISION"
        )
    return found


def fetched(folder: HubFolder, file: RemoteFile, cache: Path) -> Path:
    """Return the path of a file's content in the cache of `huggingface_hub` in a folder; fetch it if it is missing.

    Raises SourceError if its size or hash differs from the listing, FetchError if there is no connection.
    """
    disable_progress_bars("huggingface_hub.http_get")  # there are many small files
    where = f"{folder.address}/{file.path}"
    path = f"{folder.path}/{file.path}" if folder.path else file.path

    def content() -> Path:
        pointer = hf_hub_download(
            folder.repo_id, path, revision=folder.revision, repo_type="dataset", cache_dir=cache / "hub"
        )
        return Path(pointer).resolve()

    for is_last in (False, True):
        try:
            stored = retried(content, wait=time.sleep)
        except CLIENT_ERRORS as error:
            if not _is_other_size(error):
                raise _fault(folder, where, error) from error
            # huggingface_hub before 1.0 would go on behind these bytes
            for part in (cache / "hub").glob(f"*/blobs/{file.content.partition(':')[2]}*.incomplete"):
                part.unlink(missing_ok=True)
        else:
            if (stored.stat().st_size, _digest(stored, file)) == file[1:]:
                return stored
            stored.unlink()
        if is_last:
            raise SourceError(
                f"{where}: the bytes that the Hub sends differ from the size or hash that it lists; upload the file "
                "again"
            )
    raise AssertionError("the last attempt returns or raises")


def _is_other_size(error: Exception) -> bool:
    """Return whether the client received another number of bytes than announced: an OSError without a number."""
    return root(error) is None and isinstance(error, OSError) and error.errno is None


def _digest(path: Path, file: RemoteFile) -> str:
    """Return the content's name, computed from the bytes."""
    kind = file.content.partition(":")[0]
    digest = hashlib.sha256() if kind == "sha256" else hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            digest.update(chunk)
    return f"{kind}:{digest.hexdigest()}"


def _fault(folder: HubFolder, where: str, error: Exception) -> SourceError:
    """Return the error of a request that failed for good."""
    if isinstance(error, SourceError):
        return error
    cause = root(error)
    shown = without_token(f"{type(cause or error).__name__}: {cause or error}".splitlines()[0])
    if isinstance(cause, OfflineModeIsEnabled):
        return FetchError(f"{where}: is not in the cache, and offline mode is on; unset HF_HUB_OFFLINE")
    if isinstance(cause, RevisionNotFoundError):
        return SourceError(f"{where}: {folder.repo_id} has no revision {folder.revision!r}; correct it, or omit it")
    if isinstance(cause, RepositoryNotFoundError) or (cause is not None and status(cause) in (401, 403, 404)):
        return FetchError(  # no fault of a source, which `on_error="skip"` would skip
            f"{where}: not found on the Hub, or hidden from this token; check the address, and log in with `hf auth "
            "login` or set HF_TOKEN"
        )
    if cause is None or is_transient(cause):
        return FetchError(
            f"{where}: could not be fetched from {constants.ENDPOINT} ({shown}); check the network and run the same "
            "command again. Files that were fetched are kept"
        )
    return SourceError(f"{where}: unexpected response from the Hub ({shown})")
