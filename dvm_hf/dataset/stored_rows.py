"""Rows of Parquet files, local or at addresses: their names and numbers first, their images when they are needed."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import load_dataset_builder
from huggingface_hub import HfFileSystem

from dvm_hf.addresses import answered, file_system, is_address, is_store_address
from dvm_hf.dataset.columns import IMAGE_COLUMNS, INSTANCES
from dvm_hf.dataset.instances import column_of, columns_of, with_instances_apart
from dvm_hf.dataset.row_frames import VIDEO, RowFrames, RowVideos, frames_fault
from dvm_hf.dataset.row_sources import RowSource, is_lost_request, lost_request, require_one_of
from dvm_hf.errors import DVMError, SourceError
from dvm_hf.wording import counted as in_words

FACTS = ("clip_id", "window", "start", "height", "width", "foreground_kind", "motion", "instance_kinds")
STORE_BLOCK = 1 << 20  # bytes that a request to an object store reads beyond those that are needed
GROUPS = 2  # row groups that a process keeps: one of a reference and one of its prediction
NUMBERED_FILE = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.parquet")


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

    @property
    def instances(self) -> tuple[str, ...]:
        """The names of the pictures of its single foregrounds; () without the column instances."""
        if INSTANCES not in self.columns:
            return ()
        return tuple(name for name in self.table([INSTANCES]).schema.names if column_of(name) == INSTANCES != name)

    def table(self, columns: Iterable[str]) -> pa.Table:
        """Return the row with some image columns, and the names and numbers that reading these needs.

        columns: names of pictures, such as "alpha" and "instances[0]".
        """
        group = _group(self.file, self.group, tuple(sorted(columns_of(columns))))
        table = with_instances_apart(group.slice(self.index, 1).combine_chunks())
        needed = {"clip_id": "", "window": 0, "height": None, "width": None}
        for column, default in needed.items():
            table = table.append_column(column, pa.array([self.facts.get(column, default)]))
        return table

    def images(self, columns: Iterable[str]) -> RowFrames:
        """Return the images of some columns, decoded when they are requested."""
        return RowFrames(self.table(columns), uses={}, kept_images=len(self.columns), kept_frames=1)


def stored_files(source: RowSource, *, config: str | None, split: str | None, default: str) -> list[str]:
    """Return the Parquet files of a split of a stored dataset: paths or addresses.

    default: the config and the split to use if none is given and the dataset has several. Raises ConfigError if it
    lacks the given ones, and SourceError if its files are not Parquet, or if their numbers show that some are missing.
    """
    chosen = _chosen("config", config, source.configs(), default, source)
    builder = load_dataset_builder(**source.load_arguments(chosen))
    files = dict(builder.config.data_files or {})
    found = [str(file) for file in files[_chosen("split", split, list(map(str, files)), default, source)]]
    other = [file for file in found if not file.endswith(".parquet")]
    if other or not found:
        raise SourceError(
            f"{source.name}: contains {other[0].rpartition('/')[2] if other else 'no data'}, but must contain Parquet "
            "files; write it with `dvm prepare`, push_to_hub or to_parquet"
        )
    missing = _missing_files(found)
    if missing:
        raise SourceError(
            f"{source.name}: {in_words(len(missing), 'file')} of {len(found) + len(missing)} missing, such as "
            f"{missing[0].rpartition('/')[2]}; run dvm prepare again, or download the dataset again"
        )
    return found


def _missing_files(files: Sequence[str]) -> list[str]:
    """Return the files that others count, as in NAME-00000-of-00002.parquet; [] if not all are counted in one way."""
    parts = [NUMBERED_FILE.fullmatch(file) for file in files]
    series = {(part[1], part[3]) if part else None for part in parts}
    if len(series) != 1 or None in series:
        return []
    ((name, total),) = (one for one in series if one)
    return [file for number in range(int(total)) if (file := f"{name}-{number:05d}-of-{total}.parquet") not in files]


def _chosen(option: str, value: str | None, names: list[str], default: str, source: RowSource) -> str:
    if value is not None:
        require_one_of(option, value, names, source.name)
        return value
    if len(names) == 1:
        return names[0]
    require_one_of(option, default, names, source.name)
    return default


def planned_fields(files: Sequence[str]) -> dict[str, Any]:
    """Return the config fields by which a dataset was prepared, from the manifest beside its files; {} without one.

    Raises SourceError if there is a manifest but it cannot be read, because rows do not show the step between frames.
    """
    root, folder, name = files[0].replace("\\", "/").rpartition("/data/")
    if not folder:
        return {}
    address = f"{root}/manifest.json"
    try:
        with _opened(address) as manifest:
            fields = json.load(manifest)["splits"][name.partition("-")[0]]["plan"]["config"]
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError) as error:
        if _has_plans(root):
            text = f"{address}: is missing or damaged; run dvm prepare again to complete the folder"
            raise SourceError(text) from error
        return {}
    except OSError as error:
        raise SourceError(f"{address}: cannot be read ({error}); try again, or replace the file") from error
    return fields if isinstance(fields, dict) else {}


def _has_plans(root: str) -> bool:
    """Return whether a folder or an address of a store was built by dvm prepare."""
    if not is_store_address(root):
        return Path(root, "plan").is_dir()
    fs, path = file_system(root)
    return bool(answered(lambda: fs.isdir(f"{path}/plan")))


def stored_rows(files: Iterable[str], *, counted: str) -> Iterator[StoredRow]:
    """Yield the rows of Parquet files, in order, without their images.

    counted: the image column whose frames are counted if the rows have no motion. Raises SourceError for files without
    clip_id, or without that column, and for damaged files.
    """
    for name in files:
        with _parquet(name) as file, _readable(name):
            columns = [column for column in FACTS if column in file.schema_arrow.names]
            images = frozenset(column for column in IMAGE_COLUMNS if column in file.schema_arrow.names)
            images |= {INSTANCES} if _has_instances(file.schema_arrow) else frozenset()
            if "clip_id" not in columns or counted not in images:
                raise SourceError(
                    f"{name}: has the columns {', '.join(file.schema_arrow.names)}, but must have clip_id and "
                    f"{counted}; rename its columns, or pass another file"
                )
            _require_frames(name, file.schema_arrow, counted)
            for group in range(file.num_row_groups):
                facts = file.read_row_group(group, columns=columns)
                _require_facts(name, facts)
                is_moving = (
                    "motion" in columns and _is_list_of_lists(facts["motion"].type) and _has_all(facts, "motion")
                )
                counts = (
                    pc.list_value_length(facts["motion"].combine_chunks()).to_pylist()
                    if is_moving
                    else _counts(file, group, counted)
                )
                for index, row in enumerate(facts.to_pylist()):
                    yield StoredRow(name, group, index, row | {"clip_id": str(row["clip_id"])}, counts[index], images)


def _is_list_of_lists(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) and pa.types.is_list(kind.value_type))


def _has_all(table: pa.Table, column: str) -> bool:
    return bool(table[column].null_count == 0)


def _require_frames(name: str, schema: pa.Schema, column: str) -> None:
    """Raise SourceError if an image column is not a list of images, an array or a video."""
    kind = schema.field(column).type
    described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    is_image = (described.get(column) or {}).get("_type") == "Image"  # which is stored as a video is
    if found := frames_fault(kind, is_image=is_image):
        raise SourceError(f"{name}: {column} {found}")


def _has_instances(schema: pa.Schema) -> bool:
    """Whether the rows have the column instances of this package, not another column of that name."""
    if INSTANCES not in schema.names:
        return False
    kind = schema.field(INSTANCES).type
    if isinstance(kind, pa.ExtensionType):
        return True
    return bool(pa.types.is_list(kind) and (pa.types.is_list(kind.value_type) or kind.value_type == VIDEO))


def _require_facts(name: str, facts: pa.Table) -> None:
    """Raise SourceError if rows lack a clip_id, or have a start that is not an integer."""
    if "start" in facts.schema.names and not pa.types.is_integer(facts.schema.field("start").type):
        raise SourceError(
            f"{name}: start is {facts.schema.field('start').type}, but must be an integer, the index of the row's "
            "first frame; convert the column"
        )
    for column in ("clip_id", "start"):
        if column in facts.schema.names and not _has_all(facts, column):
            raise SourceError(f"{name}: {column} is null in a row; fill it in, or remove the row")


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
    with _parquet(name) as file, _readable(name):
        return file.read_row_group(group, columns=list(columns))


def _opened(name: str) -> Any:
    """Open a local file, or one on the Hub or in a store by its address."""
    if name.startswith("hf://"):
        return HfFileSystem().open(name, "rb")
    if not is_address(name):
        return open(name, "rb")
    fs, path = file_system(name)
    return answered(lambda: fs.open(path, "rb", block_size=STORE_BLOCK))


def _parquet(name: str) -> pq.ParquetFile:
    with _readable(name):
        return pq.ParquetFile(_opened(name) if "://" in name else name)


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Convert errors of Arrow and of the file system to a SourceError; a FetchError if the file is not at fault."""
    try:
        yield
    except DVMError:
        raise
    except Exception as error:  # the file system of an address raises those of its own libraries
        if not isinstance(error, (pa.ArrowException, OSError)) and not is_address(name):
            raise
        reason = " ".join(str(error).split())
        if is_address(name) and is_lost_request(error):
            raise lost_request(name, reason) from error
        raise SourceError(f"{name}: cannot be read as Parquet ({reason}); replace the file") from error
