"""Load rows of a pushed dataset from the Hub, and compare them with the local ones.

A row is selected by a filter, and the stream is read to its end. Parquet's statistics skip the other row groups. If a
scan is not finished, PyArrow can abort the process at exit.
"""

import gc
import hashlib
import json
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import load_dataset

from dvm_hf.errors import DamagedError
from dvm_hf.hub.local_files import LocalFolder
from dvm_hf.hub_requests import CLIENT_ERRORS, retried, root
from dvm_hf.prepared.storage.storage import storage_of

ROW_KEYS = ("clip_id", "window")  # together they identify a row
READERS_END_SECONDS = 0.3


@dataclass(frozen=True)
class Pushed:
    """A pushed dataset at a commit."""

    repo_id: str
    commit: str
    wait: Callable[[float], object]

    def rows(self, split: str, *, shard: int, shards: int, names: dict[str, Any]) -> pa.Table:
        """Return the rows of a shard whose columns have the values `names`.

        Raises DamagedError if load_dataset finds another number of shards.
        """
        with tempfile.TemporaryDirectory() as cache:  # so that no earlier build is loaded from the cache
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
        """Return the `digests` of such rows, with retries if the network fails."""
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
    """Compare the first and the last row of each split with the local ones, and return the number of rows.

    Raises DamagedError if a row differs.
    """
    count = 0
    for split, paths in folder.splits.items():
        for is_last in (False, True):
            shard = _end_shard(folder, paths, last=is_last)
            path = folder.root / paths[shard]
            with storage_of(path).parquet(path) as source, pq.ParquetFile(source) as file:
                local = end_row(file, last=is_last)
            names = {column: local[column][0].as_py() for column in ROW_KEYS}
            if pushed.digests(split, shard=shard, shards=len(paths), names=names) != digests(local):
                raise DamagedError(
                    f"{pushed.repo_id} at {pushed.commit}: the {'last' if is_last else 'first'} row of {paths[shard]} "
                    f"{names} differs from the local one; run `dvm verify` on the folder and push again"
                )
            count += 1
    _let_readers_end()
    return count


def _let_readers_end() -> None:
    """Wait until PyArrow's threads have closed their files.

    A thread that closes a file while the interpreter exits aborts the process.
    """
    gc.collect()
    threading.Event().wait(READERS_END_SECONDS)


def _end_shard(folder: LocalFolder, paths: tuple[str, ...], *, last: bool) -> int:
    """Return the index of the first or last shard that has a row; all clips of a shard may have been skipped."""
    order = range(len(paths) - 1, -1, -1) if last else range(len(paths))
    return next(index for index in order if _row_count(folder.root / paths[index]))


def _row_count(path: Path) -> int:
    return int(pq.read_metadata(storage_of(path).footer(path)).num_rows)


def end_row(file: pq.ParquetFile, *, last: bool) -> pa.Table:
    """Return the first or the last row of a Parquet file; only its row group is read."""
    group = file.read_row_group(file.num_row_groups - 1 if last else 0)
    return group.slice(group.num_rows - 1 if last else 0, 1)


def digests(rows: pa.Table) -> list[str]:
    """Return the sha256 of each row's values, with images as their stored bytes."""
    texts = (json.dumps(row, sort_keys=True, default=_as_text) for row in rows.to_pylist())
    return [hashlib.sha256(text.encode()).hexdigest() for text in texts]


def _as_text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
