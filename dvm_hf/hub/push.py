"""Push a prepared folder to the Hub. An interrupted push leaves nothing that can be loaded.

load_dataset loads Parquet files in data/ even without a card. All files are therefore uploaded first, without a commit,
and then published in a single commit. With more than `FILES_IN_ONE_COMMIT` files, that commit may time out. In this
case, a placeholder card that lists no data is committed first, then the files, and the final card last.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants

from dvm_hf.errors import ConfigError, DamagedError
from dvm_hf.hub.faults import explained
from dvm_hf.hub.local_files import CARD, MANIFEST, LocalFile, LocalFolder, read_folder, require_complete
from dvm_hf.hub.read_back import Pushed, compared_rows
from dvm_hf.hub.remote import FILES_IN_A_BATCH, Change, Remote, State
from dvm_hf.hub.target import FILES_IN_ONE_COMMIT, batches, created, require_target, require_token
from dvm_hf.prepared.card import FRONT_MATTER
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.manifest import manifest_from_content, read_manifest
from dvm_hf.prepared.placeholder_card import PLACEHOLDER_CARD
from dvm_hf.wording import counted

DATA_SUFFIXES = (".parquet", ".arrow", ".csv", ".tsv", ".jsonl", ".tar", ".zip")  # files that load_dataset loads
PUBLIC_QUESTION = (
    "{repo_id} will be public: anyone can download these images. Adobe's foregrounds and composites of them must not "
    "be redistributed. Push to the public repository?"
)


@dataclass(frozen=True)
class Report:
    """The changes of a push, or of a dry run. `commit` is None if nothing was committed."""

    repo_id: str
    revision: str
    url: str
    public: bool
    commit: str | None
    pull_request: str | None
    sent: tuple[str, ...]
    sent_bytes: int
    replaced: tuple[str, ...]  # files of `sent` that exist on the Hub with other content
    deleted: tuple[str, ...]
    unchanged: int
    left_here: tuple[str, ...]
    rows_compared: int


@dataclass(frozen=True)
class PushOptions:
    """Options of a push. confirm: asks the user before the repository becomes public."""

    public: bool
    revision: str
    create_pr: bool
    confirm: Callable[[str], bool]
    say: Callable[[str], object]
    wait: Callable[[float], object]
    files_in_one_commit: int


def push(
    out: Path,
    repo_id: str,
    *,
    public: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    dry_run: bool = False,
    confirm: Callable[[str], bool] = lambda question: False,
    say: Callable[[str], object] = lambda text: None,
    hashed: Callable[[int], object] = lambda size: None,
    wait: Callable[[float], object] = time.sleep,
    files_in_one_commit: int = FILES_IN_ONE_COMMIT,
) -> Report:
    """Upload the files of the prepared folder `out` that the Hub lacks, then read some rows back and compare them.

    confirm: asks the user before the first public push. say: prints a message for each step. hashed: called with the
    size in bytes of each hashed block. wait: sleeps between retries.

    Raises ConfigError if an argument is not allowed or would replace foreign files, PreparedError if the folder was not
    built by `dvm prepare`, DamagedError if it or the rows read back differ from the manifest, and HubError if the Hub
    refuses.
    """
    options = PushOptions(public, revision or "main", create_pr, confirm, say, wait, files_in_one_commit)
    require_target(repo_id, options.revision)
    _require_main(options)
    require_complete(out)
    remote = Remote(repo_id, revision=options.revision, wait=wait)
    with explained(repo_id, options.revision):
        state = remote.state()
        _require_visibility(repo_id, state, options)
        if not dry_run:
            require_token(repo_id)
        if public:
            _require_redistributable(out, repo_id)
        if not dry_run:
            _require_consent(repo_id, state, options)
        folder = read_folder(out, hashed=hashed)
        change = _change(folder, remote, state)
        if dry_run:
            return _report(folder, remote, state, change, options, commit=None, rows=0)
        commit, change = _pushed(folder, remote, state, options)
    say(f"On the Hub as commit {commit}; reading rows back ...")
    with explained(repo_id, commit):
        rows = compared_rows(folder, Pushed(repo_id, commit, wait))
    return _report(folder, remote, state, change, options, commit=commit, rows=rows)


def _pushed(folder: LocalFolder, remote: Remote, state: State, options: PushOptions) -> tuple[str, Change]:
    """Upload and commit the folder; return the last commit, and the changes."""
    title = f"Push {counted(folder.shard_count, 'shard')}, manifest {folder.manifest_sha256[:12]}"
    opens_pull_request = options.create_pr
    if not state.exists or state.head is None:
        if not state.exists and options.create_pr:
            raise ConfigError(f"{remote.repo_id}: does not exist, so no pull request can be opened; omit --create-pr")
        state = created(remote, state, private=not options.public, say=options.say)
        _require_visibility(remote.repo_id, state, options)
    elif options.create_pr and remote.follow_pull_request(title):  # of an interrupted push
        state, opens_pull_request = remote.state(), False
    commit = str(state.head)
    change = _change(folder, remote, state)
    _store(folder, change, remote, options, opens_pull_request=opens_pull_request)
    for step in _steps(folder, change, state, options.files_in_one_commit):
        for file in folder.files:
            file.require_unchanged()
        commit = remote.commit(step, title=title, parent=commit, opens_pull_request=opens_pull_request)
        opens_pull_request = False
    if not Change({file.path: file for file in folder.files}).is_in(remote.files(commit)):
        raise DamagedError(
            f"{remote.repo_id} at {commit}: the Hub dropped or changed files of the commit; a .gitignore there may "
            "list them; remove it and push again"
        )
    return commit, change


def _change(folder: LocalFolder, remote: Remote, state: State) -> Change:
    """Return the files to upload, and the files of an earlier push to delete.

    Raises ConfigError if foreign files would be loaded with this dataset, or overwritten.
    """
    local = {file.path: file for file in folder.files}
    put = {path: file for path, file in local.items() if path not in state.files or not state.files[path].has(file)}
    owned = _files_of_earlier_push(remote, state) if MANIFEST in put else frozenset(local)
    delete = sorted(path for path in owned - local.keys() if path in state.files)
    others = state.files.keys() - {*local, *delete}
    foreign = sorted(path for path in others if path.endswith(DATA_SUFFIXES if not owned else ".parquet"))
    if foreign:
        raise ConfigError(
            f"{remote.repo_id}: has {counted(len(foreign), 'data file')} that no manifest lists (first: "
            f"{foreign[0]}). This dataset would be mixed with them or hide them; delete them there, or push to "
            "another repository"
        )
    taken = [] if owned else [path for path in put if path in state.files and not _is_free(path, remote, state)]
    if taken:
        raise ConfigError(
            f"{remote.repo_id}: has {counted(len(taken), 'file')} that no earlier push created (first: {taken[0]}). "
            "This push would overwrite them; delete them there, or push to another repository"
        )
    return Change(put, tuple(delete))


def _files_of_earlier_push(remote: Remote, state: State) -> frozenset[str]:
    """Return the files that the manifest on the Hub lists, including the manifest."""
    if MANIFEST not in state.files:
        return frozenset()
    try:
        listed = manifest_from_content(json.loads(remote.text(MANIFEST, state.head or "main")))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ConfigError(
            f"{remote.repo_id}: its {MANIFEST} was not written by `dvm prepare` and would be overwritten; push to "
            "another repository, or delete it there"
        ) from None
    return frozenset(listed.paths)


def _is_free(path: str, remote: Remote, state: State) -> bool:
    """Return whether a file on the Hub can be replaced: only a card without text, as in a new repository."""
    if path != CARD:
        return False
    text = remote.text(path, state.head or "main").replace("\r\n", "\n")
    return text.encode() == PLACEHOLDER_CARD or not FRONT_MATTER.sub("", text).strip()


def _store(
    folder: LocalFolder, change: Change, remote: Remote, options: PushOptions, *, opens_pull_request: bool
) -> None:
    """Upload the files in batches, without a commit."""
    files = [file for file in folder.files if file.path in change.put]
    done = 0
    for batch in batches(files, FILES_IN_A_BATCH):
        size = sum(file.size for file in batch)
        options.say(f"Uploading files {done + 1}-{done + len(batch)} of {len(files)}, {size / 1e6:,.1f} MB ...")
        remote.store(batch, opens_pull_request=opens_pull_request)
        done += len(batch)


def _steps(folder: LocalFolder, change: Change, state: State, limit: int) -> Iterator[Change]:
    """Yield the commits: a single one; or, if it would be too large, a placeholder card, the files, the final card."""
    if not change.put and not change.delete:
        return
    if len(change.put) + len(change.delete) <= limit:
        yield change
        return
    manifest = {
        path: file for path, file in change.put.items() if path == MANIFEST
    }  # lists the files that this push owns
    placeholder = Change({CARD: PLACEHOLDER_CARD, **manifest}, change.delete)
    if not placeholder.is_in(state.files):
        yield placeholder
    final_card = {file.path: file for file in folder.files if file.path == CARD}
    for batch in batches([path for path in change.put if path not in (CARD, MANIFEST)], limit):
        yield Change({path: change.put[path] for path in batch})
    yield Change(dict(final_card))


def _require_main(options: PushOptions) -> None:
    if options.create_pr and options.revision != "main":
        raise ConfigError(
            f"--create-pr with --revision {options.revision}: the Hub opens pull requests only on main; omit one of "
            "them"
        )


def _require_visibility(repo_id: str, state: State, options: PushOptions) -> None:
    """Raise ConfigError if the visibility of an existing repository differs from --public; a push never changes it."""
    if state.exists and not state.is_private and not options.public:
        raise ConfigError(
            f"{repo_id}: is public, so these images would be public, too; pass --public if they may be redistributed, "
            "or push to a private repository"
        )
    if state.exists and state.is_private and options.public:
        raise ConfigError(
            f"{repo_id}: is private, which a push does not change; make it public in its settings on the Hub first, "
            "or omit --public"
        )


def _require_redistributable(out: Path, repo_id: str) -> None:
    """Raise ConfigError if a public push would contain composites of sources that may not be redistributed."""
    manifest = read_manifest(PreparedFolder(out).manifest)
    entries = [entry for split in manifest.splits for entry in manifest.entries(split)]
    for entry in entries:
        if not entry.is_redistributable:
            raise ConfigError(
                f"{repo_id}: composites of {entry.name or entry.layout} (layout {entry.layout!r}) may not be "
                f"redistributed ({entry.terms}); omit --public and push to a private repository"
            )


def _require_consent(repo_id: str, state: State, options: PushOptions) -> None:
    is_first = MANIFEST not in state.files
    if options.public and is_first and not options.confirm(PUBLIC_QUESTION.format(repo_id=repo_id)):
        raise ConfigError(
            f"{repo_id}: nothing was pushed; confirm the first public push in the terminal, or pass --yes"
        )


def _report(
    folder: LocalFolder,
    remote: Remote,
    state: State,
    change: Change,
    options: PushOptions,
    *,
    commit: str | None,
    rows: int,
) -> Report:
    url = f"{constants.ENDPOINT}/datasets/{remote.repo_id}"
    return Report(
        repo_id=remote.repo_id,
        revision=remote.revision,
        url=url if remote.revision == "main" else f"{url}/tree/{remote.revision}",
        public=options.public,
        commit=commit,
        pull_request=remote.pull_request_url,
        sent=tuple(change.put),
        sent_bytes=sum(file.size for file in change.put.values() if isinstance(file, LocalFile)),
        replaced=tuple(path for path in change.put if path in state.files),
        deleted=change.delete,
        unchanged=len(folder.files) - len(change.put),
        left_here=folder.left_here,
        rows_compared=rows,
    )
