"""Imports go down only: each module may use its own floor and those below."""

import ast
import graphlib
from pathlib import Path

import dvm_hf

PACKAGE = Path(dvm_hf.__file__).parent
FLOORS = (  # 0: pixels
    {"errors", "geometry", "compositing", "trimap", "motion", "drawing", "drawn_foregrounds", "drawn_backgrounds"},
    {  # 1: bytes
        *("image_io", "containers", "nal_units", "key_frames", "timed_frames", "frame_io"),
        *("video_measures", "versions"),
    },
    {"sources", "pair_list", "plan", "synthetic"},  # 2: what to make
    {"draws", "foregrounds", "reference", "recipes", "scene", "clip", "columns"},  # 3: one clip
    {"config", "left_out", "builder", "loading"},  # 4: the contract with datasets
    {  # 5: use it
        *("demo", "preview", "config_options"),
        *("sample_order", "stream_state", "composed_clips", "prepared_rows"),
        *("whole_file", "prepared", "source_digests", "shard_size", "shard_plan", "parquet_rows"),
        *("shards", "shard_pool", "card", "manifest", "prepare", "row_check", "verify", "repair"),
        *("check", "check_contents", "check_layout", "check_source", "check_stills", "check_videos", "checked"),
        *("examination", "findings", "outlook"),
        *("local_files", "hub_faults", "remote", "read_back", "hub"),
        *("samples", "svg_plots", "page_images", "preview_page"),
    },
    {"passes", "collation", "matting_transform", "torch"},  # 6: use it with PyTorch
    {"cli", "cli_check", "cli_prepare", "cli_preview", "cli_push", "__main__", "__init__"},  # the roof
)
FLOOR_OF = {module: number for number, modules in enumerate(FLOORS) for module in modules}
TORCH_PACKAGES = {"torch", "torchdata", "kornia", "torchvision"}
VERSION_IMPORT = {("builder", "__init__"), ("preview_page", "__init__")}  # they ask the package for its version


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it, by its full name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: a relative import"
            assert node.module
            found |= {f"dvm_hf.{alias.name}" for alias in node.names} if node.module == "dvm_hf" else {node.module}
    return found


def own_imports(path: Path) -> set[str]:
    """Modules of the package that a file imports; the package itself counts as its `__init__`."""
    parts = [name.split(".") for name in imports(path) if name.split(".")[0] == "dvm_hf"]
    return {part[1] if len(part) > 1 else "__init__" for part in parts}


MODULES = {path.stem: path for path in sorted(PACKAGE.glob("*.py"))}
EDGES = {(module, used) for module, path in MODULES.items() for used in own_imports(path)}


def test_every_module_has_a_floor() -> None:
    assert MODULES.keys() == FLOOR_OF.keys()


def test_imports_go_down() -> None:
    upward = {(a, b) for a, b in EDGES if a != "__main__" and FLOOR_OF[a] < FLOOR_OF[b]}
    assert upward == VERSION_IMPORT


def test_no_module_imports_itself_by_way_of_others() -> None:
    uses: dict[str, set[str]] = {module: set() for module in MODULES}
    for module, used in EDGES - VERSION_IMPORT:
        uses[module].add(used)
    graphlib.TopologicalSorter(uses).prepare()  # raises CycleError


def test_only_the_floor_of_bytes_knows_the_codecs() -> None:
    assert {module for module, path in MODULES.items() if any(n.split(".")[0] == "av" for n in imports(path))} == {
        "containers",
        "frame_io",
        "timed_frames",
        "versions",  # asks PyAV for its libraries' numbers, and nothing else
        "video_measures",
    }


def test_only_the_training_floor_knows_torch() -> None:
    """And nothing imports that floor: whoever has no PyTorch has all the rest."""
    knows = {module for module, path in MODULES.items() if {n.split(".")[0] for n in imports(path)} & TORCH_PACKAGES}
    assert knows == FLOORS[6]
    assert not [(user, used) for user, used in EDGES if used in FLOORS[6] and user not in FLOORS[6]]


def test_all_is_sorted_and_importable() -> None:
    names = dvm_hf.__all__
    constants = [name for name in names if name.isupper()]
    classes = [name for name in names if name[0].isupper() and not name.isupper()]
    others = [name for name in names if not name[0].isupper()]
    assert names == sorted(constants) + sorted(classes) + sorted(others)  # the order that ruff's RUF022 asks for
    assert len(set(names)) == len(names)
    assert all(hasattr(dvm_hf, name) for name in names)
