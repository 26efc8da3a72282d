"""Rows of a pushed dataset, read over the network and compared with the local ones."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import load_dataset
from huggingface_hub import HfFileSystem

from dvm_hf.errors import PreparedError
from dvm_hf.hub_faults import CLIENT_ERRORS, Made, retried, root
from dvm_hf.prepared import Prepared


@dataclass(frozen=True)
class Pushed:
    """Where rows are read back from."""

    repo_id: str
    commit: str
    wait: Callable[[float], object]

    def first_row(self, split: str, *, shards: int) -> pa.Table:
        """The first row as anybody's load_dataset streams it, if it finds that many shards."""
        stream = self._read(
            split, lambda: load_dataset(self.repo_id, split=split, streaming=True, revision=self.commit)
        )
        if stream.n_shards != shards:
            raise PreparedError(
                f"{self.repo_id} at {self.commit}: load_dataset finds {stream.n_shards} shards of the split {split}, "
                f"but {shards} were pushed; look at the data files that its README.md names"
            )
        return self._read(split, lambda: next(iter(stream.with_format("arrow").iter(batch_size=1))))

    def last_row(self, path: str) -> pa.Table:
        """The last row of a shard, out of the file: a stream would come to it by way of all others."""

        def read() -> pa.Table:
            # no cache of listings: it would outlive a push
            files = HfFileSystem(use_listings_cache=False, skip_instance_cache=True)
            with files.open(f"datasets/{self.repo_id}@{self.commit}/{path}") as file:
                return end_row(pq.ParquetFile(file), last=True)

        return self._read(path, read)

    def _read(self, what: str, action: Callable[[], Made]) -> Made:
        try:
            return retried(action, wait=self.wait)
        except CLIENT_ERRORS as error:
            if root(error) is not None:
                raise
            raise PreparedError(
                f"{self.repo_id} at {self.commit}: was pushed, but {what} cannot be read back ({error}); "
                "run `dvm verify` on the folder and push again"
            ) from error


def compared_rows(prepared: Prepared, pushed: Pushed) -> int:
    """How many rows were read back and found equal: of each split the first, and the last of its last shard.

    Raises PreparedError where anything differs.
    """
    splits = prepared.shards_of_splits()
    for split, shards in splits.items():
        for path, is_last in ((shards[0], False), (shards[-1], True)):
            with pq.ParquetFile(prepared.folder / path) as file:
                local = digest(end_row(file, last=is_last))
            remote = digest(pushed.last_row(path) if is_last else pushed.first_row(split, shards=len(shards)))
            if local != remote:
                raise PreparedError(
                    f"{pushed.repo_id} at {pushed.commit}: the {'last' if is_last else 'first'} row of {path} is not "
                    "the local one; run `dvm verify` on the folder and push again"
                )
    return 2 * len(splits)


def end_row(file: pq.ParquetFile, *, last: bool) -> pa.Table:
    """The first or the last row of a Parquet file; reads its row group alone."""
    group = file.read_row_group(file.num_row_groups - 1 if last else 0)
    return group.slice(group.num_rows - 1 if last else 0, 1)


def digest(row: pa.Table) -> str:
    """sha256 of a row's values, bytes of images as they are stored."""
    (values,) = row.to_pylist()
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=_as_text).encode()).hexdigest()


def _as_text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
