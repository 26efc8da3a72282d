"""Builds of a sources file: the same pixels however it is loaded, prepared and verified."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_runs import run
from conftest import TreeWriter
from datasets import load_dataset
from row_digests import digests
from stored_plans import plan_in

from dvm_hf.clips.plan import ClipPlan
from dvm_hf.dataset.config import DVMConfig, plans
from dvm_hf.dataset.used_files import files_of, require_same_files
from dvm_hf.errors import ConfigError, SourceError
from dvm_hf.media.still.image_encoding import write_image
from dvm_hf.prepared.source_digests import SourceDigests, content_digest
from dvm_hf.sources.folder_scan import FolderScan, file_signature
from dvm_hf.sources.sources_file import SourcesFile
from dvm_hf.sources.tree import scan

FIELDS: dict[str, Any] = {"clip_length": 3, "encoding": "lossless", "backgrounds_per_foreground": 2}
MIXED = """\
train:
  foregrounds:
    - {path: a, name: first}
    - {path: b/DVM, repeat: 2}
  backgrounds:
    - {path: a, share: 0.5}
    - {path: b/DVM, share: 0.5}
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small DVM folders, a and b/DVM, whose sources have the same names, and a sources file of both."""
    root = tmp_path_factory.mktemp("sets")
    for number, name in enumerate(("a", "b/DVM")):
        tree = TreeWriter(root / name)
        tree.still("disc", value=100 + 80 * number)
        tree.moving("0000", frames=6 + number)
        for background in range(3):
            tree.background(f"{background:04}", frames=6 + background, size=(60 + 8 * number, 80))
    (root / "mixed.yaml").write_text(MIXED)
    return root


@pytest.fixture
def sets(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "sets"))


def clips(file: Path, **fields: Any) -> dict[str, ClipPlan]:
    return {clip.clip_id: clip for clip in plans(DVMConfig(name="train", data_dir=str(file), **fields)).clips}


@pytest.mark.slow
def test_the_same_pixels_streamed_cached_in_two_processes_and_prepared(
    load: Callable[..., Any], sets: Path, tmp_path: Path
) -> None:
    file = sets / "mixed.yaml"
    ways = {"streamed": {"streaming": True}, "cached": {}, "in two processes": {"num_proc": 2}}
    found = {}
    for way, arguments in ways.items():
        more = {} if way == "streamed" else {"cache_dir": str(tmp_path / way)}
        found[way] = digests(load("train", data_dir=str(file), split="train", **FIELDS, **arguments, **more))
    assert run("prepare", str(file), str(tmp_path / "out"), *options()).exit_code == 0
    found["prepared"] = digests(load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "hub")))
    assert all(rows == found["streamed"] for rows in found.values())
    ids = {row["clip_id"] for row in found["streamed"]}
    assert len(ids) == 2 * 2 + 2 * 4
    assert {row["foreground_name"] for row in found["streamed"]} == {"first.disc", "first.0000", "DVM.disc", "DVM.0000"}


def options() -> list[str]:
    return [part for name, value in FIELDS.items() for part in (f"--{name.replace('_', '-')}", str(value))]


@pytest.mark.slow
def test_prepared_shards_are_verified_and_repaired_from_the_sources_file(sets: Path, tmp_path: Path) -> None:
    file, out = sets / "mixed.yaml", tmp_path / "out"
    assert run("prepare", str(file), str(out), "--num-shards", "2", *options()).exit_code == 0
    plan = plan_in(out)
    assert {clip.background.name.split(".")[0] for clip in plan.clips} == {"a", "DVM"}
    assert [entry.name for entry in plan.entries] == ["first", "DVM", "a", "DVM"]
    assert all(str(sets) not in path.read_text() for path in (out / "plan").iterdir())
    assert run("verify", str(out), "--read-data").exit_code == 0
    shard = next((out / "data").iterdir())
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    assert run("verify", str(out), "--repair", "--data-dir", str(file)).exit_code == 0
    assert shard.read_bytes() == whole
    assert run("prepare", str(file), str(out), "--num-shards", "2", *options()).exit_code == 0
    file.write_text(MIXED.replace("repeat: 2", "repeat: 1"))
    assert "different plan" in run("prepare", str(file), str(out), "--num-shards", "2", *options()).stderr


@pytest.mark.slow
def test_commands_take_a_sources_file(sets: Path, tmp_path: Path) -> None:
    file = str(sets / "mixed.yaml")
    assert run("preview", file, "-o", str(tmp_path / "page.html"), *options()[-2:]).exit_code == 0
    assert run("bench", file, "--runs", "1", *options()[:2]).exit_code == 0
    report = json.loads(run("check", file, "--json", "--num-proc", "0", *options()).stdout)
    assert [(one["kind"], one["count"]) for one in report["holdings"]] == [
        ("image", 2),
        ("video", 2),
        ("background", 6),
    ]
    assert report["outlooks"][0]["clips"] == 12
    (sets / "a/bg/train/0001.mp4").write_bytes(b"x")
    report = json.loads(run("check", file, "--json", "--num-proc", "0", *options()).stdout)
    assert "a/bg/train/0001.mp4" in [one["path"] for one in report["findings"] if one["severity"] == "error"]


@pytest.mark.slow
def test_entries_without_a_common_folder_are_checked_and_built(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Findings have absolute paths; rows are the same as with a common folder, and no plan has absolute paths."""
    file = sets / "mixed.yaml"
    TreeWriter(sets / "a").still("DISC", value=50)
    write_image(sets / "a/fg/image/train/alpha/DISC.png", np.eye(9, dtype=np.uint8) * 255)  # another size: skipped
    (sets / "a/fg/image/train/alpha/lone.png").write_bytes(b"x")
    usual = json.loads(run("check", str(file), "--json", "--num-proc", "0", *options()).stdout)
    assert run("prepare", str(file), str(tmp_path / "usual"), "--on-error", "skip", *options()).exit_code == 0
    monkeypatch.setattr(SourcesFile, "root", property(lambda file: Path("/")))
    found = json.loads(run("check", str(file), "--json", "--num-proc", "0", *options()).stdout)
    paths = [f"{sets}/{one['path']}" if one["path"] != "." else "." for one in usual["findings"]]
    assert [one["path"] for one in found["findings"]] == paths
    assert f"{sets}/a/fg/image/train/alpha/disc.png" in paths  # differs from DISC.png in case
    assert [(one["clips"], one["rows"]) for one in found["outlooks"]] == [
        (one["clips"], one["rows"]) for one in usual["outlooks"]
    ]
    assert run("prepare", str(file), str(tmp_path / "out"), "--on-error", "skip", *options()).exit_code == 0
    rows = [
        digests(load_dataset(str(tmp_path / out), split="train", cache_dir=str(tmp_path / "hub")))
        for out in ("usual", "out")
    ]
    assert rows[0] == rows[1]
    assert f'"{sets}' not in (tmp_path / "out/plan/train.json").read_text()


def test_an_output_folder_beside_the_entries_is_allowed_and_one_inside_is_not(sets: Path) -> None:
    inside = run("prepare", str(sets / "mixed.yaml"), str(sets / "b/DVM/out"), *options())
    assert inside.exit_code == 2
    assert "is the source folder, or inside it" in inside.stderr


# What is added changes nothing else


def test_another_entry_of_foregrounds_leaves_every_clip(sets: Path) -> None:
    before = clips(sets / "mixed.yaml")
    TreeWriter(sets / "c").still("cat")
    (sets / "mixed.yaml").write_text(MIXED.replace("  backgrounds", "    - {path: c}\n  backgrounds"))
    after = clips(sets / "mixed.yaml")
    assert {name: after[name].seed for name in before} == {name: clip.seed for name, clip in before.items()}
    assert len(after) == len(before) + 4


def test_another_entry_of_backgrounds_leaves_clips_of_the_same_name(sets: Path) -> None:
    before = clips(sets / "mixed.yaml")
    TreeWriter(sets / "c").background("0000")
    shares = MIXED.replace("b/DVM, share: 0.5}\n", "b/DVM}\n    - {path: c}\n")
    (sets / "mixed.yaml").write_text(shares)
    after = clips(sets / "mixed.yaml")
    common = before.keys() & after.keys()
    assert len(common) >= 6
    assert all(before[name] == after[name] for name in common if before[name].foreground.entry == 0)
    assert {name: before[name].seed for name in common} == {name: after[name].seed for name in common}


# Pair lists


def test_a_pair_list_contains_names_of_the_tree(sets: Path) -> None:
    (sets / "pairs.txt").write_text("image+first.disc+DVM.0001\nvideo+DVM.0000+a.0002\n")
    found = clips(sets / "mixed.yaml", pairs="pairs.txt")  # relative to the file
    assert list(found) == ["image_first.disc_DVM.0001", "video_DVM.0000_a.0002"]
    (sets / "pairs.txt").write_text("image+disc.png+0001.mp4\n")
    message = r"there is no usable foreground 'disc\.png'; write its name as ENTRY\.NAME, without extension"
    with pytest.raises(SourceError, match=message):
        clips(sets / "mixed.yaml", pairs="pairs.txt")


# The cache


def test_the_cache_folder_depends_on_the_file_and_its_folders(sets: Path) -> None:
    def cache_name() -> str:
        return DVMConfig(name="train", data_dir=str(sets / "mixed.yaml")).create_config_id({})

    names = [cache_name()]
    (sets / "mixed.yaml").write_text(MIXED + "# a comment\n")
    assert cache_name() == names[0]
    (sets / "mixed.yaml").write_text(MIXED.replace("repeat: 2", "repeat: 3"))
    names.append(cache_name())
    TreeWriter(sets / "b/DVM").background("0009")
    names.append(cache_name())
    assert len(set(names)) == 3


def test_a_layout_field_is_for_folders(sets: Path) -> None:
    assert clips(sets / "a", layout="dvm").keys() == clips(sets / "a").keys()
    with pytest.raises(ConfigError, match="layout='films': not a known layout"):
        clips(sets / "a", layout="films")
    with pytest.raises(ConfigError, match="layout='': not allowed; layout must be 'auto' or the name of a layout"):
        DVMConfig(name="train", data_dir=str(sets / "a"), layout="").create_config_id({})


# Folders of numbered pictures


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder of three numbered pictures, and one file that is none."""
    folder = tmp_path / "root/clip"
    folder.mkdir(parents=True)
    for number in range(3):
        write_image(folder / f"{number:03}.png", np.full((4, 5, 3), 50 * number, np.uint8))
    (folder / ".hidden").write_text("x")
    return folder


def test_a_folder_of_pictures_has_one_signature(frames: Path) -> None:
    scan = FolderScan(frames.parent)
    assert scan.frame_folder("clip")
    assert file_signature(frames) == scan.signatures["clip"]
    require_same_files({str(frames): scan.signatures["clip"]})
    write_image(frames / "001.png", np.full((4, 5, 3), 9, np.uint8))
    with pytest.raises(SourceError, match="clip: was replaced or removed during the build"):
        require_same_files({str(frames): scan.signatures["clip"]})


def test_a_folder_of_pictures_has_one_digest_of_names_and_contents(frames: Path, tmp_path: Path) -> None:
    before = content_digest(frames)
    copy = Path(shutil.copytree(frames, tmp_path / "copy"))
    assert content_digest(copy) == before
    digests = SourceDigests(frames.parent, tmp_path / "cache.json")
    assert digests.of(["clip"]) == {"clip": before}
    for change in (lambda: (copy / "002.png").rename(copy / "003.png"), lambda: (copy / "003.png").unlink()):
        change()
        assert content_digest(copy) != before
    (frames / "000.png").write_bytes((frames / "001.png").read_bytes())
    assert digests.of(["clip"]) == {"clip": content_digest(frames)} != {"clip": before}


def test_files_of_a_build_include_folders_under_the_common_root(sets: Path) -> None:
    tree = scan(sets / "mixed.yaml", "train")
    planned = plans(DVMConfig(name="train", data_dir=str(sets / "mixed.yaml")))
    files = files_of(planned, tree)
    assert str(sets / "b/DVM/fg/image/train/fg/disc.png") in files
    assert len(files) == 2 * (2 + 2) + 6
