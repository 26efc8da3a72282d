"""Listings of remote trees, against a local folder with the same files."""

import os
import sqlite3
from pathlib import Path

import pytest

from dvm_hf.errors import MachineError, SourceError
from dvm_hf.sources.remote.listed_tree import ListedTree, RemoteFile, write_listing

FACTS = {"address": "hf://datasets/alice/matting"}
PATHS = ("fg/train/a.png", "fg/train/b.png", "fg/notes.txt", "bg/0001/00001.jpg", "bg/0001/00002.jpg", "read me ü.md")


def listing(folder: Path, paths: tuple[str, ...]) -> ListedTree:
    files = [RemoteFile(path, len(path), f"sha256:{path}") for path in paths]
    write_listing(folder / "listings" / "tree", folder / "tree", files, FACTS)
    return ListedTree(folder / "listings" / "tree", folder / "tree")


def test_an_empty_listing_is_not_kept(tmp_path: Path) -> None:
    """Or the next run would take it for a tree."""
    assert write_listing(tmp_path / "listing", tmp_path / "tree", [], FACTS) == 0
    assert list(tmp_path.iterdir()) == []


def test_entries_are_those_of_a_local_folder(tmp_path: Path) -> None:
    local = tmp_path / "local"
    for path in PATHS:
        (local / path).parent.mkdir(parents=True, exist_ok=True)
        (local / path).write_bytes(path.encode()[: len(path)])
    tree = listing(tmp_path, PATHS)
    for folder, _, _ in os.walk(local):
        relative = os.path.relpath(folder, local).replace(".", "")
        with os.scandir(folder) as entries:
            expected = {(e.name, e.is_dir(), e.is_file(), e.stat().st_size * e.is_file()) for e in entries}
        assert {(e.name, e.is_dir(), e.is_file(), e.stat().st_size) for e in tree.entries(relative)} == expected
        assert (tree.root / relative).is_dir()
    assert tree.facts() == FACTS
    assert tree.file("fg/notes.txt") == RemoteFile("fg/notes.txt", 12, "sha256:fg/notes.txt")
    assert tree.file("fg") is tree.file("fg/train") is tree.file("nothing") is None
    assert tree.entries("nothing") == []
    assert not [path for path in tree.root.rglob("*") if not path.is_dir()]
    assert [path.name for path in tree.listing.parent.iterdir()] == ["tree"]


OUTSIDE = ("../a.png", "/etc/a.png", "fg/../../a.png", "fg//a.png", "fg/./a.png", "fg/", "a\\b", "a\0")


@pytest.mark.parametrize("path", OUTSIDE)
def test_names_that_lead_out_of_the_tree_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(SourceError, match=r"hf://datasets/alice/matting: lists .* not a path inside the source tree"):
        listing(tmp_path, ("fg/a.png", path))
    assert not (tmp_path / "tree").exists()
    assert list((tmp_path / "listings").iterdir()) == []


def test_names_that_no_folder_can_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="'fg' is a file and a folder; rename one of them"):
        listing(tmp_path, ("fg/a.png", "fg"))
    with pytest.raises(SourceError, match=r"lists 'fg/a\.png' twice"):
        listing(tmp_path, ("fg/a.png", "fg/a.png"))


def test_a_missing_listing_is_named(tmp_path: Path) -> None:
    tree = ListedTree(tmp_path / "listing", tmp_path / "tree")
    with pytest.raises(SourceError, match="pass its address as data_dir again"):
        tree.entries("")


def test_a_disk_without_room_for_the_listing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite reports a full disk by an error of its own, as it does for a database of too many pages."""

    def connect(path: Path) -> sqlite3.Connection:
        made = connected(path)
        made.execute("PRAGMA max_page_count = 8")
        return made

    connected = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", connect)
    with pytest.raises(
        MachineError, match=r"listings/tree: cannot be written \(database or disk is full\); free space"
    ):
        listing(tmp_path, tuple(f"fg/{number:04d}.png" for number in range(1000)))
    assert list((tmp_path / "listings").iterdir()) == []


def test_signatures_depend_on_size_and_content_only(tmp_path: Path) -> None:
    def stat(path: str, content: str) -> tuple[int, ...]:
        write_listing(tmp_path / path, tmp_path / "tree", [RemoteFile(path, 5, content)], FACTS)
        return ListedTree(tmp_path / path, tmp_path / "tree").entries("")[0].stat()

    assert stat("a", "sha256:1") == stat("b", "sha256:1")
    assert stat("c", "sha256:2")[1] != stat("d", "sha256:1")[1]
