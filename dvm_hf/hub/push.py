"""Push a prepared folder to the Hub, so that a push cut short leaves nothing that loads.

Parquet files under data/ are a dataset to `load_dataset` with or without a card. So all bytes are stored first, in no
commit, and one commit then shows all files at once. Above `FILES_IN_ONE_COMMIT` files a commit may outlast the Hub's
patience: then a card that names no data hides the files, commits bring them, and the true card comes last.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from huggingface_hub import constants, get_token

from dvm_hf.errors import ConfigError, DamagedError, HubError
from dvm_hf.hub.faults import explained
from dvm_hf.hub.local_files import CARD, MANIFEST, LocalFile, LocalFolder, read_folder, require_whole
from dvm_hf.hub.read_back import Pushed, compared_rows
from dvm_hf.hub.remote import FILES_IN_A_BATCH, Change, Remote, State
from dvm_hf.prepared.card import FRONT_MATTER, HIDING_CARD
from dvm_hf.prepared.manifest import manifest_from_content
from dvm_hf.wording import counted

FILES_IN_ONE_COMMIT = 1000  # the largest that the client's own upload of large folders made
DATA_SUFFIXES = (".parquet", ".arrow", ".csv", ".tsv", ".jsonl", ".tar", ".zip")  # what load_dataset takes for data
REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9]([\w.-]*\w)?", re.ASCII)
Item = TypeVar("Item")
PUBLIC_QUESTION = (
    "{repo_id} will be public: anyone can download these images. Adobe's foregrounds and composites of them must not "
    "be redistributed. Push to the public repository?"
)


@dataclass(frozen=True)
class Report:
    """What a push did, or under dry_run would do. `commit` is None where nothing was committed yet."""

    repo_id: str
    revision: str
    url: str
    public: bool
    commit: str | None
    pull_request: str | None
    sent: tuple[str, ...]
    sent_bytes: int
    replaced: tuple[str, ...]  # those of `sent` that have other bytes there
    deleted: tuple[str, ...]
    unchanged: int
    left_here: tuple[str, ...]
    rows_compared: int


@dataclass(frozen=True)
class Wishes:
    """How to push: to which revision, seen by whom; `confirm` asks before anything becomes public."""

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
    """Send what the Hub has not got of the prepared folder `out`; read some rows back and compare them.

    `confirm` is asked before a first public push, `say` told each step, `hashed` the bytes of each block hashed, `wait`
    sleeps between tries. Raises ConfigError (the call is wrong), DamagedError (the folder, or what came back, is not
    as the manifest says) and HubError (the Hub refuses).
    """
    wishes = Wishes(public, revision or "main", create_pr, confirm, say, wait, files_in_one_commit)
    _require_names(repo_id, wishes)
    require_whole(out)
    remote = Remote(repo_id, revision=wishes.revision, wait=wait)
    with explained(repo_id, wishes.revision):
        state = remote.state()
        _require_visibility(repo_id, state, wishes)
        if not dry_run:
            _require_token(repo_id)
            _require_consent(repo_id, state, wishes)
        folder = read_folder(out, hashed=hashed)
        change = _change(folder, remote, state)
        if dry_run:
            return _report(folder, remote, state, change, wishes, commit=None, rows=0)
        commit, change = _pushed(folder, remote, state, wishes)
    say(f"On the Hub as commit {commit}; reading rows back ...")
    with explained(repo_id, commit):
        rows = compared_rows(folder, Pushed(repo_id, commit, wait))
    return _report(folder, remote, state, change, wishes, commit=commit, rows=rows)


def _pushed(folder: LocalFolder, remote: Remote, state: State, wishes: Wishes) -> tuple[str, Change]:
    """The commit that holds all of `folder`, and what had to be changed for it."""
    title = f"Push {counted(folder.shard_count, 'shard')}, manifest {folder.manifest_sha256[:12]}"
    opens_pull_request = wishes.create_pr
    if not state.exists or state.head is None:
        state = _made_room(remote, state, wishes)
    elif wishes.create_pr and remote.follow_pull_request(title):  # of a push that was cut short
        state, opens_pull_request = remote.state(), False
    commit = str(state.head)
    change = _change(folder, remote, state)
    _store(folder, change, remote, wishes, opens_pull_request=opens_pull_request)
    for step in _steps(folder, change, state, wishes.files_in_one_commit):
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


def _made_room(remote: Remote, state: State, wishes: Wishes) -> State:
    """Create the repository, the branch, or both."""
    if not state.exists:
        if wishes.create_pr:
            raise ConfigError(
                f"{remote.repo_id}: does not exist, so that no pull request can be opened; omit --create-pr"
            )
        wishes.say(f"Creating {remote.repo_id}, {'public' if wishes.public else 'private'} ...")
        remote.create(private=not wishes.public)
        state = remote.state()
        _require_visibility(remote.repo_id, state, wishes)
    if state.exists and state.head is None:
        wishes.say(f"Creating the branch {remote.revision} ...")
        remote.create_branch()
        state = remote.state()
    if state.head is None:
        raise HubError(f"{remote.repo_id}: exists but is hidden from this token; check the name and whose token it is")
    return state


def _change(folder: LocalFolder, remote: Remote, state: State) -> Change:
    """What makes the tree at `state` hold `folder`: files to put, and files of an older push to delete.

    Raises ConfigError where files of others would be loaded with ours, or overwritten.
    """
    local = {file.path: file for file in folder.files}
    put = {path: file for path, file in local.items() if path not in state.files or not state.files[path].has(file)}
    ours = _files_of_older_push(remote, state) if MANIFEST in put else frozenset(local)
    delete = sorted(path for path in ours - local.keys() if path in state.files)
    others = state.files.keys() - {*local, *delete}
    foreign = sorted(path for path in others if path.endswith(DATA_SUFFIXES if not ours else ".parquet"))
    if foreign:
        raise ConfigError(
            f"{remote.repo_id}: has {counted(len(foreign), 'data file')} that no manifest lists (first: "
            f"{foreign[0]}), and that would be mixed with this dataset or hidden by it; delete them there, or push to "
            "another repository"
        )
    taken = [] if ours else [path for path in put if path in state.files and not _is_free(path, remote, state)]
    if taken:
        raise ConfigError(
            f"{remote.repo_id}: has {counted(len(taken), 'file')} that no earlier push created (first: {taken[0]}), "
            "and that would be overwritten; delete them there, or push to another repository"
        )
    return Change(put, tuple(delete))


def _files_of_older_push(remote: Remote, state: State) -> frozenset[str]:
    """What the manifest on the Hub lists, itself included."""
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
    """Whether a file that is there may be replaced: a card without any text, which a new repository has."""
    if path != CARD:
        return False
    text = remote.text(path, state.head or "main").replace("\r\n", "\n")
    return text.encode() == HIDING_CARD or not FRONT_MATTER.sub("", text).strip()


def _store(folder: LocalFolder, change: Change, remote: Remote, wishes: Wishes, *, opens_pull_request: bool) -> None:
    """Send the bytes, a batch at a time."""
    files = [file for file in folder.files if file.path in change.put]
    done = 0
    for batch in _batches(files, FILES_IN_A_BATCH):
        size = sum(file.size for file in batch)
        wishes.say(f"Storing files {done + 1}-{done + len(batch)} of {len(files)}, {size / 1e6:,.1f} MB ...")
        remote.store(batch, opens_pull_request=opens_pull_request)
        done += len(batch)


def _steps(folder: LocalFolder, change: Change, state: State, limit: int) -> Iterator[Change]:
    """The commits to make: one; or, where that were too large, a card that hides, the files, the card that shows."""
    if not change.put and not change.delete:
        return
    if len(change.put) + len(change.delete) <= limit:
        yield change
        return
    manifest = {path: file for path, file in change.put.items() if path == MANIFEST}  # says which files are ours
    hiding = Change({CARD: HIDING_CARD, **manifest}, change.delete)
    if not hiding.is_in(state.files):
        yield hiding
    shown_last = {file.path: file for file in folder.files if file.path == CARD}
    for batch in _batches([path for path in change.put if path not in (CARD, MANIFEST)], limit):
        yield Change({path: change.put[path] for path in batch})
    yield Change(dict(shown_last))


def _batches(items: list[Item], size: int) -> Iterator[list[Item]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def _require_names(repo_id: str, wishes: Wishes) -> None:
    if not REPO_ID.fullmatch(repo_id) or "--" in repo_id or ".." in repo_id or len(repo_id) > 96:
        raise ConfigError(
            f"REPO_ID {repo_id!r}: must be NAMESPACE/NAME, of at most 96 letters, digits, '_', and single '-' and '.'"
        )
    if constants.REGEX_COMMIT_OID.fullmatch(wishes.revision):
        raise ConfigError(f"--revision {wishes.revision}: is a commit, to which nothing can be pushed; pass a branch")
    if wishes.create_pr and wishes.revision != "main":
        raise ConfigError(
            f"--create-pr with --revision {wishes.revision}: the Hub opens pull requests only on main; omit one of them"
        )


def _require_token(repo_id: str) -> None:
    if get_token() is None:
        raise HubError(f"{repo_id}: no token to push with; log in with `hf auth login`, or set HF_TOKEN")


def _require_visibility(repo_id: str, state: State, wishes: Wishes) -> None:
    """A push shows nothing by accident, and never changes who may see a repository."""
    if state.exists and not state.is_private and not wishes.public:
        raise ConfigError(
            f"{repo_id}: is public, and so would be these images; pass --public if they may be redistributed, or push "
            "to a private repository"
        )
    if state.exists and state.is_private and wishes.public:
        raise ConfigError(
            f"{repo_id}: is private, which a push does not change; make it public in its settings on the Hub first, "
            "or omit --public"
        )


def _require_consent(repo_id: str, state: State, wishes: Wishes) -> None:
    is_first = MANIFEST not in state.files
    if wishes.public and is_first and not wishes.confirm(PUBLIC_QUESTION.format(repo_id=repo_id)):
        raise ConfigError(
            f"{repo_id}: nothing was pushed; confirm the first public push in the terminal, or pass --yes"
        )


def _report(
    folder: LocalFolder, remote: Remote, state: State, change: Change, wishes: Wishes, *, commit: str | None, rows: int
) -> Report:
    url = f"{constants.ENDPOINT}/datasets/{remote.repo_id}"
    return Report(
        repo_id=remote.repo_id,
        revision=remote.revision,
        url=url if remote.revision == "main" else f"{url}/tree/{remote.revision}",
        public=wishes.public,
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
