"""The folders of splits, by name."""

from pathlib import Path

import pytest

from dvm_hf.sources.folder_scan import FolderScan
from dvm_hf.sources.layout import Place
from dvm_hf.sources.splits import fitting_folders, folder_named, split_folder, split_named


def drawn(root: Path, *names: str) -> Place:
    for name in names:
        (root / name).mkdir(parents=True)
    return Place(FolderScan(root))


def has_pha(place: Place, inner: str) -> bool:
    return "pha" in place.folders(inner)


@pytest.mark.parametrize(
    ("folders", "train", "test"),
    [
        (["train/pha", "test/pha"], "train", "test"),
        (["Training_set/pha", "Test_set/pha"], "Training_set", "Test_set"),
        (["TRAIN/pha", "TestVal/pha"], "TRAIN", "TestVal"),
        (["train/pha", "valid/pha"], "train", "valid"),
        (["train/pha", "val/pha", "test/pha"], "train", "test"),
        (["train/pha"], "train", None),
        (["test/pha", "train"], None, "test"),  # train/ does not fit
        (["pha"], "", ""),
        (["pha", "notes"], "", ""),
        (["notes"], None, None),
    ],
)
def test_the_folder_of_a_split(tmp_path, folders, train, test):
    place = drawn(tmp_path, *folders)
    assert split_folder(place, "train", has_pha) == train
    assert split_folder(place, "test", has_pha) == test


@pytest.mark.parametrize(
    ("folder", "split"), [("Train", "train"), ("Test_set", "test"), ("validation", "test"), ("fgr", None), ("", None)]
)
def test_the_split_that_a_folder_name_means(folder, split):
    assert split_named(folder) == split


def test_splits_precede_the_folder_itself(tmp_path):
    assert fitting_folders(drawn(tmp_path, "train/pha", "pha"), has_pha) == ("train",)


def test_a_second_folder_of_a_split_is_remarked_on(tmp_path):
    place = drawn(tmp_path, "test/pha", "valid/pha", "val")
    split_folder(place, "test", has_pha)
    assert [note.path for note in place.scan.notes] == ["valid"]
    assert place.scan.problems == []


def test_the_first_name_of_a_part_wins_regardless_of_case(tmp_path):
    place = drawn(tmp_path, "Fg_images", "GT", "fg")
    assert folder_named(place, "", ("fg", "fg_images")) == "fg"
    assert folder_named(place, "", ("gt", "alpha_matte")) == "GT"
    assert folder_named(place, "", ("pha",)) == ""
