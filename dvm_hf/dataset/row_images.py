"""The images of one row of a dataset: complete frames and crops, each decoded at the least cost."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from dvm_hf.dataset.instances import is_grey
from dvm_hf.errors import SourceError
from dvm_hf.machine_faults import source_fault
from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.still.image_decoding import decoded_crop, decoded_image
from dvm_hf.wording import counted

# Cost of a crop as a part of the complete image, measured at 1920 x 1080 px with crops of 320 and 640 px: its part of
# the area, in complete intervals of a JPEG, and this part to inflate a grey image or to find the markers of a JPEG.
GREY_OVERHEAD, COLOUR_OVERHEAD = 0.7, 0.1
OFFSETS = {pa.binary(): np.int32, pa.large_binary(): np.int64}  # where the bytes of each image begin and end

Stored: TypeAlias = Pixels | memoryview | str | None  # pixels, the bytes of a file, or its path; None: null


class RowImages:
    """The images of a table of one row.

    uses: number of samples that need each frame. kept: number of complete images that are kept for later samples.
    """

    def __init__(self, table: pa.Table, *, uses: Mapping[int, int], kept: int) -> None:
        self._table, self._uses = table, uses
        self._area = (table["height"][0].as_py() or 1) * (table["width"][0].as_py() or 1)
        self._complete: set[tuple[str, int]] = set()  # decoded completely
        self._stored = partial(_stored, table, lru_cache(partial(_stored_images, table)))
        self._image = lru_cache(kept)(partial(_image, table, self._stored))

    def image(self, column: str, index: int) -> Pixels:
        """Return frame `index` of an image column, (H, W, 3) RGB or (H, W). Raises SourceError if it is damaged."""
        self._complete.add((column, index))
        return self._image(column, index)

    def frames(self, column: str, indices: range, box: Box | None = None) -> list[Pixels]:
        """Return frames of a column, or the part of each in a box; all have the same shape. Raises SourceError."""
        frames = [self.image(column, index) if box is None else self._crop(column, index, box) for index in indices]
        shapes = {frame.shape: index for index, frame in zip(indices, frames, strict=True)}
        if len(shapes) > 1 or (box is not None and frames[0].shape[:2] != (box.height, box.width)):
            sizes = {Size(*self.image(column, index).shape[:2]): None for index in shapes.values()}
            raise SourceError(
                f"{_clip(self._table)}: {column} has images of {' and '.join(map(str, sizes))}, but all images of a "
                "row must have the same size; rebuild the dataset"
            )
        return frames

    def _crop(self, column: str, index: int, box: Box) -> Pixels:
        grey, share = is_grey(column), 1 / max(self._uses[index], 1)
        most = 1.0 if share == 1 else share - (GREY_OVERHEAD if grey else COLOUR_OVERHEAD)  # more costs as much as all
        if (column, index) not in self._complete and box.height * box.width <= most * self._area:
            stored = self._stored(column, index)
            crop = decoded_crop(stored, box, is_grey=grey, most=most) if isinstance(stored, memoryview) else None
            if crop is not None:
                return crop
        return self.image(column, index)[box.top : box.bottom, box.left : box.right]


def _image(table: pa.Table, stored: Callable[[str, int], Pixels | memoryview], column: str, index: int) -> Pixels:
    """Return frame `index` of an image column of a table of one row, decoded completely."""
    data = stored(column, index)
    if not isinstance(data, memoryview):
        return data
    decoded = decoded_image(data, is_grey=is_grey(column))
    if decoded is None:
        raise SourceError(
            f"{_clip(table)}: {column}[{index}] ({len(data)} bytes) cannot be decoded as an image; rebuild the dataset"
        )
    return decoded


def _clip(table: pa.Table) -> str:
    return f"{table['clip_id'][0].as_py()}, window {table['window'][0].as_py()}"


def _stored(table: pa.Table, stored: Callable[[str], Sequence[Stored]], column: str, index: int) -> Pixels | memoryview:
    """Return frame `index` of an image column of a table of one row: its pixels, or the bytes of its file."""
    images = stored(column)
    if index >= len(images):
        raise SourceError(
            f"{_clip(table)}: {column} has {counted(len(images), 'image')}, but must have one for each entry of "
            "motion; rebuild the dataset"
        )
    image = images[index]
    if image is None:
        raise SourceError(f"{_clip(table)}: {column}[{index}] is null; rebuild the dataset")
    return memoryview(file_content(image, f"{_clip(table)}: {column}[{index}]")) if isinstance(image, str) else image


def file_content(path: str, name: str) -> bytes:
    """Return the bytes of a file whose path a row stores. name: start of the error. Raises SourceError."""
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        text = f"{name}: its file {path} cannot be read ({error}); restore the file, or rebuild the dataset"
        raise source_fault(Path(path), error, text) from error


def _stored_images(table: pa.Table, column: str) -> Sequence[Stored]:
    """Return the frames of an image column of a table of one row, without a copy of their bytes."""
    row = table[column].chunk(0)
    if isinstance(row, pa.ExtensionArray):
        pixels: Sequence[Pixels] = row.to_numpy(zero_copy_only=False)[0]
        return pixels
    if pa.types.is_nested(row.type.value_type) and not pa.types.is_struct(row.type.value_type):
        return _nested_levels(row)
    contents, paths = row.flatten().flatten()  # of the row, then of its images
    _, offsets, data = contents.buffers()
    places = np.frombuffer(offsets, OFFSETS[contents.type])[contents.offset :][: len(contents) + 1].tolist()
    files = memoryview(data or b"").cast("B")  # Arrow's bytes are signed
    return [
        files[begin:end] if is_valid else path.as_py()
        for is_valid, path, begin, end in zip(contents.is_valid().to_pylist(), paths, places, places[1:], strict=False)
    ]


def _nested_levels(row: pa.ListArray) -> Sequence[Pixels]:
    """Return nested lists of levels as an array (T, H, W) or (T, H, W, 3)."""
    shape = []
    while isinstance(row, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        shape.append(len(row[0]))
        row = row.flatten()
    pixels: Sequence[Pixels] = row.to_numpy(zero_copy_only=False).reshape(shape)
    return pixels
