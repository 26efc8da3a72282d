"""Prepared folders: contents, card, splits, sizes, reruns."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_runs import run
from conftest import FEW_ARGUMENTS, file_hashes
from datasets import load_dataset
from prepare_runs import answer, is_shown, prepare
from stored_plans import stored_plan

import dvm_hf.prepared.atomic_io
import dvm_hf.prepared.parquet_rows
import dvm_hf.prepared.plans.shard_size
import dvm_hf.prepared.shards
from dvm_hf.dataset.loading import load_arguments
from dvm_hf.prepared import prepare as preparing


def test_the_folder_contains_shards_sidecars_plans_manifest_and_card(prepared_once: Path) -> None:
    names = [f"{split}-0000{index}-of-00003" for split in ("train", "test") for index in range(3)]
    assert set(file_hashes(prepared_once)) == {
        *(f"data/{name}.parquet" for name in names),
        *(f"shards/{name}.json" for name in names),
        *("plan/train.json", "plan/test.json", "manifest.json", "README.md", "samples.jpg", "croissant.json"),
        *(stored_plan(prepared_once, split).table.relative_to(prepared_once).as_posix() for split in ("train", "test")),
        ".cache/huggingface/dvm_sources.sqlite",
    }


def test_the_manifest_matches_the_shards(prepared_once: Path) -> None:
    manifest = json.loads((prepared_once / "manifest.json").read_bytes())
    hashes = file_hashes(prepared_once)
    # 2 clips of a still with 6 frames and 2 of a video with 5, in windows of 2: test keeps the remainder
    assert {split: (held["rows"], held["frames"]) for split, held in manifest["splits"].items()} == {
        "train": (2 * 3 + 2 * 2, 2 * 6 + 2 * 4),
        "test": (2 * 3 + 2 * 3, 2 * 6 + 2 * 5),
    }
    for split in manifest["splits"].values():
        for shard in split["shards"]:
            assert shard["sha256"] == hashes[f"data/{shard['file']}"]
            assert shard["bytes"] == (prepared_once / "data" / shard["file"]).stat().st_size
        assert {"opencv", "av", "numpy", "libswscale", "dvm_hf"} <= set(split["plan"]["versions"])
    assert manifest["files"] == {name: hashes[name] for name in ("README.md", "samples.jpg", "croissant.json")}


def test_published_files_contain_no_machine_information(few_sources: Path, prepared_once: Path) -> None:
    for path in (path for path in prepared_once.rglob("*") if path.is_file() and ".cache" not in path.parts):
        data = path.read_bytes()
        for secret in (str(few_sources), str(prepared_once)):
            assert secret.encode() not in data, path


@pytest.mark.slow
def test_processes_and_order_do_not_change_the_bytes(few_sources: Path, prepared_once: Path, tmp_path: Path) -> None:
    answer(few_sources, tmp_path / "two", *FEW_ARGUMENTS, "--num-proc", "2")
    for index in (2, 0, 1):
        made = answer(few_sources, tmp_path / "array", *FEW_ARGUMENTS, "--shards", str(index))
        assert made["built"] == [f"{split}-0000{index}-of-00003.parquet" for split in ("train", "test")]
        assert made["complete"] == (index == 1)
        assert is_shown(tmp_path / "array") == (index == 1)
    for split in ("test", "train"):
        answer(few_sources, tmp_path / "splits", "--config", split, *FEW_ARGUMENTS)
    expected = file_hashes(prepared_once)
    for out in ("two", "array", "splits"):
        assert file_hashes(tmp_path / out) == expected


def test_a_copy_of_the_sources_gives_the_same_bytes(few_sources: Path, prepared_once: Path, tmp_path: Path) -> None:
    shutil.copytree(few_sources, tmp_path / "copy", copy_function=shutil.copy)  # other times of modification
    answer(tmp_path / "copy", tmp_path / "out")
    local = ".cache/huggingface/dvm_sources.sqlite"
    expected = file_hashes(prepared_once)
    assert file_hashes(tmp_path / "out") | {local: ""} == expected | {local: ""}


def test_only_the_selected_shards_are_built(few_sources: Path, tmp_path: Path) -> None:
    made = answer(few_sources, tmp_path / "out", *FEW_ARGUMENTS, "--config", "train", "--shards", "1-2")
    assert made["built"] == ["train-00001-of-00003.parquet", "train-00002-of-00003.parquet"]
    assert made["missing"] == {"train": 1}


def assert_refuses_to_load(folder: Path, cache: Path) -> None:
    for streaming in (True, False):
        with pytest.raises(FileNotFoundError):
            load_dataset(str(folder), streaming=streaming, **({} if streaming else {"cache_dir": str(cache)}))


def test_an_incomplete_folder_does_not_load(few_sources: Path, tmp_path: Path) -> None:
    arguments = (*FEW_ARGUMENTS, "--config", "train")
    answer(few_sources, tmp_path / "out", *arguments, "--shards", "0-1")
    assert_refuses_to_load(tmp_path / "out", tmp_path / "cache")
    assert answer(few_sources, tmp_path / "out", *arguments)["complete"]
    assert len(list(load_dataset(str(tmp_path / "out"), split="train", streaming=True))) == 10


def test_a_folder_under_repair_does_not_load(
    few_sources: Path, prepared: Path, prepared_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (prepared / "data/test-00001-of-00003.parquet").unlink()

    def killed(*args: Any, **kwargs: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dvm_hf.prepared.shards, "digested_windows", killed)
        prepare(few_sources, prepared)
    assert_refuses_to_load(prepared, tmp_path / "cache")
    assert answer(few_sources, prepared)["complete"]
    assert file_hashes(prepared) == file_hashes(prepared_once)


def test_a_finished_split_stays_loadable_while_the_other_is_built(few_sources: Path, tmp_path: Path) -> None:
    answer(few_sources, tmp_path, *FEW_ARGUMENTS, "--config", "train")
    answer(few_sources, tmp_path, *FEW_ARGUMENTS, "--config", "test", "--shards", "0")
    loaded = load_dataset(str(tmp_path), streaming=True)
    assert list(loaded) == ["train"]
    assert len(list(loaded["train"])) == 10


@pytest.mark.slow
def test_a_size_limit_gives_more_shards(few_sources: Path, tmp_path: Path) -> None:
    whole = answer(few_sources, tmp_path / "whole", "--config", "train", "--clip-length", "2")
    assert whole["shards"] == {"train": 1}
    limit = str(whole["bytes"] // 2)
    halves = answer(
        few_sources, tmp_path / "halves", "--config", "train", "--clip-length", "2", "--max-shard-size", limit
    )
    assert 2 <= halves["shards"]["train"] <= 4
    assert halves["rows"] == whole["rows"]
    again = answer(few_sources, tmp_path / "halves", "--config", "train", "--clip-length", "2")
    assert (again["built"], again["shards"]) == ([], halves["shards"])  # resuming needs no word of sizes


def test_a_second_run_builds_nothing(few_sources: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in prepared.rglob("*") if path.is_file()}
    monkeypatch.setattr(dvm_hf.prepared.shards, "digested_windows", None)
    monkeypatch.setattr(dvm_hf.prepared.plans.shard_size, "render", None)
    assert answer(few_sources, prepared)["built"] == []
    assert {path: path.stat().st_mtime_ns for path in prepared.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("text", "size"),
    [("500MB", 500_000_000), ("0.5GB", 500_000_000), ("1.5 KiB", 1536), ("2gib", 2 << 30), ("1000000", 1_000_000)],
)
def test_human_readable_sizes_are_parsed(text: str, size: int) -> None:
    assert dvm_hf.prepared.plans.shard_size.size_in_bytes(text) == size


def test_progress_is_shown_on_stderr(few_sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(
        preparing,
        "tqdm",
        lambda *items, **given: real(*items, **{**given, "delay": 0, "file": shown, "mininterval": 0}),
    )
    real = __import__("tqdm").tqdm
    result = prepare(few_sources, tmp_path / "out")
    assert result.exit_code == 0
    text = shown.getvalue()
    assert "8/8" in text
    assert "frames/s" in text
    assert "MB" in text
    assert "frames/s" not in result.stdout


@pytest.mark.slow
def test_shards_have_the_motion_of_all_layers(few_sources: Path, tmp_path: Path) -> None:
    """Their images and motion are those of streamed rows, and a repair renders the same bytes."""
    out, fields = tmp_path / "out", {"motion": "rvm", "clip_length": 3, "remainder": "keep", "encoding": "lossless"}
    options = [part for name, value in fields.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    answer(few_sources, out, "--config", "train", "--num-shards", "1", *options)
    before = file_hashes(out)
    next((out / "data").iterdir()).unlink()
    assert run("verify", str(out), "--repair").exit_code == 0
    assert file_hashes(out) == before
    stored = load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    streamed = load_dataset(
        name="train", data_dir=str(few_sources), split="train", streaming=True, **fields, **load_arguments()
    )
    expected = {(row["clip_id"], row["window"]): row for row in streamed}
    assert {(row["clip_id"], row["window"]) for row in stored} == expected.keys()
    for row in stored:
        wanted = expected[row["clip_id"], row["window"]]
        assert {len(numbers) for numbers in row["motion"]} == {22}
        assert np.array_equal(np.float32(row["motion"]), np.float32(wanted["motion"]))
        for column in ("frames", "alpha", "trimap"):
            pairs = zip(row[column], wanted[column], strict=True)
            assert all(np.array_equal(np.asarray(one), np.asarray(other)) for one, other in pairs)
