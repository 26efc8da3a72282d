"""Check the rows of a shard against its plan: clips, windows, and the sizes and values of images."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.scene import Frame
from dvm_hf.clips.trimap import BACKGROUND, FOREGROUND, UNKNOWN
from dvm_hf.dataset.appearance import appearance_texts
from dvm_hf.dataset.columns import COLUMNS, INSTANCES
from dvm_hf.dataset.instances import column_of, columns_of, is_grey, picture_arrays
from dvm_hf.errors import SourceError
from dvm_hf.media.pixels import Pixels, Size
from dvm_hf.media.row_videos.decoding import RowFrame, RowVideo
from dvm_hf.prepared.fresh_rendering import FreshRendering, StoredPicture
from dvm_hf.prepared.parquet_rows import IMAGE_TYPE
from dvm_hf.prepared.shards import PlannedShard, Sidecar
from dvm_hf.sources.records import KINDS


def row_faults(path: Path, shard: PlannedShard, sidecar: Sidecar, *, data_dir: Path | None = None) -> Iterator[str]:
    """Yield the faults in the rows of a shard whose bytes match its sidecar; decodes every image.

    data_dir: the root of the sources, to compare every image with a fresh rendering; None: no rendering.
    """
    schema, wanted = pq.read_schema(path), pa.ipc.read_schema(pa.py_buffer(shard.schema))
    if not schema.equals(wanted):
        yield f"has the columns {_described(schema)}, but its plan has {_described(wanted)}"
        return
    clips = {clip.clip_id: clip for clip in shard.clips}
    order = list(clips)
    fresh = None if data_dir is None else FreshRendering(data_dir, encoding=shard.encoding)
    windows: dict[str, int] = {}  # rows of each clip
    latest: dict[str, int] = {}  # number of its latest window
    for number, row in enumerate(shard_rows(path)):
        clip = clips.get(row["clip_id"])
        if clip is None:
            yield f"row {number}: clip_id {row['clip_id']!r} does not belong to this shard"
            continue
        if windows and order.index(clip.clip_id) < order.index(next(reversed(windows))):
            yield f"row {number}: clip {clip.clip_id} comes after {next(reversed(windows))}, unlike in the plan"
        windows[clip.clip_id] = windows.get(clip.clip_id, 0) + 1
        numbers = _number_faults(row, clip, after=latest.get(clip.clip_id, -1))
        faults = [*numbers, *_picture_faults(row, clip, fresh=fresh)]
        latest[clip.clip_id] = row["window"]
        yield from (f"row {number} ({clip.clip_id}, window {row['window']}): {fault}" for fault in faults)
    skipped = {name for name, _ in sidecar.skipped}
    yield from (f"clip {name} has no row" for name in order if name not in windows and name not in skipped)
    for name, count in sidecar.clips.items():
        if windows.get(name, 0) != count:
            yield f"clip {name} has {windows.get(name, 0)} rows instead of {count}"
    for name, digest in (fresh.digests() if fresh is not None else {}).items():
        if name in sidecar.digests and windows[name] == sidecar.clips[name] and sidecar.digests[name] != digest:
            yield (
                f"clip {name} has the content digest {sidecar.digests[name]}, but a fresh rendering has {digest}: "
                "libraries or a CPU here render other pixels than those that built it"
            )


def shard_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a shard. Image columns are iterables of decoded images; of a text if an image is damaged."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1):
            yield _row(batch)


def _described(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def _row(batch: pa.RecordBatch) -> dict[str, Any]:
    """Return the only row of a batch, with an iterator of decoded images; a text instead of a damaged image."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    row = {name: column[0].as_py() for name, column in columns.items() if name not in COLUMNS}
    for name, column in picture_arrays(COLUMNS, batch):
        row[name] = _video_frames(column, name, row) if column.type == IMAGE_TYPE else _pictures(column)
    return row


def picture_names(row: Mapping[str, Any]) -> list[str]:
    """Return the names of the pictures of a row of `shard_rows`, in the order of the columns."""
    return [name for name in row if column_of(name) in COLUMNS]


def _pictures(column: pa.Array) -> Iterable[Pixels | str]:
    if column.type == pa.list_(IMAGE_TYPE):
        return (_decoded(image["bytes"]) for image in column[0].as_py())
    column, shape = column.storage if isinstance(column, pa.ExtensionArray) else column, []
    while pa.types.is_list(column.type):
        shape.append(len(column[0]))
        column = column.flatten()
    return list(column.to_numpy(zero_copy_only=False).reshape(shape))


def _video_frames(column: pa.Array, name: str, row: Mapping[str, Any]) -> Iterator[RowFrame | str]:
    size = Size(row["height"], row["width"])
    video = RowVideo(column[0].as_py()["bytes"], size=size, is_grey=is_grey(name), name="video")
    try:
        yield from video.all_frames()
    except SourceError as error:
        yield f"cannot be decoded ({error})"


def _decoded(data: bytes) -> Pixels | str:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        return f"cannot be decoded ({error})"


def _number_faults(row: Mapping[str, Any], clip: ClipPlan, *, after: int) -> Iterator[str]:
    """Yield faults in names and numbers. after: the previous window; gaps are valid, as damage can remove windows."""
    rendering = clip.rendering
    length = rendering.clip_length
    stride = 0 if length == "all" else rendering.clip_step or length * rendering.frame_step
    expected = {
        "start": row["window"] * stride,
        "seed": clip.seed,
        "foreground_kind": KINDS.index(clip.foreground.kind),
        "foreground_name": clip.foreground.name,
        "background_name": clip.background.name,
    }
    if clip.companions:
        expected["instance_kinds"] = [KINDS.index(one.kind) for one in clip.foregrounds]
        expected["instance_names"] = [one.name for one in clip.foregrounds]
    expected |= appearance_texts(clip)
    yield from (
        f"{name} is {row[name]!r}, but its plan has {value!r}" for name, value in expected.items() if row[name] != value
    )
    if row["window"] <= after:
        yield f"window is {row['window']}, after {after}; the windows of a clip must be in increasing order"
    frames = len(row["motion"])
    if not frames or (length != "all" and (frames > length or (frames < length and rendering.remainder != "keep"))):
        yield f"has {frames} frames; clip_length is {length!r}, remainder {rendering.remainder!r}"


def _picture_faults(row: Mapping[str, Any], clip: ClipPlan, *, fresh: FreshRendering | None) -> Iterator[str]:
    shown = picture_names(row)
    if columns_of(shown) != clip.rendering.columns:
        yield f"has the image columns {list(columns_of(shown))}, but its plan has {list(clip.rendering.columns)}"
    frames = len(row["motion"])
    rendered = fresh.frames(clip, row["window"]) if fresh is not None else ()
    if fresh is not None and len(rendered) != frames:
        yield f"has {frames} frames, but a fresh rendering of the window has {len(rendered)}"
    counts = dict.fromkeys(shown, 0)
    for number, pictures in enumerate(zip_longest(*(row[column] for column in shown))):
        stored = {column: one for column, one in zip(shown, pictures, strict=True) if one is not None}
        for column in stored:
            counts[column] += 1
        faults = {column: _picture_fault(column, one, row) for column, one in stored.items()}
        yield from (f"{column} of frame {number} {fault}" for column, fault in faults.items() if fault)
        valid = {column: one for column, one in stored.items() if not faults[column]}
        if {"alpha", "trimap"} <= valid.keys() and clip.rendering.trimap != "provided":
            alpha, trimap = (_pixels(valid[column]) for column in ("alpha", "trimap"))
            yield from (f"frame {number}: {fault}" for fault in _trimap_faults(alpha, trimap))
        instances = [_pixels(one) for name, one in valid.items() if column_of(name) == INSTANCES]
        if instances and "alpha" in valid:
            yield from (f"frame {number}: {fault}" for fault in _sum_faults(_pixels(valid["alpha"]), instances))
        if fresh is not None and number < len(rendered):
            yield from _differences(valid, rendered[number], fresh, number)
    for column, count in counts.items():
        if count != frames:
            yield f"{column} has {count} images, but motion has {frames} placements"


def _picture_fault(column: str, stored: StoredPicture | str, row: Mapping[str, Any]) -> str | None:
    if isinstance(stored, str):
        return stored
    if isinstance(stored, RowFrame):
        return None  # its size is checked when it is decoded
    wanted = (row["height"], row["width"]) + (() if is_grey(column) else (3,))
    if stored.shape != wanted or stored.dtype != np.uint8:
        return f"is {stored.shape} {stored.dtype}, but must be {wanted} uint8"
    return None


def _differences(
    stored: Mapping[str, StoredPicture], rendered: Frame, fresh: FreshRendering, number: int
) -> Iterator[str]:
    for column, picture in stored.items():
        difference = fresh.difference(column, picture, rendered)
        if difference is not None:
            yield f"{column} of frame {number} {difference}"


def _pixels(stored: StoredPicture) -> Pixels:
    return stored.pixels() if isinstance(stored, RowFrame) else stored


def _trimap_faults(alpha: Pixels, trimap: Pixels) -> Iterator[str]:
    """Yield faults of a trimap: alpha must be 255 in its foreground and 0 in its background."""
    if not np.isin(trimap, (BACKGROUND, UNKNOWN, FOREGROUND)).all():
        yield f"trimap has values other than {BACKGROUND}, {UNKNOWN}, {FOREGROUND}"
    for value, name in ((FOREGROUND, "foreground"), (BACKGROUND, "background")):
        wrong = np.count_nonzero(alpha[trimap == value] != value)
        if wrong:
            yield f"trimap is {name} at {wrong} pixels whose alpha is not {value}"


def _sum_faults(alpha: Pixels, instances: Sequence[Pixels]) -> Iterator[str]:
    """Yield the fault of instances that do not sum to the alpha."""
    total = np.add.reduce([one.astype(np.uint16) for one in instances], axis=0)
    wrong = np.count_nonzero(total != alpha)
    if wrong:
        yield f"instances do not sum to alpha at {wrong} pixels"
