"""Imports point down only: a module may import its own layer and the layers below it."""

import ast
import functools
import graphlib
from pathlib import Path

import pytest

import dvm_hf

pytestmark = pytest.mark.one_lane

PACKAGE = Path(dvm_hf.__file__).parent
LAYERS = (  # from the bottom; a folder includes all of its modules
    {"errors", "wording"},
    {
        *("addresses", "environment", "freed_memory", "hub_requests", "machine_faults", "open_iterators"),
        *("worker_pool", "worker_processes", "versions"),
    },
    {"media"},
    {"metrics", "pages"},
    {"sources", "synthetic"},
    {"clips"},
    {"dataset"},
    {"check", "evaluation", "prepared", "preview", "training"},
    {"hub", "reproduce", "torch"},
    {"commands"},
    {"cli", "entry"},
    {"__init__", "__main__"},
)
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}
BETWEEN_NEIGHBOURS = {  # imports from one folder of a layer to another one
    ("prepared", "preview"),  # the picture on the dataset card
}
TORCH_PACKAGES = {"torch", "torchdata", "kornia", "torchvision", "accelerate", "lightning"}
NEEDS_TORCH = {"torch", "training"}
PUBLIC = {"metrics"}  # folders whose __init__ exports names
KNOWS_PYAV = {"media", "versions"}  # versions only reads the versions of its libraries
VERSION_IMPORT = {
    (user, "__init__")
    for user in (
        "cli",
        "dataset.builder",
        "evaluation.results_page",
        "prepared.engines.ray_task",
        "preview.html_page",
    )
}


@functools.cache
def imports(path: Path) -> set[str]:
    """Return the full name of every module that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: a relative import"
            assert node.module
            is_own = node.module.split(".")[0] == "dvm_hf"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} if is_own else {node.module}
    return found


def own_imports(path: Path) -> set[str]:
    """Return the modules of the package that a file imports; the package itself counts as its `__init__`."""
    found = {name for name in imports(path) if name.split(".")[0] == "dvm_hf"}
    return {_longest_module(name.split(".")[1:]) for name in found}


def _longest_module(parts: list[str]) -> str:
    """`prepared.shards` of ["prepared", "shards", "build_shard"]."""
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((name for name in names if name in MODULES), "__init__")


def subject(module: str) -> str:
    return module.split(".")[0]


MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.parent == PACKAGE or path.name != "__init__.py"  # a folder's __init__ contains only its docstring
}


@functools.cache
def edges() -> set[tuple[str, str]]:
    """Return each module with each other one that it imports."""
    return {(module, used) for module, path in MODULES.items() for used in own_imports(path)} - VERSION_IMPORT


def test_every_module_has_a_layer() -> None:
    assert {subject(module) for module in MODULES} == set(LAYER_OF)


def test_folder_init_files_have_a_docstring_and_no_code() -> None:
    """Except the public packages, which also name what is public."""
    for path in PACKAGE.rglob("*/__init__.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        allowed = {ast.ImportFrom, ast.Assign} if path.parent.name in PUBLIC else set()
        assert {type(node) for node in tree.body[1:]} <= allowed, path
        assert isinstance(tree.body[0], ast.Expr), path
        assert 2 <= len((ast.get_docstring(tree) or "").splitlines()) <= 10, path


def test_a_folder_holds_one_subject() -> None:
    """About twelve modules; the parsers of file formats have a separate folder in `media`."""
    for folder in {path.parent for path in MODULES.values()} - {PACKAGE}:
        assert len(list(folder.glob("*.py"))) <= 20, folder


def test_imports_point_down() -> None:
    assert {(a, b) for a, b in edges() if LAYER_OF[subject(a)] < LAYER_OF[subject(b)]} == set()


def test_folders_of_one_layer_do_not_import_each_other() -> None:
    pairs = {(subject(a), subject(b)) for a, b in edges()}
    neighbours = {(a, b) for a, b in pairs if a != b and LAYER_OF[a] == LAYER_OF[b] and (PACKAGE / a).is_dir()}
    assert neighbours == BETWEEN_NEIGHBOURS


def test_there_are_no_import_cycles() -> None:
    uses: dict[str, set[str]] = {module: set() for module in MODULES}
    for module, used in edges():
        uses[module].add(used)
    graphlib.TopologicalSorter(uses).prepare()  # raises CycleError


def test_only_media_decodes_videos() -> None:
    assert {subject(module) for module, path in MODULES.items() if "av" in _packages(path)} == KNOWS_PYAV


def test_only_one_module_encodes_images() -> None:
    """By the names of the calls: OpenCV's, and `save` in modules that import Pillow."""
    encoding = set()
    for module, path in MODULES.items():
        called = {node.attr for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Attribute)}
        if called & {"imencode", "imwrite"} or ("save" in called and "PIL" in _packages(path)):
            encoding.add(module)
    assert encoding == {"media.still.image_encoding"}


def test_only_training_imports_torch() -> None:
    knows = {subject(module) for module, path in MODULES.items() if _packages(path) & TORCH_PACKAGES}
    assert knows == NEEDS_TORCH
    assert {a for a, b in edges() if subject(b) in NEEDS_TORCH and subject(a) not in NEEDS_TORCH} == set()


def _packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def test_all_is_sorted_and_importable() -> None:
    names = dvm_hf.__all__
    constants = [name for name in names if name.isupper()]
    classes = [name for name in names if name[0].isupper() and not name.isupper()]
    others = [name for name in names if not name[0].isupper()]
    assert names == sorted(constants) + sorted(classes) + sorted(others)  # the order that ruff's RUF022 asks for
    assert len(set(names)) == len(names)
    assert all(hasattr(dvm_hf, name) for name in names)


def test_no_test_module_imports_another() -> None:
    """What several test modules need is in a helper module: pytest would collect imported tests and fixtures twice."""
    modules = {path.stem: path for path in Path(__file__).parent.rglob("test_*.py")}
    assert len(modules) > 100
    assert {name: found for name, path in modules.items() if (found := imports(path) & modules.keys())} == {}
