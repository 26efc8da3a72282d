"""The column `instances`: for each foreground of a clip, from back to front, what the column alpha is for all of them.

A row has a list with one entry for each foreground; code that reads pictures one by one names them instances[0] etc.
"""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from dvm_hf.clips.scene import Frame
from dvm_hf.dataset.columns import GREY_COLUMNS, IMAGE_COLUMNS, INSTANCES, LAYERS
from dvm_hf.media.pixels import Pixels

FACTS = ("instance_kinds", "instance_names", "instance_hidden")  # columns of clips with several foregrounds


def instance_name(number: int) -> str:
    """Return the name of the pictures of one foreground, counted from 0."""
    return f"{INSTANCES}[{number}]"


def column_of(name: str) -> str:
    """Return the column that has the pictures of a name."""
    return name.partition("[")[0]


def is_grey(name: str) -> bool:
    """Whether pictures are grey, given their column or their name."""
    return column_of(name) in (*GREY_COLUMNS, INSTANCES)


def columns_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return the columns that have pictures of these names, each once."""
    return tuple(dict.fromkeys(map(column_of, names)))


def pictures_of(frame: Frame) -> dict[str, Pixels]:
    """Return the pictures of a rendered frame by name, in the order of the columns."""
    found: dict[str, Pixels] = {}
    for column in IMAGE_COLUMNS:
        pixels = LAYERS[column](frame)
        if pixels is not None:
            found[column] = pixels
    instances = () if frame.instances is None else frame.instances
    return found | {instance_name(number): pixels for number, pixels in enumerate(instances)}


def picture_arrays(columns: Iterable[str], row: pa.RecordBatch | pa.Table) -> Iterator[tuple[str, pa.Array]]:
    """Yield the name and the Arrow array of the pictures of a single row, those of its instances one by one."""
    for column in columns:
        if column not in row.schema.names:
            continue
        array = row.column(column)
        array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        if column == INSTANCES:
            parts = (array.storage if isinstance(array, pa.ExtensionArray) else array).flatten()
            yield from ((instance_name(number), parts.slice(number, 1)) for number in range(len(parts)))
        else:
            yield column, array


def with_instances_apart(table: pa.Table) -> pa.Table:
    """Return a table of one row with a column for each of its instances, if it has any."""
    if INSTANCES in table.schema.names:
        for name, array in picture_arrays([INSTANCES], table):
            table = table.append_column(name, array)
    return table
