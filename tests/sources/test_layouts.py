"""Each layout: traps of its set, missing partners, links, litter and names. Nothing is decoded: files have one byte."""

import json
from pathlib import Path

import pytest

from dvm_hf.sources.folder_scan import FolderScan
from dvm_hf.sources.known_layouts import layout_named
from dvm_hf.sources.layout import Place
from dvm_hf.sources.records import Foreground
from dvm_hf.sources.tree import survey


def put(root: Path, *names: str, data: bytes = b"x") -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


class Listing:
    """The sources of one split, by name, with the problems, notes and unexpected files of the scan."""

    def __init__(self, root: Path, layout: str, split: str = "train", **options: object) -> None:
        scan = FolderScan(root)
        place, chosen = Place(scan, **options), layout_named(layout)
        found = list(chosen.foregrounds(place, split)) if chosen.foregrounds else []
        self.foregrounds: dict[str, Foreground] = {one.name: one for one in found}
        self.backgrounds = {one.name: one for one in chosen.backgrounds(place, split)} if chosen.backgrounds else {}
        self.problems = {problem.path: problem.text for problem in scan.problems}
        self.codes = {problem.path: problem.code for problem in scan.problems}
        self.notes = {note.path: note.text for note in scan.notes}
        self.ignored, self.signatures = scan.ignored, scan.signatures
        assert len(self.problems) == len(scan.problems)


def frames(folder: str, count: int = 3, *, first: int = 0, suffix: str = ".png") -> list[str]:
    return [f"{folder}/{number:05}{suffix}" for number in range(first, first + count)]


# fgr and pha: pairs by name


def test_stills_videos_and_folders_are_paired_by_name(tmp_path):
    put(tmp_path, "fgr/a.jpg", "pha/a.png", "fgr/b.mp4", "pha/b.mkv", *frames("fgr/c"), *frames("pha/c", suffix=".jpg"))
    found = Listing(tmp_path, "fgr-pha")
    assert {name: one.kind for name, one in found.foregrounds.items()} == {"a": "image", "b": "video", "c": "video"}
    assert found.foregrounds["c"].colour == tmp_path / "fgr/c"
    assert found.foregrounds["c"].alpha == tmp_path / "pha/c"
    assert (found.problems, found.ignored) == ({}, [])
    assert not any(one.has_own_alpha for one in found.foregrounds.values())


@pytest.mark.parametrize(
    ("files", "path", "text", "code"),
    [
        (
            ["fgr/x.jpg"],
            "fgr/x.jpg",
            "has no usable alpha, expected pha/x.png; add it, or remove this file",
            "no-alpha",
        ),
        (
            ["pha/x.png"],
            "pha/x.png",
            "has no usable colour, expected fgr/x.png; add it, or remove this file",
            "no-colour",
        ),
        (
            ["fgr/x.mp4"],
            "fgr/x.mp4",
            "has no usable alpha, expected pha/x.mp4; add it, or remove this file",
            "no-alpha",
        ),
        (frames("fgr/x"), "fgr/x", "has no usable alpha, expected pha/x/; add it, or remove this folder", "no-alpha"),
        (
            ["fgr/x.jpg", *frames("pha/x")],
            "fgr/x.jpg",
            "is of the kind image, but pha/x is of the kind video; both must match; replace one of them",
            "no-alpha",
        ),
        (
            [*frames("fgr/x", 4), *frames("pha/x", 3)],
            "fgr/x",
            "has the frames 0 to 3, but pha/x has the frames 0 to 2; both must match; add the missing frames",
            "frames",
        ),
        (
            [*frames("fgr/x", 3), *frames("pha/x", 3, first=1)],
            "fgr/x",
            "has the frames 0 to 2, but pha/x has the frames 1 to 3; both must match; add the missing frames",
            "frames",
        ),
    ],
)
def test_a_missing_partner_is_a_problem_that_says_what_is_expected(tmp_path, files, path, text, code):
    put(tmp_path, "fgr/ok.jpg", "pha/ok.png", *files)
    found = Listing(tmp_path, "fgr-pha")
    assert list(found.foregrounds) == ["ok"]
    assert (found.problems, found.codes) == ({path: text}, {path: code})


def test_a_gap_in_the_frames_is_a_problem_of_the_folder(tmp_path):
    put(tmp_path, "fgr/x/00001.png", "fgr/x/00003.png", *frames("pha/x", first=1))
    found = Listing(tmp_path, "fgr-pha")
    assert "frame 2 is missing between 00001.png and 00003.png" in found.problems["fgr/x"]
    assert found.foregrounds == {}


def test_frames_are_numbered_and_not_sorted_as_text(tmp_path):
    """9 precedes 10; colour and alpha may write their numbers differently."""
    put(tmp_path, *(f"fgr/x/{number}.png" for number in range(8, 13)), *frames("pha/x", 5, first=8))
    assert list(Listing(tmp_path, "fgr-pha").foregrounds) == ["x"]


def test_sources_are_sorted_by_code_points(tmp_path):
    names = ["10", "2", "a b", "B", "é", "a(1)"]
    put(tmp_path, *(f"{part}/{name}.png" for name in names for part in ("fgr", "pha")))
    found = Listing(tmp_path, "fgr-pha")
    assert list(found.foregrounds) == ["10", "2", "B", "a b", "a(1)", "é"]


def test_equal_names_in_both_unicode_forms_are_paired(tmp_path):
    put(tmp_path, "fgr/caf\u00e9.png", "pha/cafe\u0301.png")
    assert list(Listing(tmp_path, "fgr-pha").foregrounds) == ["caf\u00e9"]


def test_one_name_with_two_extensions_is_a_problem(tmp_path):
    put(tmp_path, "fgr/x.jpg", "fgr/x.png", "pha/x.png")
    found = Listing(tmp_path, "fgr-pha")
    assert "has the same name as fgr/x.jpg" in found.problems["fgr/x.png"]


def test_other_files_are_unexpected_and_litter_is_not(tmp_path):
    put(tmp_path, "fgr/x.jpg", "pha/x.png", "fgr/Thumbs.db", "fgr/._x.jpg", "pha/notes.txt", *frames("fgr/c"))
    put(tmp_path, *frames("pha/c"), "fgr/c/.DS_Store", "fgr/c/readme.txt")
    found = Listing(tmp_path, "fgr-pha")
    assert sorted(found.ignored) == ["fgr/c/readme.txt", "pha/notes.txt"]
    assert list(found.foregrounds) == ["c", "x"]


@pytest.mark.parametrize(("kinds", "names"), [(("image",), ["x"]), (("video",), ["c", "v"])])
def test_only_the_requested_kinds_are_listed(tmp_path, kinds, names):
    put(tmp_path, "fgr/x.jpg", "pha/x.png", "fgr/v.mp4", "pha/v.mp4", *frames("fgr/c"), *frames("pha/c"))
    found = Listing(tmp_path, "fgr-pha", kinds=kinds)
    assert list(found.foregrounds) == names
    assert (found.problems, found.ignored) == ({}, [])


def test_frames_are_not_listed_for_stills(tmp_path):
    put(tmp_path, "fgr/x.jpg", "pha/x.png", "fgr/c/1.png", "fgr/c/3.png")
    assert list(Listing(tmp_path, "fgr-pha").problems) == ["fgr/c"]
    assert Listing(tmp_path, "fgr-pha", kinds=("image",)).problems == {}


def test_fgr_is_preferred_to_fgr_new(tmp_path):
    put(tmp_path, "fgr/x.jpg", "fgr_new/y.jpg", "pha/x.png", "pha/y.png")
    found = Listing(tmp_path, "fgr-pha")
    assert list(found.foregrounds) == ["x"]
    assert list(found.problems) == ["pha/y.png"]


# Links and bad files behave as in the DVM layout


def test_links_inside_the_set_are_followed_and_others_refused(tmp_path):
    root = put(tmp_path / "set", "fgr/x.jpg", "pha/x.png", "store/frame.png", *frames("pha/c", 2))
    put(tmp_path, "elsewhere/y.png")
    (root / "fgr/c").mkdir()
    for number in range(2):
        (root / f"fgr/c/{number:05}.png").symlink_to("../../store/frame.png")  # as RobustVideoMatting's static bgr/
    (root / "fgr/y.png").symlink_to(tmp_path / "elsewhere/y.png")
    (root / "pha/y.png").symlink_to("nowhere.png")
    (root / "fgr/out").symlink_to(tmp_path / "elsewhere")
    found = Listing(root, "fgr-pha")
    assert list(found.foregrounds) == ["c", "x"]
    assert found.codes == {"fgr/y.png": "link-out", "pha/y.png": "dead-link", "fgr/out": "link-out"}


@pytest.mark.parametrize("layout", ["alpha-videos", "videos", "fgr-pha"])
def test_a_broken_link_to_a_clip_is_a_problem(tmp_path, layout):
    folders = ("fgr", "pha") if layout == "fgr-pha" else (".",)
    for folder in folders:
        put(tmp_path, *frames(f"{folder}/b"))
        (tmp_path / folder / "c").symlink_to("unmounted/c")
    found = Listing(tmp_path, layout)
    assert [*found.foregrounds, *found.backgrounds] == ["b"]
    assert sorted(found.codes.values()) == ["dead-link"] * len(folders)
    assert found.ignored == []


def test_an_empty_file_is_a_problem(tmp_path):
    put(tmp_path, "fgr/x.jpg", *frames("fgr/c"), *frames("pha/c"))
    put(tmp_path, "pha/x.png", "pha/c/00001.png", data=b"")
    found = Listing(tmp_path, "fgr-pha")
    assert found.codes["pha/x.png"] == found.codes["pha/c/00001.png"] == "empty"
    assert found.foregrounds == {}


def test_a_changed_frame_changes_the_signature_of_its_folder(tmp_path):
    put(tmp_path, *frames("fgr/c"), *frames("pha/c"))
    before = Listing(tmp_path, "fgr-pha").signatures
    assert set(before) == {"fgr/c", "pha/c"}  # one for each folder
    put(tmp_path, "pha/c/00001.png", data=b"xy")
    after = Listing(tmp_path, "fgr-pha").signatures
    assert (before["fgr/c"], before["pha/c"]) != (after["fgr/c"], after["pha/c"])
    assert before["fgr/c"] == after["fgr/c"]


# VideoMatte240K


def videomatte(root: Path, splits: dict[str, list[str]]) -> Path:
    for split, clips in splits.items():
        for clip in clips:
            put(root, *(name for part in ("fgr", "pha") for name in frames(f"{split}/{part}/{clip}", suffix=".jpg")))
    return root


def test_the_validation_clips_are_held_out_of_train_and_named(tmp_path):
    """RobustVideoMatting's split: 0000, 0100, 0200, 0300 belong to valid/, which the archive lacks."""
    root = videomatte(tmp_path, {"train": ["0000", "0001", "0100", "0200", "0300", "0301"], "test": ["0000", "0002"]})
    found = Listing(root, "videomatte240k")
    assert list(found.foregrounds) == ["0001", "0301"]
    assert found.problems == {}
    assert list(found.notes) == ["train/fgr"]
    assert "the clips 0000, 0100, 0200, 0300 are not read" in found.notes["train/fgr"]
    assert not any("/0000" in path for path in found.signatures)
    assert list(Listing(root, "videomatte240k", "test").foregrounds) == ["0000", "0002"]
    assert list(Listing(root / "train", "videomatte240k").foregrounds) == ["0001", "0301"]
    assert list(Listing(root / "test", "videomatte240k", "test").foregrounds) == ["0000", "0002"]


def test_a_valid_folder_is_read_only_if_it_is_named(tmp_path):
    root = videomatte(tmp_path, {"train": ["0001"], "valid": ["0000"], "test": ["0002"]})
    found = Listing(root, "videomatte240k", "test")
    assert list(found.foregrounds) == ["0002"]
    assert "is not read, because the split 'test' is test/" in found.notes["valid"]
    assert list(Listing(root / "valid", "videomatte240k", "test").foregrounds) == ["0000"]


def test_all_published_clips_without_validation_are_475(tmp_path):
    """479 folders in train/ less 4; only one frame each, to be quick."""
    clips = [f"{number:04}" for number in range(479)]
    put(tmp_path, *(f"train/{part}/{clip}.mp4" for clip in clips for part in ("fgr", "pha")))
    assert len(Listing(tmp_path, "videomatte240k").foregrounds) == 475
    assert survey(tmp_path, "train").counts[0].published == 475


# Adobe


@pytest.fixture
def adobe(tmp_path: Path) -> Path:
    root = tmp_path / "Combined_Dataset"
    train, test = root / "Training_set", root / "Test_set/Adobe-licensed images"
    for folder, name in (("Adobe-licensed images", "girl (1)_o"), ("Other", "5452_2d")):
        put(train / folder, f"fg/{name}.jpg", f"alpha/{name}.jpg")
    put(train, "training_fg_names.txt", data=b"5452_2d.jpg\r\ngirl (1)_o.jpg")  # no newline at the end
    put(test, "fg/lace_1.png", "alpha/lace_1.png", *(f"trimaps/lace_1_{number}.png" for number in range(20)))
    put(root / "Test_set", "test_fg_names.txt", data=b"lace_1.png")
    return root


def test_adobes_folders_are_one_training_set(adobe):
    found = Listing(adobe, "adobe")
    assert list(found.foregrounds) == ["5452_2d", "girl (1)_o"]
    assert found.foregrounds["5452_2d"].alpha == adobe / "Training_set/Other/alpha/5452_2d.jpg"
    assert (found.problems, found.ignored) == ({}, [])
    assert {one.trimap for one in found.foregrounds.values()} == {None}


def test_the_first_of_twenty_trimaps_is_taken(adobe):
    found = Listing(adobe, "adobe", "test")
    assert found.foregrounds["lace_1"].trimap == adobe / "Test_set/Adobe-licensed images/trimaps/lace_1_0.png"
    assert sum("trimaps" in path for path in found.signatures) == 1
    assert found.ignored == []
    assert Listing(adobe, "adobe", "test", with_trimaps=False).foregrounds["lace_1"].trimap is None


def test_an_unusable_trimap_is_a_problem_of_its_foreground_only_if_it_is_taken(adobe):
    trimaps = adobe / "Test_set/Adobe-licensed images/trimaps"
    put(trimaps, "lace_1_7.png", data=b"")
    assert Listing(adobe, "adobe", "test").problems == {}
    put(trimaps, "lace_1_0.png", data=b"")
    found = Listing(adobe, "adobe", "test")
    assert found.foregrounds == {}
    assert list(found.codes.values()) == ["empty"]


def test_listed_names_without_files_and_files_without_names_are_reported(adobe):
    put(adobe, "Training_set/training_fg_names.txt", data="5452_2d.jpg\n\ncafé.jpg\n".encode())
    found = Listing(adobe, "adobe")
    assert list(found.foregrounds) == ["5452_2d"]
    path = "Training_set/training_fg_names.txt"
    assert found.problems[path] == (
        "line 3: the folders fg and alpha have no file café.jpg; add it, or remove the line"
    )
    licensed = "Training_set/Adobe-licensed images"
    assert sorted(found.ignored) == [f"{licensed}/alpha/girl (1)_o.jpg", f"{licensed}/fg/girl (1)_o.jpg"]


def test_without_a_list_all_files_are_read(adobe):
    (adobe / "Training_set/training_fg_names.txt").unlink()
    assert list(Listing(adobe, "adobe").foregrounds) == ["5452_2d", "girl (1)_o"]


def test_a_missing_alpha_is_expected_as_jpeg_in_the_training_set(adobe):
    (adobe / "Training_set/Other/alpha/5452_2d.jpg").unlink()
    problems = Listing(adobe, "adobe").problems
    assert "expected Training_set/Other/alpha/5452_2d.jpg" in problems["Training_set/Other/fg/5452_2d.jpg"]


def test_a_name_in_both_folders_is_a_problem(adobe):
    put(adobe, "Training_set/Other/fg/girl (1)_o.jpg", "Training_set/Other/alpha/girl (1)_o.jpg")
    found = Listing(adobe, "adobe")
    assert found.codes == {"Training_set/Other/fg/girl (1)_o.jpg": "same-name"}
    assert "licensed" in found.foregrounds["girl (1)_o"].colour.parts[-3]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"../../secret.jpg\n5452_2d.jpg", "line 1: '../../secret.jpg' is not a path inside the set"),
        (b"5452_2d.jpg\n5452_2d.jpg", "line 2: '5452_2d.jpg' is already on line 1"),
        (b"5452_2d.jpg\n\xff\xfe.jpg", "is not UTF-8 at byte 12; save the list as UTF-8"),
        (b"x" * (2**20 + 1), "has more than 1,048,576 bytes, the maximum for a list"),
    ],
    ids=["path", "twice", "encoding", "size"],
)
def test_a_bad_list_is_a_problem_with_its_line(adobe, data, text):
    put(adobe, "Training_set/training_fg_names.txt", data=data)
    found = Listing(adobe, "adobe")
    assert text in found.problems["Training_set/training_fg_names.txt"]
    assert found.codes["Training_set/training_fg_names.txt"] == "name-list"


# VideoMatting108


@pytest.fixture
def vm108(tmp_path: Path) -> Path:
    put(tmp_path, *frames("FG_done/girl/c1"), *frames("FG_done/dog/c2"), *frames("BG_done/city/b1"))
    put(tmp_path, *frames("BG_done/b2"))
    pairs = {f"girl/c1/{n:05}.png": f"city/b1/{n:05}.jpg" for n in range(3)}  # .jpg, but the files are .png
    pairs |= {f"dog/c2/{n:05}.png": f"b2/{n:05}.png" for n in range(3)}
    put(tmp_path, "frame_corr.json", data=json.dumps(pairs).encode())
    put(tmp_path, "train_videos.txt", data=b"girl/c1\n")
    put(tmp_path, "val_videos.txt", data=b"dog/c2")
    return tmp_path


def test_the_alpha_of_videomatting108_is_in_its_colour_files(vm108):
    found = Listing(vm108, "videomatting108")
    assert list(found.foregrounds) == ["girl_c1"]
    assert found.foregrounds["girl_c1"].has_own_alpha
    assert found.foregrounds["girl_c1"].kind == "video"
    assert {name: one.path for name, one in found.backgrounds.items()} == {"city_b1": vm108 / "BG_done/city/b1"}


def test_backgrounds_may_be_one_level_deep_and_in_bg_done2(vm108):
    (vm108 / "BG_done").rename(vm108 / "BG_done2")
    found = Listing(vm108, "videomatting108", "test")
    assert {name: one.path for name, one in found.backgrounds.items()} == {"b2": vm108 / "BG_done2/b2"}


def test_listed_frames_that_are_missing_are_a_problem(vm108):
    (vm108 / "FG_done/girl/c1/00002.png").unlink()
    (vm108 / "BG_done/city/b1/00002.png").unlink()
    found = Listing(vm108, "videomatting108")
    text = "lacks 1 frames that frame_corr.json lists, such as 00002"
    assert text in found.problems["FG_done/girl/c1"]
    assert text in found.problems["BG_done/city/b1"]
    assert (found.foregrounds, found.backgrounds) == ({}, {})


def test_a_missing_list_and_a_listed_clip_without_frames_are_problems(vm108):
    (vm108 / "val_videos.txt").unlink()
    put(vm108, "train_videos.txt", data=b"girl/c1\n\ncat/c9\n")
    place, layout = Place(FolderScan(vm108)), layout_named("videomatting108")
    assert [one.name for one in layout.foregrounds(place, "train")] == ["girl_c1"]
    assert list(layout.foregrounds(place, "test")) == []
    assert [str(problem) for problem in place.scan.problems] == [
        "train_videos.txt: line 3: cat/c9 has no frames in frame_corr.json; add them, or remove the line",
        "val_videos.txt: is missing; add this list of the split 'test'",
    ]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"a/b": \n]', "is not valid JSON (Expecting value: line 2 column 1"),
        (b"[" * 100_000, "is not a JSON object of names"),
        (b"[]", "is not a JSON object of names"),
        (b'{"girl/c1/00000.png": 7}', "key 'girl/c1/00000.png': 7 is not a name; write a path"),
        (b'{"../x/00000.png": "b2/0.png"}', "key '../x/00000.png': '../x/00000.png' is not a path inside the set"),
        (b'{"girl/c1/\\ud800.png": "b2/0.png"}', "is not a path inside the set"),
    ],
    ids=["syntax", "nested", "list", "number", "path", "surrogate"],
)
def test_a_bad_map_is_a_problem_with_its_key(vm108, data, text):
    put(vm108, "frame_corr.json", data=data)
    place = Place(FolderScan(vm108))
    list(layout_named("videomatting108").foregrounds(place, "train"))
    assert any(problem.path == "frame_corr.json" and text in problem.text for problem in place.scan.problems)


# Stills with masks, Distinctions-646


def test_pictures_with_masks_hold_their_backgrounds(tmp_path):
    put(tmp_path, "validation/original/m_1.jpg", "validation/mask/m_1.png", "validation/trimap/m_1.png")
    put(tmp_path, "validation/fg/m_1.png", "validation/bg/m_1.png")  # closed-form estimates, not read
    found = Listing(tmp_path, "image-mask", "test").foregrounds["m_1"]
    assert found.colours == "estimate"
    assert found.colour == tmp_path / "validation/original/m_1.jpg"
    assert found.trimap == tmp_path / "validation/trimap/m_1.png"


@pytest.mark.parametrize(
    ("folder", "colours"),
    [
        ("DVM/fg/image/train", "straight"),
        ("Combined_Dataset/Training_set/Adobe-licensed images", "straight"),
        ("Transparent-460/Train", "estimate"),
    ],
)
def test_a_part_of_another_set_keeps_the_colours_of_that_set(tmp_path, folder, colours):
    put(tmp_path, f"{folder}/fg/x.jpg", f"{folder}/alpha/x.jpg")
    assert Listing(tmp_path / folder, "image-mask").foregrounds["x"].colours == colours
    terms = layout_named("image-mask").terms_at(Place(FolderScan(tmp_path / folder))).terms
    assert ("Adobe" if colours == "straight" else "Transparent-460") in terms


def test_a_missing_mask_is_expected_in_its_own_folder(tmp_path):
    for folder in ("P3M-500-P", "P3M-500-NP"):
        put(tmp_path, f"validation/{folder}/original_image/{folder}.jpg", f"validation/{folder}/mask/{folder}.png")
    (tmp_path / "validation/P3M-500-P/mask/P3M-500-P.png").unlink()
    found = Listing(tmp_path, "image-mask", "test")
    assert list(found.foregrounds) == ["P3M-500-NP"]
    (text,) = found.problems.values()
    assert "expected validation/P3M-500-P/mask/P3M-500-P.png" in text


def test_distinctions646_is_straight_with_trimaps_in_its_test_set(tmp_path):
    put(tmp_path, "Train/FG/13(2).png", "Train/GT/13(2).png", "Test/FG/test_0.png", "Test/GT/test_0.png")
    put(tmp_path, "Test/Trimap/test_0.png")
    train = Listing(tmp_path, "distinctions646").foregrounds["13(2)"]
    test = Listing(tmp_path, "distinctions646", "test").foregrounds["test_0"]
    assert (train.colours, train.trimap) == ("straight", None)
    assert test.trimap == tmp_path / "Test/Trimap/test_0.png"


# Folders of files


def test_cutouts_have_their_own_alpha_and_no_jpeg(tmp_path):
    put(tmp_path, "a.png", "b c.PNG", "c.jpg", "d.webp", "e.tif")
    found = Listing(tmp_path, "cutouts")
    assert list(found.foregrounds) == ["a", "b c", "d", "e"]
    assert all(one.has_own_alpha and one.kind == "image" for one in found.foregrounds.values())
    assert found.ignored == ["c.jpg"]


def test_videos_may_be_files_and_folders(tmp_path):
    put(tmp_path, "a.mov", *frames("b.v2"))
    for layout in ("alpha-videos", "videos"):
        found = Listing(tmp_path, layout)
        assert list(found.foregrounds or found.backgrounds) == ["a", "b.v2"]
        assert found.problems == {}
    assert all(one.has_own_alpha for one in Listing(tmp_path, "alpha-videos").foregrounds.values())


@pytest.mark.parametrize("layout", ["alpha-videos", "videos"])
def test_a_gap_in_the_first_video_hides_neither_itself_nor_the_others(tmp_path, layout):
    put(tmp_path, "a/00001.png", "a/00002.png", "a/00004.png", *frames("b"))
    found = Listing(tmp_path, layout)
    assert [*found.foregrounds, *found.backgrounds] == ["b"]
    assert "frame 3 is missing between 00002.png and 00004.png" in found.problems["a"]


@pytest.mark.parametrize("layout", ["alpha-videos", "videos"])
def test_the_first_folder_may_hold_something_else(tmp_path, layout):
    put(tmp_path, "a/readme.png", *frames("b"))
    found = Listing(tmp_path, layout)
    assert [*found.foregrounds, *found.backgrounds] == ["b"]
    assert found.problems["a"] == "contains no numbered pictures"


def test_backgrounds_of_one_number_in_train_and_test_are_different_videos(tmp_path):
    """133 numbers of RobustVideoMatting's backgrounds are in both splits."""
    put(tmp_path, *(f"{split}/0003/{frame:04}.jpg" for split in ("train", "test") for frame in range(2)))
    for split in ("train", "test"):
        found = Listing(tmp_path, "rvm-backgrounds", split)
        assert {name: one.path for name, one in found.backgrounds.items()} == {"0003": tmp_path / split / "0003"}
        assert found.problems == {}


def test_a_split_that_a_set_lacks_is_empty(tmp_path):
    put(tmp_path, "train/a.jpg")
    assert Listing(tmp_path, "bg20k", "test").backgrounds == {}
