"""What a builder is made for: names, splits, folders and lists, read once."""

import re
from pathlib import Path

import datasets
import pytest
from datasets import load_dataset
from packaging.version import Version

import dvm_hf


@pytest.mark.skipif(
    Version(datasets.__version__) < Version("4.0.0"), reason="older releases run the script by its path"
)
def test_a_folder_of_the_same_name_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dvm_hf.__version__
    (tmp_path / "dvm").mkdir()
    (tmp_path / "dvm/rows.csv").write_text("a,b\n1,2\n3,4\n")
    monkeypatch.chdir(tmp_path)
    rows = load_dataset("dvm", split="train", cache_dir=str(tmp_path / "cache"))
    assert rows["a"][:] == [1, 3]


@pytest.mark.parametrize("split", ["test", "test[:2]", "train+test", datasets.Split.TEST])
def test_the_split_of_the_other_config_is_refused_before_anything_is_built(
    few_sources: Path, tmp_path: Path, load: "object", split: object
) -> None:
    with pytest.raises(dvm_hf.ConfigError, match=re.escape('load_dataset("dvm.py", "test", ..., split="test")')):
        load(None, data_dir=str(few_sources), split=split, clip_length=2)  # type: ignore[operator]
    assert not list((tmp_path / "cache").rglob("*.arrow"))


def test_an_empty_data_dir_is_an_error(load: "object") -> None:
    with pytest.raises(dvm_hf.ConfigError, match="data_dir='': is empty"):
        load("train", data_dir="", split="train")  # type: ignore[operator]


def test_what_is_built_is_what_the_builder_was_made_for(few_sources: Path, tmp_path: Path, monkeypatch) -> None:
    from dvm_hf.loading import load_arguments

    monkeypatch.chdir(tmp_path)
    pairs = tmp_path / "list.txt"
    pairs.write_text("image+disc.png+0000.mp4\n")
    fields = {"name": "train", "data_dir": str(few_sources), "pairs": "list.txt", "clip_length": 2}
    builder = datasets.load_dataset_builder(**load_arguments(), **fields, cache_dir=str(tmp_path / "cache"))
    monkeypatch.chdir("/")
    builder.download_and_prepare()
    assert set(builder.as_dataset(split="train")["clip_id"]) == {"image_disc_0000"}
    monkeypatch.chdir(tmp_path)
    builder = datasets.load_dataset_builder(**load_arguments(), **fields, cache_dir=str(tmp_path / "other"))
    pairs.write_text("image+disc.png+0001.mp4\n")
    with pytest.raises(dvm_hf.SourceError, match="its pair list changed after this builder was made"):
        builder.download_and_prepare()
