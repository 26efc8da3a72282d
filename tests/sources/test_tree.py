"""Source trees in every state. Nothing is decoded, so most files contain one byte."""

import builtins
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TreeWriter
from placeholder_sources import put, put_still

from dvm_hf.errors import SourceError
from dvm_hf.sources.records import Problem, SourceTree
from dvm_hf.sources.tree import scan


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small valid tree of the split train: two image foregrounds, a video foreground, three backgrounds."""
    root = tmp_path / "DVM"
    put_still(root, "cat")
    put_still(root, "dog")
    put(root, "fg/video/train/0000/f.mp4", "fg/video/train/0000/a.mp4")
    put(root, *(f"bg/train/{i:04}.mp4" for i in range(3)))
    return root


def names(tree: SourceTree) -> list[tuple[str, str]]:
    return [(foreground.kind, foreground.name) for foreground in tree.foregrounds]


def problem(tree: SourceTree, path: str) -> str:
    """Return the text of the only problem of a path."""
    (text,) = [problem.text for problem in tree.problems if problem.path == path]
    return text


WHOLE = [("image", "cat"), ("image", "dog"), ("video", "0000")]


# What is found


def test_a_valid_tree_has_sources_and_no_problems(root):
    tree = scan(root, "train")
    assert names(tree) == WHOLE
    assert [background.name for background in tree.backgrounds] == ["0000", "0001", "0002"]
    assert (tree.problems, tree.ignored) == ((), ())
    cat, _, moving = tree.foregrounds
    assert (cat.colour, cat.alpha) == (root / "fg/image/train/fg/cat.png", root / "fg/image/train/alpha/cat.png")
    assert (moving.colour, moving.alpha) == (root / "fg/video/train/0000/f.mp4", root / "fg/video/train/0000/a.mp4")
    assert [background.path for background in tree.backgrounds] == sorted((root / "bg/train").iterdir())


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_synthetic_source_is_found(drawn_sources, split):
    tree = scan(drawn_sources, split)
    stills = sorted(path.stem for path in (drawn_sources / "fg/image" / split / "fg").iterdir())
    moving = sorted(path.name for path in (drawn_sources / "fg/video" / split).iterdir())
    assert names(tree) == [("image", name) for name in stills] + [("video", name) for name in moving]
    assert [b.path for b in tree.backgrounds] == sorted((drawn_sources / "bg" / split).iterdir())
    assert not tree.problems


def test_trimaps_belong_to_the_test_split_only(tree):
    for split in ("train", "test"):
        tree.still(split=split)
        tree.background(split=split)
    put(tree.root, "fg/image/train/trimap/disc.png")
    assert scan(tree.root, "train").foregrounds[0].trimap is None
    assert scan(tree.root, "test").foregrounds[0].trimap == tree.root / "fg/image/test/trimap/disc.png"
    (tree.root / "fg/image/test/trimap/disc.png").unlink()
    assert scan(tree.root, "test").foregrounds[0].trimap is None


@pytest.mark.parametrize(
    ("kinds", "expected"), [(("image",), WHOLE[:2]), (("video",), WHOLE[2:]), (("video", "image"), WHOLE)], ids=str
)
def test_only_the_requested_kinds_are_found(root, kinds, expected):
    assert names(scan(root, "train", kinds=kinds)) == expected
    assert names(scan(root, "train", kinds=iter(kinds))) == expected  # any iterable will do


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".PNG", ".JPG"])
def test_stills_are_paired_by_name_regardless_of_extension(root, suffix):
    put(root, f"fg/image/train/fg/eel{suffix}", "fg/image/train/alpha/eel.png")
    tree = scan(root, "train")
    assert names(tree) == [*WHOLE[:2], ("image", "eel"), WHOLE[2]]
    assert tree.foregrounds[2].colour.name == f"eel{suffix}"
    assert not tree.problems


@pytest.mark.parametrize("suffix", [".MP4", ".mkv", ".mov", ".webm"])
def test_videos_of_other_containers_are_found(root, suffix):
    put(root, f"bg/train/0009{suffix}", f"fg/video/train/0001/f{suffix}", f"fg/video/train/0001/a{suffix}")
    tree = scan(root, "train")
    assert tree.backgrounds[-1].path == root / f"bg/train/0009{suffix}"
    assert tree.foregrounds[-1].alpha == root / f"fg/video/train/0001/a{suffix}"


@pytest.mark.parametrize("name", ["a+b", "two words", "dots.in.it", "grün", "-", "100%", "#1", "[x]"])
def test_unusual_names_are_accepted(root, name):
    put_still(root, name)
    put(root, f"bg/train/{name}.mp4")
    tree = scan(root, "train")
    assert ("image", name) in names(tree)
    assert name in [background.name for background in tree.backgrounds]
    assert not tree.problems


def test_hidden_files_are_ignored(root):
    put(root, "fg/image/train/fg/._cat.png", "bg/train/.DS_Store", "bg/train/.0003.mp4", "fg/video/train/.git/f.mp4")
    tree = scan(root, "train")
    assert names(tree) == WHOLE
    assert len(tree.backgrounds) == 3
    assert (tree.problems, tree.ignored) == ((), ())


def test_links_within_the_root_are_followed(root):
    put(root, "store/eel.png", "store/0001/f.mp4", "store/0001/a.mp4")
    for part in ("fg", "alpha"):
        (root / f"fg/image/train/{part}/eel.png").symlink_to(root / "store/eel.png")
    (root / "fg/video/train/0001").symlink_to("../../../store/0001")
    assert names(scan(root, "train")) == [*WHOLE[:2], ("image", "eel"), WHOLE[2], ("video", "0001")]


def test_the_root_itself_may_be_a_link(root, tmp_path):
    (tmp_path / "linked").symlink_to(root)
    tree = scan(tmp_path / "linked", "train")
    assert names(tree) == WHOLE
    assert not tree.problems


@pytest.fixture
def linked_out(root: Path, tmp_path: Path) -> Path:
    """The small tree with symlinks to an image foreground, a video foreground and the test backgrounds."""
    elsewhere = tmp_path / "elsewhere"
    put(elsewhere, "eel.png", "0001/f.mp4", "0001/a.mp4", "bg/0009.mp4")
    for part in ("fg", "alpha"):
        (root / f"fg/image/train/{part}/eel.png").symlink_to(elsewhere / "eel.png")
    (root / "fg/video/train/0001").symlink_to(elsewhere / "0001")
    (root / "bg/test").symlink_to(elsewhere / "bg")
    return root


def test_links_outside_the_root_are_problems_and_not_read(linked_out, tmp_path):
    tree = scan(linked_out, "train")
    assert names(tree) == WHOLE
    outside = [entry.path for entry in tree.problems if "points outside the source folder" in entry.text]
    assert outside == [f"{STILL}/fg/eel.png", f"{STILL}/alpha/eel.png", "fg/video/train/0001"]
    assert str(tmp_path / "elsewhere/eel.png") in problem(tree, f"{STILL}/alpha/eel.png")
    with pytest.raises(SourceError, match="points outside"):
        scan(linked_out, "test")


def test_a_sibling_folder_with_the_same_prefix_is_outside(root, tmp_path):
    put(tmp_path / (root.name + "2"), "9.mp4")
    (root / "bg/train/9.mp4").symlink_to(tmp_path / (root.name + "2") / "9.mp4")
    assert "points outside" in problem(scan(root, "train"), "bg/train/9.mp4")


def test_links_into_listed_folders_are_followed(linked_out, tmp_path, monkeypatch):
    listed = os.pathsep.join([str(tmp_path / "nowhere"), str(tmp_path / "elsewhere")])
    monkeypatch.setenv("DVM_LINKED_FOLDERS", listed)
    tree = scan(linked_out, "train")
    assert names(tree) == [*WHOLE[:2], ("image", "eel"), WHOLE[2], ("video", "0001")]
    assert not tree.problems


@pytest.mark.parametrize("name", ["a\nb.mp4", "\x1b[2J.mp4", "\x7f.mp4"])
def test_names_with_control_characters_are_printable_problems(root, name):
    put(root, f"bg/train/{name}")
    tree = scan(root, "train")
    (found,) = tree.problems
    assert "control characters" in found.text
    assert str(found).isprintable()


@pytest.mark.slow
def test_ten_thousand_files_are_scanned_and_none_is_opened(tmp_path, monkeypatch):
    root = tmp_path / "DVM"
    for folder, count in (("fg/image/train/fg", 2000), ("fg/image/train/alpha", 2000), ("bg/train", 6000)):
        (root / folder).mkdir(parents=True)
        suffix = "mp4" if folder == "bg/train" else "png"
        for i in range(count):
            (root / folder / f"{i:05}.{suffix}").write_bytes(b"x")

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"opened: {args}")

    with monkeypatch.context() as patched:
        for module, name in ((builtins, "open"), (io, "open"), (os, "open")):
            patched.setattr(module, name, refuse)
        tree = scan(root, "train")
        assert len(tree.fingerprint()) > 20
    assert (len(tree.foregrounds), len(tree.backgrounds)) == (2000, 6000)


# What is wrong


STILL = "fg/image/train"
DAMAGE: dict[str, tuple[Callable[[Path], None], str, str]] = {
    # change of the tree, path of the problem, required text
    "colour without alpha": (lambda root: put(root, f"{STILL}/fg/eel.png"), f"{STILL}/fg/eel.png", "alpha"),
    "alpha without colour": (lambda root: put(root, f"{STILL}/alpha/eel.png"), f"{STILL}/alpha/eel.png", "colour"),
    "f without a": (lambda root: put(root, "fg/video/train/0001/f.mp4"), "fg/video/train/0001", "a.mp4"),
    "a without f": (lambda root: put(root, "fg/video/train/0001/a.mp4"), "fg/video/train/0001", "f.mp4"),
    "neither": (lambda root: (root / "fg/video/train/0001").mkdir(), "fg/video/train/0001", "f.mp4 and no a.mp4"),
    "empty colour": (
        lambda root: put(root, f"{STILL}/fg/eel.png", f"{STILL}/alpha/eel.png", data=b""),
        f"{STILL}/fg/eel.png",
        "empty",
    ),
    "empty background": (lambda root: put(root, "bg/train/0009.mp4", data=b""), "bg/train/0009.mp4", "empty"),
    "same name twice": (
        lambda root: put(root, f"{STILL}/fg/dog.webp.png", f"{STILL}/alpha/dog.webp.png", f"{STILL}/fg/dog.webp.jpg"),
        f"{STILL}/fg/dog.webp.png",
        "dog.webp.jpg",
    ),
    "background twice": (lambda root: put(root, "bg/train/0001.mov"), "bg/train/0001.mp4", "0001.mov"),
    "folder instead of still": (
        lambda root: (root / f"{STILL}/fg/x.png").mkdir(),
        f"{STILL}/fg/x.png",
        "not a regular file",
    ),
    "folder instead of video": (lambda root: (root / "bg/train/9.mp4").mkdir(), "bg/train/9.mp4", "not a regular file"),
    "dangling link": (
        lambda root: (root / "bg/train/9.mp4").symlink_to("/nowhere/9.mp4"),
        "bg/train/9.mp4",
        "is a broken link; fix or remove it",
    ),
    "link through a file": (
        lambda root: (root / "bg/train/9.mp4").symlink_to("0000.mp4/9.mp4"),
        "bg/train/9.mp4",
        "is a broken link; fix or remove it",
    ),
    "link to itself": (lambda root: (root / "bg/train/9.mp4").symlink_to("9.mp4"), "bg/train/9.mp4", "read"),
    "dangling link to a video foreground": (
        lambda root: (root / "fg/video/train/0001").symlink_to("/nowhere/0001"),
        "fg/video/train/0001",
        "",
    ),
    "pipe": (lambda root: os.mkfifo(root / "bg/train/9.mp4"), "bg/train/9.mp4", "not a regular file"),
    "folder in a circle": (
        lambda root: (root / "fg/video/train/0001").symlink_to("../train/0001"),
        "fg/video/train/0001",
        "broken link",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_bad_source_becomes_a_problem_and_the_others_stay(root, damage):
    change, path, text = DAMAGE[damage]
    change(root)
    tree = scan(root, "train")
    assert text in problem(tree, path)
    left = [name for name in names(tree) if name != ("image", "dog.webp")]
    assert left == WHOLE
    assert [background.name for background in tree.backgrounds] == ["0000", "0001", "0002"]


def test_a_colour_with_an_empty_alpha_is_unusable(root):
    put(root, f"{STILL}/alpha/cat.png", data=b"")
    tree = scan(root, "train")
    assert names(tree) == WHOLE[1:]
    assert "empty" in problem(tree, f"{STILL}/alpha/cat.png")
    assert "alpha" in problem(tree, f"{STILL}/fg/cat.png")


def test_names_that_are_not_utf8_are_separate_problems(root):
    (root / os.fsdecode(b"bg/train/\xff.mp4")).write_bytes(b"x")
    folder = root / os.fsdecode(b"fg/video/train/\xfe")
    folder.mkdir()
    for part in ("f.mp4", "a.mp4"):
        (folder / part).write_bytes(b"x")
    tree = scan(root, "train")
    assert names(tree) == WHOLE
    assert len(tree.backgrounds) == 3
    assert ["UTF-8" in problem.text for problem in tree.problems] == [True, True]
    assert all(str(problem).encode() for problem in tree.problems)  # can be printed and written


@pytest.mark.parametrize("link", [os.link, os.symlink])
@pytest.mark.parametrize("split", ["train", "test"])
def test_one_background_file_in_both_splits_is_a_problem_of_both(root, link, split):
    put_still(root, "cat", split="test")
    put(root, "bg/test/0100.mp4")
    link(root / "bg/train/0001.mp4", root / "bg/test/0101.mp4")
    here, other = ("bg/train/0001.mp4", "bg/test/0101.mp4")[:: 1 if split == "train" else -1]
    tree = scan(root, split)
    assert other in problem(tree, here)
    assert [b.name for b in tree.backgrounds] == {"train": ["0000", "0002"], "test": ["0100"]}[split]


def test_backgrounds_of_equal_names_in_both_splits_are_two_backgrounds(root):
    put(root, "bg/test/0001.mp4")
    (root / "bg/test/0002.mp4").symlink_to("/nowhere")  # a problem of the split test
    tree = scan(root, "train")
    assert len(tree.backgrounds) == 3
    assert not tree.problems


@pytest.mark.parametrize(
    "unexpected",
    ["bg/train/notes.txt", f"{STILL}/fg/cat.xmp", "fg/video/train/0000/readme.md", "fg/video/train/list.txt"],
)
def test_files_of_unknown_types_are_counted(root, unexpected):
    put(root, unexpected)
    tree = scan(root, "train")
    assert tree.ignored == (unexpected,)
    assert names(tree) == WHOLE
    assert not tree.problems


def test_videos_with_other_names_next_to_f_and_a_are_reported(root):
    put(root, "fg/video/train/0000/extra.mp4")
    tree = scan(root, "train")
    reported = [*tree.ignored, *(problem.path for problem in tree.problems)]
    assert reported == ["fg/video/train/0000/extra.mp4"]


def test_a_trimap_without_its_still_is_reported(tree):
    tree.still(split="test")
    tree.background(split="test")
    put(tree.root, "fg/image/test/trimap/eel.png")
    found = scan(tree.root, "test")
    reported = [*found.ignored, *(problem.path for problem in found.problems)]
    assert reported == ["fg/image/test/trimap/eel.png"]


def test_problems_have_a_path_and_a_text():
    assert str(Problem("bg/train/0001.mp4", "is empty")) == "bg/train/0001.mp4: is empty"


@pytest.mark.parametrize("path", ["fg/image/train/fg", "fg/image/train", "fg/image"])
def test_a_folder_that_is_a_broken_link_is_a_problem_and_the_others_stay(root, path):
    (root / path).rename(root / "moved")
    (root / path).symlink_to("/nowhere")
    tree = scan(root, "train")
    assert names(tree) == WHOLE[2:]
    assert problem(tree, path) == "is a broken link; fix or remove it"
    assert [one.path for one in tree.problems].count(path) == 1


def test_a_folder_that_cannot_be_listed_is_a_problem_and_the_others_stay(root):
    (root / "fg/image").rename(root / "stills")
    (root / "fg/image").symlink_to("image")  # to itself
    tree = scan(root, "train")
    assert names(tree) == WHOLE[2:]
    assert "cannot be listed" in problem(tree, f"{STILL}/fg")


# Trees that cannot be used at all


def without(*paths: str) -> Callable[[Path], None]:
    return lambda root: [shutil.rmtree(root / path) for path in paths] and None


def emptied(root: Path) -> None:
    for path in (root / "bg/train").iterdir():
        path.write_bytes(b"")


UNUSABLE: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "no root": (lambda root: shutil.rmtree(root), ["no such folder", "data_dir"]),
    "root is a file": (lambda root: (shutil.rmtree(root), root.write_bytes(b"x")) and None, ["data_dir"]),
    "no backgrounds": (without("bg"), ["bg/train", "data_dir", "fg"]),
    "no foregrounds": (without("fg"), ["fg/image/train", "fg/video/train", "data_dir"]),
    "nothing": (without("fg", "bg"), ["fg/image/train", "bg/train", "nothing"]),
    "only empty backgrounds": (emptied, ["bg/train", "empty"]),
    "fg is a file": (lambda root: (shutil.rmtree(root / "fg"), put(root, "fg")) and None, ["fg"]),
}


@pytest.mark.parametrize("state", UNUSABLE)
def test_a_tree_that_cannot_be_used_is_refused_by_name(root, state):
    change, words = UNUSABLE[state]
    change(root)
    with pytest.raises(SourceError) as raised:
        scan(root, "train")
    assert all(word in str(raised.value) for word in [str(root), *words])


def test_a_split_without_sources_is_refused_by_name(root):
    with pytest.raises(SourceError, match="'test'"):
        scan(root, "test")


def test_a_kind_without_foregrounds_is_refused_by_name(root):
    shutil.rmtree(root / "fg/video")
    assert names(scan(root, "train")) == WHOLE[:2]
    with pytest.raises(SourceError, match="fg/video/train") as raised:
        scan(root, "train", kinds=("video",))
    assert "fg/image" not in str(raised.value)


# Fingerprint


def rewritten(root: Path) -> None:
    path = root / "bg/train/0001.mp4"
    path.write_bytes(b"y")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def longer_at_the_same_time(root: Path) -> None:
    path = root / f"{STILL}/alpha/dog.png"
    time = path.stat().st_mtime_ns
    path.write_bytes(b"xx")
    os.utime(path, ns=(time, time))


def shared_with_test(root: Path) -> None:
    """In the split train, only one background becomes unusable."""
    (root / "bg/test").mkdir()
    os.link(root / "bg/train/0001.mp4", root / "bg/test/0001.mp4")


CHANGES: dict[str, Callable[[Path], object]] = {
    "a background rewritten": rewritten,
    "an alpha longer, at the same time": longer_at_the_same_time,
    "a still added": lambda root: put_still(root, "eel"),
    "a background added": lambda root: put(root, "bg/train/0003.mp4"),
    "a background removed": lambda root: (root / "bg/train/0001.mp4").unlink(),
    "a background renamed": lambda root: (root / "bg/train/0001.mp4").rename(root / "bg/train/0007.mp4"),
    "a video foreground removed": lambda root: shutil.rmtree(root / "fg/video/train/0000"),
    "two files exchanged": lambda root: (
        put(root, "bg/train/0000.mp4", data=b"long"),
        (root / "bg/train/0000.mp4").rename(root / "bg/train/t"),
        (root / "bg/train/0001.mp4").rename(root / "bg/train/0000.mp4"),
        (root / "bg/train/t").rename(root / "bg/train/0001.mp4"),
    ),
    "a background shared with the split test": shared_with_test,
}


@pytest.mark.parametrize("change", CHANGES)
def test_fingerprint_changes_with_the_sources(root, change):
    before = scan(root, "train").fingerprint()
    CHANGES[change](root)
    assert scan(root, "train").fingerprint() != before


NO_CHANGES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda root: None,
    "a file read": lambda root: os.utime(
        root / "bg/train/0001.mp4", ns=(1, (root / "bg/train/0001.mp4").stat().st_mtime_ns)
    ),
    "a source of the split test": lambda root: put(root, "bg/test/0500.mp4", "fg/image/test/fg/eel.png"),
    "a hidden file": lambda root: put(root, "bg/train/.DS_Store"),
    "a file of an unknown type": lambda root: put(root, "bg/train/notes.txt"),
}


@pytest.mark.parametrize("change", NO_CHANGES)
def test_fingerprint_does_not_change_otherwise(root, change):
    before = scan(root, "train").fingerprint()
    NO_CHANGES[change](root)
    assert scan(root, "train").fingerprint() == before


def test_fingerprint_does_not_depend_on_the_location_of_the_tree(root, tmp_path, monkeypatch):
    before = scan(root, "train").fingerprint()
    copy = shutil.copytree(root, tmp_path / "another place" / "copy")  # with its times
    assert scan(copy, "train").fingerprint() == before
    monkeypatch.chdir(copy)
    assert scan(Path(), "train").fingerprint() == before


def test_fingerprint_depends_on_the_scanned_kinds(root):
    prints = {scan(root, "train", kinds=kinds).fingerprint() for kinds in (("image",), ("video",), ("image", "video"))}
    assert len(prints) == 3


def test_many_similar_problems_do_not_hide_the_reason(tree: TreeWriter) -> None:
    tree.background()
    for number in range(30):
        tree.still(f"s{number}")
    (tree.root / "fg/image/train/fg").rename(tree.root / "fg/image/train/fgs")
    (tree.root / "fg/video/train").mkdir(parents=True)
    (tree.root / "fg/video/train/0000").symlink_to("nowhere")
    with pytest.raises(SourceError) as raised:
        scan(tree.root, "train")
    message = str(raised.value)
    assert message.count("has no usable colour") == 1
    assert "fg/video/train/0000: is a broken link" in message
    assert "and 29 more like these" in message
