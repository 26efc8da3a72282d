"""Imports go down only: each module may use its own floor and those below."""

import ast
import graphlib
from pathlib import Path

import pytest

import dvm_hf

pytestmark = pytest.mark.one_lane

PACKAGE = Path(dvm_hf.__file__).parent
FLOORS = (  # a folder stands for its modules that are not named themselves
    {"errors", "wording", "environment", "interrupts", "machine_faults"}  # 0: pixels
    | {"geometry", "frame_geometry", "compositing", "trimap", "motion"}
    | {"drawn.canvas", "drawn.foregrounds", "drawn.backgrounds"},
    {
        "png_parts",
        "colour_profiles",
        "image_io",
        "mp4_parts",
        "matroska_parts",
        "video_tags",
        "decoder_memory",
        "containers",
        "nal_units",
        "key_frames",
    }  # 1: bytes
    | {"presentation", "vp_frames", "sequential_frames", "timed_frames", "frame_io", "video_measures", "versions"},
    {"sources", "pair_list", "plan", "drawn.source_tree", "drawn.filmed"},  # 2: what to make
    {"draws", "pairing", "foregrounds", "reference", "recipes", "scene", "clip", "columns"},  # 3: one clip
    {"config", "left_out", "builder", "loading"},  # 4: the contract with datasets
    {"check", "preview", "demo", "stage_times", "prepared", "hub", "training"},  # 5: use it
    {"torch", "training.processes", "training.passes", "training.rank_samples"}  # 6: use it with PyTorch
    | {"training.collation", "training.matting_transform"},
    {"cli", "commands", "__main__", "__init__"},  # the roof
)
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}
BETWEEN_FOLDERS = {("prepared", "preview"), ("hub", "prepared")}  # the card's picture; what is pushed
TORCH_PACKAGES = {"torch", "torchdata", "kornia", "torchvision", "accelerate", "lightning"}
VERSION_IMPORT = {("builder", "__init__"), ("preview.html_page", "__init__")}  # they ask the package for its version


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it, by its full name."""
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
    """Modules of the package that a file imports; the package itself counts as its `__init__`."""
    found = {name for name in imports(path) if name.split(".")[0] == "dvm_hf"}
    return {_longest_module(name.split(".")[1:]) for name in found}


def _longest_module(parts: list[str]) -> str:
    """`prepared.shards` of ["prepared", "shards", "build_shard"]."""
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((name for name in names if name in MODULES), "__init__")


def floor(module: str) -> int:
    return FLOOR_OF[module] if module in FLOOR_OF else FLOOR_OF[module.split(".")[0]]


MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.parent == PACKAGE or path.name != "__init__.py"  # a folder's own holds its docstring alone
}
EDGES = {(module, used) for module, path in MODULES.items() for used in own_imports(path)}


def test_every_module_has_a_floor() -> None:
    folders = {module.split(".")[0] for module in MODULES}
    assert {name for name in FLOOR_OF if name not in MODULES and name not in folders} == set()
    assert {module for module in MODULES if module not in FLOOR_OF and module.split(".")[0] not in FLOOR_OF} == set()


def test_a_folder_itself_has_no_code() -> None:
    for path in PACKAGE.rglob("*/__init__.py"):
        assert [type(node) for node in ast.parse(path.read_text(encoding="utf-8")).body] == [ast.Expr], path


def test_imports_go_down() -> None:
    upward = {(a, b) for a, b in EDGES if a != "__main__" and floor(a) < floor(b)}
    assert upward == VERSION_IMPORT


def test_folders_on_the_floor_of_uses_stand_alone() -> None:
    folders = {name for name in FLOORS[5] if name not in MODULES}
    pairs = {(a.split(".")[0], b.split(".")[0]) for a, b in EDGES}
    assert {(a, b) for a, b in pairs if a != b and {a, b} <= folders} == BETWEEN_FOLDERS


def test_no_module_imports_itself_by_way_of_others() -> None:
    uses: dict[str, set[str]] = {module: set() for module in MODULES}
    for module, used in EDGES - VERSION_IMPORT:
        uses[module].add(used)
    graphlib.TopologicalSorter(uses).prepare()  # raises CycleError


def test_only_the_floor_of_bytes_knows_the_codecs() -> None:
    assert {module for module, path in MODULES.items() if any(n.split(".")[0] == "av" for n in imports(path))} == {
        "containers",
        "decoder_memory",  # sizes of pixel formats
        "frame_io",
        "sequential_frames",
        "timed_frames",
        "versions",  # asks PyAV for its libraries' numbers, and nothing else
        "video_measures",
        "video_tags",  # channels of pixel formats
    }


def test_only_the_training_floor_knows_torch() -> None:
    """And nothing imports that floor: whoever has no PyTorch has all the rest."""
    knows = {module for module, path in MODULES.items() if {n.split(".")[0] for n in imports(path)} & TORCH_PACKAGES}
    assert knows <= FLOORS[6]
    assert not [(user, used) for user, used in EDGES if used in FLOORS[6] and user not in FLOORS[6]]


def test_all_is_sorted_and_importable() -> None:
    names = dvm_hf.__all__
    constants = [name for name in names if name.isupper()]
    classes = [name for name in names if name[0].isupper() and not name.isupper()]
    others = [name for name in names if not name[0].isupper()]
    assert names == sorted(constants) + sorted(classes) + sorted(others)  # the order that ruff's RUF022 asks for
    assert len(set(names)) == len(names)
    assert all(hasattr(dvm_hf, name) for name in names)
