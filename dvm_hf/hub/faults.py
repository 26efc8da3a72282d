"""What can go wrong between here and the Hub: what is worth another try, and a sentence for the rest."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from huggingface_hub import constants, get_token
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError, RevisionNotFoundError

from dvm_hf.errors import HubError

PAUSES_SECONDS = (1, 2, 4, 8, 16)
LONGEST_PAUSE_SECONDS = 300  # a server that asks for more is not waited for
TRANSIENT_STATUSES = (408, 425, 429, 500, 502, 503, 504)

# the base of what the client's HTTP library raises: requests up to huggingface_hub 0.36, httpx after it
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
    """What `action` returns; tried again after `PAUSES_SECONDS`, or after the time that the Hub asks for.

    `landed` is asked after each failure that leaves open whether the action was done: its answer lost, or 412.
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
            if pause is None or not is_transient(cause) or asked_pause(cause) > LONGEST_PAUSE_SECONDS:
                raise
            wait(max(pause, asked_pause(cause)))
    raise AssertionError("the last try returns or raises")


def root(error: BaseException) -> Exception | None:
    """The Hub's or the network's error that `error` is, or was raised from; None where there is none such."""
    while isinstance(error, RuntimeError | ValueError) and not isinstance(error, _LibraryError) and error.__cause__:
        error = error.__cause__
    is_of_the_network = isinstance(error, (_LibraryError, ConnectionError, TimeoutError))
    return cast(Exception, error) if is_of_the_network else None


def status(error: Exception) -> int | None:
    """The HTTP status of an error; None where no answer came."""
    found = getattr(getattr(error, "response", None), "status_code", None)
    return found if isinstance(found, int) else None


def is_transient(error: Exception) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, OfflineModeIsEnabled):
        return False
    return status(error) in (None, *TRANSIENT_STATUSES)


def asked_pause(error: Exception) -> int:
    """Seconds that the answer asks to wait: `Retry-After: 30`, or the `t` of `ratelimit: "api";r=0;t=30`; else 0."""
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or {}
    found = re.fullmatch(r"\s*(\d+)\s*", headers.get("Retry-After") or "")
    if found is None and status(error) == 429:
        found = re.search(r"\bt\s*=\s*(\d+)", headers.get("ratelimit") or "")
    return int(found.group(1)) if found else 0


@contextmanager
def explained(repo_id: str, revision: str) -> Iterator[None]:
    """Errors of the Hub and of the network become a `HubError`, one sentence that says what to do."""
    try:
        yield
    except CLIENT_ERRORS as error:
        cause = root(error)
        if cause is None:
            raise
        raise HubError(without_token(sentence(cause, repo_id=repo_id, revision=revision))) from None


def sentence(error: Exception, *, repo_id: str, revision: str) -> str:
    """What happened and what to do about it."""
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
    said = f"{code}: {getattr(error, 'server_message', None) or type(error).__name__}"
    if code == 413 and "/commit/" in _address(error):
        return f"{where}: the commit is too large for the Hub ({said}); prepare larger, and so fewer, shards"
    advice = ADVICE.get(code, SERVER_ADVICE if code >= 500 else UNKNOWN_ADVICE)
    return f"{where}: {advice.format(said=said, repo_id=repo_id, pause=asked_pause(error) or 'some')}"


def without_token(text: str) -> str:
    """The text without the token, should a server or proxy have sent it back."""
    token = get_token()
    return text.replace(token, "hf_***") if token else text


def _address(error: Exception) -> str:
    return str(getattr(getattr(error, "response", None), "url", ""))


UNKNOWN_ADVICE = "unexpected response from the Hub ({said})"
SERVER_ADVICE = "the Hub failed at each retry ({said}); run the same command again later to resume"
ADVICE = {
    400: "the Hub rejected a file as invalid ({said}); run `dvm verify` on the folder and push again",
    401: "the Hub does not accept the token ({said}); log in with `hf auth login`, or set HF_TOKEN to a valid one",
    402: "the account's storage is used up ({said}); free some or upgrade the plan, then run the same command again",
    403: "the token does not allow this ({said}); use one with write access to {repo_id}, or pass --create-pr",
    404: "not found, or hidden from this token ({said}); check the name, NAMESPACE/NAME, and whose token it is",
    409: "the name is already in use ({said}); choose another name, or run the same command again",
    412: "somebody else committed in the meantime ({said}); nothing of this push is visible, or, for a push in "
    "several commits, the revision cannot be loaded until the push is complete; run the same command again",
    413: "a file is too large for the Hub ({said}); prepare smaller shards, --max-shard-size 5GB",
    429: "too many requests ({said}); wait {pause} seconds and run the same command again to resume",
}
