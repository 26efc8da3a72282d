"""Retries: how often, how long, and when a failed call was done after all. Whole pushes are in test_hub.py."""

from typing import Any

import pytest

from dvm_hf.hub.faults import asked_pause, is_transient, retried, root


class Answer:
    def __init__(self, status_code: int, headers: dict[str, str]) -> None:
        self.status_code, self.headers = status_code, headers


class Refused(ConnectionError):
    """Stands in for an error of the client: it has a response."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(status)
        self.response = Answer(status, {name.replace("_", "-"): value for name, value in headers.items()})


def outcome(errors: list[Exception], **kwargs: Any) -> tuple[str | None, list[float]]:
    """What a call returns that fails so first, and the waits in between; None where it raises."""
    waits: list[float] = []

    def action() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    try:
        return retried(action, wait=waits.append, **kwargs), waits
    except (OSError, RuntimeError):
        return None, waits


def test_waits_double_and_end() -> None:
    assert outcome([]) == ("done", [])
    assert outcome([Refused(503), ConnectionResetError()]) == ("done", [1, 2])
    assert outcome([TimeoutError() for _ in range(5)]) == ("done", [1, 2, 4, 8, 16])
    assert outcome([Refused(500) for _ in range(6)]) == (None, [1, 2, 4, 8, 16])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413, 418])
def test_what_would_fail_again_is_not_tried_again(status: int) -> None:
    assert outcome([Refused(status)]) == (None, [])


def test_the_hub_may_ask_for_a_longer_pause_but_not_for_any() -> None:
    assert outcome([Refused(429, Retry_After="7"), Refused(503, Retry_After="1")]) == ("done", [7, 2])
    assert outcome([Refused(429, Retry_After="301")]) == (None, [])
    assert asked_pause(Refused(429, ratelimit='"api";r=0;t=55')) == 55
    assert asked_pause(Refused(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")) == 0
    assert asked_pause(TimeoutError()) == 0


def test_a_call_that_was_done_after_all_is_not_made_again() -> None:
    assert outcome([Refused(504), Refused(500)], landed=lambda: "landed") == ("landed", [])
    assert outcome([Refused(412)], landed=lambda: "landed") == ("landed", [])
    assert outcome([Refused(412)], landed=lambda: None) == (None, [])
    assert outcome([Refused(403)], landed=lambda: "landed") == (None, [])


def test_the_error_inside_is_what_counts() -> None:
    wrapped = RuntimeError("Error while uploading")
    wrapped.__cause__ = Refused(503)
    assert root(wrapped) is wrapped.__cause__
    assert outcome([wrapped]) == ("done", [1])
    assert root(RuntimeError("of its own")) is None
    assert root(FileNotFoundError("data")) is None
    assert outcome([RuntimeError("of its own")]) == (None, [])
    assert is_transient(TimeoutError())
