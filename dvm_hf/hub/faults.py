"""Messages about errors of the Hub and the network during a push: what happened, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants
from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError, RevisionNotFoundError

from dvm_hf.errors import HubError
from dvm_hf.hub_requests import CLIENT_ERRORS, requested_pause, root, status, without_token


@contextmanager
def explained(repo_id: str, revision: str) -> Iterator[None]:
    """Convert errors of the Hub and the network to a `HubError` that says what to do."""
    try:
        yield
    except CLIENT_ERRORS as error:
        cause = root(error)
        if cause is None:
            raise
        raise HubError(without_token(sentence(cause, repo_id=repo_id, revision=revision))) from None


def sentence(error: Exception, *, repo_id: str, revision: str) -> str:
    """Return a message about an error: what happened, and what to do."""
    code, where = status(error), f"{repo_id} at {revision}"
    if isinstance(error, OfflineModeIsEnabled):
        return f"{repo_id}: offline mode is on; unset HF_HUB_OFFLINE to push"
    if isinstance(error, RevisionNotFoundError):
        return f"{repo_id}: has no revision {revision!r}; pass a branch, or omit --revision for main"
    if isinstance(error, RepositoryNotFoundError):
        code = 404
    if code is None:
        return (
            f"{repo_id}: no connection to {constants.ENDPOINT} ({type(error).__name__}: {error}); check the network "
            "and any proxy, then run the same command again to resume"
        )
    reason = f"{code}: {getattr(error, 'server_message', None) or type(error).__name__}"
    if code == 413 and "/commit/" in _address(error):
        return f"{where}: the commit is too large for the Hub ({reason}); prepare fewer, larger shards"
    message = MESSAGES.get(code, SERVER_MESSAGE if code >= 500 else UNKNOWN_MESSAGE)
    return f"{where}: {message.format(reason=reason, repo_id=repo_id, pause=requested_pause(error) or 'some')}"


def _address(error: Exception) -> str:
    return str(getattr(getattr(error, "response", None), "url", ""))


UNKNOWN_MESSAGE = "unexpected response from the Hub ({reason})"
SERVER_MESSAGE = "the Hub failed at each retry ({reason}); run the same command again later to resume"
MESSAGES = {
    400: "the Hub rejected a file as invalid ({reason}); run `dvm verify` on the folder and push again",
    401: "the Hub does not accept the token ({reason}); log in with `hf auth login`, or set HF_TOKEN to a valid one",
    402: "the account's storage is full ({reason}); free some or upgrade the plan, then run the same command again",
    403: "the token does not allow this ({reason}); use one with write access to {repo_id}, or pass --create-pr",
    404: "not found, or hidden from this token ({reason}); check the name, NAMESPACE/NAME, and whose token it is",
    409: "the name is already in use ({reason}); choose another name, or run the same command again",
    412: "another commit was made in the meantime ({reason}). Nothing of this push is visible; if it needs several "
    "commits, the revision cannot be loaded until the push is complete. Run the same command again",
    413: "a file is too large for the Hub ({reason}); prepare smaller shards, --max-shard-size 5GB",
    429: "too many requests ({reason}); wait {pause} seconds and run the same command again to resume",
}
