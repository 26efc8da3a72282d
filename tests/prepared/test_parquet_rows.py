"""What a Parquet file of rows reports of itself, and what is left of one that was not finished."""

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from datasets import Features, Image, Sequence, Value

from dvm_hf.dataset.features import file_schema, portable
from dvm_hf.prepared.parquet_rows import own_metadata, parquet_rows

SCHEMA = file_schema(
    Features({"clip_id": Value("string"), "alpha": [Image()], "motion": Sequence(Sequence(Value("float32")))})
)


def row(frames: int) -> dict[str, Any]:
    return {
        "clip_id": "x",
        "alpha": [{"bytes": b"abc", "path": None}] * frames,
        "motion": [[1.0, 2.0, 0.0, 1.0]] * frames,
    }


def test_the_totals_and_hashes_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with parquet_rows(path, SCHEMA, {"plan": "p"}) as rows:
        rows.append(row(2))
        rows.append(row(3))
    data = path.read_bytes()
    assert (rows.written.rows, rows.written.frames) == (2, 5)
    assert (rows.written.file_size, rows.written.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert rows.checksum == xxhash.xxh3_128(data).hexdigest()
    assert rows.written.arrow_size == pytest.approx(pq.read_table(path).nbytes, rel=0.3)
    assert own_metadata(pq.read_metadata(path)) == {"plan": "p"}


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        ([10_000_000] * 5, [3, 2]),
        ([17_000_000] * 3, [1, 1, 1]),
        ([40_000_000] * 2, [1, 1]),
        ([10_000_000, 25_000_000, 10_000_000], [1, 1, 1]),
        ([1] * 250, [100, 100, 50]),
    ],
)
def test_a_row_group_has_at_most_32_mb_or_one_row_and_100_rows(
    tmp_path: Path, sizes: list[int], groups: list[int]
) -> None:
    path = tmp_path / "x.parquet"
    with parquet_rows(path, SCHEMA, {}) as file:
        for size in sizes:
            file.append(row(1) | {"alpha": [{"bytes": bytes(size), "path": None}]})
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)] == groups


def test_a_foreign_file_has_no_metadata_of_this_package(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
    assert own_metadata(pq.read_metadata(tmp_path / "x.parquet")) is None


def test_an_unfinished_file_has_no_footer(tmp_path: Path) -> None:
    """It must not look like a complete shard with fewer rows."""
    path = tmp_path / "x.parquet"
    file = parquet_rows(path, SCHEMA, {})
    rows = file.__enter__()
    rows.append(row(2))
    rows.flush()
    file.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert path.stat().st_size > 4
    with pytest.raises(pa.ArrowInvalid):
        pq.read_metadata(path)
    assert rows.written.sha256 == rows.checksum == ""


def test_lists_have_the_name_that_every_release_knows() -> None:
    value = {"dtype": "float32", "_type": "Value"}
    inner = {"feature": value, "length": 4, "_type": "Sequence"}
    assert portable({"feature": {"feature": value, "length": 4, "_type": "List"}, "_type": "List"}) == {
        "feature": inner,
        "_type": "Sequence",
    }
    assert portable([{"_type": "Image"}]) == {"feature": {"_type": "Image"}, "_type": "Sequence"}
    names = {"names": ["List", "image"], "_type": "ClassLabel"}
    assert portable(names) == names
