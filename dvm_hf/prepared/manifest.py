"""What a prepared folder is as a whole: plans, shards, what was left out, hashes of the other files. Written last."""

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from dvm_hf.columns import IMAGE_COLUMNS
from dvm_hf.errors import SourceError
from dvm_hf.prepared.card import card_text
from dvm_hf.prepared.folder import FORMAT, PreparedFolder, sealed
from dvm_hf.prepared.shards import PreparedSplit
from dvm_hf.prepared.whole_file import write_whole
from dvm_hf.preview.pictures import THUMBNAIL, contact_sheet

SHOWN_ROWS = 4  # on the strip of samples
SAMPLES_QUALITY = 85
SHARD_FIELDS = ("file", "rows", "frames", "bytes", "arrow_bytes", "sha256")  # of a sidecar


def write_whole_description(folder: PreparedFolder, splits: Sequence[PreparedSplit]) -> None:
    """Write the samples, the manifest and, last of all, the card. Raises SourceError where a split has no row."""
    for split in splits:
        if not split.total("rows"):
            name, reason = next(iter(split.left_out), ("", ""))
            raise SourceError(
                f"{split.plan.split}: no window is left of {len(split.plan.clips)} clips; {name}: {reason}"
            )
    files = {folder.samples.name: samples_bytes(folder, splits), folder.card.name: card_text(splits).encode("utf-8")}
    write_whole(folder.samples, files[folder.samples.name])
    write_whole(folder.manifest, sealed(manifest(splits, files)))
    write_whole(folder.card, files[folder.card.name])


def manifest(splits: Sequence[PreparedSplit], files: Mapping[str, bytes]) -> dict[str, Any]:
    """The manifest as JSON holds it; `files`: the other files of the folder, by name."""
    return {
        "format": FORMAT,
        "splits": described_splits(splits),
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }


def described_splits(splits: Sequence[PreparedSplit]) -> dict[str, Any]:
    """The part of a manifest that is about shards."""
    described = {}
    for split in splits:
        totals = {"rows": "rows", "frames": "frames", "bytes": "file_size", "arrow_bytes": "arrow_size"}
        shards = [sidecar.content() for sidecar in split.sidecars]
        described[split.plan.split] = {
            **{name: split.total(what) for name, what in totals.items()},
            "left_out": [{"name": name, "reason": reason} for name, reason in split.left_out],
            "shards": [{name: shard[name] for name in SHARD_FIELDS} for shard in shards],
            "plan_seal": split.plan.digest,
            "plan": split.plan.content(),
        }
    return described


def samples_bytes(folder: PreparedFolder, splits: Sequence[PreparedSplit]) -> bytes:
    """A JPEG of some rows, drawn from the shards: the same shards, the same bytes."""
    file = io.BytesIO()
    contact_sheet(_shown_rows(folder, splits)).save(file, "JPEG", quality=SAMPLES_QUALITY)
    return file.getvalue()


def _shown_rows(folder: PreparedFolder, splits: Sequence[PreparedSplit]) -> Iterator[dict[str, Any]]:
    for split in splits:
        full = [sidecar for sidecar in split.sidecars if sidecar.rows]
        count = min(SHOWN_ROWS // len(splits), len(full))
        for place in range(count):
            yield _first_row(folder, full[place * len(full) // count].file)


def _first_row(folder: PreparedFolder, name: str) -> dict[str, Any]:
    """Its images decoded."""
    with pq.ParquetFile(folder.root / "data" / name) as file:
        row = next(file.iter_batches(batch_size=1, row_groups=[0])).to_pylist()[0]
    for column in (column for column in IMAGE_COLUMNS if column in row):
        row[column] = [_picture(image) for image in row[column]]
    return dict(row)


def _picture(image: Any) -> Image.Image:
    """Of an encoded image, or of an array's nested lists."""
    if isinstance(image, dict):
        opened = Image.open(io.BytesIO(image["bytes"]))
        opened.draft(None, (2 * THUMBNAIL[0], 2 * THUMBNAIL[1]))  # a JPEG is decoded no larger than is shown
        return opened
    return Image.fromarray(np.array(image, np.uint8))
