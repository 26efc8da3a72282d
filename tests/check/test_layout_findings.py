"""Findings about the folder: names, links, unexpected files, pair lists."""

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from check_runs import STILL, B, found, looked_at, write
from conftest import TreeWriter
from look_alikes import cutout, matte, save, scenery

from dvm_hf.errors import SourceError
from dvm_hf.sources.records import SPLITS
from dvm_hf.sources.tree import survey


def move(old: str, new: str) -> Callable[[Path], object]:
    return lambda root: (root / old).rename(root / new)


def remove(path: str) -> Callable[[Path], object]:
    return lambda root: (root / path).unlink()


def copy(old: str, new: str) -> Callable[[Path], object]:
    return lambda root: shutil.copy(root / old, root / new)


LAYOUT: dict[str, tuple[Callable[[Path], object], list[tuple[str, str]]]] = {
    "misspelt top folder": (
        move("bg", "backgrounds"),
        [("folder-misspelt", "backgrounds"), ("tree-empty", ".")],
    ),
    "misspelt split": (
        move("bg/test", "bg/Test"),
        [("folder-misspelt", "bg/Test"), ("split-empty", ".")],
    ),
    "misspelled folder": (
        move(f"{STILL}/alpha", f"{STILL}/alphas"),
        [
            ("no-alpha", f"{STILL}/fg/disc.png"),
            ("folder-misspelt", f"{STILL}/alphas"),
        ],
    ),
    "missing folder": (
        lambda root: shutil.rmtree(root / STILL / "alpha"),
        [("folder-missing", f"{STILL}/alpha"), ("no-alpha", f"{STILL}/fg/disc.png")],
    ),
    "missing split": (
        lambda root: [shutil.rmtree(root / part / "test") for part in ("fg/image", "fg/video", "bg")],
        [("split-empty", ".")],
    ),
    "nothing at all": (
        lambda root: [shutil.rmtree(root / part) for part in ("fg", "bg")],
        [("tree-empty", ".")],
    ),
    "f without a": (remove("fg/video/train/0000/a.mp4"), [("no-alpha", "fg/video/train/0000")]),
    "a without f": (remove("fg/video/train/0000/f.mp4"), [("no-colour", "fg/video/train/0000")]),
    "colour without alpha": (
        copy(f"{STILL}/fg/disc.png", f"{STILL}/fg/other.png"),
        [("no-alpha", f"{STILL}/fg/other.png")],
    ),
    "alpha without colour": (
        copy(f"{STILL}/alpha/disc.png", f"{STILL}/alpha/other.png"),
        [("no-colour", f"{STILL}/alpha/other.png")],
    ),
    "trimap without still": (
        copy("fg/image/test/trimap/disc.png", "fg/image/test/trimap/other.png"),
        [("trimap-without-still", "fg/image/test/trimap/other.png")],
    ),
    "still without trimap": (
        lambda root: (TreeWriter(root).still("two", split="test", value=9).parents[1] / "trimap/two.png").unlink(),
        [("still-without-trimap", "fg/image/test/fg/two.png")],
    ),
    "trimaps of train": (
        lambda root: (root / STILL / "trimap").mkdir(),
        [("trimap-unread", f"{STILL}/trimap")],
    ),
    "unexpected file": (write("bg/train/notes.txt"), [("stray", "bg/train/notes.txt")]),
    "unexpected folder": (write("fg/image/train/old_versions/x.png"), [("stray", "fg/image/train/old_versions")]),
    "unexpected video": (write("fg/video/train/0000/extra.mp4"), [("stray", "fg/video/train/0000/extra.mp4")]),
    "unexpected folder at the top": (write("zzz/x.png"), [("stray", "zzz")]),
    "prepared shards": (write("prepared/manifest.json"), []),
    "notes at the top": (write("README.md"), []),
    "a file of no kind at the top": (write("licence"), []),
    "case": (
        lambda root: TreeWriter(root).still("DISC", value=77),
        [("case-collision", f"{STILL}/alpha/disc.png"), ("case-collision", f"{STILL}/fg/disc.png")],
    ),
    "accents": (
        lambda root: [
            TreeWriter(root).background(name, frames=20 + i) for i, name in enumerate(("cafe\u0301", "caf\u00e9"))
        ],
        [("same-name", "bg/train/caf\u00e9.mp4"), ("case-collision", "bg/train/caf\u00e9.mp4")],
    ),
    "shared background": (
        copy("bg/train/0000.mp4", "bg/test/0900.mp4"),
        [("shared-content", "bg/train/0000.mp4")],
    ),
    "shared still": (
        copy("fg/image/train/fg/disc.png", "fg/image/test/fg/disc.png"),
        [("shared-foreground", "fg/image/train/fg/disc.png")],
    ),
    "shared video foreground": (
        copy("fg/video/train/0000/f.mp4", "fg/video/test/0000/f.mp4"),
        [("counts-differ", "fg/video/test/0000"), ("shared-foreground", "fg/video/train/0000/f.mp4")],
    ),
    "colour for an alpha": (
        copy(f"{STILL}/fg/disc.png", f"{STILL}/alpha/disc.png"),
        [("alpha-is-colour", f"{STILL}/alpha/disc.png"), ("alpha-not-grey", f"{STILL}/alpha/disc.png")],
    ),
    "f for a": (
        copy("fg/video/train/0000/f.mp4", "fg/video/train/0000/a.mp4"),
        [("alpha-is-colour", "fg/video/train/0000/a.mp4")],
    ),
    "alpha for a trimap": (
        copy("fg/image/test/alpha/disc.png", "fg/image/test/trimap/disc.png"),
        [("trimap-is-copy", "fg/image/test/trimap/disc.png")],
    ),
    "one matte of two stills": (
        lambda root: TreeWriter(root).still("other", value=50),
        [],
    ),
    "duplicate": (copy("bg/train/0000.mp4", "bg/train/0900.mp4"), [("duplicate", "bg/train/0900.mp4")]),
    "empty file": (write("bg/train/0000.mp4", b""), [("empty", "bg/train/0000.mp4")]),
    "link out": (
        lambda root: (root / "bg/train/9.mp4").symlink_to("/etc/passwd"),
        [("link-out", "bg/train/9.mp4")],
    ),
    "pipe": (lambda root: os.mkfifo(root / "bg/train/9.mp4"), [("not-a-file", "bg/train/9.mp4")]),
}


@pytest.mark.parametrize("damage", LAYOUT)
def test_layout(root: Path, damage: str) -> None:
    change, expected = LAYOUT[damage]
    change(root)
    assert sorted(found(root)) == sorted(expected)


def test_a_folder_outside_the_root_is_not_listed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "diary.mp4").write_bytes(b"x")
    shutil.rmtree(root / "bg/test")
    (root / "bg/test").symlink_to(tmp_path / "secret")
    report = looked_at(root)
    assert ("link-out", "bg/test") in [(one.code, one.path) for one in report.findings]
    assert "diary" not in json.dumps(report.plain())


ESCAPE = "\x1b[2J"


def test_control_characters_in_names_are_not_printed(root: Path) -> None:
    (root / "fg/video/train" / ESCAPE).symlink_to("nowhere")
    (root / "fg/video/train" / f"{ESCAPE}.txt").write_text("x")
    shutil.copy(root / B, root.parent / f"{ESCAPE}.mp4")
    (root / "bg/train/out.mp4").symlink_to(root.parent / f"{ESCAPE}.mp4")
    (root / "bg/train" / f"{ESCAPE}.avi").write_bytes(b"x")
    os.link(root / "bg/train/0000.mp4", root / "bg/test" / f"{ESCAPE}.mp4")
    (root / f"fg/image/train/{ESCAPE}").mkdir()
    told = looked_at(root).findings
    assert {"dead-link", "link-out", "bad-name", "shared-background", "stray"} <= {one.code for one in told}
    for text in (*map(str, told), *(str(one) for split in SPLITS for one in survey(root, split).problems)):
        assert text.isprintable(), ascii(text)
    assert all(path.isprintable() for split in SPLITS for path in survey(root, split).ignored)


def test_an_unexpected_file_gets_a_hint_about_allowed_files(root: Path) -> None:
    folder = root / "fg/video/train/0000"
    shutil.copy(folder / "f.mp4", folder / "F.MP4")
    (root / "bg/train/more").mkdir()
    (root / "bg/train/x.doc").write_bytes(b"x")
    (root / "fg/video/train/notes.txt").write_bytes(b"x")
    told = {one.path: one.text.partition("; ")[2] for one in looked_at(root).findings if one.code == "stray"}
    assert told["fg/video/train/0000/F.MP4"] == "its name must be f or a in lower case, such as f.mp4"
    assert told["bg/train/more"] == "folders here are not searched"
    assert told["bg/train/x.doc"].startswith("files here end in .mp4, ")
    assert told["fg/video/train/notes.txt"] == "a foreground is a folder with f.mp4 and a.mp4"


def test_a_root_that_is_not_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        looked_at(tmp_path / "nowhere")


def test_files_of_equal_size_with_different_contents_are_not_duplicates(root: Path) -> None:
    path = root / "bg/train/0000.mp4"
    data = bytearray(path.read_bytes() + struct.pack(">I4s", 8 + 300_000, b"free") + bytes(300_000))
    path.write_bytes(data)
    data[-150_000] = 1
    (root / "bg/train/0900.mp4").write_bytes(data)
    assert found(root) == []


PAIRS = {
    "sound": (b"image+disc.png+0030.mp4\nvideo+0000+0031.mp4\n", []),
    "missing background": (b"image+disc.png+0030.mp4\nimage+disc.png+9.mp4\n", ["pair-missing"]),
    "missing still": (b"image+disc.png+0030.mp4\nimage+no.png+0031.mp4\n", ["pair-missing"]),
    "missing folder": (b"image+disc.png+0030.mp4\nvideo+0077+0031.mp4\n", ["pair-missing"]),
    "bad lines": (b"nonsense\nimage+disc.png+0030.mp4\nimage+../x+0030.mp4\n", ["pair-line", "pair-line"]),
    "empty": (b"\n", ["plan"]),
    "many bad lines": (b"nonsense\n" * 1001, ["pair-line"] * 1000 + ["pair-lines"]),
}


@pytest.mark.parametrize("case", PAIRS)
def test_pair_lists(root: Path, case: str) -> None:
    data, expected = PAIRS[case]
    (root / "pairs.txt").write_bytes(data)
    assert sorted(code for code, _ in found(root, pairs="pairs.txt")) == sorted(expected)


def test_missing_files_of_a_pair_list_are_in_the_order_of_its_lines(root: Path) -> None:
    """Each with its hint, once."""
    (root / "pairs.txt").write_text("".join(f"image+disc.png+{number}.mp4\n" for number in range(11)))
    found = looked_at(root, pairs="pairs.txt").findings
    assert [str(one) for one in found if one.code == "pair-missing"] == [
        f"pairs.txt: line {number + 1}: image+disc.png+{number}.mp4: bg/test/{number}.mp4 is missing; add the file, "
        "or remove the line"
        for number in range(11)
    ]


COLLISIONS: dict[str, tuple[str, dict[str, Callable[[int], np.ndarray]], list[tuple[str, str]]]] = {
    # role, pictures of the folder "set", and each name with the one that it differs from in case only
    "stills": (
        "backgrounds",
        {"Street.png": scenery, "street.png": scenery, "street.jpg": scenery},
        [("set/street.png", "set/Street.png")],
    ),
    "cutouts": ("foregrounds", {"CAT.png": cutout, "cat.png": cutout}, [("set/cat.png", "set/CAT.png")]),
    "folders of frames": (
        "foregrounds",
        {f"{part}/{name}/1.png": matte for part in ("fgr", "pha") for name in ("Walk", "walk")},
        [("set/fgr/walk", "set/fgr/Walk"), ("set/pha/walk", "set/pha/Walk")],
    ),
    "accents in a split": (
        "backgrounds",
        {"train/CAF\u00c9.png": scenery, "train/cafe\u0301.png": scenery},
        [("set/train/cafe\u0301.png", "set/train/CAF\u00c9.png")],
    ),
    "folders of which one is read": (
        "backgrounds",
        {"Train/a.png": scenery, "train/a.png": scenery},
        [("set/train", "set/Train")],
    ),
    "both roles": (
        "foregrounds",
        {"fg/image/train/fg/x.png": matte, "fg/image/train/fg/X.png": matte, "fg/image/train/alpha/x.png": matte},
        [("set/fg/image/train/fg/x.png", "set/fg/image/train/fg/X.png")],
    ),
    "names of different folders": ("backgrounds", {"train/a.png": scenery, "testval/A.png": scenery}, []),
}


@pytest.mark.parametrize("case", COLLISIONS)
def test_names_that_differ_in_case_are_found_in_every_entry(tmp_path: Path, case: str) -> None:
    role, pictures, expected = COLLISIONS[case]
    for number, (path, drawn) in enumerate(pictures.items()):
        save(tmp_path / "set" / path, drawn(number))
    save(tmp_path / "other/b.png", scenery(90))  # so that the root of the tree is above the folder
    file = tmp_path / "sources.yaml"
    file.write_text(f"train:\n  {role}:\n    - {{path: set}}\ntest:\n  backgrounds:\n    - {{path: other}}\n")
    collisions = [one for one in looked_at(file).findings if one.code == "case-collision"]
    assert [(one.path, one.text.split()[2]) for one in collisions] == expected
    assert {one.severity for one in collisions} <= {"warning"}


def test_names_that_differ_in_case_are_found_in_a_folder_with_any_layout(tmp_path: Path) -> None:
    for number, name in enumerate(("Street.jpg", "street.jpg")):
        save(tmp_path / "set/train" / name, scenery(number))
    assert ("case-collision", "train/street.jpg") in found(tmp_path / "set")


def test_a_sources_file_without_usable_foregrounds_is_not_asked_for_the_dvm_layout(tmp_path: Path) -> None:
    save(tmp_path / "plates/a.png", scenery(1))
    for number in (1, 2, 4):
        save(tmp_path / f"clips/walk/{number}.png", cutout(number))
    file = tmp_path / "sources.yaml"
    file.write_text("train:\n  foregrounds:\n    - {path: clips}\n  backgrounds:\n    - {path: plates}\n")
    assert [(one.code, one.path) for one in looked_at(file).findings if one.severity == "error"] == [
        ("split-unusable", "."),
        ("frames", "clips/walk"),
    ]
