"""Write rows of the dataset to one Parquet file for every supported `datasets` and the Hub's viewer.

Image bytes are not compressed again: zstd makes 1080p frames only 0.2 % smaller, and writing more expensive. A row
group contains a few windows, which limits the memory of viewers and streams.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from dvm_hf.dataset.columns import COLUMNS, INSTANCES
from dvm_hf.errors import PreparedError
from dvm_hf.freed_memory import release_freed_memory
from dvm_hf.media.pixels import Pixels
from dvm_hf.sources.records import KINDS

ROW_GROUP_BYTES = 32 << 20  # a row group has at most this many bytes; more only if a single row has
ROW_GROUP_ROWS = 100  # or this many rows
METADATA_KEY = b"dvm"
IMAGE_TYPE = pa.struct({"bytes": pa.binary(), "path": pa.string()})  # of an image and of a video


@dataclass
class Written:
    """Totals of a file: rows, frames, bytes in Arrow; size and SHA-256 of the file."""

    rows: int = 0
    frames: int = 0
    arrow_size: int = 0
    file_size: int = 0
    sha256: str = ""


class ParquetRows:
    """A Parquet file that is written by row groups; see `parquet_rows`.

    checksum: that of `atomic_io.checksum_of`, when the file is finished.
    """

    def __init__(self, sink: "_HashingSink", schema: pa.Schema, metadata: Mapping[str, Any]) -> None:
        self.written = Written()
        self.checksum = ""
        self._schema = schema.with_metadata({**(schema.metadata or {}), METADATA_KEY: json.dumps(metadata)})
        self._writer = pq.ParquetWriter(sink, self._schema, **_options(self._schema))
        self._pending: list[pa.RecordBatch] = []

    def append(self, row: Mapping[str, Any]) -> None:
        """Append one row, a result of `columns.row`."""
        columns = [_array(row[field.name], field) for field in self._schema]
        batch = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        if self._pending_bytes + batch.nbytes > ROW_GROUP_BYTES:
            self.flush()
        self._pending.append(batch)
        self.written.rows += 1
        self.written.frames += len(row["motion"])
        self.written.arrow_size += batch.nbytes
        if self._pending_bytes + batch.nbytes > ROW_GROUP_BYTES or len(self._pending) >= ROW_GROUP_ROWS:
            self.flush()  # because a row like this one would not fit, and these would stay in memory until it comes

    @property
    def _pending_bytes(self) -> int:
        return sum(batch.nbytes for batch in self._pending)

    def flush(self) -> None:
        """Write the pending rows as a row group."""
        if self._pending:
            table = pa.Table.from_batches(self._pending)
            self._writer.write_table(table, row_group_size=table.num_rows)
            self._pending.clear()
            release_freed_memory()  # Arrow copies a row group three times to write it

    def close(self) -> None:
        self._writer.close()


@contextmanager
def parquet_rows(path: Path, schema: pa.Schema, metadata: Mapping[str, Any]) -> Iterator[ParquetRows]:
    """Open a Parquet file to append rows to. On exit the file is complete, and `written` has its totals.

    schema: see `file_schema`. metadata: of this package; see `own_metadata`.
    """
    with path.open("wb") as file:
        sink = _HashingSink(file)
        rows = ParquetRows(sink, schema, metadata)
        try:
            yield rows
            rows.flush()
        except BaseException:
            sink.abandon()  # otherwise closing would write more, for example to a full disk
            raise
        finally:
            rows.close()
    rows.written.file_size, rows.written.sha256 = sink.position, sink.digest.hexdigest()
    rows.checksum = sink.checksum.hexdigest()


def own_metadata(metadata: pq.FileMetaData) -> Any:
    """Return the metadata passed to `parquet_rows`; None if the file is foreign."""
    text = (metadata.metadata or {}).get(METADATA_KEY)
    return None if text is None else json.loads(text)


class _HashingSink:
    """A file for pyarrow that hashes what is written: `digest` for the manifest, `checksum` for the read-back check."""

    closed = False  # an attribute that pyarrow reads

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._is_abandoned = False
        self.digest = hashlib.sha256()
        self.checksum = xxhash.xxh3_128()
        self.position = 0

    def write(self, data: bytes) -> int:
        if not self._is_abandoned:
            self._file.write(data)
            self.digest.update(data)
            self.checksum.update(data)
        self.position += len(data)
        return len(data)

    def tell(self) -> int:
        return self.position

    def flush(self) -> None:
        if not self._is_abandoned:
            self._file.flush()

    def close(self) -> None:
        """Do nothing: the caller closes the file."""

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def abandon(self) -> None:
        """Discard all further writes."""
        self._is_abandoned = True


def _options(schema: pa.Schema) -> dict[str, Any]:
    """Return writer options: statistics and dictionaries for names and numbers, zstd only for arrays."""
    plain = [name for name in schema.names if name not in COLUMNS and not pa.types.is_list(schema.field(name).type)]
    encoded = (IMAGE_TYPE, pa.list_(IMAGE_TYPE), pa.list_(pa.list_(IMAGE_TYPE)))  # a video, images, those of instances
    is_encoded = all(schema.field(name).type in encoded for name in schema.names if name in COLUMNS)
    return {
        "compression": "NONE" if is_encoded else "ZSTD",
        "use_dictionary": plain,
        "write_statistics": plain,
        "write_page_index": True,
    }


def _array(value: Any, field: pa.Field) -> pa.Array:
    """Return an Arrow array with one value of a row."""
    if field.name == INSTANCES and not isinstance(value, np.ndarray):
        return _instances(value, field)
    if field.type == pa.list_(IMAGE_TYPE):
        return _image_list([image["bytes"] for image in value], field.name)
    if field.type == IMAGE_TYPE:
        _require_addressable(len(value["bytes"]), field.name)
    if isinstance(value, np.ndarray):
        return _nested_lists(value, field)
    if field.name == "foreground_kind":
        value = KINDS.index(value)  # as `datasets.ClassLabel` encodes it
    if field.name == "instance_kinds":
        value = [KINDS.index(kind) for kind in value]
    return pa.array([value], type=field.type)


def _instances(value: list[Any], field: pa.Field) -> pa.Array:
    """Return the images, or the video, of each instance."""
    if field.type == pa.list_(IMAGE_TYPE):
        _require_addressable(sum(len(video["bytes"]) for video in value), field.name)
        return pa.array([value], type=field.type)
    images = [image["bytes"] for of_instance in value for image in of_instance]
    pictures = _image_list(images, field.name).flatten()
    ends = np.cumsum([0, *map(len, value)]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(ends), pictures)
    return pa.ListArray.from_arrays(pa.array([0, len(value)], pa.int32()), lists)


def _require_addressable(size: int, column: str) -> None:
    if size >= 2**31:
        raise PreparedError(
            f"{column}: the images of one row have {size} bytes, but Arrow is limited to 2 GiB; "
            "use a smaller clip_length"
        )


def _nested_lists(pixels: Pixels, field: pa.Field) -> pa.Array:
    """Return an array as `datasets` stores it: nested lists, in its extension type if `datasets` is imported."""
    values = pa.array(pixels.reshape(-1))
    for side in reversed(pixels.shape):
        values = pa.ListArray.from_arrays(pa.array(np.arange(0, len(values) + 1, side), pa.int32()), values)
    return pa.ExtensionArray.from_storage(field.type, values) if isinstance(field.type, pa.ExtensionType) else values


def _image_list(images: list[bytes], column: str) -> pa.Array:
    """Return a list of encoded images. The bytes are copied once; Arrow would grow its buffer repeatedly."""
    ends = np.cumsum([0, *map(len, images)])
    _require_addressable(ends[-1], column)
    data = pa.allocate_buffer(int(ends[-1]))  # Arrow reuses its memory for the next row; bytes.join would allocate
    view = memoryview(data).cast("B")
    for image, start, end in zip(images, ends[:-1], ends[1:], strict=True):
        view[start:end] = image
    encoded = pa.Array.from_buffers(pa.binary(), len(images), [None, pa.py_buffer(ends.astype(np.int32)), data])
    pictures = pa.StructArray.from_arrays([encoded, pa.nulls(len(images), pa.string())], fields=list(IMAGE_TYPE))
    return pa.ListArray.from_arrays(pa.array([0, len(images)], pa.int32()), pictures)
