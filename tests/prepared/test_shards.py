"""One shard: its rows, its file for `datasets` and the Hub's viewer, and faults during writing."""

import errno
import json
import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import file_hashes
from datasets import Image
from stored_plans import stored_plan, written

from dvm_hf import PreparedError, SourceError
from dvm_hf.dataset.features import features, file_schema
from dvm_hf.errors import DamagedError
from dvm_hf.prepared import atomic_io, shards
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.parquet_rows import parquet_rows
from dvm_hf.prepared.plans.shard_plan import whole_plan
from dvm_hf.prepared.plans.stored_plan import StoredPlan
from dvm_hf.prepared.shards import Progress, build_shard, finished, read_sidecar, require_footer

NAME = "train-00000-of-00003"


@pytest.fixture
def plan(prepared_once: Path) -> StoredPlan:
    return stored_plan(prepared_once)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder to build shards in."""
    for folder in PreparedFolder(tmp_path / "out").folders:
        folder.mkdir(parents=True, exist_ok=True)
    return tmp_path / "out"


def test_rows_match_load_dataset(few_sources: Path, prepared_once: Path, load: Any) -> None:
    for split in ("train", "test"):
        built = load(split, data_dir=str(few_sources), split=split, clip_length=2)
        for column in ("frames", "alpha", "trimap"):
            built = built.cast_column(column, [Image(decode=False)])
        tables = [pq.read_table(path) for path in sorted((prepared_once / "data").glob(f"{split}-*"))]
        prepared = {(row["clip_id"], row["window"]): row for table in tables for row in table.to_pylist()}
        assert len(prepared) == len(built)
        for row in built:
            assert prepared[row["clip_id"], row["window"]] == row


def test_a_shard_built_alone_has_the_same_bytes(
    plan: StoredPlan, few_sources: Path, prepared_once: Path, out: Path
) -> None:
    for _ in range(2):
        sidecar = build_shard(plan.shard(1), out=out, data_dir=few_sources)
        expected = file_hashes(prepared_once)
        names = ("data/train-00001-of-00003.parquet", "shards/train-00001-of-00003.json")
        assert file_hashes(out) == {name: expected[name] for name in names}
        assert sidecar == read_sidecar(out / names[1]) == finished(plan.shard(1), out=out)


def test_a_shard_of_another_size_is_not_finished(plan: StoredPlan, prepared: Path) -> None:
    path = prepared / f"data/{NAME}.parquet"
    assert finished(plan.shard(0), out=prepared) is not None
    path.write_bytes(b"x" + path.read_bytes())  # its footer, read from the end, is unchanged
    assert pq.read_metadata(path).num_rows == 5
    assert finished(plan.shard(0), out=prepared) is None


def test_a_footer_with_hundreds_of_rows_is_compared_by_number(plan: StoredPlan, tmp_path: Path) -> None:
    path, motion = tmp_path / "x.parquet", pa.schema({"motion": pa.list_(pa.list_(pa.float32()))})
    with parquet_rows(path, motion, {"plan": plan.digest, "split": "train", "shard": 0}) as rows:
        for _ in range(300):
            rows.append({"motion": []})
    require_footer(path, plan.shard(0), 300)
    with pytest.raises(DamagedError, match=r"x\.parquet: has 300 rows instead of 299"):
        require_footer(path, plan.shard(0), 299)
    with pytest.raises(DamagedError, match=r"x\.parquet: is a different shard, or belongs to another plan"):
        require_footer(path, plan.shard(1), 300)


def test_clips_are_distributed_round_robin(plan: StoredPlan) -> None:
    ids = ["image_disc_0001", "image_disc_0000", "video_0000_0000", "video_0000_0001"]  # by the seed
    assert [[clip.clip_id for clip in plan.shard(index).clips] for index in range(3)] == [
        [ids[0], ids[3]],
        [ids[1]],
        [ids[2]],
    ]


def test_the_sidecar_describes_the_shard(prepared_once: Path, plan: StoredPlan) -> None:
    sidecar = json.loads((prepared_once / f"shards/{NAME}.json").read_bytes())
    table = pq.read_table(prepared_once / f"data/{NAME}.parquet")
    assert sidecar["file"] == f"{NAME}.parquet"
    assert sidecar["plan"] == plan.digest == json.loads((prepared_once / "plan/train.json").read_bytes())["digest"]
    assert sidecar["rows"] == table.num_rows
    assert sidecar["frames"] == sum(map(len, table["frames"].to_pylist()))
    assert sidecar["clips"] == dict(Counter(table["clip_id"].to_pylist()))
    assert sidecar["bytes"] == (prepared_once / f"data/{NAME}.parquet").stat().st_size
    assert sidecar["sha256"] == file_hashes(prepared_once)[f"data/{NAME}.parquet"]


def test_a_shard_is_readable_by_the_viewer_and_every_release_of_datasets(prepared_once: Path) -> None:
    metadata = pq.read_metadata(prepared_once / f"data/{NAME}.parquet")
    features = json.loads(metadata.metadata[b"huggingface"])["info"]["features"]
    assert features["frames"] == {"feature": {"_type": "Image"}, "_type": "Sequence"}
    assert features["foreground_kind"] == {"names": ["image", "video"], "_type": "ClassLabel"}
    assert '"List"' not in json.dumps(features)  # which 3.6.0 does not know
    columns = [metadata.row_group(0).column(index) for index in range(metadata.num_columns)]
    assert all(column.has_offset_index for column in columns)
    images = [column for column in columns if column.path_in_schema.endswith(".bytes")]
    assert len(images) == 3
    for column in images:
        assert column.compression == "UNCOMPRESSED"
        assert not column.is_stats_set  # they would copy images into the footer
    names = next(column for column in columns if column.path_in_schema == "clip_id")
    assert names.statistics.min <= names.statistics.max


def test_row_groups_are_closed_by_bytes_and_by_rows(
    plan: StoredPlan, few_sources: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def groups() -> list[int]:
        build_shard(plan.shard(0), out=out, data_dir=few_sources)
        metadata = pq.read_metadata(out / f"data/{NAME}.parquet")
        return [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]

    assert groups() == [5]
    monkeypatch.setattr("dvm_hf.prepared.parquet_rows.ROW_GROUP_ROWS", 2)
    assert groups() == [2, 2, 1]
    monkeypatch.setattr("dvm_hf.prepared.parquet_rows.ROW_GROUP_BYTES", 1)
    assert groups() == [1, 1, 1, 1, 1]


def test_progress_adds_up(plan: StoredPlan, few_sources: Path, out: Path) -> None:
    reports: list[Progress] = []
    sidecar = build_shard(plan.shard(0), out=out, data_dir=few_sources, on_progress=reports.append)
    assert sum(progress.clips for progress in reports) == len(plan.shard(0).clips)
    table = pq.read_table(out / f"data/{NAME}.parquet")
    assert sum(progress.frames for progress in reports) == sum(map(len, table["frames"].to_pylist())) == sidecar.frames
    assert sum(progress.bytes for progress in reports) == sidecar.arrow_size
    assert sidecar.arrow_size == pytest.approx(table.nbytes, rel=0.02)


def test_a_source_rewritten_during_rendering_stops_the_shard(
    plan: StoredPlan, few_sources: Path, out: Path, tmp_path: Path
) -> None:
    """Both backgrounds stay usable: only their bytes show that the rows are not those of the plan."""
    sources = Path(shutil.copytree(few_sources, tmp_path / "DVM"))
    background = sources / "bg/train/0001.mp4"
    rendered: list[Progress] = []

    def rewriting(progress: Progress) -> None:
        rendered.append(progress)
        if sum(one.clips for one in rendered) == 2:  # the shard's last clip
            shutil.copy(few_sources / "bg/test/0000.mp4", background)

    assert any(clip.background.path.name == "0001.mp4" for clip in plan.shard(0).clips)
    with pytest.raises(SourceError, match=r"bg/train/0001\.mp4 changed since the plan was made"):
        build_shard(plan.shard(0), out=out, data_dir=sources, on_progress=rewriting)
    assert sum(one.clips for one in rendered) == 2
    assert [path for path in out.rglob("*") if path.is_file()] == []


def test_a_shard_of_skipped_clips_has_no_rows(few_sources: Path, out: Path, plan: StoredPlan) -> None:
    whole = whole_plan(plan)
    longer = written(replace(whole, config=replace(whole.config, clip_length=50)), out)
    sidecar = build_shard(longer.shard(0), out=out, data_dir=few_sources)
    assert (sidecar.rows, [name for name, _ in sidecar.skipped]) == (0, list(sidecar.clips))
    assert all("shorter than a window" in reason for _, reason in sidecar.skipped)
    assert pq.read_table(out / f"data/{NAME}.parquet").num_rows == 0


def test_a_writer_without_its_temporary_file_retries(
    plan: StoredPlan, few_sources: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[Path] = []
    fsync = os.fsync

    def removing(handle: int) -> None:
        if not lost:
            lost.extend(atomic_io.temporaries(out / "data"))
            lost[0].unlink()
        fsync(handle)

    monkeypatch.setattr(os, "fsync", removing)
    sidecar = build_shard(plan.shard(0), out=out, data_dir=few_sources)
    assert len(lost) == 1
    assert finished(plan.shard(0), out=out) == sidecar


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_disk_that_returns_different_bytes_is_detected(
    plan: StoredPlan, few_sources: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = shards.flush

    def damaging(path: Path) -> None:  # simulates a faulty disk
        flush(path)
        flip_a_bit(path)

    monkeypatch.setattr(shards, "flush", damaging)
    with pytest.raises(PreparedError, match="reads differently than it was written"):
        build_shard(plan.shard(0), out=out, data_dir=few_sources)
    assert [path for path in out.rglob("*") if path.is_file()] == []


def test_damage_that_shows_only_on_the_disk_is_detected(
    plan: StoredPlan, few_sources: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for a system whose memory still holds the right bytes: the disk's appear when it drops them.

    It drops only what was flushed.
    """
    flushed: set[int] = set()
    fsync = os.fsync

    def noted(handle: int) -> None:
        flushed.add(os.fstat(handle).st_ino)
        fsync(handle)

    def dropped(handle: int, *arguments: int) -> None:
        if os.fstat(handle).st_ino not in flushed:
            return
        flip_a_bit(Path(os.readlink(f"/proc/self/fd/{handle}")))

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(os, "posix_fadvise", dropped)
    with pytest.raises(PreparedError, match="reads differently than it was written"):
        build_shard(plan.shard(0), out=out, data_dir=few_sources)
    assert [path for path in out.rglob("*") if path.is_file()] == []


def test_a_shard_that_cannot_be_flushed_is_not_published(
    plan: StoredPlan, few_sources: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(PreparedError, match="No space left on device"):
        build_shard(plan.shard(0), out=out, data_dir=few_sources)
    assert [path for path in out.rglob("*") if path.is_file()] == []


def row_of(frames: Any, count: int) -> dict[str, Any]:
    return {
        **dict.fromkeys(("window", "start", "height", "width", "seed"), 0),
        **dict.fromkeys(("clip_id", "foreground_name", "background_name"), "x"),
        "foreground_kind": "image",
        "motion": [[0.0] * 4] * count,
        "frames": frames,
    }


ENCODED = file_schema(features(("frames",), encoding="jpeg", clip_length=2, crop_size=None))


def test_a_row_too_large_for_arrow_is_refused_by_name(tmp_path: Path) -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 2**30

    with (
        parquet_rows(tmp_path / "x.parquet", ENCODED, {}) as rows,
        pytest.raises(PreparedError, match=r"frames: the images of one row have 2147483648 bytes.*smaller clip_length"),
    ):
        rows.append(row_of([{"bytes": Huge(), "path": None}] * 2, 2))


def test_images_are_stored_with_their_bytes(tmp_path: Path) -> None:
    images = [{"bytes": bytes([number]) * number, "path": None} for number in range(4)]
    with parquet_rows(tmp_path / "x.parquet", ENCODED, {}) as rows:
        rows.append(row_of(images, 4))
        rows.append(row_of(images[:1], 1))
    assert pq.read_table(tmp_path / "x.parquet")["frames"].to_pylist() == [images, images[:1]]


def test_arrays_round_trip(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    described = file_schema(features(("frames",), encoding="array", clip_length=2, crop_size=4))
    with parquet_rows(tmp_path / "x.parquet", described, {}) as rows:
        rows.append(row_of(frames, 2))
    assert pq.read_table(tmp_path / "x.parquet")["frames"].to_pylist()[0] == frames.tolist()
