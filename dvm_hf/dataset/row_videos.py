"""The videos of a row, as a source of the frames of its samples."""

from typing import Any

import pyarrow as pa

from dvm_hf.dataset.instances import is_grey
from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.media.row_videos.decoding import RowVideo


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
            self._videos[column] = RowVideo(
                row[column]["bytes"],
                size=Size(row["height"], row["width"]),
                is_grey=is_grey(column),
                name=f"{row['clip_id']}, window {row['window']}: {column}",
                kept=self._kept,
            )
        return self._videos[column]
