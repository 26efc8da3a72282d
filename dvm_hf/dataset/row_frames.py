"""The frames of one row of a dataset, whatever its image columns store: lists of images, arrays or videos."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from dvm_hf.dataset.instances import is_grey
from dvm_hf.dataset.row_images import RowImages, file_content
from dvm_hf.errors import SourceError
from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.row_videos.decoding import RowVideo

VIDEO = pa.struct({"bytes": pa.binary(), "path": pa.string()})  # also an image; a row's images are a list of them
PIXEL_LEVELS = 3  # at least, of nested lists: frames, rows and columns


class RowFrames:
    """The frames of a table of one row. Its columns can differ in what they store.

    uses, kept_images: see `RowImages`. kept_frames: see `RowVideos`.
    """

    def __init__(self, table: pa.Table, *, uses: Mapping[int, int], kept_images: int, kept_frames: int) -> None:
        self._schema = table.schema
        self._images = RowImages(table, uses=uses, kept=kept_images)
        self._videos = RowVideos(table, kept=kept_frames)

    def image(self, column: str, index: int) -> Pixels:
        """Return frame `index` of a column, RGB (H, W, 3) or grey (H, W). Raises SourceError."""
        return self._of(column).image(column, index)

    def frames(self, column: str, indices: range, box: Box | None = None) -> list[Pixels]:
        """Return frames of a column, or the part of each in a box; all have the same shape. Raises SourceError."""
        return self._of(column).frames(column, indices, box)

    def _of(self, column: str) -> "RowImages | RowVideos":
        return self._videos if self._schema.field(column).type == VIDEO else self._images


class RowVideos:
    """The videos of a table of one row. kept: number of frames of a sample, which are held as they are decoded."""

    def __init__(self, table: pa.Table, *, kept: int) -> None:
        self._table, self._kept = table, kept
        self._videos: dict[str, RowVideo] = {}

    def image(self, column: str, index: int) -> Pixels:
        """Return a frame, RGB (H, W, 3) or grey (H, W). Raises SourceError if it cannot be decoded."""
        return self._video(column).frame(index).pixels()

    def frames(self, column: str, indices: range, box: Box | None = None) -> list[Pixels]:
        """Return frames, or a box of each; only the box is converted to RGB. Raises SourceError."""
        return [self._video(column).frame(index).pixels(box) for index in indices]

    def frame_count(self, column: str) -> int:
        """Return the number of frames that a column's video lists. Raises SourceError if it cannot be read."""
        return len(self._video(column))

    def _video(self, column: str) -> RowVideo:
        if column not in self._videos:
            row: dict[str, Any] = {
                name: self._table[name][0].as_py() for name in ("clip_id", "window", "height", "width", column)
            }
            name = f"{row['clip_id']}, window {row['window']}: {column}"
            self._videos[column] = RowVideo(
                _content(row[column], name),
                size=Size(row["height"] or 0, row["width"] or 0),
                is_grey=is_grey(column),
                name=name,
                kept=self._kept,
            )
        return self._videos[column]


def frames_fault(kind: pa.DataType, *, is_image: bool) -> str:
    """Return why a column of this type cannot contain the frames of rows; "" if it can.

    is_image: whether the column has a single image per row, which Arrow stores as it stores a video.
    """
    entry, levels = kind, 0
    while pa.types.is_list(entry) or pa.types.is_large_list(entry) or pa.types.is_fixed_size_list(entry):
        entry, levels = entry.value_type, levels + 1
    is_pixels = levels >= PIXEL_LEVELS and (pa.types.is_integer(entry) or pa.types.is_floating(entry))
    is_file = pa.types.is_struct(entry) and {"bytes", "path"} <= {field.name for field in entry}
    is_frames = kind == VIDEO or is_pixels or (levels > 0 and is_file)
    if not is_image and (isinstance(kind, pa.ExtensionType) or is_frames):
        return ""
    return (
        f"is {'an image' if is_image else kind}, but must be a list of images, an array or a video; store the frames "
        "of a row as a list"
    )


def _content(stored: dict[str, Any] | None, name: str) -> bytes:
    """Return the bytes of a stored video, which can be those of a file at a path."""
    content, path = (None, None) if stored is None else (stored["bytes"], stored["path"])
    if content is not None:
        return bytes(content)
    if path is None:
        raise SourceError(f"{name} is null; rebuild the dataset")
    return file_content(path, name)
