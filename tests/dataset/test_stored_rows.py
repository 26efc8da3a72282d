"""Rows of Parquet files: which frames they have, and errors for files that are missing, damaged or of other types."""

import io
import json
import os
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dvm_hf.dataset.row_sources import readable, row_source, unreadable
from dvm_hf.dataset.stored_rows import planned_fields, stored_files, stored_rows
from dvm_hf.errors import ConfigError, FetchError, SourceError

FIELDS = {"frame_step": 2, "crop_size": None}
IMAGES = pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()}))
MOTION = pa.list_(pa.list_(pa.float32()))


def manifest(fields: Any, split: str = "test") -> str:
    return json.dumps({"splits": {split: {"plan": {"config": fields}}}})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder whose parents look like another dataset with other fields."""
    (tmp_path / "data").mkdir()
    (tmp_path / "manifest.json").write_text(manifest({"frame_step": 9}))
    return tmp_path / "data" / "mine"


def fields_of(file: Path) -> dict[str, Any]:
    return planned_fields([file.as_posix()])


def test_the_fields_of_a_split_come_from_the_manifest_beside_its_data(root: Path) -> None:
    (root / "data").mkdir(parents=True)
    (root / "manifest.json").write_text(manifest(FIELDS))
    assert fields_of(root / "data" / "test-00000-of-00002.parquet") == FIELDS
    assert planned_fields([str(root / "data").replace("/", "\\") + "\\test-00000-of-00001.parquet"]) == FIELDS
    assert fields_of(root / "data" / "train-00000-of-00002.parquet") == {}


def test_without_a_manifest_of_a_prepared_folder_there_are_no_fields(root: Path) -> None:
    file = root / "data" / "test-00000-of-00001.parquet"
    file.parent.mkdir(parents=True)
    assert fields_of(file) == {}
    for content in ("", "[]", "{}", '{"splits": []}', manifest([1]), manifest(None)):
        (root / "manifest.json").write_text(content)
        assert fields_of(file) == {}


def test_files_outside_of_a_folder_data_have_no_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("dvm_hf.dataset.stored_rows._opened", opened.append)
    for name in ("predictions.parquet", "folder/predictions.parquet"):
        assert planned_fields([name]) == {}
    assert opened == []


def test_an_incomplete_build_and_an_unreadable_manifest_are_errors(root: Path) -> None:
    file = root / "data" / "test-00000-of-00001.parquet"
    (root / "plan").mkdir(parents=True)
    for content in (None, "damaged"):
        if content:
            (root / "manifest.json").write_text(content)
        with pytest.raises(SourceError, match=r"manifest\.json: is missing or damaged; run dvm prepare again"):
            fields_of(file)
    os.unlink(root / "manifest.json")
    (root / "manifest.json").mkdir()
    with pytest.raises(SourceError, match=r"manifest\.json: cannot be read .*; try again, or replace the file"):
        fields_of(file)


def test_an_incomplete_build_in_a_store_is_an_error() -> None:
    """Without fields, every row would count as if its clip had no step between frames."""
    memory, root = fsspec.filesystem("memory"), "memory://stored_rows/out"
    file = f"{root}/data/test-00000-of-00001.parquet"
    assert planned_fields([file]) == {}
    memory.pipe_file(f"{root}/plan/test.json", b"{}")
    for content in (None, b"{}x"):
        if content is not None:
            memory.pipe_file(f"{root}/manifest.json", content)
        with pytest.raises(SourceError, match=rf"^{root}/manifest\.json: is missing or damaged; run dvm prepare again"):
            planned_fields([file])
    memory.pipe_file(f"{root}/manifest.json", manifest(FIELDS).encode())
    assert planned_fields([file]) == FIELDS


def png(level: int) -> dict[str, Any]:
    written = io.BytesIO()
    Image.fromarray(np.full((4, 6), level, np.uint8)).save(written, "PNG")
    return {"bytes": written.getvalue(), "path": None}


def written(path: Path, columns: dict[str, Any], types: dict[str, pa.DataType] | None = None) -> str:
    """Write two rows of two and one frames, with other columns and types."""
    values = {"clip_id": ["a", "b"], "start": [0, 3], "alpha": [[png(1), png(2)], [png(3)]]} | columns
    schema = {"clip_id": pa.string(), "start": pa.int32(), "alpha": IMAGES} | (types or {})
    pq.write_table(pa.table(values, schema=pa.schema({name: schema[name] for name in values})), path)
    return str(path)


def test_rows_have_the_frames_of_their_images(tmp_path: Path) -> None:
    for motion in ({}, {"motion": [None, [[0.0]]]}, {"motion": [[[0.0], [0.0]], [[0.0]]]}):
        file = written(tmp_path / "a.parquet", motion, {"motion": MOTION})
        rows = list(stored_rows([file], counted="alpha"))
        assert [(row.facts["clip_id"], row.facts["start"], row.frames) for row in rows] == [("a", 0, 2), ("b", 3, 1)]
    file = written(tmp_path / "n.parquet", {"clip_id": [7, 8]}, {"clip_id": pa.int64()})
    assert [row.facts["clip_id"] for row in stored_rows([file], counted="alpha")] == ["7", "8"]
    (row, _) = stored_rows([written(tmp_path / "x.parquet", {"alpha": [[png(1), None], []]})], counted="alpha")
    assert row.images(["alpha"]).image("alpha", 0).tolist() == [[1] * 6] * 4
    with pytest.raises(SourceError, match=r"a, window 0: alpha\[1\] is null; rebuild the dataset"):
        row.images(["alpha"]).image("alpha", 1)


OTHER: dict[str, tuple[dict[str, Any], dict[str, pa.DataType], str]] = {
    "numbers": ({"alpha": [1, 2]}, {"alpha": pa.int8()}, "alpha is int8, but must be a list of images"),
    "text": ({"start": ["0", "3"]}, {"start": pa.string()}, "start is string, but must be an integer"),
    "no start": ({"start": [0, None]}, {}, "start is null in a row; fill it in, or remove the row"),
    "no clip": ({"clip_id": [None, "b"]}, {}, "clip_id is null in a row; fill it in, or remove the row"),
}


@pytest.mark.parametrize("case", OTHER)
def test_columns_of_other_types_are_errors(tmp_path: Path, case: str) -> None:
    columns, types, text = OTHER[case]
    file = written(tmp_path / "a.parquet", columns, types)
    with pytest.raises(SourceError, match=f"a.parquet: {text}"):
        list(stored_rows([file], counted="alpha"))


def test_a_column_of_single_images_is_an_error(tmp_path: Path) -> None:
    """It has the same Arrow type as a column of videos."""
    file = written(tmp_path / "a.parquet", {"alpha": [png(1), png(2)]}, {"alpha": IMAGES.value_type})
    table = pq.read_table(file)
    features = {"info": {"features": {"alpha": {"_type": "Image"}}}}
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(features)}), file)
    with pytest.raises(SourceError, match="alpha is an image, but must be a list of images, an array or a video"):
        list(stored_rows([file], counted="alpha"))


def read(file: str) -> None:
    for row in stored_rows([file], counted="alpha"):
        row.table(["alpha"])


def test_damaged_pages_are_named(tmp_path: Path) -> None:
    file = written(tmp_path / "a.parquet", {})
    metadata = pq.ParquetFile(file).metadata.row_group(0)
    chunks = [metadata.column(index) for index in range(metadata.num_columns)]
    content = Path(file).read_bytes()
    for chunk in chunks:
        begin = chunk.dictionary_page_offset or chunk.data_page_offset
        Path(file).write_bytes(content[:begin] + b"\xff" * 8 + content[begin + 8 :])
        with pytest.raises(SourceError, match=r"a\.parquet: cannot be read as Parquet \(.*\); replace the file"):
            read(file)


class Unreachable(io.BytesIO):
    """A file whose store fails after the first reads."""

    def __init__(self, content: bytes, error: Exception) -> None:
        super().__init__(content)
        self.error, self.reads = error, 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        if self.reads > 2:
            raise self.error
        return super().read(size)


def test_a_store_that_fails_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluation stops instead of counting the row as a fault of the prediction."""
    content = Path(written(tmp_path / "a.parquet", {})).read_bytes()
    faults = PermissionError("Forbidden"), OSError(121, "Internal Server Error"), RuntimeError("no endpoint")
    for fault in faults:
        monkeypatch.setattr("dvm_hf.dataset.stored_rows._opened", lambda name, fault=fault: Unreachable(content, fault))
        with pytest.raises(FetchError, match=r"^memory://x/a\.parquet: cannot be read \(.*\); check the network"):
            read("memory://x/a.parquet")
    assert isinstance(unreadable("s3://bucket/out", faults[0]), FetchError)
    assert not isinstance(unreadable("s3://bucket/out", FileNotFoundError("a.parquet")), FetchError)
    assert isinstance(unreadable("s3://bucket/out", faults[2]), FetchError)
    damaged = content[:4] + b"\xff" * 50 + content[54:]
    monkeypatch.setattr("dvm_hf.dataset.stored_rows._opened", lambda name: io.BytesIO(damaged))
    with pytest.raises(SourceError, match=r"a\.parquet: cannot be read as Parquet \(.*\); replace the file") as raised:
        read("memory://x/a.parquet")
    assert not isinstance(raised.value, FetchError)


@pytest.mark.parametrize(
    ("name", "error", "expected"),
    [
        ("s3://bucket/out", RuntimeError("no endpoint"), FetchError),
        ("user/name", RuntimeError("no route"), SourceError),
        ("user/name", OSError("no route"), SourceError),
        (".", OSError("damaged"), SourceError),
        (".", RuntimeError("a bug"), RuntimeError),
        ("s3://bucket/out", KeyError("a bug"), KeyError),
        ("s3://bucket/out", ConfigError("split"), ConfigError),
    ],
)
def test_errors_of_other_libraries_are_those_of_reading(name: str, error: Exception, expected: type[Exception]) -> None:
    """Unless nothing is read but a local folder, or the error can only come from code."""
    with pytest.raises(expected) as raised, readable(name):
        raise error
    assert type(raised.value) is expected


def test_missing_files_of_a_split_are_an_error(prepared: Path) -> None:
    files = sorted((prepared / "data").glob("test-*.parquet"))
    assert len(files) > 1

    def found() -> list[str]:
        return stored_files(row_source(str(prepared), fields={}), config=None, split=None, default="test")

    assert sorted(Path(file).name for file in found()) == [file.name for file in files]
    files[-1].unlink()
    with pytest.raises(SourceError, match=rf"1 file of {len(files)} missing, such as {files[-1].name}; run dvm"):
        found()
