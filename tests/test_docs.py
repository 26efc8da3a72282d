"""Every command and every program in README and docs runs unchanged."""

import json
import re
import shlex
import shutil
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import TreeWriter
from hub_client import HubClient
from loopback_hub import TOKEN, LoopbackHub

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
NOTEBOOK = ROOT / "docs/notebook.ipynb"  # tests/training/test_notebook.py runs it
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
PREPARE = "dvm prepare DVM prepared --num-proc 8 --clip-length 8"
FRAMES = 16  # a window of the default length
VARIABLES = {"SLURM_ARRAY_TASK_ID": "3"}  # that commands name
RUN_ONCE = "dvm preview "  # commands that change nothing but their output: those of several pages run on the first


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
    """A working directory like a reader's: this repository's files, and sources in DVM.

    The sources are as small as the pages allow: a window's frames for crops of 320 px, and 12 clips of the split train,
    because a page builds 12 shards.
    """
    folder = tmp_path_factory.mktemp("desk")
    tree = TreeWriter(folder / "DVM")
    for split, shift in (("train", 0), ("test", 2)):  # a source in both splits would be a finding of `dvm check`
        for number in range(2):
            tree.still(f"still_{number}", split=split, size=(328, 332), value=90 + 80 * number + shift)
        tree.moving(split=split, size=(328, 332 + shift), frames=FRAMES)
        for number in range(4):
            tree.background(f"{number:04d}", split=split, size=(328, 332 + 4 * number + shift), frames=FRAMES)
    pairs = ["image+still_0.png+0000.mp4", "image+still_1.png+0002.mp4", "video+0000+0001.mp4"]
    (folder / "test_fg_bg_names.txt").write_text("\n".join(pairs) + "\n")
    shutil.copy(folder / "test_fg_bg_names.txt", folder / "DVM")
    for name in ("dvm.py", "benchmarks", "examples"):
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture(scope="module")
def reader(desk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubClient]:
    """Processes of a reader who has logged in to a Hub, here a loopback Hub."""
    trusted = {"HF_DATASETS_TRUST_REMOTE_CODE": "1"}  # 3.6.0 asks whether it may run dvm.py
    with LoopbackHub(tmp_path_factory.mktemp("hub")) as hub:
        home = tmp_path_factory.mktemp("reader") / "home"
        client = HubClient(hub.endpoint, home, token=TOKEN, folder=desk, seconds=300, variables=trusted)
        yield client
        client.close()


def run(reader: HubClient, function: str, *arguments: Any) -> None:
    ended = reader.run(function, *arguments)
    assert ended.code == 0, f"{arguments}\n{ended.stdout[-2000:]}\n{ended.stderr[-4000:]}"


def run_command(reader: HubClient, command: str) -> None:
    """Run a command of a page without a shell; it can only be `dvm`, without redirections or pipes."""
    name, *arguments = shlex.split(string.Template(command).substitute(VARIABLES))
    assert name == "dvm", f"no test runs the command {command!r}"
    run(reader, "command_line", *arguments)


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


@pytest.fixture(scope="module")
def has_run() -> set[str]:
    """The commands that have succeeded on an earlier page."""
    return set()


@pytest.mark.slow
@pytest.mark.timeout(900)  # a page has many commands, each with its own limit
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_examples_of_a_page_run_from_top_to_bottom(page: Path, reader: HubClient, has_run: set[str]) -> None:
    texts = [block.text for block in blocks(page)]
    if any("dvm push" in text for text in texts) and not any(PREPARE in text for text in texts):
        run_command(reader, PREPARE)
    for block in blocks(page):
        if block.language == "sh":
            for command in commands(block):
                if not (command.startswith(RUN_ONCE) and command in has_run):
                    run_command(reader, command)
                    has_run.add(command)
        elif page.name != "training.md" and "dvm_hf.torch" not in block.text:  # test_training_docs runs these
            run(reader, "program", block.text)


def test_the_notebook_is_stored_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 8
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []
    assert {name for cell in cells for name in cell["metadata"]} == set()


@pytest.mark.parametrize("page", [*PAGES, NOTEBOOK], ids=lambda page: page.name)
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
