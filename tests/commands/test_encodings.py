"""File names can contain any character, consoles and pipes cannot; text files are UTF-8 on every system."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_runs import run
from conftest import TreeWriter

ROOT = Path(__file__).resolve().parents[2]
TEXT_CALLS = ("open", "read_text", "write_text", "fdopen")
OTHER_OPENS = ("av", "Image", "os")  # modules whose `open` has no encoding


@pytest.fixture
def japanese(tmp_path: Path) -> Path:
    """A tree in a folder whose name no Western encoding can represent, with names of both kinds and an empty file."""
    tree = TreeWriter(tmp_path / "日本" / "DVM")
    tree.still("日本")
    tree.background("é日", frames=16)
    (tree.root / "fg/image/train/alpha/孤.png").touch()
    return tree.root


CHECKED = ("--config", "train", "--on-error", "skip", "--num-proc", "0")


@pytest.mark.slow
def test_commands_of_their_own_process_escape_characters_outside_the_encoding(japanese: Path) -> None:
    """The streams that Python opens, and logs, which have a stream of their own."""
    out = japanese.parent / "out"
    command = [sys.executable, "-m", "dvm_hf", "prepare", str(japanese), str(out), "--config", "train"]
    command += ["--on-error", "skip", "--clip-length", "4"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "cp1252"}
    prepared = subprocess.run(command, env=environment, capture_output=True, timeout=120)
    assert prepared.returncode == 0, prepared.stderr
    assert rb"\u65e5\u672c" in prepared.stdout
    assert rb"\u65e5\u672c" in prepared.stderr  # logs: too few backgrounds


def test_check_escapes_characters_outside_the_encoding(japanese: Path) -> None:
    checked = run("check", str(japanese), *CHECKED, encoding="latin-1")
    assert (checked.exit_code, checked.stderr_bytes) == (1, b"")
    assert rb"error: fg/image/train/alpha/\u5b64.png: is empty (0 bytes)" in checked.stdout_bytes
    report = json.loads(
        run("check", str(japanese), *CHECKED, "--json", encoding="latin-1").stdout_bytes.decode("ascii")
    )
    assert report["root"] == str(japanese)


def test_prepare_and_verify_escape_characters_outside_the_encoding(japanese: Path) -> None:
    out = japanese.parent / "out"
    options = ("--config", "train", "--on-error", "skip", "--clip-length", "4")
    prepared = run("prepare", str(japanese), str(out), *options, encoding="cp1252")
    assert prepared.exit_code == 0, prepared.stderr
    assert rb"\u65e5\u672c" in prepared.stdout_bytes
    assert run("verify", str(out), encoding="cp1252").exit_code == 0
    (shard,) = (out / "data").glob("*.parquet")
    shard.write_bytes(b"")
    damaged = run("verify", str(out), encoding="cp1252")
    assert damaged.exit_code == 1, damaged.stderr
    assert isinstance(damaged.exception, SystemExit)


def test_characters_of_the_encoding_are_written_unchanged(japanese: Path) -> None:
    assert "fg/image/train/alpha/孤.png" in run("check", str(japanese), *CHECKED).stdout_bytes.decode("utf-8")


def test_an_error_escapes_characters_outside_the_encoding(tmp_path: Path) -> None:
    refused = run("check", str(tmp_path / "無"), encoding="cp1252")
    assert refused.exit_code == 2
    assert rb"\u7121' does not exist" in (refused.stderr_bytes or b"")


def has_no_encoding(call: ast.Call) -> bool:
    """Return whether a call opens a text file in the system's encoding."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    module = getattr(getattr(call.func, "value", None), "id", "")
    if name not in TEXT_CALLS or (name == "open" and module in OTHER_OPENS):
        return False
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    modes = [*call.args, *keywords.values()] if "open" in name else []
    is_binary = any(isinstance(mode, ast.Constant) and "b" in str(mode.value) for mode in modes)
    return not is_binary and "encoding" not in keywords


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("open(path)", True),
        ("open(path, 'w')", True),
        ("path.open('a')", True),
        ("path.read_text()", True),
        ("path.write_text(text)", True),
        ("open(path, 'rb')", False),
        ("path.open(mode='wb')", False),
        ("path.open('a', encoding='utf-8')", False),
        ("path.read_text(encoding='utf-8')", False),
        ("path.read_bytes()", False),
    ],
)
def test_a_text_file_without_an_encoding_is_found(line: str, is_found: bool) -> None:
    (call,) = [node for node in ast.walk(ast.parse(line)) if isinstance(node, ast.Call)]
    assert has_no_encoding(call) == is_found


@pytest.mark.slow
def test_text_files_are_opened_as_utf_8() -> None:
    calls = [
        (path.name, node)
        for path in [ROOT / "dvm.py", *(ROOT / "dvm_hf").rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]
    assert [(name, call.lineno) for name, call in calls if has_no_encoding(call)] == []
