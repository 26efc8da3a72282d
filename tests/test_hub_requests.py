"""Retries: how often, how long, and calls that succeeded despite an error. Complete pushes are in test_hub.py."""

from typing import Any

import pytest

from dvm_hf.hub_requests import is_transient, requested_pause, retried, root


class Answer:
    def __init__(self, status_code: int, headers: dict[str, str]) -> None:
        self.status_code, self.headers = status_code, headers


class Refused(ConnectionError):
    """A stand-in for a client error with a response."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(status)
        self.response = Answer(status, {name.replace("_", "-"): value for name, value in headers.items()})


def outcome(errors: list[Exception], **kwargs: Any) -> tuple[str | None, list[float]]:
    """Return the result of a call that first fails with these errors (None if it raises) and the waits."""
    waits: list[float] = []

    def action() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    try:
        return retried(action, wait=waits.append, **kwargs), waits
    except (OSError, RuntimeError):
        return None, waits


def test_waits_double_up_to_a_limit() -> None:
    assert outcome([]) == ("done", [])
    assert outcome([Refused(503), ConnectionResetError()]) == ("done", [1, 2])
    assert outcome([TimeoutError() for _ in range(5)]) == ("done", [1, 2, 4, 8, 16])
    assert outcome([Refused(500) for _ in range(6)]) == (None, [1, 2, 4, 8, 16])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413, 418])
def test_permanent_errors_are_not_retried(status: int) -> None:
    assert outcome([Refused(status)]) == (None, [])


def test_the_requested_pause_is_bounded() -> None:
    assert outcome([Refused(429, Retry_After="7"), Refused(503, Retry_After="1")]) == ("done", [7, 2])
    assert outcome([Refused(429, Retry_After="301")]) == (None, [])
    assert requested_pause(Refused(429, ratelimit='"api";r=0;t=55')) == 55
    assert requested_pause(Refused(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")) == 0
    assert requested_pause(TimeoutError()) == 0


def test_a_completed_call_is_not_repeated() -> None:
    assert outcome([Refused(504), Refused(500)], landed=lambda: "landed") == ("landed", [])
    assert outcome([Refused(412)], landed=lambda: "landed") == ("landed", [])
    assert outcome([Refused(412)], landed=lambda: None) == (None, [])
    assert outcome([Refused(403)], landed=lambda: "landed") == (None, [])


def test_the_cause_of_an_error_decides() -> None:
    wrapped = RuntimeError("Error while uploading")
    wrapped.__cause__ = Refused(503)
    assert root(wrapped) is wrapped.__cause__
    assert outcome([wrapped]) == ("done", [1])
    assert root(RuntimeError("of its own")) is None
    assert root(FileNotFoundError("data")) is None
    assert outcome([RuntimeError("of its own")]) == (None, [])
    assert is_transient(TimeoutError())
