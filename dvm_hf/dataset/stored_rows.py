"""Rows of Parquet files, local or on the Hub: their names and numbers first, their images when they are needed."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import get_dataset_config_names, load_dataset_builder
from huggingface_hub import HfFileSystem

from dvm_hf.dataset.columns import IMAGE_COLUMNS
from dvm_hf.dataset.row_images import RowImages
from dvm_hf.dataset.row_sources import RowSource, require_one_of
from dvm_hf.dataset.row_videos import RowVideos
from dvm_hf.errors import SourceError

FACTS = ("clip_id", "window", "start", "height", "width", "foreground_kind", "motion", "instance_kinds")
GROUPS = 2  # row groups that a process keeps: one of a reference and one of its prediction
VIDEO = pa.struct({"bytes": pa.binary(), "path": pa.string()})


@dataclass(frozen=True)
class StoredRow:
    """A row of a Parquet file.

    file: path or address. group, index: its row group, and its number in that group. facts: the columns of `FACTS` that
    the file has. frames: number of frames of its image columns. columns: the image columns.
    """

    file: str
    group: int
    index: int
    facts: dict[str, Any]
    frames: int
    columns: frozenset[str]

    @property
    def name(self) -> str:
        return f"{self.facts['clip_id']}, window {self.facts.get('window', 0)}"

    def table(self, columns: Iterable[str]) -> pa.Table:
        """Return the row with some image columns, and the names and numbers that reading these needs."""
        group = _group(self.file, self.group, tuple(sorted(columns)))
        table = group.slice(self.index, 1).combine_chunks()
        needed = {"clip_id": "", "window": 0, "height": None, "width": None}
        for column, default in needed.items():
            table = table.append_column(column, pa.array([self.facts.get(column, default)]))
        return table

    def images(self, columns: Iterable[str]) -> RowImages | RowVideos:
        """Return the images of some columns, decoded when they are requested."""
        table = self.table(columns)
        is_video = any(table.schema.field(column).type == VIDEO for column in columns)
        return RowVideos(table, kept=1) if is_video else RowImages(table, uses={}, kept=len(self.columns))


def stored_files(source: RowSource, *, config: str | None, split: str | None, default: str) -> list[str]:
    """Return the Parquet files of a split of a stored dataset: paths or hf:// addresses.

    default: the config and the split to use if none is given and the dataset has several. Raises ConfigError if it
    lacks the given ones, and SourceError if its files are not Parquet.
    """
    chosen = _chosen(
        "config", config, get_dataset_config_names(source.path, **source.revision_argument), default, source
    )
    builder = load_dataset_builder(source.path, chosen, **source.revision_argument)
    files = dict(builder.config.data_files or {})
    found = [str(file) for file in files[_chosen("split", split, list(map(str, files)), default, source)]]
    other = [file for file in found if not file.endswith(".parquet")]
    if other or not found:
        raise SourceError(
            f"{source.name}: contains {other[0].rpartition('/')[2] if other else 'no data'}, but must contain Parquet "
            "files; write it with `dvm prepare`, push_to_hub or to_parquet"
        )
    return found


def _chosen(option: str, value: str | None, names: list[str], default: str, source: RowSource) -> str:
    if value is not None:
        require_one_of(option, value, names, source.name)
        return value
    if len(names) == 1:
        return names[0]
    require_one_of(option, default, names, source.name)
    return default


def planned_fields(files: Sequence[str]) -> dict[str, Any]:
    """Return the config fields by which a dataset was prepared, from the manifest beside its files; {} without one."""
    file = files[0].replace("\\", "/")
    address = f"{file.rpartition('/data/')[0]}/manifest.json"
    split = file.rpartition("/")[2].partition("-")[0]
    try:
        with _opened(address) as manifest:
            fields = json.load(manifest)["splits"][split]["plan"]["config"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return fields if isinstance(fields, dict) else {}


def stored_rows(files: Iterable[str], *, counted: str) -> Iterator[StoredRow]:
    """Yield the rows of Parquet files, in order, without their images.

    counted: the image column whose frames are counted if the rows have no motion. Raises SourceError for files without
    clip_id, or without that column, and for damaged files.
    """
    for name in files:
        with _parquet(name) as file:
            columns = [column for column in FACTS if column in file.schema_arrow.names]
            images = frozenset(column for column in IMAGE_COLUMNS if column in file.schema_arrow.names)
            if "clip_id" not in columns or counted not in images:
                raise SourceError(
                    f"{name}: has the columns {', '.join(file.schema_arrow.names)}, but must have clip_id and "
                    f"{counted}; rename its columns, or pass another file"
                )
            for group in range(file.num_row_groups):
                facts = file.read_row_group(group, columns=columns).to_pylist()
                counts = [len(row["motion"]) for row in facts] if "motion" in columns else _counts(file, group, counted)
                for index, row in enumerate(facts):
                    yield StoredRow(name, group, index, row, counts[index], images)


def _counts(file: pq.ParquetFile, group: int, column: str) -> list[int]:
    """Return the number of frames of each row. The paths of images are read if there are any, not their bytes."""
    leaves = [file.schema.column(index).path for index in range(len(file.schema.names))]
    paths = [leaf for leaf in leaves if leaf.startswith(f"{column}.") and leaf.endswith(".path")]
    values = file.read_row_group(group, columns=paths or [column])[column].combine_chunks()
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if pa.types.is_struct(values.type):
        table = file.read_row_group(group, columns=["clip_id", column])
        return [_video_frames(table.slice(index, 1), column) for index in range(table.num_rows)]
    return [int(count or 0) for count in pc.list_value_length(values).to_pylist()]


def _video_frames(table: pa.Table, column: str) -> int:
    for name in ("window", "height", "width"):
        table = table.append_column(name, pa.array([0]))
    return RowVideos(table, kept=1).frame_count(column)


@lru_cache(maxsize=GROUPS)
def _group(name: str, group: int, columns: tuple[str, ...]) -> pa.Table:
    with _parquet(name) as file:
        return file.read_row_group(group, columns=list(columns))


def _opened(name: str) -> Any:
    """Open a local file, or one on the Hub by its hf:// address."""
    return HfFileSystem().open(name, "rb") if "://" in name else open(name, "rb")


def _parquet(name: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(_opened(name) if "://" in name else name)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{name}: cannot be read as Parquet ({error}); replace the file") from error
