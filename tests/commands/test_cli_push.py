"""The confirmation before a push and the report after it. Pushes themselves are in test_hub.py."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_runs import run

from dvm_hf.commands import push as cli_push
from dvm_hf.errors import ConfigError, DamagedError, HubError, PreparedError
from dvm_hf.hub.push import Report

REPORT = Report(
    repo_id="alice/mattes",
    revision="main",
    url="https://hub.example/datasets/alice/mattes",
    public=True,
    commit="a" * 40,
    pull_request=None,
    sent=("README.md", "manifest.json"),
    sent_bytes=1234,
    replaced=("README.md",),
    deleted=tuple(f"data/train-{n:05d}-of-00012.parquet" for n in range(12)),
    unchanged=5,
    left_here=("notes.txt",),
    rows_compared=4,
)


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments that reach `push`; in place of it, a question and a report."""
    arguments: dict[str, Any] = {}

    def stand_in(out: Path, repo_id: str, **kwargs: Any) -> Report:
        arguments.update(kwargs, out=out, repo_id=repo_id)
        kwargs["say"]("on the way")
        arguments["answer"] = kwargs["confirm"]("Push them for all to see?")
        return REPORT

    monkeypatch.setattr(cli_push, "push", stand_in)
    return arguments


@pytest.mark.parametrize(("typed", "answer"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_a_terminal_asks_for_confirmation(
    pushed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, answer: bool
) -> None:
    monkeypatch.setattr(cli_push, "is_at_a_terminal", lambda: True)
    result = run("push", str(tmp_path), "alice/mattes", "--public", typed=typed)
    assert result.exit_code == 0, result.output
    assert pushed["answer"] is answer
    assert "Push them for all to see? [y/N]" in result.stderr


def test_without_a_terminal_there_is_no_prompt(pushed: dict[str, Any], tmp_path: Path) -> None:
    assert run("push", str(tmp_path), "alice/mattes", "--public").exit_code == 0
    assert pushed["answer"] is False
    assert run("push", str(tmp_path), "alice/mattes", "--public", "--yes").exit_code == 0
    assert pushed["answer"] is True


def test_options_reach_the_push(pushed: dict[str, Any], tmp_path: Path) -> None:
    run("push", str(tmp_path), "alice/mattes", "--public", "--revision", "v2", "--create-pr", "--dry-run")
    wanted = {"out": tmp_path, "repo_id": "alice/mattes", "public": True, "revision": "v2"}
    assert wanted | {"create_pr": True, "dry_run": True} == {
        name: pushed[name] for name in (*wanted, "create_pr", "dry_run")
    }


def test_the_report_names_deleted_and_unchanged_files(pushed: dict[str, Any], tmp_path: Path) -> None:
    words = run("push", str(tmp_path), "alice/mattes").stdout
    assert "Uploaded 2 files, 1.23 kB; 5 unchanged." in words
    assert "Replaced 1 of them:\n  README.md\n" in words
    assert "Deleted 12 files of the previous push:" in words
    assert "data/train-00009-of-00012.parquet\n  and 2 more\n" in words
    assert "notes.txt" in words
    assert "https://hub.example/datasets/alice/mattes (public)" in words
    assert f"Commit {'a' * 40}; 4 rows" in words
    planned = run("push", str(tmp_path), "alice/mattes", "--dry-run").stdout
    assert all(name in planned for name in (*REPORT.sent, *REPORT.deleted))  # all of them, where it is a plan
    assert "Commit" not in planned


def test_the_json_report_is_one_object_on_stdout(pushed: dict[str, Any], tmp_path: Path) -> None:
    result = run("push", str(tmp_path), "alice/mattes", "--json")
    answer = json.loads(result.stdout)
    assert (answer["commit"], answer["sent_bytes"], answer["left_here"]) == ("a" * 40, 1234, ["notes.txt"])
    assert "on the way" in result.stderr


@pytest.mark.parametrize(("error", "code"), [(DamagedError, 1), (PreparedError, 2), (HubError, 2), (ConfigError, 2)])
def test_errors_have_one_sentence_and_an_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Callable[[str], Exception], code: int
) -> None:
    def refuse(*arguments: Any, **kwargs: Any) -> Report:
        raise error("what is wrong, and what to do")

    monkeypatch.setattr(cli_push, "push", refuse)
    result = run("push", str(tmp_path), "alice/mattes", "--json")
    assert result.exit_code == code
    assert result.stderr.strip() == "Error: what is wrong, and what to do"
    assert result.stdout == ""


def test_an_error_starts_on_a_line_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bars of huggingface_hub that several threads update can leave the cursor within a line."""

    def stand_in(*_: Any, **kwargs: Any) -> Report:
        kwargs["say"]("Uploading files 1-6 of 6 ...")
        sys.stderr.write("\rUpload 6 LFS files:  83%|########  | 5/6")
        raise HubError("alice/mattes at main: out of order (503)")

    monkeypatch.setattr(cli_push, "push", stand_in)
    result = run("push", str(tmp_path), "alice/mattes")
    assert result.exit_code == 2
    assert "Error: alice/mattes at main: out of order (503)" in result.stderr.splitlines()
