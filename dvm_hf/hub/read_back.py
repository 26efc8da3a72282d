"""Rows of a pushed dataset, read over the network as anybody reads them, and compared with the local ones.

A row is asked for by a filter, and the stream is read to its end: Parquet's statistics spare it the other row groups,
whereas pyarrow can bring the process down at its end if a scan is left half way.
"""

import gc
import hashlib
import json
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import load_dataset

from dvm_hf.errors import DamagedError
from dvm_hf.hub.faults import CLIENT_ERRORS, retried, root
from dvm_hf.hub.local_files import LocalFolder

ROW_NAMES = ("clip_id", "window")  # together they name a row
READERS_END_SECONDS = 0.3


@dataclass(frozen=True)
class Pushed:
    """Where rows are read back from."""

    repo_id: str
    commit: str
    wait: Callable[[float], object]

    def rows(self, split: str, *, shard: int, shards: int, names: dict[str, Any]) -> pa.Table:
        """Rows of a shard whose columns have the values `names`, if load_dataset finds that many shards."""
        with tempfile.TemporaryDirectory() as cache:  # or an earlier build in the cache could stand in for this one
            stream = load_dataset(
                self.repo_id,
                split=split,
                streaming=True,
                revision=self.commit,
                filters=[(column, "==", value) for column, value in names.items()],
                cache_dir=cache,
            )
            if stream.n_shards != shards:
                raise DamagedError(
                    f"{self.repo_id} at {self.commit}: load_dataset finds {stream.n_shards} shards of the split "
                    f"{split}, but {shards} were pushed; check the data files listed in its README.md"
                )
            found = list(stream.shard(num_shards=shards, index=shard).with_format("arrow").iter(batch_size=1))
        return pa.concat_tables(found) if found else pa.table({})

    def digests(self, split: str, *, shard: int, shards: int, names: dict[str, Any]) -> list[str]:
        """`digests` of such rows, tried again where the network fails."""
        try:
            return digests(retried(lambda: self.rows(split, shard=shard, shards=shards, names=names), wait=self.wait))
        except DamagedError:
            raise
        except CLIENT_ERRORS as error:
            if root(error) is not None:
                raise
            raise DamagedError(
                f"{self.repo_id} at {self.commit}: was pushed, but the split {split} cannot be read back ({error}); "
                "run `dvm verify` on the folder and push again"
            ) from error


def compared_rows(folder: LocalFolder, pushed: Pushed) -> int:
    """How many rows were read back and found equal: of each split the first and the last.

    Raises DamagedError where anything differs.
    """
    count = 0
    for split, paths in folder.splits.items():
        for is_last in (False, True):
            shard = _end_shard(folder, paths, last=is_last)
            with pq.ParquetFile(folder.root / paths[shard]) as file:
                local = end_row(file, last=is_last)
            names = {column: local[column][0].as_py() for column in ROW_NAMES}
            if pushed.digests(split, shard=shard, shards=len(paths), names=names) != digests(local):
                raise DamagedError(
                    f"{pushed.repo_id} at {pushed.commit}: the {'last' if is_last else 'first'} row of {paths[shard]} "
                    f"{names} differs from the local one; run `dvm verify` on the folder and push again"
                )
            count += 1
    _let_readers_end()
    return count


def _let_readers_end() -> None:
    """Wait a moment: PyArrow's threads let go of a file some time after its end, and one that does so while the
    interpreter ends aborts the process, with everything done.
    """
    gc.collect()
    threading.Event().wait(READERS_END_SECONDS)


def _end_shard(folder: LocalFolder, paths: tuple[str, ...], *, last: bool) -> int:
    """Index of the first or last shard that has a row: all clips of a shard may have been left out."""
    with_rows = (i for i, path in enumerate(paths) if pq.read_metadata(folder.root / path).num_rows)
    if last:
        with_rows = (i for i in range(len(paths) - 1, -1, -1) if pq.read_metadata(folder.root / paths[i]).num_rows)
    return next(with_rows)


def end_row(file: pq.ParquetFile, *, last: bool) -> pa.Table:
    """The first or the last row of a Parquet file; reads its row group alone."""
    group = file.read_row_group(file.num_row_groups - 1 if last else 0)
    return group.slice(group.num_rows - 1 if last else 0, 1)


def digests(rows: pa.Table) -> list[str]:
    """sha256 of each row's values, images as the bytes that are stored."""
    texts = (json.dumps(row, sort_keys=True, default=_as_text) for row in rows.to_pylist())
    return [hashlib.sha256(text.encode()).hexdigest() for text in texts]


def _as_text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
