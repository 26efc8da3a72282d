"""Which files of a source tree are pushed, and whether its listing gives the same sources, without a Hub."""

from pathlib import Path

import pytest
import yaml
from placeholder_sources import put, put_sets, put_still, written

from dvm_hf.errors import SourceError
from dvm_hf.hub.listing_check import checked_tree
from dvm_hf.hub.source_card import card, is_own_card, licence_identifier
from dvm_hf.hub.source_push import _warnings
from dvm_hf.hub.source_tree import PushedTree, pushed_tree
from dvm_hf.sources.sources_file import read_sources_file

REPO = "alice/sources"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVM_SOURCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def checked(data_dir: Path) -> PushedTree:
    return checked_tree(data_dir, REPO, others={"README.md": 1, ".gitattributes": 1})


def test_only_sources_and_lists_are_pushed(tmp_path: Path, cache: Path) -> None:
    root = put_sets(tmp_path) / "a"
    put(root, "fg/image/test/trimap/cat.png", "fg/image/test/trimap/dog.png")
    put(root, "notes.txt", "fg/image/train/readme.md", "bg/train/.hidden.mp4", "bg/train/a.part", "other/x.png")
    (root / "pairs.txt").write_text("image+cat.png+0000.mp4\n")
    (root / "bg/test/0009.mp4").symlink_to("0000.mp4")
    kept = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    kept -= {"notes.txt", "fg/image/train/readme.md", "bg/train/.hidden.mp4", "bg/train/a.part", "other/x.png"}
    tree = checked(root)
    assert {path: local.relative_to(root).as_posix() for path, local in tree.files.items()} == {p: p for p in kept}
    assert (tree.texts, tree.address(REPO, "a/b")) == ({}, "hf://datasets/alice/sources@a%2Fb")
    assert not [path for path in cache.rglob("*") if path.is_file() and path.name != "cache.lock"]


def test_links_out_of_the_folder_and_other_problems_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = put_sets(tmp_path) / "a"
    put(tmp_path / "elsewhere", "0007.mp4")
    (root / "bg/train/0007.mp4").symlink_to(tmp_path / "elsewhere/0007.mp4")
    with pytest.raises(SourceError, match=r"has 1 problem, .*0007.mp4: is a link that points outside"):
        pushed_tree(root)
    monkeypatch.setenv("DVM_LINKED_FOLDERS", str(tmp_path / "elsewhere"))
    assert "bg/train/0007.mp4" in checked(root).files
    put(root, "fg/image/train/fg/bird.png")
    with pytest.raises(SourceError, match="Fix what `dvm check` lists, or exclude these sources"):
        pushed_tree(root)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="contains no sources to push"):
        pushed_tree(tmp_path / "empty")


def test_a_sources_file_keeps_all_its_settings(tmp_path: Path) -> None:
    put_sets(tmp_path / "sets")
    (tmp_path / "sets/used.txt").write_text("cat\n0000\n")
    put(tmp_path / "sets/frames/fgr/cat", "1.png", "2.png")
    put(tmp_path / "sets/frames/pha/cat", "1.png", "2.png")
    text = """train:
  foregrounds:
    - {path: a, name: "#1: ä", include: used.txt, repeat: 3, license: "MIT", citation: "A: b\\nc"}
    - {path: frames, layout: fgr-pha, colour: estimate, frame_rate: 29.97}
  backgrounds:
    - {path: a, exclude: ["0001*", "x"], share: 0.00001}
    - {path: b/bg/train, name: b}
test: {foregrounds: [{path: b}], backgrounds: [{path: b}]}
"""
    file = written(tmp_path / "sets", text)
    tree = checked(file)
    assert {"frames/fgr/cat/2.png", "a/fg/image/train/alpha/cat.png", "b/bg/train/0002.mp4"} <= tree.files.keys()
    assert not {"a/bg/train/0001.mp4", "a/fg/image/train/fg/dog.png", "used.txt"} & tree.files.keys()
    (tmp_path / "copy").mkdir()
    for path, local in tree.files.items():
        put(tmp_path / "copy", path, data=local.read_bytes())
    put(tmp_path / "copy", "sources.yaml", data=tree.texts["sources.yaml"])
    both = read_sources_file(file), read_sources_file(tmp_path / "copy/sources.yaml")
    settings = [
        [
            (e.split, e.role, e.folder.relative_to(f.root), e.name, e.layout, e.colour, e.names, e.repeat)
            for e in f.entries
        ]
        for f in both
    ]
    assert settings[1] == settings[0]
    others = [[(e.share, e.license, e.citation, e.frame_rate) for e in f.entries] for f in both]
    assert others[1] == others[0]


def test_folders_that_layouts_look_at_keep_their_names(tmp_path: Path) -> None:
    """AIM-500 has its terms because of the name of its folder, also of the folder above train."""
    put(tmp_path, *(f"AM-2k/train/{part}/{name}" for part, end in PARTS for name in (f"a.{end}", f"b.{end}")))
    put(tmp_path, "bg/1.mp4")
    text = "train: {foregrounds: [{path: AM-2k/train, name: am}], backgrounds: [{path: bg}]}\n"
    assert "AM-2k/train/mask/a.png" in checked(written(tmp_path, text)).files
    only = "train: {foregrounds: [{path: AM-2k/train}]}\n"
    assert "AM-2k/train/mask/a.png" in checked(written(tmp_path, only)).files
    with pytest.raises(SourceError, match=r"would not be the same in a repository .*\(locally .*push that file"):
        checked(tmp_path / "AM-2k")


PARTS = (("original", "jpg"), ("mask", "png"))


def test_the_card_has_a_licence_that_all_entries_share(tmp_path: Path) -> None:
    put_sets(tmp_path)
    text = "train: {foregrounds: [{path: a, license: LICENCE}], backgrounds: [{path: b, license: CC-BY-4.0}]}\n"
    matters = []
    for licence in ("cc by 4.0", "mit", "my own: text"):
        file = written(tmp_path, text.replace("LICENCE", f'"{licence}"'))
        made = card(pushed_tree(file), REPO, "main").decode()
        assert is_own_card(made)
        assert 'data_dir="hf://datasets/alice/sources/sources.yaml"' in made
        assert f": {licence}." in made
        matters.append(yaml.safe_load(made.split("---\n")[1])["license"])
    assert matters == ["cc-by-4.0", "other", "other"]
    assert not is_own_card("---\ntags: x\n---\n")
    assert not is_own_card("text")
    assert (licence_identifier("CC0-1.0"), licence_identifier("as the source")) == ("cc0-1.0", "")


def test_more_files_than_the_hub_recommends_are_a_warning(tmp_path: Path) -> None:
    def warned(counts: dict[str, int]) -> tuple[str, ...]:
        files = {f"{folder}/{n}.png": tmp_path for folder, count in counts.items() for n in range(count)}
        return _warnings(PushedTree(tmp_path, files, {}, (), "", str))

    assert warned({f"f{n}": 10_000 for n in range(10)}) == ()
    (folder,) = warned({"bg/train": 10_001, "bg/test": 10_002})
    assert folder.startswith("bg/test (and 1 other folder) has 10,002 files; the Hub recommends at most 10,000")
    (repository,) = warned({f"f{n}": 10_000 for n in range(10)} | {"g": 1})
    assert repository.startswith("100,001 files; the Hub recommends at most 100,000 per repository. Push the folders")


def test_a_name_is_checked_before_anything_else(tmp_path: Path) -> None:
    put_still(tmp_path, "a?")
    put(tmp_path, "bg/train/1.mp4")
    with pytest.raises(SourceError, match="which Windows does not allow"):
        checked(tmp_path)
