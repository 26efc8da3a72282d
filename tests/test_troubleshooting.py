"""docs/troubleshooting.md has every text that the package can end with."""

import ast
import re
from pathlib import Path

import pytest

import dvm_hf
from dvm_hf.check.findings import RULES

PACKAGE = Path(dvm_hf.__file__).parent
PAGE = " ".join((PACKAGE.parent / "docs" / "troubleshooting.md").read_text(encoding="utf-8").split())
ERRORS = ("SourceError", "ConfigError", "PreparedError", "DamagedError", "LostTemporary", "HubError")
TELLING = 12  # characters; shorter pieces between two names tell nothing


def raised() -> list[tuple[str, list[str]]]:
    """Where each error with a text of its own is raised, and the constant pieces of the text."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                text = node.exc.args[0]
                if getattr(node.exc.func, "id", "") in ERRORS and isinstance(text, ast.JoinedStr | ast.Constant):
                    found.append((f"{path.stem}:{node.lineno}", pieces(text)))
    return found


def pieces(text: ast.JoinedStr | ast.Constant) -> list[str]:
    values = text.values if isinstance(text, ast.JoinedStr) else [text]
    return [str(value.value) for value in values if isinstance(value, ast.Constant)]


@pytest.mark.parametrize(("place", "parts"), raised(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_error_can_be_searched_for(place: str, parts: list[str]) -> None:
    telling = [part.strip(" :;(") for part in parts if len(part.strip(" :;(")) >= TELLING]
    longest = max(telling or parts, key=len)
    assert longest in PAGE, f"{place}: docs/troubleshooting.md lacks {longest!r}"


def test_errors_are_found_at_all() -> None:
    assert len(raised()) > 25


@pytest.mark.parametrize("code", RULES)
def test_every_finding_stands_on_the_page_in_its_own_words(code: str) -> None:
    rule = RULES[code]
    for text in (rule.text, rule.advice):
        assert re.sub(r"\{[^}]*\}", "…", text) in PAGE
    assert f"| `{code}` |" in PAGE
