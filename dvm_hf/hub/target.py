"""The repository and branch that a push changes: allowed names, the token, and how both are created."""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from huggingface_hub import constants, get_token

from dvm_hf.errors import ConfigError, HubError
from dvm_hf.hub.remote import Remote, State

REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9]([\w.-]*\w)?", re.ASCII)
FILES_IN_ONE_COMMIT = 1000  # the largest commit that the client's own upload of large folders makes
Item = TypeVar("Item")


def require_target(repo_id: str, revision: str) -> None:
    """Raise ConfigError if the Hub does not allow the name of the repository, or the revision is a commit."""
    if not REPO_ID.fullmatch(repo_id) or "--" in repo_id or ".." in repo_id or len(repo_id) > 96:
        raise ConfigError(
            f"REPO_ID {repo_id!r}: must be NAMESPACE/NAME, of at most 96 letters, digits, '_', and single '-' and '.'"
        )
    if constants.REGEX_COMMIT_OID.fullmatch(revision):
        raise ConfigError(f"--revision {revision}: is a commit, to which nothing can be pushed; pass a branch")


def require_token(repo_id: str) -> None:
    if get_token() is None:
        raise HubError(f"{repo_id}: no token to push with; log in with `hf auth login`, or set HF_TOKEN")


def created(remote: Remote, state: State, *, private: bool, say: Callable[[str], object]) -> State:
    """Create the repository, the branch, or both; return the new state."""
    if not state.exists:
        say(f"Creating {remote.repo_id}, {'private' if private else 'public'} ...")
        remote.create(private=private)
        state = remote.state()
    if state.exists and state.head is None:
        say(f"Creating the branch {remote.revision} ...")
        remote.create_branch()
        state = remote.state()
    if state.head is None:
        raise HubError(f"{remote.repo_id}: exists but is hidden from this token; check the name and whose token it is")
    return state


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of `size` items; the last one may be shorter."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
