"""`dvm init`: what it finds, the file that it writes, and what it refuses."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_runs import run
from look_alikes import draw
from PIL import Image

from dvm_hf.sources.sources_file import read_sources_file
from dvm_hf.sources.tree import scan, survey


def found(file: Path, *paths: Path) -> list[dict[str, Any]]:
    result = run("init", str(file), *map(str, paths), "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer.keys() == {"entries"}
    return list(answer["entries"])


def picture(path: Path, mode: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (8, 8)).save(path)


def test_two_sets_become_one_tree(tmp_path: Path) -> None:
    draw("videomatte240k", tmp_path / "VM")
    draw("bg20k", tmp_path / "BG")
    entries = found(tmp_path / "sources.yaml", tmp_path / "VM", tmp_path / "BG")
    assert [(one["path"], one["layout"], one["split"], one["role"]) for one in entries] == [
        ("VM", "videomatte240k", "train", "foregrounds"),
        ("BG", "bg20k", "train", "backgrounds"),
        ("VM", "videomatte240k", "test", "foregrounds"),
        ("BG", "bg20k", "test", "backgrounds"),
    ]
    for split in ("train", "test"):
        tree = scan(tmp_path / "sources.yaml", split)
        counts = {one["role"]: one["count"] for one in entries if one["split"] == split}
        assert counts == {"foregrounds": len(tree.foregrounds), "backgrounds": len(tree.backgrounds)}
        assert {one.name.split(".")[0] for one in tree.foregrounds} == {"VM"}
    text = (tmp_path / "sources.yaml").read_text()
    assert "# videomatte240k: contains " in text
    assert f"# {entries[0]['count']} foreground" in text


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw("bg20k", tmp_path / "sets/BG")
    (tmp_path / "lists").mkdir()
    monkeypatch.chdir(tmp_path / "sets")
    assert {one["path"] for one in found(tmp_path / "lists/sources.yaml", Path("BG"))} == {"../sets/BG"}
    assert len(survey(tmp_path / "lists/sources.yaml", "train").backgrounds) > 0


@pytest.mark.parametrize(
    ("mode", "role", "layout"), [("RGBA", "foregrounds", "cutouts"), ("RGB", "backgrounds", "bg20k")]
)
def test_headers_tell_cutouts_from_backgrounds(tmp_path: Path, mode: str, role: str, layout: str) -> None:
    for number in range(7):
        picture(tmp_path / f"set/{number}.png", mode)
    (entry,) = found(tmp_path / "sources.yaml", tmp_path / "set")
    assert entry == {"path": "set", "layout": layout, "split": "train", "role": role, "count": 7}
    alpha = {"RGBA": 5, "RGB": 0}[mode]
    assert f"{alpha} of 5 sampled files have an alpha channel" in " ".join(
        (tmp_path / "sources.yaml").read_text().split()
    )


def test_a_folder_named_like_a_split_belongs_to_it(tmp_path: Path) -> None:
    picture(tmp_path / "BG/testval/a.jpg", "RGB")
    (entry,) = found(tmp_path / "sources.yaml", tmp_path / "BG/testval")
    assert (entry["split"], entry["path"]) == ("test", "BG/testval")


def test_folders_of_one_name_get_different_names(tmp_path: Path) -> None:
    for name in ("x/stills", "y/stills", "z/a+b"):
        picture(tmp_path / name / "a.jpg", "RGB")
    paths = [tmp_path / name for name in ("x/stills", "y/stills", "z/a+b", "x/../x/stills")]
    assert len(found(tmp_path / "sources.yaml", *paths)) == 3
    assert [one.name for one in read_sources_file(tmp_path / "sources.yaml").entries] == ["stills", "stills-2", "a_b"]


@pytest.mark.parametrize("name", ["'quoted' # name", "a: b", "- x", "ünï", "[list]", "yes"])
def test_names_that_are_special_in_yaml_are_quoted(tmp_path: Path, name: str) -> None:
    picture(tmp_path / name / "a.jpg", "RGB")
    (entry,) = found(tmp_path / "sources.yaml", tmp_path / name)
    assert entry["path"] == name
    assert [one.folder for one in read_sources_file(tmp_path / "sources.yaml").entries] == [tmp_path / name]


def test_a_missing_role_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "stills/a.jpg", "RGB")
    result = run("init", str(tmp_path / "sources.yaml"), str(tmp_path / "stills"))
    assert result.exit_code == 0
    assert "train: 1 background in " in result.stdout
    assert "train: no foregrounds; add a folder with foregrounds to the file before you build" in result.stdout
    assert "foregrounds: []  # none was found" in (tmp_path / "sources.yaml").read_text()


def test_a_dvm_folder_without_backgrounds_is_joined_with_another_set(tmp_path: Path) -> None:
    draw("dvm", tmp_path / "DVM")
    shutil.rmtree(tmp_path / "DVM/bg")
    draw("bg20k", tmp_path / "BG-20k")
    file = tmp_path / "sources.yaml"
    entries = found(file, tmp_path / "DVM", tmp_path / "BG-20k")
    assert [(one["layout"], one["split"], one["role"], one["count"]) for one in entries] == [
        ("dvm", "train", "foregrounds", 2),
        ("bg20k", "train", "backgrounds", 2),
        ("dvm", "test", "foregrounds", 2),
        ("bg20k", "test", "backgrounds", 2),
    ]
    tree = scan(file, "train")
    assert (len(tree.foregrounds), len(tree.backgrounds)) == (2, 2)


def test_nothing_is_overwritten_and_unknown_folders_are_named(tmp_path: Path) -> None:
    file = tmp_path / "sources.yaml"
    picture(tmp_path / "stills/a.jpg", "RGB")
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers/a.pdf").write_text("x")
    (tmp_path / "half/fgr").mkdir(parents=True)
    result = run("init", str(file), *(str(tmp_path / name) for name in ("stills", "papers", "half", "none")))
    assert result.exit_code == 2
    assert not file.exists()
    for text in (
        "papers: has no known layout",
        "it contains: a.pdf",
        "half: has no known layout",
        "none: no such folder",
    ):
        assert text in result.stderr
    file.write_text("mine")
    result = run("init", str(file), str(tmp_path / "stills"))
    assert (result.exit_code, file.read_text()) == (2, "mine")
    assert "sources.yaml: already exists; pass another name" in result.stderr
    result = run("init", str(tmp_path / "sources.txt"), str(tmp_path / "stills"))
    assert "a sources file must end in .yaml or .yml; pass another name" in result.stderr
