"""Check the rows of a shard against its plan: clips, windows, and the sizes and values of images."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.trimap import BACKGROUND, FOREGROUND, UNKNOWN
from dvm_hf.dataset.columns import GREY_COLUMNS, IMAGE_COLUMNS
from dvm_hf.media.pixels import Pixels
from dvm_hf.prepared.parquet_rows import IMAGE_TYPE
from dvm_hf.prepared.shard_plan import ShardPlan
from dvm_hf.prepared.shards import Sidecar
from dvm_hf.sources.records import KINDS


def row_faults(path: Path, plan: ShardPlan, index: int, sidecar: Sidecar) -> Iterator[str]:
    """Yield the faults in the rows of a shard whose bytes match its sidecar; decodes every image."""
    schema, wanted = pq.read_schema(path), plan.schema
    if not schema.equals(wanted):
        yield f"has the columns {_described(schema)}, but its plan has {_described(wanted)}"
        return
    clips = {clip.clip_id: clip for clip in plan.clips_of(index)}
    order = list(clips)
    windows: dict[str, int] = {}  # rows of each clip
    latest: dict[str, int] = {}  # number of its latest window
    with pq.ParquetFile(path) as file:
        for number, batch in enumerate(file.iter_batches(batch_size=1)):
            row = _row(batch)
            clip = clips.get(row["clip_id"])
            if clip is None:
                yield f"row {number}: clip_id {row['clip_id']!r} does not belong to this shard"
                continue
            if windows and order.index(clip.clip_id) < order.index(next(reversed(windows))):
                yield f"row {number}: clip {clip.clip_id} comes after {next(reversed(windows))}, unlike in the plan"
            windows[clip.clip_id] = windows.get(clip.clip_id, 0) + 1
            faults = [*_number_faults(row, clip, after=latest.get(clip.clip_id, -1)), *_picture_faults(row, clip)]
            latest[clip.clip_id] = row["window"]
            yield from (f"row {number} ({clip.clip_id}, window {row['window']}): {fault}" for fault in faults)
    skipped = {name for name, _ in sidecar.skipped}
    yield from (f"clip {name} has no row" for name in order if name not in windows and name not in skipped)
    for name, count in sidecar.clips.items():
        if windows.get(name, 0) != count:
            yield f"clip {name} has {windows.get(name, 0)} rows instead of {count}"


def _described(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def _row(batch: pa.RecordBatch) -> dict[str, Any]:
    """Return the only row of a batch, with decoded images; the text of the fault instead of a damaged image."""
    row = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        row[name] = _pictures(column) if name in IMAGE_COLUMNS else column[0].as_py()
    return row


def _pictures(column: pa.Array) -> list[Pixels | str]:
    if column.type == pa.list_(IMAGE_TYPE):
        return [_decoded(image["bytes"]) for image in column[0].as_py()]
    column, shape = column.storage, []
    while pa.types.is_list(column.type):
        shape.append(len(column[0]))
        column = column.flatten()
    return list(column.to_numpy(zero_copy_only=False).reshape(shape))


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
    yield from (
        f"{name} is {row[name]!r}, but its plan has {value!r}" for name, value in expected.items() if row[name] != value
    )
    if row["window"] <= after:
        yield f"window is {row['window']}, after {after}; the windows of a clip must be in increasing order"
    frames = len(row["motion"])
    if not frames or (length != "all" and (frames > length or (frames < length and rendering.remainder != "keep"))):
        yield f"has {frames} frames; clip_length is {length!r}, remainder {rendering.remainder!r}"


def _picture_faults(row: Mapping[str, Any], clip: ClipPlan) -> Iterator[str]:
    shown = [column for column in IMAGE_COLUMNS if column in row]
    if tuple(shown) != clip.rendering.columns:
        yield f"has the image columns {shown}, but its plan has {list(clip.rendering.columns)}"
    for column in shown:
        if len(row[column]) != len(row["motion"]):
            yield f"{column} has {len(row[column])} images, but motion has {len(row['motion'])} placements"
        for frame, picture in enumerate(row[column]):
            wanted = (row["height"], row["width"]) + (() if column in GREY_COLUMNS else (3,))
            if isinstance(picture, str):
                yield f"{column} of frame {frame} {picture}"
            elif picture.shape != wanted or picture.dtype != np.uint8:
                yield f"{column} of frame {frame} is {picture.shape} {picture.dtype}, but must be {wanted} uint8"
    if {"alpha", "trimap"} <= set(shown) and clip.rendering.trimap != "provided":
        for frame, (alpha, trimap) in enumerate(zip(row["alpha"], row["trimap"], strict=False)):
            if not isinstance(alpha, str) and not isinstance(trimap, str) and alpha.shape == trimap.shape:
                yield from (f"frame {frame}: {fault}" for fault in _trimap_faults(alpha, trimap))


def _trimap_faults(alpha: Pixels, trimap: Pixels) -> Iterator[str]:
    """Yield faults of a trimap: alpha must be 255 in its foreground and 0 in its background."""
    if not np.isin(trimap, (BACKGROUND, UNKNOWN, FOREGROUND)).all():
        yield f"trimap has values other than {BACKGROUND}, {UNKNOWN}, {FOREGROUND}"
    for value, name in ((FOREGROUND, "foreground"), (BACKGROUND, "background")):
        wrong = np.count_nonzero(alpha[trimap == value] != value)
        if wrong:
            yield f"trimap is {name} at {wrong} pixels whose alpha is not {value}"
