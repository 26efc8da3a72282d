"""Errors of the Hub and the network: which ones to retry, and a message for the others."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from huggingface_hub import constants, get_token
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError, RevisionNotFoundError

from dvm_hf.errors import HubError

PAUSES_SECONDS = (1, 2, 4, 8, 16)
LONGEST_PAUSE_SECONDS = 300  # no retry if the server asks for a longer pause
TRANSIENT_STATUSES = (408, 425, 429, 500, 502, 503, 504)

# base class of the errors of the client's HTTP library: requests up to huggingface_hub 0.36, httpx since then
_ancestors = HfHubHTTPError.__mro__
_LibraryError = cast(type[Exception], _ancestors[_ancestors.index(OSError) - 1])
CLIENT_ERRORS: tuple[type[Exception], ...] = (_LibraryError, OSError, RuntimeError, ValueError)

Made = TypeVar("Made")


def retried(
    action: Callable[[], Made],
    *,
    wait: Callable[[float], object],
    landed: Callable[[], Made | None] = lambda: None,
) -> Made:
    """Return the result of `action`, retried after `PAUSES_SECONDS` or after the pause that the Hub asks for.

    landed: called after each failure that may have happened after the action took effect (a lost response, or 412). It
    returns the result of the action, or None if the action had no effect.
    """
    for pause in (*PAUSES_SECONDS, None):
        try:
            return action()
        except CLIENT_ERRORS as error:
            cause = root(error)
            if cause is None:
                raise
            if (is_transient(cause) or status(cause) == 412) and (made := landed()) is not None:
                return made
            if pause is None or not is_transient(cause) or requested_pause(cause) > LONGEST_PAUSE_SECONDS:
                raise
            wait(max(pause, requested_pause(cause)))
    raise AssertionError("the last attempt returns or raises")


def root(error: BaseException) -> Exception | None:
    """Return the error of the Hub or the network that `error` is or was raised from; None if there is no such error."""
    while isinstance(error, RuntimeError | ValueError) and not isinstance(error, _LibraryError) and error.__cause__:
        error = error.__cause__
    is_of_the_network = isinstance(error, (_LibraryError, ConnectionError, TimeoutError))
    return cast(Exception, error) if is_of_the_network else None


def status(error: Exception) -> int | None:
    """Return the HTTP status of an error; None if there was no response."""
    found = getattr(getattr(error, "response", None), "status_code", None)
    return found if isinstance(found, int) else None


def is_transient(error: Exception) -> bool:
    """Return whether the same request may succeed later."""
    if isinstance(error, OfflineModeIsEnabled):
        return False
    return status(error) in (None, *TRANSIENT_STATUSES)


def requested_pause(error: Exception) -> int:
    """Return the pause in seconds that a response asks for, or 0.

    The headers are `Retry-After: 30`, or the `t` of `ratelimit: "api";r=0;t=30`.
    """
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or {}
    found = re.fullmatch(r"\s*(\d+)\s*", headers.get("Retry-After") or "")
    if found is None and status(error) == 429:
        found = re.search(r"\bt\s*=\s*(\d+)", headers.get("ratelimit") or "")
    return int(found.group(1)) if found else 0


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


def without_token(text: str) -> str:
    """Remove the token from a text, in case a server or proxy has sent it back."""
    token = get_token()
    return text.replace(token, "hf_***") if token else text


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
