"""Push a source tree to a private repository, so that its address gives the same clips as the local folder.

The Hub is compared with the local files by size and hash, and only missing files are sent. Up to `FILES_IN_ONE_COMMIT`
files are one commit. With more, the first commit adds the file `INCOMPLETE`, with which the repository cannot be
loaded, and the last one removes it.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import constants

from dvm_hf.errors import ConfigError, DamagedError, SourceError
from dvm_hf.hub.faults import explained
from dvm_hf.hub.listing_check import checked_tree
from dvm_hf.hub.local_files import CARD, LocalFile, hashed_file
from dvm_hf.hub.remote import FILES_IN_A_BATCH, Change, Remote, State
from dvm_hf.hub.source_card import card, is_own_card
from dvm_hf.hub.source_tree import PushedTree
from dvm_hf.hub.target import FILES_IN_ONE_COMMIT, batches, created, require_target, require_token
from dvm_hf.prepared.card import FRONT_MATTER
from dvm_hf.sources.remote.hub_files import INCOMPLETE
from dvm_hf.wording import counted

ATTRIBUTES = ".gitattributes"  # of a new repository
FILES_IN_A_FOLDER, FILES_IN_A_REPOSITORY = 10_000, 100_000  # the most that the Hub recommends
BYTES_IN_ONE_COMMIT = 50_000_000  # of files outside LFS storage, which the client holds in memory
NOTICE = b"The push of these sources is not complete. Run the same `dvm push --sources` again.\n"
DELETE_QUESTION = (
    "{repo_id} has {files} that {data_dir} does not have (first: {first}). They will be deleted there. Continue?"
)


@dataclass(frozen=True)
class SourceReport:
    """The changes of a push of sources, or of a dry run. `commit` is None if nothing was committed.

    address: to load the sources from. sent_bytes: bytes of the files of `sent`.
    """

    repo_id: str
    revision: str
    url: str
    address: str
    commit: str | None
    sent: tuple[str, ...]
    sent_bytes: int
    deleted: tuple[str, ...]
    unchanged: int
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class SourcePush:
    """A push of sources, with its options; see `push_sources`."""

    tree: PushedTree
    remote: Remote
    say: Callable[[str], object]
    hashed: Callable[[int], object]
    files_in_one_commit: int
    bytes_in_one_commit: int
    sent: dict[str, LocalFile] = field(default_factory=dict)  # uploaded files, with their hashes

    def change(self, state: State) -> Change:
        """Return what differs on the Hub: files to send, with their hashes if these were needed, and to delete."""
        contents = self.contents()
        put: dict[str, LocalFile | bytes] = {}
        for path, content in contents.items():
            there = state.files.get(path)
            if isinstance(content, Path):
                file = self._file(path, content, is_hashed=there is not None)
                if there is None or not there.has(file):
                    put[path] = file
            elif there is None or not there.has(content):
                put[path] = content
        kept = {*contents, ATTRIBUTES}
        return Change(put, tuple(sorted(path for path in state.files if path not in kept)))

    def contents(self) -> dict[str, Path | bytes]:
        """Return all files of the repository: sources first, then those that are written for it."""
        texts = {**self.tree.texts, CARD: card(self.tree, self.remote.repo_id, self.remote.revision)}
        return {**dict(sorted(self.tree.files.items())), **texts}

    def send(self, change: Change, head: str) -> str:
        """Upload and commit a change; return the last commit."""
        title = f"Push {counted(len(self.tree.files), 'source file')}"
        files = [file for file in change.put.values() if isinstance(file, LocalFile)]
        texts = {path: content for path, content in change.put.items() if isinstance(content, bytes)}
        chunks = batches(files, self.files_in_one_commit)
        parts = self._stored(next(chunks, []), of=len(files))
        is_single = len(parts) <= 1 and len(change.put) + len(change.delete) <= self.files_in_one_commit
        if is_single and INCOMPLETE not in change.delete:
            return self._commit(Change({**dict(parts[0] if parts else {}), **texts}, change.delete), title, head)
        if INCOMPLETE not in change.delete:
            head = self._commit(Change({INCOMPLETE: NOTICE}), title, head)
        for part in self._parts(parts, chunks, len(files)):
            head = self._commit(Change(part), title, head)
        deleted = [path for path in change.delete if path != INCOMPLETE]
        for some in batches(deleted, self.files_in_one_commit):
            head = self._commit(Change({}, tuple(some)), title, head)
        return self._commit(Change(texts, (INCOMPLETE,)), title, head)

    def _parts(
        self, parts: list[dict[str, LocalFile]], chunks: Iterator[list[LocalFile]], of: int
    ) -> Iterator[dict[str, LocalFile]]:
        """Yield the files of each commit, and upload those of the next ones when the earlier ones are committed."""
        done = sum(map(len, parts))
        yield from parts
        for chunk in chunks:
            yield from self._stored(chunk, done=done, of=of)
            done += len(chunk)

    def _stored(self, chunk: Sequence[LocalFile], *, done: int = 0, of: int) -> list[dict[str, LocalFile]]:
        """Upload files without a commit; return those of each commit, which has a limit for bytes outside LFS."""
        parts, size = list[dict[str, LocalFile]](), 0
        for batch in batches(chunk, FILES_IN_A_BATCH):
            files = [file if file.sha256 else self._file(file.path, file.source, is_hashed=True) for file in batch]
            if not done % self.files_in_one_commit:
                shown = sum(file.size for file in chunk) / 1e6
                last = min(done + self.files_in_one_commit, of)
                self.say(f"Uploading files {done + 1:,}-{last:,} of {of:,}, {shown:,.1f} MB ...")
            self.remote.store(files, opens_pull_request=False)
            self.sent.update((file.path, file) for file in files)
            for file in files:
                added = self.remote.bytes_in_commit(file)
                if not parts or (added and size + added > self.bytes_in_one_commit):
                    parts.append({})
                    size = 0
                size += added
                parts[-1][file.path] = file
            done += len(batch)
        return parts

    def _commit(self, change: Change, title: str, parent: str) -> str:
        for file in change.put.values():
            if isinstance(file, LocalFile) and not file.is_unchanged():
                raise SourceError(
                    f"{file.source}: was replaced during the push; run the same command again when the sources no "
                    "longer change"
                )
        return self.remote.commit(change, title=title, parent=parent)

    def _file(self, path: str, source: Path, *, is_hashed: bool) -> LocalFile:
        try:
            if is_hashed:
                return hashed_file(path, source, self.hashed)
            status = source.stat()
        except OSError as error:
            raise SourceError(f"{source}: cannot be read ({error.strerror}); fix it and push again") from error
        return LocalFile(path, source, status.st_size, "", status.st_mtime_ns)


def push_sources(
    data_dir: Path,
    repo_id: str,
    *,
    revision: str | None = None,
    dry_run: bool = False,
    confirm: Callable[[str], bool] = lambda question: False,
    say: Callable[[str], object] = lambda text: None,
    hashed: Callable[[int], object] = lambda size: None,
    wait: Callable[[float], object] = time.sleep,
    files_in_one_commit: int = FILES_IN_ONE_COMMIT,
    bytes_in_one_commit: int = BYTES_IN_ONE_COMMIT,
) -> SourceReport:
    """Send the files of a source folder or sources file that the Hub lacks, to a repository that is private.

    confirm: asks the user before files on the Hub are deleted. say: prints a message for each step. hashed: called with
    the size in bytes of each block that is read. wait: sleeps between retries.

    Raises SourceError if the sources have a problem, a name that not all systems can hold, or would be scanned
    differently on the Hub; ConfigError if an argument is not allowed, the repository is public or has foreign files;
    DamagedError if the Hub drops files; HubError if the Hub refuses.
    """
    revision = revision or "main"
    require_target(repo_id, revision)
    tree = checked_tree(data_dir, repo_id, others={CARD: 1, ATTRIBUTES: 1})
    remote = Remote(repo_id, revision=revision, wait=wait)
    push = SourcePush(tree, remote, say, hashed, files_in_one_commit, bytes_in_one_commit)
    warnings = _warnings(tree)
    for warning in warnings:
        say(f"Warning: {warning}")
    with explained(repo_id, revision):
        state = remote.state()
        _require_private(repo_id, state)
        _require_own(remote, state)
        if not dry_run:
            require_token(repo_id)
        change = push.change(state)
        if dry_run:
            return _report(push, change, None, warnings)
        _require_consent(tree, repo_id, change, confirm)
        if not state.exists or state.head is None:
            state = created(remote, state, private=True, say=say)
            _require_private(repo_id, state)
            change = push.change(state)
        commit = str(state.head)
        if change.put or change.delete:
            commit = push.send(change, commit)
            _require_sent(push, change, commit)
    return _report(push, change, commit, warnings)


def _require_private(repo_id: str, state: State) -> None:
    if state.exists and not state.is_private:
        raise ConfigError(
            f"{repo_id}: is public, but sources are pushed to private repositories only, because most sets may not be "
            "redistributed; push to a private repository"
        )


def _require_own(remote: Remote, state: State) -> None:
    """Raise ConfigError if a repository has files that no push of sources sent; they would be deleted."""
    others = sorted(state.files.keys() - {ATTRIBUTES, CARD})
    if INCOMPLETE in state.files:
        return
    text = remote.text(CARD, state.head or "main") if CARD in state.files else ""
    is_empty = not FRONT_MATTER.sub("", text.replace("\r\n", "\n")).strip()
    if not is_own_card(text) and (others or not is_empty):
        raise ConfigError(
            f"{remote.repo_id}: has {counted(len(others) + (not is_empty), 'file')} that no push of sources sent "
            f"(first: {(others or [CARD])[0]}); push to another repository"
        )


def _require_consent(tree: PushedTree, repo_id: str, change: Change, confirm: Callable[[str], bool]) -> None:
    deleted = [path for path in change.delete if path != INCOMPLETE]
    if not deleted:
        return
    files = counted(len(deleted), "file")
    question = DELETE_QUESTION.format(repo_id=repo_id, files=files, first=deleted[0], data_dir=tree.data_dir)
    if not confirm(question):
        raise ConfigError(
            f"{repo_id}: nothing was pushed, because {files} would be deleted there (first: {deleted[0]}); list them "
            "with --dry-run, then confirm in the terminal, or pass --yes"
        )


def _require_sent(push: SourcePush, change: Change, commit: str) -> None:
    files, put = push.remote.files(commit), {**change.put, **push.sent}
    lost = [path for path, content in put.items() if path not in files or not files[path].has(content)]
    if lost or any(path in files for path in change.delete):
        raise DamagedError(
            f"{push.remote.repo_id} at {commit}: the Hub lacks files of the push or has other ones (first: "
            f"{(lost or list(change.delete))[0]}); a .gitignore there may list them. Remove it and push again"
        )


def _warnings(tree: PushedTree) -> tuple[str, ...]:
    """Return what the Hub advises against, and what to do."""
    folders = Counter(path.rpartition("/")[0] for path in tree.files)
    found = []
    if (count := sum(folders.values())) > FILES_IN_A_REPOSITORY:
        found.append(
            f"{count:,} files; the Hub recommends at most {FILES_IN_A_REPOSITORY:,} per repository. Push the folders "
            "to several repositories, and list their addresses in a sources file; or store numbered pictures as "
            "lossless videos"
        )
    for folder, count in folders.most_common(1):
        if count > FILES_IN_A_FOLDER:
            more = sum(one > FILES_IN_A_FOLDER for one in folders.values()) - 1
            also = f" (and {counted(more, 'other folder')})" if more else ""
            found.append(
                f"{folder or 'the root'}{also} has {count:,} files; the Hub recommends at most {FILES_IN_A_FOLDER:,} "
                "per folder. Divide the set into several folders, and list them in a sources file"
            )
    return tuple(found)


def _report(push: SourcePush, change: Change, commit: str | None, warnings: tuple[str, ...]) -> SourceReport:
    remote, url = push.remote, f"{constants.ENDPOINT}/datasets/{push.remote.repo_id}"
    return SourceReport(
        repo_id=remote.repo_id,
        revision=remote.revision,
        url=url if remote.revision == "main" else f"{url}/tree/{remote.revision}",
        address=push.tree.address(remote.repo_id, remote.revision),
        commit=commit,
        sent=tuple(change.put),
        sent_bytes=sum(map(_size, change.put.values())),
        deleted=tuple(path for path in change.delete if path != INCOMPLETE),
        unchanged=len(push.tree.files) + len(push.tree.texts) + 1 - len(change.put),
        warnings=warnings,
    )


def _size(content: LocalFile | bytes) -> int:
    return content.size if isinstance(content, LocalFile) else len(content)
