"""The manifest of a small folder: its paths, its totals, and what it records of a shard."""

import copy
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from prepared_folder import write_prepared
from stored_plans import stored_plan

from dvm_hf.prepared.manifest import Manifest, manifest_from_content, read_manifest
from dvm_hf.prepared.shards import Recorded, read_sidecar


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return write_prepared(tmp_path / "out", shards={"train": 2, "test": 1})


def test_the_paths_are_those_of_a_complete_folder(out: Path) -> None:
    paths = read_manifest(out / "manifest.json").paths
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert len(paths) == len(set(paths))
    assert set(paths) == found - {".cache/sources.json"}


def test_the_totals_of_a_split_are_sums_over_its_files(out: Path) -> None:
    for split, described in read_manifest(out / "manifest.json").splits.items():
        files = sorted((out / "data").glob(f"{split}-*"))
        tables = [pq.read_table(path) for path in files]
        assert described["rows"] == sum(table.num_rows for table in tables)
        assert described["frames"] == sum(len(row) for table in tables for row in table["motion"])
        assert described["bytes"] == sum(path.stat().st_size for path in files)
        assert described["arrow_bytes"] == sum(shard["arrow_bytes"] for shard in described["shards"])
        assert [shard["file"] for shard in described["shards"]] == [path.name for path in files]


def test_a_shard_is_recorded_with_its_hash_and_the_skipped_clips(out: Path) -> None:
    manifest = read_manifest(out / "manifest.json")
    plan = stored_plan(out)
    manifest.splits["train"]["left_out"].append({"name": "image_cat", "reason": "broken"})  # type: ignore[index]
    for index in range(2):
        digest = hashlib.sha256((out / f"data/train-0000{index}-of-00002.parquet").read_bytes()).hexdigest()
        assert manifest.recorded(plan, index) == Recorded(digest, frozenset({"image_cat"}))
    assert manifest.recorded(plan, 2) is None
    assert (
        manifest.recorded(replace(plan, content={**plan.content, "digest": "0" * 64}), 0) is None
    )  # another plan of the same split
    only_test = Manifest({"test": manifest.splits["test"]}, manifest.files)
    assert only_test.recorded(plan, 0) is None


def test_a_sidecar_contradicts_the_manifest_only_if_it_is_of_its_plan(out: Path) -> None:
    manifest = read_manifest(out / "manifest.json")
    sidecar = read_sidecar(out / "shards/train-00001-of-00002.json")
    assert manifest.agrees_with(sidecar)
    changes = {"rows": 9, "frames": 9, "file_size": 9, "arrow_size": 9, "sha256": "0" * 64}
    for name, value in changes.items():
        assert not manifest.agrees_with(replace(sidecar, **{name: value})), name
    assert manifest.agrees_with(replace(sidecar, plan="0" * 64, rows=9))
    assert manifest.agrees_with(replace(sidecar, file="train-00002-of-00003.parquet", rows=9))


def first_shard(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = content["splits"]["train"]["shards"][0]
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(kind="plan"),
        lambda content: first_shard(content).update(file="test-00000-of-00002.parquet"),  # of the other split
        lambda content: first_shard(content).update(file="train-00000-of-00002.parquet/../../x"),
        lambda content: first_shard(content).update(sha256=None),
        lambda content: first_shard(content).update(bytes=None),
        lambda content: content["splits"]["test"].update(plan_seal=None),
        lambda content: content["splits"]["test"].update(plan=None),
        lambda content: content["splits"]["test"].update(left_out=[{"name": None}, {}]),
        lambda content: [split["shards"].clear() for split in content["splits"].values()],
        lambda content: content["files"].pop("README.md"),
        lambda content: content["files"].update({"../README.md": "0" * 64}),
    ],
)
def test_an_invalid_manifest_is_refused(out: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = copy.deepcopy(read_manifest(out / "manifest.json").content())
    manifest_from_content(copy.deepcopy(content))
    change(content)
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        manifest_from_content(content)
