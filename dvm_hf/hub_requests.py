"""Requests to the Hub: which errors come from the Hub or the network, and which of them to retry."""

import re
from collections.abc import Callable
from typing import Any, TypeVar, cast

from huggingface_hub import get_token
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

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


def without_token(text: str) -> str:
    """Remove the token from a text, in case a server or proxy has sent it back."""
    token = get_token()
    return text.replace(token, "hf_***") if token else text
