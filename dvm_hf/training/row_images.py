"""The images of one row of a dataset: complete frames and crops, each decoded at the least cost."""

from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path

import pyarrow as pa

from dvm_hf.dataset.columns import GREY_COLUMNS
from dvm_hf.errors import SourceError
from dvm_hf.media.pixels import Box, Pixels
from dvm_hf.media.still.image_decoding import decoded_crop, decoded_image

# More crops of one image cost more than decoding it once, at 1920 x 1080 px.
GREY_CROPS, COLOUR_CROPS = 1, 6


class RowImages:
    """The images of a table of one row.

    uses: number of samples that need each frame. kept: number of complete images that are kept for later samples.
    """

    def __init__(self, table: pa.Table, *, uses: Mapping[int, int], kept: int) -> None:
        self._table, self._uses = table, uses
        self._complete: set[tuple[str, int]] = set()  # decoded completely
        self._image = lru_cache(kept)(partial(_image, table))

    def image(self, column: str, index: int) -> Pixels:
        """Return frame `index` of an image column, (H, W, 3) RGB or (H, W). Raises SourceError if it is damaged."""
        self._complete.add((column, index))
        return self._image(column, index)

    def crop(self, column: str, index: int, box: Box) -> Pixels:
        """Return the part of `image` in a box that is within it. Raises SourceError."""
        is_grey = column in GREY_COLUMNS
        crop = None
        if (column, index) not in self._complete and self._uses[index] <= (GREY_CROPS if is_grey else COLOUR_CROPS):
            data = _stored(self._table, column, index)
            crop = decoded_crop(data, box, is_grey=is_grey) if isinstance(data, memoryview) else None
        return crop if crop is not None else self.image(column, index)[box.top : box.bottom, box.left : box.right]


def _image(table: pa.Table, column: str, index: int) -> Pixels:
    """Return frame `index` of an image column of a table of one row, decoded completely."""
    data = _stored(table, column, index)
    if not isinstance(data, memoryview):
        return data
    decoded = decoded_image(data, is_grey=column in GREY_COLUMNS)
    if decoded is None:
        clip = f"{table['clip_id'][0].as_py()}, window {table['window'][0].as_py()}"
        raise SourceError(
            f"{clip}: {column}[{index}] ({len(data)} bytes) cannot be decoded as an image; rebuild the dataset"
        )
    return decoded


def _stored(table: pa.Table, column: str, index: int) -> Pixels | memoryview:
    """Return frame `index` of an image column as it is stored: pixels, or the bytes of a file."""
    row = table[column].chunk(0)
    if isinstance(row, pa.ExtensionArray):
        pixels: Pixels = row.to_numpy(zero_copy_only=False)[0][index]
        return pixels
    image = row.values[row.offsets[0].as_py() + index]
    content = image["bytes"].as_buffer()
    data = Path(image["path"].as_py()).read_bytes() if content is None else content
    return memoryview(data).cast("B")  # Arrow's bytes are signed
