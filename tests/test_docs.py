"""Every command and every program in README and docs runs, as it stands there."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest

from dvm_hf.synthetic import draw_sources

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SILENT = ("bibtex", "yaml", "json", "html")  # languages that nobody runs
INSTALLS = re.compile(r"python -m pip install -e (\.|\"\.\[[\w,]+\]\")( \S+)*")
RUN_BY_CI = {  # and how it says so
    "python -m pytest": "-m pytest",
    "ruff check .": '/ruff" check .',
    "ruff format --check .": '/ruff" format --check .',
    "mypy": '/mypy"',
}


class Block(NamedTuple):
    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for found in BLOCK.finditer(text)
        if found[1] not in SILENT
    ]


ALL = [block for page in PAGES for block in blocks(page)]
PROGRAMS = [block for block in ALL if block.language == "python"]
COMMANDS = [block for block in ALL if block.language == "sh"]


def commands(block: Block) -> list[str]:
    """Its commands, but for those with which CI sets up the environment that runs this test, and runs it."""
    lines = re.sub(r"\\\n\s*", "", block.text).splitlines()
    parts = [part.strip() for line in lines for part in line.split(" #")[0].split("&&")]
    return [part for part in parts if part and not INSTALLS.fullmatch(part) and part not in RUN_BY_CI]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory as a reader has it: this repository's files, and sources in DVM."""
    folder = tmp_path_factory.mktemp("desk")
    draw_sources(folder / "DVM")
    shutil.copy(folder / "DVM/test_fg_bg_names.txt", folder)
    for name in ("dvm.py", "benchmarks", "examples"):
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    return folder


def run(command: list[str], *, folder: Path) -> None:
    scripts = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    # 3.6.0 asks whether it may run dvm.py; PYTHONPATH: the package of this checkout
    environment = os.environ | {"PATH": scripts, "HF_DATASETS_TRUST_REMOTE_CODE": "1", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, f"{ended.stdout[-2000:]}\n{ended.stderr[-4000:]}"


def test_every_block_has_a_language_that_is_known():
    assert {block.language for block in ALL} <= {"python", "sh"}
    assert PROGRAMS
    assert COMMANDS


def test_continuous_integration_runs_what_this_test_leaves_to_it():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert [command for command, said in RUN_BY_CI.items() if said not in script] == []
    assert "pip install" in script


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_a_program_of_the_docs_runs(block: Block, desk: Path) -> None:
    run([sys.executable, "-c", block.text], folder=desk)


@pytest.mark.parametrize("block", COMMANDS, ids=str)
def test_commands_of_the_docs_run(block: Block, desk: Path) -> None:
    for command in commands(block):
        run(["bash", "-ec", command], folder=desk)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not missing


def test_the_tree_in_the_readme_names_every_module():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    modules = {path.name for path in (ROOT / "dvm_hf").glob("*.py")}
    assert {
        name for name in modules if not re.search(rf"^ +(?:\w+\.py, )?{re.escape(name)}\b", text, re.MULTILINE)
    } == set()
