"""Samples out of a prepared dataset: windows and crops of its rows, decoded. No torch."""

import hashlib
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import cv2
import datasets
import numpy as np
import pyarrow as pa

from dvm_hf.clips.geometry import centred_box
from dvm_hf.clips.opencv_threads import one_opencv_thread
from dvm_hf.clips.plan import clip_seed, number_stream
from dvm_hf.clips.trimap import UNKNOWN
from dvm_hf.dataset.columns import GREY_COLUMNS, IMAGE_COLUMNS
from dvm_hf.errors import ConfigError, SourceError
from dvm_hf.media.pixels import Box, Pixels, Size
from dvm_hf.training.composed_clips import planes
from dvm_hf.training.sample_order import epoch_seed

NAMES = ("clip_id", "window", "start", "foreground_kind", "foreground_name", "background_name", "seed", "motion")
IDENTITY = ("clip_id", "window", "seed", "height", "width")


class PreparedRows:
    """The rows of a dataset that load_dataset built or that was read from Parquet, each taken for a clip.

    A sample is a window of context + clip_length frames of a row, from any frame of it, and, with crop_size, a crop
    around an unknown pixel of its middle frame. Only the frames of the windows are decoded.
    """

    def __init__(
        self,
        dataset: Any,
        *,
        clip_length: int | Literal["all"],
        context: int,
        crop_size: int | None,
        columns: tuple[str, ...] | None,
        seed: int,
        recipe: str,
        frame_step: int,
        samples_per_clip: int,
    ) -> None:
        _require_rows(dataset)
        if context and clip_length == "all":
            raise ConfigError(f"context={context}: a whole row has no frames before it; use 0, or give clip_length")
        there = tuple(column for column in IMAGE_COLUMNS if column in dataset.column_names)
        self._columns = there if columns is None else tuple(column for column in IMAGE_COLUMNS if column in columns)
        self._guide = next((column for column in ("trimap", "alpha") if column in there), None)
        _require_columns(columns, there, crop_size, self._guide)
        self._rows = dataset.with_format("arrow")
        self._length = None if clip_length == "all" else context + clip_length
        self._crop_size, self._seed, self._samples_per_clip = crop_size, seed, samples_per_clip
        self._frame_step = frame_step
        self.clips, self.recipe = len(dataset), recipe
        self.identity = {
            "dataset": _digest(dataset),
            "clip_length": clip_length,
            "context": context,
            "crop_size": crop_size,
            "columns": list(self._columns),
            "frame_step": frame_step,
        }

    def samples(self, epoch: int, clip: int, chosen: range) -> Iterator[dict[str, Any]]:
        """Rows of the chosen samples, in order, image columns (T, C, H, W); none where the row is too short.

        Raises SourceError where an image cannot be decoded.
        """
        table = self._rows[clip : clip + 1]
        names = {name: table[name][0].as_py() for name in NAMES}
        whole = len(names["motion"])
        length = self._length or whole
        if length > whole:
            return
        picture = lru_cache(length * (len(self._columns) + 1))(partial(_picture, table))
        seed = clip_seed(epoch_seed(self._seed, epoch), f"{names['clip_id']}/{names['window']}")
        starts = self._starts(seed, whole - length + 1)
        for number in chosen:
            indices = range(starts[number], starts[number] + length)
            with one_opencv_thread():
                view = self._view(picture, indices, number_stream(seed, "window_crop", index=number).random())
                images = {
                    column: np.stack([planes(picture(column, index)[view]) for index in indices])
                    for column in self._columns
                }
            height, width = next(iter(images.values())).shape[-2:]
            place = {"start": names["start"] + starts[number] * self._frame_step, "height": height, "width": width}
            yield names | place | images | {"motion": names["motion"][starts[number] : starts[number] + length]}

    def name(self, epoch: int, clip: int) -> str:
        table = self._rows[clip : clip + 1]
        return f"row {clip} ({table['clip_id'][0].as_py()}, window {table['window'][0].as_py()})"

    def _starts(self, seed: int, windows: int) -> list[int]:
        """First frames of a row's samples: different ones as long as there are enough."""
        laps, rest = divmod(self._samples_per_clip, windows)
        drawn = number_stream(seed, "window_start").choice(windows, rest, replace=False)
        return sorted([*range(windows)] * laps + [int(start) for start in drawn])

    def _view(self, picture: Any, indices: range, chance: float) -> tuple[slice, slice]:
        """The whole picture, or the crop around an unknown pixel of the window's middle frame, by chance in [0, 1)."""
        if self._crop_size is None:
            return slice(None), slice(None)
        guide = picture(self._guide, indices[len(indices) // 2])
        size = Size(*guide.shape)
        if self._crop_size > min(size):
            raise SourceError(
                f"crop_size={self._crop_size}: the frames are {size} and a crop must fit into "
                f"them; use a crop_size up to {min(size)}"
            )
        unknown = np.flatnonzero(guide == UNKNOWN if self._guide == "trimap" else (guide > 0) & (guide < 255))
        middle = size.height // 2 * size.width + size.width // 2
        row, column = divmod(int(unknown[int(chance * unknown.size)]) if unknown.size else middle, size.width)
        return centred_box(row, column, side=self._crop_size, frame=size).within(Box(0, 0, *size))


def _picture(table: pa.Table, column: str, index: int) -> Pixels:
    """Frame `index` (H, W, 3) RGB or (H, W) of an image column, of a table of one row."""
    row = table[column].chunk(0)
    if isinstance(row, pa.ExtensionArray):
        pixels: Pixels = row.to_numpy(zero_copy_only=False)[0][index]
        return pixels
    image = row.values[row.offsets[0].as_py() + index].as_py()
    data = image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()
    flag = cv2.IMREAD_GRAYSCALE if column in GREY_COLUMNS else cv2.IMREAD_COLOR_RGB
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flag) if data else None
    if decoded is None:
        clip = f"{table['clip_id'][0].as_py()}, window {table['window'][0].as_py()}"
        raise SourceError(f"{clip}: {column}[{index}] ({len(data)} bytes) is no image; build the dataset again")
    return decoded  # type: ignore[return-value]


def _digest(dataset: Any) -> str:
    """Hash of which clips and windows the rows are, of which seed and size, in their order."""
    digest = hashlib.sha256()
    for batch in dataset.select_columns(list(IDENTITY)).with_format(None).iter(10_000):
        digest.update(repr([batch[name] for name in IDENTITY]).encode())
    return digest.hexdigest()[:16]


def _require_rows(dataset: Any) -> None:
    if not isinstance(dataset, datasets.Dataset):
        raise ConfigError(
            f"dataset={type(dataset).__name__}: must be a datasets.Dataset, one split, loaded without streaming=True; "
            "a stream of `datasets` goes into a DataLoader as it is (docs/training.md)"
        )
    missing = [name for name in (*NAMES, *IDENTITY) if name not in dataset.column_names]
    if missing:
        raise ConfigError(
            f"dataset: has no column {missing[0]!r}; a row must have {', '.join(dict.fromkeys(NAMES + IDENTITY))} "
            "and image columns"
        )


def _require_columns(
    asked: tuple[str, ...] | None, there: tuple[str, ...], crop_size: int | None, guide: str | None
) -> None:
    if not (there if asked is None else asked):
        raise ConfigError(f"columns={asked!r}: a sample needs an image column; the dataset has {there}")
    for column in () if asked is None else asked:
        if column not in there:
            raise ConfigError(f"columns={asked!r}: the dataset has no {column!r}; its image columns are {there}")
    if crop_size is not None and guide is None:
        raise ConfigError(f"crop_size={crop_size}: needs the column trimap or alpha; the dataset has only {there}")
