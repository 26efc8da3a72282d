"""Equivalent names in different Unicode forms, and files that are not sources."""

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TreeWriter

from dvm_hf.check.report import check
from dvm_hf.dataset.config import DVMConfig
from dvm_hf.sources.names import IGNORED_SUFFIXES, SYSTEM_NAMES, is_ignored
from dvm_hf.sources.tree import scan

CHECKSUMS = {".md5", ".sha1", ".sha256", ".sha512"}
WORDS = ("Müller é", "Ångström", "한국어 Việt")


def form(text: str, name: str) -> str:
    return unicodedata.normalize(name, text)


@pytest.mark.parametrize("word", WORDS)
def test_decomposed_and_composed_names_pair(tmp_path: Path, load: Callable[..., Any], word: str) -> None:
    trees = []
    for forms in (("NFD", "NFC", "NFD", "NFC"), ("NFC", "NFD", "NFC", "NFD"), ("NFC", "NFC", "NFC", "NFC")):
        tree = TreeWriter(tmp_path / "-".join(forms) / "DVM")
        colour = tree.still("disc")
        colour.rename(colour.with_name(f"{form(word, forms[0])}.png"))
        alpha = tree.root / "fg/image/train/alpha/disc.png"
        alpha.rename(alpha.with_name(f"{form(word, forms[1])}.png"))
        tree.moving(form(word, forms[2]))
        tree.background(form(word, forms[3]))
        pairs = tree.root / "list.txt"
        still, moving = f"image+{form(word, forms[1])}.png", f"video+{form(word, forms[0])}"
        lines = f"{still}+{form(word, forms[2])}.mp4\n{moving}+{form(word, 'NFC')}.mp4\n"
        pairs.write_text(lines, encoding="utf-8")
        trees.append(tree.root)
    names = form(word, "NFC")
    seeds = []
    for root in trees:
        rows = list(load("train", data_dir=str(root), split="train", streaming=True, pairs="list.txt", clip_length=8))
        assert [row["clip_id"] for row in rows] == [f"image_{names}_{names}", f"video_{names}_{names}"]
        seeds.append([row["seed"] for row in rows])
        assert [one for one in check(root, configs=[], processes=0).findings if one.severity != "note"] == []
    assert seeds[0] == seeds[1] == seeds[2]


def test_two_equivalent_names_are_a_problem(tmp_path: Path) -> None:
    tree = TreeWriter(tmp_path / "DVM")
    tree.still("disc")
    tree.background(form("é", "NFC"))
    tree.background(form("é", "NFD"))
    (problem,) = scan(tree.root, "train").problems
    assert problem.code == "same-name"


LEFT = ["Thumbs.db", "desktop.ini", ".DS_Store", "._cat.png", "@eaDir", "cat.png.part", "f.mp4.crdownload"]
LEFT += ["checksums.md5", "MD5SUMS", "__MACOSX", "#recycle", "~$notes.docx"]
LEFT += ["Icon\r", "x.png~", ".x.png.swp", "x.png.swo", "ehthumbs.db", "ehthumbs_vista.db", "x.mp4.aria2"]
LEFT += ["System Volume Information", "$RECYCLE.BIN", ".fuse_hidden0000001a00000001", ".nfs000000000123", ".directory"]
LEFT += ["x.mp4.filepart", ".Trash-1000", "lost+found", "Unconfirmed 12345.crdownload", "x.mp4.!qB", ".~lock.x.ods#"]
FOLDERS = ("@eaDir", "__MACOSX", "#recycle", "System Volume Information", "$RECYCLE.BIN", ".Trash-1000", "lost+found")


@pytest.mark.parametrize("name", LEFT)
def test_system_files_are_not_a_problem(tmp_path: Path, name: str) -> None:
    tree = TreeWriter(tmp_path / "DVM")
    tree.still("disc")
    tree.moving("0000")
    tree.background("0000")
    for folder in ("", "fg", "bg/train", "fg/image/train", "fg/image/train/fg", "fg/video/train/0000"):
        place = tree.root / folder / name
        if name in FOLDERS:
            place.mkdir()
        else:
            place.write_bytes(b"x")
    config = DVMConfig(name="train", data_dir=str(tree.root))
    assert [one for one in check(tree.root, configs=[config], processes=0).findings if one.severity != "note"] == []


@pytest.mark.parametrize(
    "name",
    ["cat.png", "f.mp4", "notes.docx", "partial.png", "reader.png", "0000", "~cat.png", "icon", "tmp", "x~y.png"],
)
def test_sources_and_unexpected_files_are_not_system_files(name: str) -> None:
    assert not is_ignored(name)


def test_the_guide_lists_every_ignored_name() -> None:
    page = " ".join((Path(__file__).resolve().parents[2] / "docs/guide.md").read_text(encoding="utf-8").lower().split())
    shown = {name for name in SYSTEM_NAMES if not name.isprintable()}
    assert shown == {"icon\r"}  # described in words
    assert [name for name in (*SYSTEM_NAMES - shown, *IGNORED_SUFFIXES - CHECKSUMS) if f"`{name}`" not in page] == []
