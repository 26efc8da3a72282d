"""load_dataset("dvm.py") on every supported release of `datasets`."""

import ast
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from conftest import TreeWriter
from datasets import load_dataset
from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES as TABLE
from packaging.version import Version

import dvm_hf
from dvm_hf.dataset.loading import load_arguments, register, unregister

ROOT = Path(__file__).resolve().parents[2]
RUNS_SCRIPTS = Version(datasets.__version__) < Version("4")
WAYS_TO_NAME_IT: list[dict[str, Any]] = (
    [{"path": str(ROOT / "dvm.py"), "trust_remote_code": True}]
    if RUNS_SCRIPTS
    else [{"path": "dvm.py"}, {"path": "dvm"}]
)


@pytest.fixture
def one_still(tree: TreeWriter) -> TreeWriter:
    """A still over one background of 12 frames, for train and for test."""
    for split in ("train", "test"):
        tree.still(split=split)
        tree.background(split=split)
    return tree


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the working directory."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("name", WAYS_TO_NAME_IT, ids=lambda name: Path(name["path"]).name)
def test_the_dataset_is_found_by_its_name(
    one_still: TreeWriter, tmp_path: Path, elsewhere: Path, name: dict[str, Any]
) -> None:
    arguments = name | {"data_dir": str(one_still.root), "split": "test", "clip_length": 5}
    cached = load_dataset(name="test", cache_dir=str(tmp_path / "cache"), **arguments)
    streamed = load_dataset(name="test", streaming=True, **arguments)
    assert [len(row["frames"]) for row in cached] == [len(row["frames"]) for row in streamed] == [5, 5, 2]


def test_the_arguments_name_the_dataset_as_the_readme_does() -> None:
    arguments = load_arguments()
    assert Path(arguments.pop("path")).name == "dvm.py"
    assert arguments == ({"trust_remote_code": True} if RUNS_SCRIPTS else {})


def test_every_name_shares_one_cache_folder(one_still: TreeWriter, tmp_path: Path) -> None:
    folders = {
        datasets.load_dataset_builder(
            name="train", data_dir=str(one_still.root), cache_dir=str(tmp_path), **name
        ).cache_dir
        for name in [*WAYS_TO_NAME_IT, load_arguments()]
    }
    assert len(folders) == 1


def test_a_script_named_dvm_here_makes_no_difference(one_still: TreeWriter, elsewhere: Path) -> None:
    """The repository itself contains a dvm.py, and users run the call there."""
    (elsewhere / "dvm.py").write_text((ROOT / "dvm.py").read_text())
    name = {"path": "dvm.py"} | ({"trust_remote_code": True} if RUNS_SCRIPTS else {})
    rows = load_dataset(name="test", data_dir=str(one_still.root), split="test", streaming=True, clip_length=5, **name)
    assert len(list(rows)) == 3


def test_relative_data_dir_and_home_are_understood(
    load: Callable[..., Any], one_still: TreeWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(one_still.root.parent)
    monkeypatch.setenv("HOME", str(one_still.root.parent))
    for data_dir in (one_still.root.name, f"~/{one_still.root.name}", one_still.root):
        assert len(load("train", data_dir=data_dir, split="train", clip_length=4)) == 3


@pytest.mark.parametrize("streaming", [False, True])
def test_a_call_without_data_dir_uses_synthetic_sources_and_warns(
    load: Callable[..., Any],
    one_still: TreeWriter,
    elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    streaming: bool,
) -> None:
    asked = []

    def stand_in(cache: Path) -> Path:
        asked.append(cache)
        return one_still.root

    monkeypatch.setattr("dvm_hf.dataset.builder.cached_sources", stand_in)
    with pytest.warns(UserWarning, match="no data_dir given") as warned:
        rows = load(clip_length=4, split="train", streaming=streaming)
    assert len(list(rows)) == 3
    text = str(next(entry.message for entry in warned if "no data_dir" in str(entry.message)))
    assert str(one_still.root) in text
    assert "DVM_DATA_DIR" in text
    assert "data_dir=" in text
    assert set(asked) == {Path(datasets.config.HF_DATASETS_CACHE)}
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("streaming", [False, True])
def test_the_environment_names_the_sources(
    load: Callable[..., Any],
    one_still: TreeWriter,
    tmp_path: Path,
    elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    streaming: bool,
) -> None:
    monkeypatch.setenv("DVM_DATA_DIR", str(one_still.root))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(load("train", split="train", clip_length=4, streaming=streaming))) == 3
        other = TreeWriter(tmp_path / "other")
        other.still("another")
        other.background()
        rows = load("train", data_dir=str(other.root), split="train", clip_length=4, streaming=streaming)
        assert {row["foreground_name"] for row in rows} == {"another"}  # the argument comes first


def test_configs_and_splits_can_be_listed(one_still: TreeWriter) -> None:
    arguments = load_arguments()
    path = arguments.pop("path")
    assert datasets.get_dataset_config_names(path, **arguments) == ["train", "test"]
    for name in ("train", "test"):
        found = datasets.get_dataset_split_names(path, name, data_dir=str(one_still.root), **arguments)
        assert found == [name]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the library's csv leaves files open
@pytest.mark.parametrize("streaming", [False, True])
def test_other_builders_keep_working(tmp_path: Path, streaming: bool) -> None:
    (tmp_path / "rows.json").write_text('{"a": 1}\n{"a": 2}\n')
    (tmp_path / "rows.csv").write_text("a\n3\n4\n")
    for builder, values in {"json": [1, 2], "csv": [3, 4]}.items():
        rows = load_dataset(
            builder,
            data_files=str(tmp_path / f"rows.{builder}"),
            split="train",
            streaming=streaming,
            **({} if streaming else {"cache_dir": str(tmp_path / "cache")}),
        )
        assert [row["a"] for row in rows] == values
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "more.csv").write_text("a\n5\n")
    rows = load_dataset("csv", data_dir=str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert rows["a"][:] == [5]


def test_names_are_registered_where_scripts_are_not_run() -> None:
    own = {"dvm.py", "dvm"}
    assert own & TABLE.keys() == (set() if RUNS_SCRIPTS else own)


def test_the_registered_hash_changes_with_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(TABLE)
    for name, entry in before.items():
        monkeypatch.setitem(TABLE, name, entry)  # put back afterwards
    register("99.0.0")
    changed = {name for name in TABLE if TABLE[name] != before.get(name)}
    assert changed == (set() if RUNS_SCRIPTS else {"dvm.py", "dvm"})
    assert all(TABLE[name][0] == before[name][0] for name in changed)
    register(dvm_hf.__version__)
    assert before == TABLE


def test_registering_again_changes_nothing() -> None:
    import datasets.load

    factory = datasets.load.PackagedDatasetModuleFactory
    before = dict(TABLE)
    register(dvm_hf.__version__)
    assert datasets.load.PackagedDatasetModuleFactory is factory
    assert before == TABLE


def test_the_cache_folder_names_the_version(one_still: TreeWriter, tmp_path: Path) -> None:
    builder = datasets.load_dataset_builder(
        name="train", data_dir=str(one_still.root), cache_dir=str(tmp_path), **load_arguments()
    )
    assert dvm_hf.__version__ in Path(builder.cache_dir).parts
    assert str(builder.config.version) == dvm_hf.__version__


def test_the_script_imports_one_name_per_line() -> None:
    """datasets 3.6.0 reads a script's imports as text, with these two patterns, and sees the first name of a line."""
    text = (ROOT / "dvm.py").read_text(encoding="utf-8")
    patterns = (
        r"^import\s+?([^\s\.]+)[^#\r\n]*(?:#\s+From:\s+)?([^\r\n]*)",
        r"^from\s+?([^\s\.]+)(?:[^\s]*)\s+?import\s+?[^#\r\n]*(?:#\s+From:\s+)?([^\r\n]*)",
    )
    seen = [match[0] for pattern in patterns for match in re.findall(pattern, text, flags=re.MULTILINE)]
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert all(len(node.names) == 1 for node in nodes if isinstance(node, ast.Import))
    assert all(node.level == 0 for node in nodes if isinstance(node, ast.ImportFrom))
    assert set(seen) == {"dvm_hf"}


def test_the_script_holds_the_builder() -> None:
    import dvm

    assert dvm.DVM is dvm_hf.DVM
    assert dvm.__version__ == dvm_hf.__version__


@pytest.mark.slow
def test_beside_its_clone_an_editable_install_imports_the_package(tmp_path: Path) -> None:
    """The clone's folder has the package's name, and the script's folder comes first on the path."""
    (tmp_path / "dvm_hf").mkdir()
    (tmp_path / "script.py").write_text("import dvm_hf\nprint(dvm_hf.__version__)\n")
    result = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert result.stdout.strip() == dvm_hf.__version__


@pytest.mark.skipif(RUNS_SCRIPTS, reason="3.6.0 runs the script")
def test_registration_can_be_undone(few_sources: Path) -> None:
    plain: Any = datasets.load.PackagedDatasetModuleFactory.__bases__[1]
    try:
        unregister()
        assert datasets.load.PackagedDatasetModuleFactory is plain
        with pytest.raises(Exception, match=r"dvm\.py"):
            datasets.load_dataset("dvm.py", "train", data_dir=str(few_sources))
    finally:
        register(dvm_hf.__version__)
    assert issubclass(datasets.load.PackagedDatasetModuleFactory, plain)


@pytest.mark.skipif(RUNS_SCRIPTS, reason="3.6.0 runs the script")
@pytest.mark.parametrize("order", ["before", "after"])
def test_another_package_may_replace_the_factory_too(order: str, few_sources: Path) -> None:
    before = datasets.load.PackagedDatasetModuleFactory
    asked = []

    def replace() -> None:
        class Another(datasets.load.PackagedDatasetModuleFactory):
            def get_module(self) -> object:
                asked.append(self.name)
                return super().get_module()

        datasets.load.PackagedDatasetModuleFactory = Another

    try:
        unregister()
        if order == "before":
            replace()
        register(dvm_hf.__version__)
        if order == "after":
            replace()
        datasets.load_dataset_builder("dvm.py", "train", data_dir=str(few_sources))
        datasets.load_dataset_builder("text", data_files=str(Path(__file__)))
        assert "text" in asked
        unregister()
        datasets.load_dataset_builder("text", data_files=str(Path(__file__)))
    finally:
        datasets.load.PackagedDatasetModuleFactory = before
        register(dvm_hf.__version__)


@pytest.mark.slow
def test_the_import_loads_no_library_of_pixels() -> None:
    code = "import datasets, sys; before = set(sys.modules); import dvm_hf; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "dvm_hf.dataset.loading" in loaded
    assert not {"cv2", "av", "PIL", "dvm_hf.dataset.builder"} & set(loaded)


def test_public_names_load_on_first_use() -> None:
    assert dvm_hf.DVM.__module__ == "dvm_hf.dataset.builder"
    assert set(dvm_hf.__all__) <= set(dir(dvm_hf))
    with pytest.raises(AttributeError, match="no_such_name"):
        dvm_hf.no_such_name  # noqa: B018
