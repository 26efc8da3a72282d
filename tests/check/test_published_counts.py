"""`dvm check` compares the numbers of sources of known sets with the published ones. Files contain one byte."""

import builtins
import io
import json
from pathlib import Path
from typing import Any

import pytest
from placeholder_sources import put, written

from dvm_hf.check.findings import Finding
from dvm_hf.check.layout import surveyed


def notes(data_dir: Path, **options: Any) -> list[Finding]:
    return [one for one in surveyed(data_dir, **options)[1] if one.code == "published-count"]


def texts(data_dir: Path) -> list[str]:
    return [f"{one.path}: {one.text}" for one in notes(data_dir)]


def numbers(count: int) -> list[str]:
    return [f"{number:04}" for number in range(count)]


def pairs(root: Path, colours: str, alphas: str, names: list[str], suffix: str = ".png") -> Path:
    put(root, *(f"{part}/{name}{suffix}" for part in (colours, alphas) for name in names))
    return root


def videomatte(root: Path, **splits: int) -> Path:
    for split, count in splits.items():
        pairs(root, f"{split}/fgr", f"{split}/pha", numbers(count), ".mp4")
    return root


def stills(root: Path, folder: str, count: int) -> Path:
    put(root, *(f"{folder}/h_{number:08x}.jpg" for number in range(count)))
    return root


def test_a_complete_videomatte240k_has_no_finding(tmp_path: Path) -> None:
    """479 clips in train/, of which RobustVideoMatting uses 475; 4 of them in valid/; 5 in test/."""
    root = videomatte(tmp_path / "VideoMatte240K", train=479, test=5)
    assert texts(root) == []
    assert texts(root / "train") == texts(root / "test") == []
    for part in ("fgr", "pha"):
        for clip in ("0000", "0100", "0200", "0300"):
            path = root / f"valid/{part}/{clip}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            (root / f"train/{part}/{clip}.mp4").rename(path)
    assert texts(root) == texts(root / "valid") == []


def test_missing_and_added_clips_of_videomatte240k_are_noted(tmp_path: Path) -> None:
    root = videomatte(tmp_path / "VideoMatte240K", train=474, test=6)
    assert sorted(texts(root)) == [
        ".: contains 470 usable foregrounds, but the split 'train' of the published VideoMatte240K has 475",
        ".: contains 6 usable foregrounds, but the split 'test' of the published VideoMatte240K has 5",
    ]
    assert {one.severity for one in notes(root)} == {"note"}
    valid = videomatte(tmp_path / "VideoMatte240K_JPEG_HD", valid=1) / "valid"
    assert texts(valid) == [
        ".: contains 1 usable foreground, but the split 'validation' of the published VideoMatte240K has 4"
    ]


@pytest.mark.parametrize(
    ("name", "folder", "colours", "alphas", "published", "split"),
    [
        ("AIM-500", ".", "original", "mask", 500, ""),
        ("PPM-100", ".", "image", "matte", 100, ""),
        ("HHM2K", ".", "images", "alphas", 2000, ""),
        ("AM-2k", "train", "original", "mask", 1800, "train"),
        ("AM-2k", "validation", "original", "mask", 200, "validation"),
        ("P3M-10k/validation/P3M-500-P", ".", "blurred_image", "mask", 500, ""),
        ("P3M-10k/validation/P3M-500-NP", ".", "original_image", "mask", 500, ""),
        ("Transparent-460", "Train", "fg", "alpha", 410, "train"),
        ("Distinctions-646", "Train", "FG", "GT", 596, "train"),
        ("Distinctions-646", "Test_ori", "Fg_images", "Alpha_matte", 50, "test"),
        ("Combined_Dataset", "Test_set/Adobe-licensed images", "fg", "alpha", 50, "test"),
    ],
)
def test_sets_of_stills_have_their_published_numbers(
    tmp_path: Path, name: str, folder: str, colours: str, alphas: str, published: int, split: str
) -> None:
    root = tmp_path / name
    pairs(root / folder, colours, alphas, numbers(published - 1))
    (text,) = texts(root)
    assert f"contains {published - 1:,} usable foregrounds, but the " in text
    assert text.endswith(f" has {published:,}")
    assert (f"split {split!r}" in text) == bool(split)
    pairs(root / folder, colours, alphas, ["last"])
    assert texts(root) == []
    pairs(root / folder, colours, alphas, ["mine"])
    assert len(texts(root)) == 1


def test_both_validation_folders_of_p3m_are_counted(tmp_path: Path) -> None:
    pairs(tmp_path / "P3M-10k/validation/P3M-500-P", "blurred_image", "mask", numbers(500))
    pairs(tmp_path / "P3M-10k/validation/P3M-500-NP", "original_image", "mask", [f"x{name}" for name in numbers(499)])
    for root in (tmp_path / "P3M-10k", tmp_path / "P3M-10k/validation"):
        assert texts(root) == [
            ".: contains 999 usable foregrounds, but the split 'validation' of the published P3M-10k has 1,000"
        ]


@pytest.mark.slow
def test_only_stills_with_names_of_bg20k_are_compared_with_it(tmp_path: Path) -> None:
    root = stills(tmp_path / "set", "testval", 5000)
    assert texts(root) == []
    stills(root, "train", 1)
    assert texts(root) == [".: contains 1 usable background, but the split 'train' of the published BG-20k has 15,000"]
    put(root / "train", "mine.jpg")  # half of the names
    assert texts(root / "train") == []
    assert texts(stills(tmp_path / "flat", ".", 3)) == []  # the number of a set without splits is not published


def test_backgrounds_of_robust_video_matting_are_counted(tmp_path: Path) -> None:
    put(tmp_path, *(f"{split}/{clip}/0000.jpg" for split in ("train", "test") for clip in numbers(162)))
    assert texts(tmp_path) == [
        ".: contains 162 usable backgrounds, but the split 'train' of the published BackgroundVideos has 3,117"
    ]


def test_foregrounds_but_not_backgrounds_of_videomatting108_are_counted(tmp_path: Path) -> None:
    root = tmp_path / "set"
    clips = [f"cat/{name}" for name in numbers(28)]
    put(
        root,
        *(f"{part}/{clip}/{frame:05}.png" for part in ("FG_done", "BG_done") for clip in clips for frame in (0, 1)),
    )
    listed = {f"{clip}/{frame:05}.png": f"{clip}/{frame:05}.png" for clip in clips for frame in (0, 1)}
    put(root, "frame_corr.json", data=json.dumps(listed).encode())
    put(root, "val_videos.txt", data="\n".join(clips).encode())
    put(root, "train_videos.txt", data="\n".join(clips[:3]).encode())
    expected = "contains 3 usable foregrounds, but the split 'train' of the published VideoMatting108 has 80"
    assert texts(root) == [f".: {expected}"]
    entries = {"foregrounds": [{"path": "set"}], "backgrounds": [{"path": "set"}]}
    assert texts(written(tmp_path, {"train": entries, "test": entries})) == [f".: {expected}"]


@pytest.mark.parametrize(
    ("name", "files", "layout"),
    [
        ("mine", ["original/cat.jpg", "mask/cat.png"], "image-mask"),
        ("AIM-500-part", ["original/cat.jpg", "mask/cat.png"], "image-mask"),
        ("PPM-100", ["train/fg/cat.jpg", "train/alpha/cat.png"], "image-mask"),  # as PaddleSeg arranges it
        ("AM-2k", ["test/original/cat.jpg", "test/mask/cat.png"], "image-mask"),
        ("ImageMatte", ["train/fgr/cat.jpg", "train/pha/cat.jpg"], "fgr-pha"),
        ("VideoMatte240K", ["fgr/0000.mp4", "pha/0000.mp4"], "videomatte240k"),
        ("cats", ["cat.png"], "cutouts"),
        ("films", ["train/film.mov"], "alpha-videos"),
        ("films", ["train/film.mp4"], "videos"),
        ("COCO", ["train/COCO_train2014_000000000009.jpg"], "bg20k"),
        ("DVM", ["fg/image/train/fg/cat.png", "fg/image/train/alpha/cat.png", "bg/train/0000.mp4"], "dvm"),
    ],
)
def test_sets_and_splits_without_a_published_number_have_no_finding(
    tmp_path: Path, name: str, files: list[str], layout: str
) -> None:
    put(tmp_path / name, *files)
    trees, findings = surveyed(tmp_path / name, layout=layout)
    assert any(tree.foregrounds or tree.backgrounds for tree in trees.values())
    assert "published-count" not in {one.code for one in findings}


def test_entries_of_a_sources_file_are_compared_unless_they_select_names(tmp_path: Path) -> None:
    pairs(tmp_path / "AIM-500", "original", "mask", ["cat", "dog"])
    stills(tmp_path, "BG-20k/train", 2)

    def found(**keys: Any) -> list[str]:
        backgrounds = [{"path": "BG-20k/train"} | keys]
        entries = {"foregrounds": [{"path": "AIM-500"} | keys], "backgrounds": backgrounds}
        return texts(written(tmp_path, {"train": entries}))

    assert (
        found()
        == found(license="MIT")
        == [
            "AIM-500: contains 2 usable foregrounds, but the published AIM-500 has 500",
            "BG-20k/train: contains 2 usable backgrounds, but the split 'train' of the published BG-20k has 15,000",
        ]
    )
    assert found(exclude="cat") == found(include="*") == []


def test_a_set_in_two_entries_is_counted_completely(tmp_path: Path) -> None:
    pairs(tmp_path / "AIM-500", "original", "mask", numbers(500))
    entries = [{"path": "AIM-500"}, {"path": "AIM-500", "name": "again"}]
    assert texts(written(tmp_path, {"train": {"foregrounds": entries}})) == []


def test_an_unusable_file_is_not_counted(tmp_path: Path) -> None:
    root = pairs(tmp_path / "PPM-100", "image", "matte", numbers(100))
    (root / "matte/0007.png").write_bytes(b"")
    assert texts(root) == [".: contains 99 usable foregrounds, but the published PPM-100 has 100"]


def test_no_file_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = pairs(tmp_path / "AIM-500", "original", "mask", ["cat"])

    def refused(*arguments: object, **options: object) -> object:
        raise AssertionError(f"opened {arguments}")

    monkeypatch.setattr(builtins, "open", refused)
    monkeypatch.setattr(io, "open", refused)
    found = notes(root)
    monkeypatch.undo()
    assert len(found) == 1
