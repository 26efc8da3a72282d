"""docs/troubleshooting.md has every error text of the package."""

import ast
import functools
import re
from pathlib import Path

import pytest

import dvm_hf
from dvm_hf.check.rules import RULES

pytestmark = pytest.mark.one_lane

PACKAGE = Path(dvm_hf.__file__).parent
TEXT = (PACKAGE.parent / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
PAGE = " ".join(TEXT.split())
ERRORS = (
    "MetricsError",
    "EnvironmentFault",
    "SourceError",
    "HDRStill",
    "DamagedStill",
    "MachineError",
    "FetchError",
    "ConfigError",
    "PredictionError",
    "PreparedError",
    "DamagedError",
    "TemporaryRemoved",
    "HubError",
    "StoreError",
)
NOTERS = ("note", "remark", "ValueError", "append", "refuse", "fault")  # calls with the text of a problem
FIX = "; "  # before what to do: a function that returns such a text returns that of an error
TELLING = 12  # characters; shorter parts between two names are not distinctive


@functools.cache
def syntax_tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def raised() -> list[tuple[str, list[str]]]:
    """Return where each error with a text is raised, and the constant parts of the text."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(syntax_tree(path)):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                text = node.exc.args[0]
                if getattr(node.exc.func, "id", "") in ERRORS and isinstance(text, ast.JoinedStr | ast.Constant):
                    found.append((f"{path.stem}:{node.lineno}", pieces(text)))
    return found


def noted() -> list[tuple[str, list[str]]]:
    """Like `raised`, for texts about a line of a pair list or a source, which become parts of errors."""
    found = []
    layouts = (f"sources/layouts/{path.stem}" for path in sorted((PACKAGE / "sources/layouts").glob("*.py")))
    modules = """
        entries folder_scan known_layouts name_lists name_pairing pair_lists sources_file splits tree yaml_nodes
    """.split()
    for name in (*(f"sources/{module}" for module in modules), *layouts):
        for node in ast.walk(syntax_tree(PACKAGE / f"{name}.py")):
            texts: list[ast.expr] = []
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in NOTERS:
                texts = [text for argument in node.args for text in ast.walk(argument)]
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("text", "rule"):
                texts = [node.value]
            elif isinstance(node, ast.Return) and FIX in "".join(map("".join, map(pieces, texts_in(node)))):
                texts = texts_in(node)
            for text in texts:
                if (
                    isinstance(text, ast.JoinedStr | ast.Constant)
                    and len("".join(pieces(text)).strip(" :;(")) >= TELLING
                ):
                    found.append((f"{name}:{text.lineno}:{text.col_offset}", pieces(text)))
    return found


def texts_in(node: ast.AST) -> list[ast.JoinedStr | ast.Constant]:
    """Return the texts of a node, each formatted text once and not by its parts."""
    if isinstance(node, ast.JoinedStr | ast.Constant):
        return [node]
    return [text for inner in ast.iter_child_nodes(node) for text in texts_in(inner)]


def pieces(text: ast.JoinedStr | ast.Constant) -> list[str]:
    values = text.values if isinstance(text, ast.JoinedStr) else [text]
    return [str(value.value) for value in values if isinstance(value, ast.Constant)]


def test_every_error_can_be_searched_for() -> None:
    errors = [*raised(), *noted()]
    assert len(errors) > 300
    assert [
        f"{place}: docs/troubleshooting.md lacks {part!r}" for place, part in map(longest, errors) if part not in PAGE
    ] == []


def longest(error: tuple[str, list[str]]) -> tuple[str, str]:
    """Return the place of an error, and the longest part of its text that names do not change."""
    place, parts = error
    telling = [part.strip(" :;(") for part in parts if len(part.strip(" :;(")) >= TELLING]
    return place, max(telling or parts, key=len)


def test_every_error_of_the_package_is_collected() -> None:
    """By the text of the files only: each `raise Name("` or `raise Name(f"`, except texts joined with `+`."""
    sources = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    written = {
        f"{path.stem}:{text.count(chr(10), 0, match.start()) + 1}"
        for path, text in sources.items()
        for match in re.finditer(r"\braise (\w+)\(\s*f?\"(?![^\"\n]*\" \+)", text)
        if match[1] in ERRORS
    }
    assert written - {place for place, _ in raised()} == set()


def test_texts_about_sources_and_lines_are_collected() -> None:
    texts = {" ".join(parts) for _, parts in noted()}
    for words in (
        "is empty (0 bytes); copy it again",
        "is a broken link; fix or remove it",
        "has a name that",
        "has no usable",
        "are the validation split of the published code",
        "points outside the source folder",
        "has the same name as",
        "is not valid YAML",
        "has no known layout with",
        "include and exclude leave none of its",
        "write KIND+FOREGROUND+BACKGROUND",
    ):
        assert any(words in text for text in texts), words


SECTIONS = dict(
    re.findall(r"^### (Error|Warning|Note)s:(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
)  # the rows of each severity


@pytest.mark.parametrize("code", RULES)
def test_every_finding_is_in_the_section_of_its_severity(code: str) -> None:
    assert [name.lower() for name, rows in SECTIONS.items() if f"| `{code}` |" in rows] == [RULES[code].severity]


@pytest.mark.parametrize("code", RULES)
def test_every_finding_is_on_the_page_verbatim(code: str) -> None:
    rule = RULES[code]
    for text in (rule.text, rule.hint):
        assert re.sub(r"\{[^}]*\}", "…", text) in PAGE
    assert f"| `{code}` |" in PAGE
