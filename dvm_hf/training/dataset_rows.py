"""Samples from a prepared dataset: decoded windows and crops of its rows. Without PyTorch."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import datasets
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dvm_hf.clips.geometry import centred_box
from dvm_hf.clips.opencv_threads import one_opencv_thread
from dvm_hf.clips.plan import clip_seed, number_stream
from dvm_hf.clips.trimap import UNKNOWN
from dvm_hf.dataset.appearance import APPEARANCE
from dvm_hf.dataset.columns import COLUMNS
from dvm_hf.dataset.instances import FACTS, column_of, with_instances_apart
from dvm_hf.dataset.row_frames import RowFrames, frames_fault
from dvm_hf.errors import ConfigError, SourceError
from dvm_hf.media.pixels import Box, Size
from dvm_hf.training.composed_clips import stacked_planes
from dvm_hf.training.epoch_order import epoch_seed

NAMES = ("clip_id", "window", "start", "foreground_kind", "foreground_name", "background_name", "seed", "motion")
IDENTITY = ("clip_id", "window", "seed", "height", "width")


class DatasetRows:
    """The rows of a dataset built by load_dataset or read from Parquet, each used as a clip.

    A sample is a window of context + clip_length frames that starts at any frame of a row. With crop_size, it is
    cropped around an unknown pixel of its middle frame. Only the frames of the windows are decoded.
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
            raise ConfigError(
                f"context={context}: a complete row has no frames before it; use context=0, or pass clip_length"
            )
        available = tuple(column for column in COLUMNS if column in dataset.column_names)
        self._columns = available if columns is None else tuple(column for column in COLUMNS if column in columns)
        self._crop_column = next((column for column in ("trimap", "alpha") if column in available), None)
        _require_columns(columns, available, crop_size, self._crop_column)
        crop_columns = () if crop_size is None or self._crop_column is None else (self._crop_column,)
        _require_frames(dataset, (*self._columns, *crop_columns))
        self._rows = dataset.with_format("arrow")
        self._names = NAMES + tuple(name for name in (*FACTS, *APPEARANCE) if name in dataset.column_names)
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

    def samples(self, epoch: int, clip: int, chosen: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Yield the chosen samples of a row, in order, with image columns (T, C, H, W); nothing if it is too short.

        Raises SourceError if an image cannot be decoded, or a name or number is null.
        """
        table = self._rows[clip : clip + 1]
        names = {name: table[name][0].as_py() for name in self._names}
        for name in NAMES:
            if names[name] is None:
                raise SourceError(f"{names['clip_id']}, window {names['window']}: {name} is null; rebuild the dataset")
        row_length = len(names["motion"])
        length = self._length or row_length
        if length > row_length:
            return
        seed = clip_seed(epoch_seed(self._seed, epoch), f"{names['clip_id']}/{names['window']}")
        starts = self._starts(seed, row_length - length + 1)
        uses = Counter(index for number in chosen for index in range(starts[number], starts[number] + length))
        table = with_instances_apart(table)
        parts = {column: _parts(column, table) for column in self._columns}
        kept_images = length * (sum(map(len, parts.values())) + 1)
        row = RowFrames(table, uses=uses, kept_images=kept_images, kept_frames=length)
        for number in chosen:
            indices = range(starts[number], starts[number] + length)
            with one_opencv_thread():
                box = self._crop(row, indices, number_stream(seed, "window_crop", index=number).random())
                planes = {
                    column: [stacked_planes(row.frames(name, indices, box)) for name in names_of]
                    for column, names_of in parts.items()
                }
            images = {
                column: np.concatenate(found, axis=1) if len(found) > 1 else found[0]
                for column, found in planes.items()
            }
            height, width = next(iter(images.values())).shape[-2:]
            window = {"start": names["start"] + starts[number] * self._frame_step, "height": height, "width": width}
            yield names | window | images | {"motion": names["motion"][starts[number] : starts[number] + length]}

    def announce(self, epoch: int, clip: int) -> None:
        """Nothing is fetched ahead; `datasets` reads the rows."""

    def release(self) -> None:
        """Do nothing: nothing is kept from row to row."""

    def name(self, epoch: int, clip: int) -> str:
        table = self._rows[clip : clip + 1]
        return f"row {clip} ({table['clip_id'][0].as_py()}, window {table['window'][0].as_py()})"

    def _starts(self, seed: int, windows: int) -> list[int]:
        """Return the first frame of each of a row's samples; they differ as long as there are enough windows."""
        repeats, rest = divmod(self._samples_per_clip, windows)
        drawn = number_stream(seed, "window_start").choice(windows, rest, replace=False)
        return sorted([*range(windows)] * repeats + [int(start) for start in drawn])

    def _crop(self, row: RowFrames, indices: range, chance: float) -> Box | None:
        """Return the box of a crop around an unknown pixel of the window's middle frame; None for complete images.

        chance: random number in [0, 1) that selects the pixel.
        """
        if self._crop_size is None or self._crop_column is None:
            return None
        middle_frame = row.image(self._crop_column, indices[len(indices) // 2])
        size = Size(*middle_frame.shape)
        if self._crop_size > min(size):
            raise SourceError(
                f"crop_size={self._crop_size}: the frames are {size} and must contain the crop; use a crop_size up to "
                f"{min(size)}"
            )
        is_trimap = self._crop_column == "trimap"
        is_unknown = (middle_frame == UNKNOWN if is_trimap else (middle_frame > 0) & (middle_frame < 255)).reshape(-1)
        centre = size.height // 2 * size.width + size.width // 2
        count = np.count_nonzero(is_unknown)
        pixel = _position_of_true(is_unknown, int(chance * count)) if count else centre
        return centred_box(*divmod(pixel, size.width), side=self._crop_size, frame=size)


def _parts(column: str, table: pa.Table) -> list[str]:
    """Return the names of the pictures of a column: its own, or one for each of the instances."""
    return [name for name in table.schema.names if name != column and column_of(name) == column] or [column]


def _position_of_true(values: npt.NDArray[np.bool_], number: int) -> int:
    """Return the index of the true value that has this number, counted from 0, by bisection.

    `np.flatnonzero` lists the indices of all, which takes six times as long for the trimap of a 1080p frame.
    """
    begin, end = 0, len(values)
    while end - begin > 1:
        middle = (begin + end) // 2
        before = int(np.count_nonzero(values[begin:middle]))
        begin, end, number = (begin, middle, number) if number < before else (middle, end, number - before)
    return begin


def _digest(dataset: Any) -> str:
    """Return a short hash of the clips, windows, seeds and sizes of the rows, in their order.

    Raises SourceError if one of them is null.
    """
    digest = hashlib.sha256()
    for batch in dataset.select_columns(list(IDENTITY)).with_format(None).iter(10_000):
        for name in IDENTITY:
            if None in batch[name]:
                raise SourceError(f"dataset: {name} is null in a row; fill it in, or remove the row")
        digest.update(repr([batch[name] for name in IDENTITY]).encode())
    return digest.hexdigest()[:16]


def _require_rows(dataset: Any) -> None:
    if not isinstance(dataset, datasets.Dataset):
        raise ConfigError(
            f"dataset={type(dataset).__name__}: must be a datasets.Dataset: a single split, loaded without "
            "streaming=True; pass a stream to a DataLoader directly (see docs/training.md)"
        )
    missing = [name for name in (*NAMES, *IDENTITY) if name not in dataset.column_names]
    if missing:
        raise ConfigError(
            f"dataset: has no column {missing[0]!r}, but must have {', '.join(dict.fromkeys(NAMES + IDENTITY))} "
            "and image columns; keep these columns, or build the dataset with this package"
        )


def _require_frames(dataset: Any, columns: Sequence[str]) -> None:
    for column in columns:
        kind = dataset.features.arrow_schema.field(column).type
        if found := frames_fault(kind, is_image=isinstance(dataset.features[column], datasets.Image)):
            raise ConfigError(f"dataset: {column} {found}")


def _require_columns(
    wanted: tuple[str, ...] | None, available: tuple[str, ...], crop_size: int | None, crop_column: str | None
) -> None:
    if not (available if wanted is None else wanted):
        raise ConfigError(f"columns={wanted!r}: a sample needs an image column; the dataset has {available}")
    for column in () if wanted is None else wanted:
        if column not in available:
            raise ConfigError(f"columns={wanted!r}: the dataset has no {column!r}; its image columns are {available}")
    if crop_size is not None and crop_column is None:
        raise ConfigError(f"crop_size={crop_size}: needs the column trimap or alpha; the dataset has only {available}")
