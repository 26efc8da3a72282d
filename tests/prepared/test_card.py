"""The card: YAML that the Hub accepts, correct text, and a folder that loads without this package."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
import yaml
from command_runs import run
from conftest import FEW_ARGUMENTS
from huggingface_hub import DatasetCard
from PIL import Image
from prepared_folder import with_content, write_prepared, written_splits

from dvm_hf.dataset.features import features
from dvm_hf.prepared.card import card_text
from dvm_hf.sources.records import Entry

# Loads a folder cached and streamed, without dvm_hf, and prints its contents.
LOADER = """
import json, sys
sys.modules["dvm_hf"] = None  # importing it raises an error
from datasets import ClassLabel, Image, load_dataset
import numpy as np
def plain(value):
    if isinstance(value, list): return [plain(item) for item in value]
    return [value.mode, *value.size] if hasattr(value, "getextrema") else value
loaded = {}
for streaming in (False, True):
    splits = load_dataset(sys.argv[1], streaming=streaming, **({} if streaming else {"cache_dir": sys.argv[2]}))
    for split, rows in splits.items():
        names = rows.features["foreground_kind"]
        assert isinstance(names, ClassLabel) and names.names == ["image", "video"]
        types = {name: str(feature) for name, feature in rows.features.items()}
        loaded[f"{split} {streaming}"] = [{name: plain(row[name]) for name in row} for row in rows]
print(json.dumps(loaded))
"""


def front_matter(folder: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1]))


def loaded_without_the_package(folder: Path, cache: Path) -> dict[str, Any]:
    made = subprocess.run(
        [sys.executable, "-c", LOADER, str(folder), str(cache)], cwd=cache.parent, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    return dict(json.loads(made.stdout.splitlines()[-1]))


@pytest.mark.slow
def test_the_folder_loads_without_this_package_in_both_splits(prepared_once: Path, tmp_path: Path) -> None:
    loaded = loaded_without_the_package(prepared_once, tmp_path / "cache")
    assert set(loaded) == {f"{split} {streaming}" for split in ("train", "test") for streaming in (False, True)}
    for split, count in (("train", 10), ("test", 12)):
        assert loaded[f"{split} True"] == loaded[f"{split} False"]
        assert len(loaded[f"{split} True"]) == count
    first = loaded["test True"][0]
    assert list(first) == list(features(("frames", "alpha", "trimap"), encoding="jpeg", clip_length=2, crop_size=None))
    assert first["clip_id"].startswith("image_disc_")
    size = [first["width"], first["height"]]
    assert first["frames"] == [["RGB", *size]] * 2
    assert first["alpha"] == first["trimap"] == [["L", *size]] * 2
    assert [len(place) for place in first["motion"]] == [4, 4]
    assert first["foreground_kind"] == 0


@pytest.mark.slow
def test_arrays_load_without_this_package(few_sources: Path, tmp_path: Path) -> None:
    arguments = ("--encoding", "array", "--crop-size", "16", "--remainder", "drop", "--config", "train")
    assert run("prepare", str(few_sources), str(tmp_path / "out"), *FEW_ARGUMENTS, *arguments).exit_code == 0
    loaded = loaded_without_the_package(tmp_path / "out", tmp_path / "cache")
    assert loaded["train True"] == loaded["train False"]
    frames = loaded["train True"][0]["frames"]
    assert [len(frames), len(frames[0]), len(frames[0][0]), len(frames[0][0][0])] == [2, 16, 16, 3]


def test_the_hub_accepts_the_card(prepared_once: Path) -> None:
    card = DatasetCard.load(prepared_once / "README.md")
    assert card.data.license == "other"
    assert card.data.license_name == "as-the-sources"
    assert card.data.task_categories == ["image-segmentation"]
    assert card.data.size_categories == ["n<1K"]
    assert {"video-matting", "trimap"} <= set(card.data.tags)
    assert card.data.pretty_name


def test_the_front_matter_matches_the_shards(prepared_once: Path) -> None:
    matter = front_matter(prepared_once)
    info = matter["dataset_info"]
    assert {split["name"]: split["num_examples"] for split in info["splits"]} == {"train": 10, "test": 12}
    assert info["download_size"] == sum(path.stat().st_size for path in (prepared_once / "data").iterdir())
    in_arrow = {
        split: sum(pq.read_table(path).nbytes for path in (prepared_once / "data").glob(f"{split}-*"))
        for split in ("train", "test")
    }
    for split in info["splits"]:
        assert split["num_bytes"] == pytest.approx(in_arrow[split["name"]], rel=0.02)
    assert info["dataset_size"] == pytest.approx(sum(in_arrow.values()), rel=0.02)
    (config,) = matter["configs"]
    for split in config["data_files"]:
        assert len(list(prepared_once.glob(split["path"]))) == 3
    assert [split["split"] for split in config["data_files"]] == ["train", "test"]


@pytest.mark.parametrize("encoding", ["jpeg", "array"])
def test_the_front_matters_features_are_the_rows(few_sources: Path, tmp_path: Path, encoding: str) -> None:
    from datasets import Features

    arguments = ("--encoding", encoding, "--crop-size", "16", "--remainder", "drop", "--config", "test")
    assert run("prepare", str(few_sources), str(tmp_path), *FEW_ARGUMENTS, *arguments).exit_code == 0
    read = Features._from_yaml_list(front_matter(tmp_path)["dataset_info"]["features"])
    expected = features(("frames", "alpha", "trimap"), encoding=encoding, clip_length=2, crop_size=16)
    assert read.arrow_schema.equals(expected.arrow_schema)
    assert read["foreground_kind"] == expected["foreground_kind"]


def test_the_text_contains_the_required_facts(prepared_once: Path) -> None:
    text = (prepared_once / "README.md").read_text(encoding="utf-8")
    for heading in ("Load it", "Columns", "Provenance", "Config", "What differs", "Licence", "Datasheet", "Citation"):
        assert f"\n## {heading}" in text
    for name in ("clip_id", "frames", "motion", "foreground_kind"):
        assert f"| `{name}` |" in text
    assert "| `remainder` | train: `'drop'`, test: `'keep'` |" in text
    assert "| `clip_length` | `2` |" in text
    assert "@inproceedings{sun2021deep," in text
    assert "You\nneed the right to share every foreground" in text
    assert "Adobe" not in text
    assert "![Rows of this dataset](samples.jpg)" in text
    with Image.open(prepared_once / "samples.jpg") as samples:
        assert samples.format == "JPEG"
        assert samples.width > 1000  # five pictures in a line


@pytest.mark.slow
def test_the_card_mentions_synthetic_sources(drawn_sources: Path, tmp_path: Path) -> None:
    arguments = ("--config", "test", "--backgrounds-per-foreground", "1", "--max-image-frames", "2")
    arguments += ("--max-video-frames", "2", "--columns", "alpha", "--recipe", "reference")
    assert run("prepare", str(drawn_sources), str(tmp_path), *arguments).exit_code == 0
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert front_matter(tmp_path)["license_name"] == "drawn-sources-free-of-claims"
    assert "The sources were generated by a program" in text
    assert "including its known defects" in text
    assert "| `frames` |" not in text  # only the alpha was asked for


@pytest.mark.parametrize("drawn", [False, True])
def test_a_split_is_described_by_its_totals_and_its_sources(tmp_path: Path, drawn: bool) -> None:
    """Two shards of three clips, each clip with one window of two frames; 1.2344 GB and 0.5 GB."""
    (split,) = written_splits(write_prepared(tmp_path / "out", shards={"train": 2}))
    sidecars = (
        replace(split.sidecars[0], file_size=1_234_400_000),
        replace(split.sidecars[1], file_size=500_000_000, skipped=(("image_train1_0", "is broken"),)),
    )
    lines = card_text([replace(with_content(split, drawn=drawn), sidecars=sidecars)]).splitlines()
    assert "| train | 6 | 6 | 12 | 2 | 1.73 GB | not recorded |" in lines
    origin = "generated by a program" if drawn else "listed with content hashes in `plan/`"
    at = lines.index(
        f"- `train`: 2 images and 0 videos as foregrounds, 3 background videos, paired by the seed 0; sources {origin}."
    )
    assert lines[at + 1] == "  Skipped, with reasons in the manifest: 1 (sources or clips)."


@pytest.mark.parametrize(
    ("rows", "category"),
    [
        (999, "n<1K"),
        (1_001, "1K<n<10K"),
        (9_999, "1K<n<10K"),
        (10_001, "10K<n<100K"),
        (100_001, "100K<n<1M"),
        (999_999, "100K<n<1M"),
        (1_000_001, "1M<n<10M"),
        (10_000_001, "10M<n<100M"),
        (100_000_001, "100M<n<1B"),
        (1_000_000_001, "1B<n<10B"),
        (10_000_000_001, "10B<n<100B"),
        (999_999_999_999, "100B<n<1T"),
        (1_000_000_000_001, "n>1T"),
    ],
)
def test_the_size_category_is_the_hubs_for_the_rows_of_both_splits(tmp_path: Path, rows: int, category: str) -> None:
    written = written_splits(write_prepared(tmp_path / "out", shards={"train": 1, "test": 1}))
    counts = (400, rows - 400)
    splits = [
        replace(split, sidecars=(replace(split.sidecars[0], rows=count),))
        for split, count in zip(written, counts, strict=True)
    ]
    assert DatasetCard(card_text(splits)).data.size_categories == [category]
    published = Path(datasets.__file__).parent / "utils/resources/size_categories.json"
    assert category in json.loads(published.read_text(encoding="utf-8"))


def test_the_type_of_a_column_has_the_length_of_its_lists_if_that_is_fixed(tmp_path: Path) -> None:
    """A frame's motion has four numbers: row, column, angle and zoom. The number of frames can vary."""
    lines = card_text(written_splits(write_prepared(tmp_path / "out", shards={"train": 1}))).splitlines()
    types = dict(re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \|$", "\n".join(lines), re.MULTILINE))
    assert types["motion"] == "list of list of float32 (4)"
    assert types["frames"] == "list of Image"


@pytest.mark.slow
def test_splits_of_two_recipes_are_described_separately(few_sources: Path, tmp_path: Path) -> None:
    arguments = (*FEW_ARGUMENTS, "--columns", "frames,alpha,foreground")
    for split in (("train",), ("test", "--recipe", "reference")):
        assert run("prepare", str(few_sources), str(tmp_path), *arguments, "--config", *split).exit_code == 0
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    _, of_dvm, of_reference = re.split(r"Rows whose `recipe` is `(?:dvm|reference)`, see above:\n\n", text)
    assert text.index("`recipe` is `dvm`, see") < text.index("`recipe` is `reference`, see")
    of_reference = of_reference.partition("\n## ")[0]
    for phrase in ("rounded to nearest", "colour is unpremultiplied", "one sub-pixel warp"):
        assert phrase in of_dvm
        assert phrase not in of_reference
    for phrase in ("including its known defects", "truncated to integers", "foregrounds are premultiplied"):
        assert phrase in of_reference
        assert phrase not in of_dvm
    assert "premultiplied if `recipe` is `reference`" in text


def test_the_entries_of_a_sources_file_are_listed_with_their_terms(tmp_path: Path) -> None:
    entries = (
        Entry("aim", "foregrounds", "adobe", "aim", terms="a signed agreement", is_redistributable=False),
        Entry("bg", "backgrounds", "bg20k", "bg", citation="Li et al."),
        Entry("own", "backgrounds", "videos", "own", terms="studio use only.\n\n## Contact\nus\n", citation="A.\nB."),
    )
    lines = card_text(written_splits(write_prepared(tmp_path / "out", shards={"train": 1}, entries=entries)))
    expected = (
        "  - `aim`, foregrounds in the layout `adobe`: a signed agreement. These composites may not be passed on.\n"
        "  - `bg`, backgrounds in the layout `bg20k`: terms unknown; see the source. Li et al.\n"
        "  - `own`, backgrounds in the layout `videos`: studio use only. ## Contact us. A. B.\n"
    )
    assert expected in lines
    assert "3 backgrounds, paired" in lines
