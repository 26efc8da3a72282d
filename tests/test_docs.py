"""Every command and every program in README and docs runs unchanged."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from loopback_hub import TOKEN, LoopbackHub

from dvm_hf.synthetic.source_tree import draw_sources

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SILENT = ("text", "bibtex", "yaml", "json", "html")  # languages that are not run
INSTALLS = re.compile(r"python -m pip install (-e (\.|\"\.\[[\w,]+\]\")( \S+)*|torch==[\d.]+)")
RUN_BY_CI = {  # and the text in .ci/run
    "dvm demo": "&& dvm demo'",
    "python -m pytest -n auto": "-m pytest -n auto",
    "ruff check .": '/ruff" check .',
    "ruff format --check .": '/ruff" format --check .',
    "mypy": '/mypy"',
}


NEEDS_A_PERSON = ("hf auth login",)  # asks for a token
PREPARE = ["bash", "-ec", "dvm prepare DVM prepared --num-proc 8 --clip-length 8"]


class Block(NamedTuple):
    page: Path
    line: int
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for found in BLOCK.finditer(text)
        if found[1] not in SILENT
    ]


ALL = [block for page in PAGES for block in blocks(page)]


def commands(block: Block) -> list[str]:
    """Return its commands, except those with which CI sets up and runs this test."""
    lines = re.sub(r"\\\n\s*", "", block.text).splitlines()
    parts = [part.strip() for line in lines for part in line.split(" #")[0].split("&&")]
    return [
        part for part in parts if part and not INSTALLS.fullmatch(part) and part not in (*RUN_BY_CI, *NEEDS_A_PERSON)
    ]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory like a reader's: this repository's files, and sources in DVM."""
    folder = tmp_path_factory.mktemp("desk")
    draw_sources(folder / "DVM", scale=0.75)
    shutil.copy(folder / "DVM/test_fg_bg_names.txt", folder)
    for name in ("dvm.py", "benchmarks", "examples"):
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    # `datasets` would ask another host for Parquet exports
    (folder / "sitecustomize.py").write_text("import datasets\ndatasets.config.USE_PARQUET_EXPORT = False\n")
    return folder


@pytest.fixture(scope="module")
def environment(desk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a reader who has logged in to a Hub, here a loopback Hub."""
    with LoopbackHub(tmp_path_factory.mktemp("hub")) as hub:
        kept = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "no_proxy")}
        yield kept | {
            "PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{desk}",  # the package of this checkout
            "HF_DATASETS_TRUST_REMOTE_CODE": "1",  # 3.6.0 asks whether it may run dvm.py
            "HF_ENDPOINT": hub.endpoint,
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "NO_PROXY": "127.0.0.1",
            "SLURM_ARRAY_TASK_ID": "3",
        }


def run(command: list[str], *, folder: Path, environment: dict[str, str]) -> None:
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, f"{command}\n{ended.stdout[-2000:]}\n{ended.stderr[-4000:]}"


def test_every_block_has_a_known_language():
    assert {block.language for block in ALL} <= {"python", "sh"}
    assert len(ALL) > 8


def test_blocks_without_a_language_are_not_code(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("```sh\ndvm demo\n```\n\n```\ndvm push\n```\n\n```text\nhours\n```\n")
    assert [(block.line, block.language) for block in blocks(tmp_path / "page.md")] == [(1, "sh"), (5, "")]


def test_continuous_integration_runs_the_blocks_skipped_here():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert [command for command, said in RUN_BY_CI.items() if said not in script] == []
    assert "pip install" in script


@pytest.mark.slow
@pytest.mark.timeout(900)  # a page has many commands, each with its own limit
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_examples_of_a_page_run_from_top_to_bottom(page: Path, desk: Path, environment: dict[str, str]) -> None:
    if "dvm push" in page.read_text(encoding="utf-8") and page.name != "README.md":
        run(PREPARE, folder=desk, environment=environment)
    for block in blocks(page):
        if block.language == "sh":
            for command in commands(block):
                run(["bash", "-ec", command], folder=desk, environment=environment)
        elif page.name != "training.md" and "dvm_hf.torch" not in block.text:  # test_training_docs runs these
            run([sys.executable, "-c", block.text], folder=desk, environment=environment)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_point_to_existing_files(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not missing


def test_the_package_layout_names_every_folder_and_existing_modules() -> None:
    text, package = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), ROOT / "dvm_hf"
    listed = dict(re.findall(r"^    ([\w/]+)/ (.*(?:\n {8,}.*)*)", text[text.index("\ndvm_hf/\n") :], re.MULTILINE))
    folders = {path.parent.relative_to(package).as_posix() for path in package.rglob("*/__init__.py")}
    assert listed.keys() == folders
    named = {f"{folder}/{name}" for folder, line in listed.items() for name in re.findall(r"\b(\w+\.py)\b", line)}
    assert [name for name in sorted(named) if not (package / name).exists()] == []
    assert {name.split("/")[0] for name in named} == {folder.split("/")[0] for folder in folders}


def test_the_data_flow_names_existing_modules_and_their_contents() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Data flow\n")[1].split("\n## ")[0]
    steps = re.findall(r"^([a-z_]+(?:\.[A-Za-z_]+)+) ", text, re.MULTILINE)
    assert len(steps) > 10
    for step in steps:
        path = (ROOT / "dvm_hf").joinpath(*step.split(".")).with_suffix(".py")
        defined = path.exists() or re.search(
            rf"^(def|class) {path.stem}\b", path.parent.with_suffix(".py").read_text(encoding="utf-8"), re.MULTILINE
        )
        assert defined, step
