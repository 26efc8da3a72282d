"""A source tree may be a folder with any known layout; what a layout lacks is an error that names the remedy."""

import shutil
from pathlib import Path

import pytest
from look_alikes import draw

from dvm_hf.errors import ConfigError, SourceError
from dvm_hf.sources.records import SPLITS
from dvm_hf.sources.tree import is_source_tree, media_folders, scan, survey

ONE_ROLE = {  # look-alikes of sets that have only one of the two
    "videomatte240k": "backgrounds",
    "adobe": "backgrounds",
    "image-mask": "backgrounds",
    "bg20k": "foregrounds",
    "rvm-backgrounds": "foregrounds",
    "videos": "foregrounds",
}


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", ["dvm", "videomatting108"])
@pytest.mark.parametrize("layout", ["auto", "named"])
def test_a_set_with_both_roles_is_a_tree(tmp_path, name, split, layout):
    expected = draw(name, tmp_path)
    tree = scan(tmp_path, split, layout=layout if layout == "auto" else name)
    assert tuple(one.name for one in tree.foregrounds) == expected.foregrounds[split]
    assert tuple(one.name for one in tree.backgrounds) == expected.backgrounds[split]
    (entry,) = tree.entries
    assert (entry.layout, entry.path, entry.role) == (name, ".", "")
    assert entry.terms
    assert entry.citation
    assert tree.problems == ()


@pytest.mark.parametrize(("name", "lacking"), ONE_ROLE.items())
def test_a_set_with_one_role_needs_a_sources_file(tmp_path, name, lacking):
    draw({"image-mask": "am-2k"}.get(name, name), tmp_path)
    other = "foregrounds" if lacking == "backgrounds" else "backgrounds"
    with pytest.raises(SourceError) as caught:
        scan(tmp_path, "train")
    assert str(caught.value) == (
        f"{tmp_path}: has the layout {name!r}, which has {other}, but no {lacking}; list this folder and one with "
        f"{lacking} in a sources file (.yaml), which `dvm init` writes, and pass the file as data_dir"
    )
    assert getattr(survey(tmp_path, "train"), other)


def test_the_terms_of_a_set_are_in_its_entry(tmp_path):
    draw("distinctions646", tmp_path)
    (entry,) = survey(tmp_path, "train").entries
    assert not entry.is_redistributable
    assert "no redistribution" in entry.terms


def test_what_a_layout_skips_is_a_note(tmp_path):
    draw("videomatte240k", tmp_path)
    assert [note.path for note in survey(tmp_path, "train").notes] == ["train/fgr"]
    assert survey(tmp_path, "test").notes == ()


def test_a_layout_can_be_given_where_two_fit(tmp_path):
    draw("cutouts", tmp_path)
    with pytest.raises(SourceError, match=r"'bg20k' and 'cutouts' fit equally"):
        survey(tmp_path, "train")
    assert len(survey(tmp_path, "train", layout="cutouts").foregrounds) == 2
    assert len(survey(tmp_path, "train", layout="bg20k").backgrounds) == 2
    with pytest.raises(ConfigError, match="layout='cutout': not a known layout"):
        survey(tmp_path, "train", layout="cutout")


def test_a_given_layout_that_does_not_fit_says_what_it_lacks(tmp_path):
    put(tmp_path, "FG_done/a/b/00000.png", "BG_done/c/00000.png")
    with pytest.raises(
        SourceError, match=r"'videomatting108', but lacks frame_corr\.json, .* and has no usable foregr"
    ):
        scan(tmp_path, "train", layout="videomatting108")


def test_a_split_without_usable_sources_says_why(tmp_path):
    draw("videomatting108", tmp_path)
    (tmp_path / "val_videos.txt").unlink()
    with pytest.raises(SourceError, match=r"no usable foreground .* in the split 'test'; val_videos\.txt: is missing"):
        scan(tmp_path, "test")


@pytest.mark.parametrize(
    ("names", "contains"),
    [((), "nothing"), (("fg/notes.txt",), "fg"), (("bg/train/a.mp4",), "bg"), (("fg/a.png", "bg/b.mp4"), "bg, fg")],
)
def test_folders_like_dvm_keep_their_error(tmp_path, names, contains):
    put(tmp_path, *names)
    with pytest.raises(
        SourceError, match=rf"contain fg/ and bg/|contains fg/ and bg/ \(this one contains: {contains}\)"
    ):
        scan(tmp_path, "train")


def test_an_unknown_folder_is_an_error_of_every_scan(tmp_path):
    put(tmp_path, "data/notes.txt")
    for call in (scan, survey):
        with pytest.raises(SourceError, match="has no known layout"):
            call(tmp_path, "train")


@pytest.mark.parametrize(("name", "other"), [("fg", "backgrounds"), ("bg", "foregrounds")])
def test_one_part_of_a_dvm_folder_can_be_an_entry_of_a_sources_file(tmp_path, name, other):
    draw("dvm", tmp_path)
    shutil.rmtree(tmp_path / {"fg": "bg", "bg": "fg"}[name])
    with pytest.raises(SourceError, match=rf"lists this folder and one with {other}, which `dvm init` writes$"):
        scan(tmp_path, "train")


@pytest.mark.parametrize(
    ("name", "is_tree"), [("dvm", True), ("videomatting108", True), ("adobe", False), ("bg20k", False)]
)
def test_a_source_tree_has_foregrounds_and_backgrounds(tmp_path, name, is_tree):
    draw(name, tmp_path / "set")
    assert is_source_tree(tmp_path / "set") == is_tree
    assert not is_source_tree(tmp_path / "set", "cutouts")
    put(tmp_path, "other/notes.txt")
    (tmp_path / "empty").mkdir()
    assert [is_source_tree(tmp_path / path) for path in ("other", "empty", "none", "other/notes.txt")] == [False] * 4
    assert is_source_tree(tmp_path / "sources.yaml")


def test_the_folders_with_sources_of_a_tree(tmp_path):
    draw("dvm", tmp_path / "DVM")
    assert media_folders(tmp_path / "DVM") == (tmp_path / "DVM/fg", tmp_path / "DVM/bg")
    draw("transparent-460", tmp_path / "set")
    assert media_folders(tmp_path / "set/Train") == (tmp_path / "set/Train",)  # contains fg/, too
    assert media_folders(tmp_path / "DVM", "cutouts") == (tmp_path / "DVM",)
