"""Sources files: what is read, and the error of every mistake. Nothing is decoded, so most files contain one byte."""

import os
from pathlib import Path
from typing import Any

import pytest
from placeholder_sources import VALID, put, put_sets, put_still, written

from dvm_hf.errors import SourceError
from dvm_hf.sources import known_layouts
from dvm_hf.sources.folder_scan import IMAGE_SUFFIXES
from dvm_hf.sources.layout import Layout, Match, Place
from dvm_hf.sources.records import Background, SourceTree
from dvm_hf.sources.sources_file import FileEntry, SourcesFile, default_name, read_sources_file
from dvm_hf.sources.tree import root_of, scan, splits_of, survey


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    return put_sets(tmp_path)


def listed(
    folder: Path, foregrounds: list[dict[str, Any]], backgrounds: list[dict[str, Any]], split: str = "train"
) -> SourceTree:
    return survey(written(folder, {split: {"foregrounds": foregrounds, "backgrounds": backgrounds}}), split)


def names(tree: SourceTree) -> list[str]:
    return [one.name for one in tree.foregrounds]


def background_names(tree: SourceTree) -> list[str]:
    return [one.name for one in tree.backgrounds]


def problems(tree: SourceTree) -> list[str]:
    return [str(problem) for problem in tree.problems]


# What is read


def test_entries_are_one_tree_with_prefixed_names(sets: Path) -> None:
    tree = listed(sets, [{"path": "a"}, {"path": "b", "name": "mine"}], [{"path": "b"}])
    assert tree.root == sets
    assert names(tree) == ["a.cat", "a.dog", "a.0000", "mine.cat", "mine.dog", "mine.0000"]
    assert background_names(tree) == ["b.0000", "b.0001", "b.0002"]
    assert [one.entry for one in tree.foregrounds] == [0, 0, 0, 1, 1, 1]
    assert {one.entry for one in tree.backgrounds} == {2}
    assert tree.foregrounds[3].colour == sets / "b/fg/image/train/fg/cat.png"
    assert "a/fg/image/train/alpha/cat.png" in tree.signatures
    assert not any(path.startswith("a/bg") for path in tree.signatures)
    assert [(one.name, one.role, one.layout, one.path) for one in tree.entries] == [
        ("a", "foregrounds", "dvm", "a"),
        ("mine", "foregrounds", "dvm", "b"),
        ("b", "backgrounds", "dvm", "b"),
    ]


def test_settings_of_entries_are_those_of_the_file(sets: Path) -> None:
    front = {"path": "a", "repeat": 3, "colour": "estimate", "license": "CC BY 4.0", "citation": "Doe 2025"}
    tree = listed(sets, [front, {"path": "b"}], [{"path": "a", "share": 0.25}, {"path": "b"}])
    first, second, third, fourth = tree.entries
    assert (first.repeat, first.terms, first.citation, first.share) == (3, "CC BY 4.0", "Doe 2025", None)
    assert (second.repeat, third.share, fourth.share) == (1, 0.25, None)
    assert second.terms  # those of the layout
    assert [one.colours for one in tree.foregrounds] == ["estimate"] * 3 + ["straight"] * 3


def test_frame_rates_of_entries_change_neither_names_nor_keys(sets: Path) -> None:
    usual = listed(sets, [{"path": "a"}, {"path": "b"}], [{"path": "b"}])
    tree = listed(sets, [{"path": "a"}, {"path": "b", "frame_rate": 1000}], [{"path": "b", "frame_rate": 29.97}])
    assert (usual.frame_rates, tree.frame_rates) == ((25, 25, 25), (25, 1000, 29.97))
    assert (tree.foregrounds, tree.backgrounds, tree.entries) == (usual.foregrounds, usual.backgrounds, usual.entries)
    assert (tree.fingerprint(), tree.settings) == (usual.fingerprint(), usual.settings)


def test_each_split_has_its_own_entries_and_the_root_is_common(sets: Path) -> None:
    text = "test:\n  backgrounds: [{path: b}]\n  foregrounds: [{path: b}]\n" + VALID
    path = written(sets, text)
    train, test = scan(path, "train"), scan(path, "test")
    assert (train.root, test.root) == (sets, sets)
    assert (names(train)[0], names(test)[0]) == ("a.cat", "b.cat")
    assert splits_of(path) == ("train", "test")
    assert all("/train/" in name for name in train.signatures)
    assert all("/test/" in name for name in test.signatures)


def test_entries_without_a_common_folder_have_the_root_of_the_file_system() -> None:
    entries = tuple(FileEntry("train", "foregrounds", 1, Path(folder), "x") for folder in ("/data/a", "/mnt/b"))
    assert SourcesFile(Path("/home/sources.yaml"), entries).root == Path("/")


def test_paths_below_the_root_of_the_file_system_are_absolute(sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in messages of programs that run in another folder: tmp/a/cat.png would not lead to the file."""
    (sets / "a/fg/image/train/alpha/cat.png").unlink()
    (sets / "a/fg/image/train/fg/empty.png").touch()
    (sets / "a/fg/image/train/fg/notes.txt").touch()
    usual = survey(written(sets), "train")
    monkeypatch.setattr(SourcesFile, "root", property(lambda file: Path("/")))
    tree = survey(written(sets), "train")
    stills = f"{sets}/a/fg/image/train"
    assert sorted(map(str, tree.problems)) == [
        f"{stills}/fg/cat.png: has no usable alpha, expected {stills}/alpha/cat.png; add it, or remove this file",
        f"{stills}/fg/empty.png: is empty (0 bytes); copy it again",
    ]
    assert tree.ignored == (f"{stills}/fg/notes.txt",)
    assert tree.signatures == {f"{sets}/a/{path}": one for path, one in usual.signatures.items()}
    assert (tree.foregrounds, tree.backgrounds) == (usual.foregrounds, usual.backgrounds)
    assert [entry.path for entry in tree.entries] == [f"{sets}/a"] * 2


def test_the_root_of_one_folder_is_that_folder(sets: Path) -> None:
    path = written(sets)
    assert root_of(path) == sets / "a"
    assert scan(path, "train").entries[0].path == "."
    assert splits_of(path) == ("train",)


def test_a_split_with_entries_of_one_role_does_not_count_if_another_has_both(sets: Path) -> None:
    one_role = "test: {backgrounds: [path: b]}\n"
    assert splits_of(written(sets, one_role + VALID)) == ("train",)
    assert splits_of(written(sets, one_role)) == ("test",)  # whose error names what is missing


def test_paths_are_relative_to_the_file(
    sets: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sets / "lists").mkdir()
    text = VALID.replace("path: a}", "path: ../a, include: names.txt}", 1).replace("path: a}", "path: ../a}")
    path = written(sets / "lists", text)
    (sets / "lists/names.txt").write_text("dog\n")
    here = scan(path, "train")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    there = scan(Path(os.path.relpath(path)), "train")
    assert names(here) == names(there) == ["a.dog"]
    assert [one.colour for one in here.foregrounds] == [one.colour for one in there.foregrounds]


def test_absolute_paths_and_the_home_folder_are_allowed(sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(sets))
    assert names(listed(sets, [{"path": str(sets / "a")}, {"path": "~/b"}], [{"path": "a"}]))[::3] == ["a.cat", "b.cat"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("VideoMatte240K_JPEG_HD/train", "VideoMatte240K_JPEG_HD"),
        ("Combined_Dataset/Training_set", "Training_set"),
        ("BG-20k/train/", "BG-20k"),
        ("DVM/bg/train", "DVM"),
        ("../sets/AM-2k", "AM-2k"),
        ("/data/BG-20k/testval", "BG-20k"),
        ("../bg/train", "train"),
        (".", ""),
        ("..", ""),
    ],
)
def test_a_name_is_the_last_folder_that_names_a_data_set(path: str, name: str) -> None:
    assert default_name(path) == name


def test_an_added_entry_changes_no_name(sets: Path) -> None:
    few = listed(sets, [{"path": "a"}], [{"path": "a"}])
    many = listed(sets, [{"path": "b"}, {"path": "a"}], [{"path": "b"}, {"path": "a"}])
    assert set(names(few)) < set(names(many))
    assert set(background_names(few)) < set(background_names(many))


# include and exclude


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"include": "c*"}, ["cat"]),
        ({"include": ["cat", "0000"]}, ["cat", "0000"]),
        ({"include": "cat.png"}, ["cat"]),
        ({"exclude": ["?og"]}, ["cat", "0000"]),
        ({"include": ["cat", "dog"], "exclude": "d*"}, ["cat"]),
        ({"exclude": "nothing"}, ["cat", "dog", "0000"]),
    ],
)
def test_patterns_select_sources_by_name(sets: Path, keys: dict[str, Any], expected: list[str]) -> None:
    tree = listed(sets, [{"path": "a", **keys}], [{"path": "a"}])
    assert names(tree) == [f"a.{name}" for name in expected]
    assert problems(tree) == []


def test_brackets_in_names_match_themselves(sets: Path) -> None:
    put_still(sets / "a", "13[2]")
    put_still(sets / "a", "132")
    assert names(listed(sets, [{"path": "a", "include": "13[2]"}], [{"path": "a"}])) == ["a.132", "a.13[2]"]
    (sets / "names.txt").write_text("13[[]2]\n\ncat.png\n", encoding="utf-8-sig")
    assert names(listed(sets, [{"path": "a", "include": "names.txt"}], [{"path": "a"}])) == ["a.13[2]", "a.cat"]


def test_a_listed_name_without_a_source_is_a_problem(sets: Path) -> None:
    (sets / "names.txt").write_text("cat\nbird\nfish*\n")
    path = written(sets, VALID.replace("path: a}", "path: a, include: names.txt}", 1))
    expected = ".: include lists 'bird', 'fish*', but no source has this name; add the files, or correct the list"
    assert problems(survey(path, "train")) == [expected]
    assert problems(survey(path, "train", kinds=("image",))) == []  # it may be the name of a video


def test_problems_of_excluded_files_are_dropped(sets: Path) -> None:
    (sets / "a/fg/image/train/alpha/dog.png").write_bytes(b"")
    (sets / "a/bg/train/0001.mp4").write_bytes(b"")
    assert len(problems(listed(sets, [{"path": "a"}], [{"path": "a"}]))) == 3  # the empty alpha, and colour without it
    kept = listed(sets, [{"path": "a", "exclude": "dog"}], [{"path": "a", "include": "0000"}])
    assert (problems(kept), names(kept), background_names(kept)) == ([], ["a.cat", "a.0000"], ["a.0000"])


def test_an_entry_without_a_source_is_a_problem(sets: Path) -> None:
    tree = listed(sets, [{"path": "a"}, {"path": "b", "exclude": "*"}], [{"path": "a"}])
    assert problems(tree) == ["b: include and exclude leave none of its 3 sources; change them"]
    (sets / "c/fg").mkdir(parents=True)
    (sets / "c/bg").mkdir(parents=True)
    (text,) = problems(listed(sets, [{"path": "a"}, {"path": "c"}], [{"path": "a"}]))
    assert text.startswith("c: contains no foregrounds in the layout 'dvm' for the split 'train'; correct the path")


# Several entries


def test_a_source_of_two_entries_is_a_problem_of_the_second(sets: Path) -> None:
    same = [{"path": "a"}, {"path": "a", "name": "again", "include": ["cat", "dog"]}]
    tree = listed(sets, same, [{"path": "a"}])
    assert names(tree) == ["a.cat", "a.dog", "a.0000"]
    assert [text.split(": ")[0] for text in problems(tree)] == [
        f"fg/image/train/fg/{name}.png" for name in ("cat", "dog")
    ]
    assert "is already a source of the entry on line 3; exclude it" in problems(tree)[0]


def test_a_linked_folder_is_the_same_folder(sets: Path) -> None:
    (sets / "link").symlink_to(sets / "a")
    tree = listed(sets, [{"path": "a"}, {"path": "link"}], [{"path": "a"}])
    assert names(tree) == ["a.cat", "a.dog", "a.0000"]
    assert len(problems(tree)) == 3


def test_two_entries_of_one_folder_share_its_sources_by_patterns(sets: Path) -> None:
    tree = listed(
        sets, [{"path": "a", "exclude": "cat"}, {"path": "a", "name": "cats", "include": "cat"}], [{"path": "a"}]
    )
    assert (names(tree), problems(tree)) == (["a.dog", "a.0000", "cats.cat"], [])


def test_links_out_of_an_entry_are_not_read(sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even those to another entry, or to another folder under the common root."""
    put(sets, "secret/0009.mp4")
    (sets / "a/bg/train/0008.mp4").symlink_to(sets / "b/bg/train/0000.mp4")
    (sets / "a/bg/train/0009.mp4").symlink_to(sets / "secret/0009.mp4")
    tree = listed(sets, [{"path": "b"}], [{"path": "a"}, {"path": "b"}])
    assert background_names(tree) == [*(f"a.000{i}" for i in range(2)), *(f"b.000{i}" for i in range(3))]
    assert [problem.code for problem in tree.problems] == ["link-out", "link-out"]
    monkeypatch.setenv("DVM_LINKED_FOLDERS", str(sets / "secret"))
    assert "a.0009" in background_names(listed(sets, [{"path": "b"}], [{"path": "a"}, {"path": "b"}]))


def test_an_entry_may_be_a_link(sets: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("disk") / "c"
    (sets / "a").rename(elsewhere)
    (sets / "a").symlink_to(elsewhere)
    tree = scan(written(sets), "train")
    assert (names(tree), tree.problems) == (["a.cat", "a.dog", "a.0000"], ())


# Layouts


@pytest.fixture
def stills(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layout of the test: a folder of stills as backgrounds, recognized by its name."""

    def backgrounds(place: Place, split: str) -> list[Background]:
        found = place.scan.media(place.path(), IMAGE_SUFFIXES)
        return [Background(name, place.scan.root / path, place.entry) for name, path in found.items()]

    def match(place: Place) -> Match:
        return Match(("names",), ()) if place.base.endswith("stills") else Match((), ("names",))

    layout = Layout("test-stills", "stills", match, backgrounds=backgrounds, terms="theirs", is_redistributable=False)
    monkeypatch.setattr(known_layouts, "_registered", {layout.name: layout})


@pytest.mark.usefixtures("stills")
def test_entries_of_other_layouts_are_recognized(sets: Path) -> None:
    put(sets, "stills/x.jpg", "stills/y.jpg", "plain/z.jpg")
    tree = listed(sets, [{"path": "a"}], [{"path": "stills"}, {"path": "plain", "layout": "test-stills"}])
    assert background_names(tree) == ["stills.x", "stills.y", "plain.z"]
    assert [(one.layout, one.terms, one.is_redistributable) for one in tree.entries[1:]] == [
        ("test-stills", "theirs", False)
    ] * 2


@pytest.mark.usefixtures("stills")
def test_a_layout_without_the_role_is_refused(sets: Path) -> None:
    put(sets, "stills/x.jpg")
    message = r"sources\.yaml, line 4: layout: 'test-stills' has no foregrounds; move the entry to the other list"
    with pytest.raises(SourceError, match=message):
        survey(written(sets, VALID.replace("- {path: a}", "- path: stills\n      layout: test-stills", 1)), "train")


# Other forms


def test_shares_that_are_rounded_are_accepted(sets: Path) -> None:
    three = "".join(f"    - {{path: {path}, name: n{path}, share: 0.333}}\n" for path in "abc")
    assert len(read_sources_file(written(sets, f"train:\n  backgrounds:\n{three}")).entries) == 3


def test_anchors_repeat_a_list(sets: Path) -> None:
    path = written(sets, "train:\n  foregrounds: &all\n    - {path: a}\n  backgrounds: *all\n")
    assert len(scan(path, "train").backgrounds) == 2


# The fingerprint


@pytest.mark.parametrize(
    ("old", "new", "is_same"),
    [
        ("{path: a}", "{path: a, repeat: 2}", False),
        ("{path: a}", "{path: a, colour: straight}", False),
        ("{path: a}", "{path: a, name: b}", False),
        ("{path: a}", "{path: a, exclude: cat}", False),
        ("{path: a}", "{path: a, license: CC0}", False),
        ("{path: a}", "{path: a}  # a comment", True),
        ("- {path: a}", "\n    - path: a", True),
    ],
)
def test_the_fingerprint_covers_all_settings(sets: Path, old: str, new: str, is_same: bool) -> None:
    before = scan(written(sets), "train").fingerprint()
    assert (scan(written(sets, VALID.replace(old, new, 1)), "train").fingerprint() == before) is is_same


def test_the_fingerprint_covers_lists_and_sources(sets: Path) -> None:
    text = VALID.replace("path: a}", "path: a, include: names.txt}", 1)
    (sets / "names.txt").write_text("cat\ndog\n")
    first = scan(written(sets, text), "train").fingerprint()
    (sets / "names.txt").write_text("cat\n")
    second = scan(written(sets, text), "train").fingerprint()
    os.utime(sets / "a/bg/train/0000.mp4", (1, 1))
    third = scan(written(sets, text), "train").fingerprint()
    assert len({first, second, third}) == 3


def test_a_copy_of_the_folders_and_the_file_has_the_same_settings(sets: Path, tmp_path: Path) -> None:
    first = scan(written(sets), "train").settings
    other = tmp_path / "other"
    put_still(other / "a", "cat")
    put(other / "a", "bg/train/0000.mp4")
    assert scan(written(other), "train").settings == first
