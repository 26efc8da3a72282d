"""Published metadata of a prepared folder: samples, croissant.json, manifest, card.

Written last; a placeholder card precedes them.
"""

import hashlib
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from dvm_hf.dataset.columns import IMAGE_COLUMNS, INSTANCES
from dvm_hf.errors import DamagedError, SourceError
from dvm_hf.media.still.image_encoding import encoded_picture
from dvm_hf.prepared.card import card_text, croissant
from dvm_hf.prepared.folder import REPAIR, PreparedFolder
from dvm_hf.prepared.manifest import Manifest, PreparedSplit, described_splits
from dvm_hf.prepared.storage.storage import storage_of
from dvm_hf.preview.pictures import THUMBNAIL, contact_sheet
from dvm_hf.preview.row_frames import instance_frames, row_frames

SHOWN_ROWS = 4  # in the picture of samples


def write_metadata(folder: PreparedFolder, splits: Sequence[PreparedSplit]) -> None:
    """Write the samples, the Croissant metadata, the manifest and finally the card.

    Raises SourceError if a split has no row.
    """
    for split in splits:
        if not split.total("rows"):
            name, reason = next(iter(split.skipped), ("", ""))
            raise SourceError(
                f"{split.plan.split}: no window remains after skipping {split.plan.counts['clips']} clips; {name}: "
                f"{reason}"
            )
    files = {
        folder.samples.name: samples_bytes(folder, splits),
        folder.croissant.name: croissant(splits),
        folder.card.name: card_text(splits).encode("utf-8"),
    }
    for path in (folder.samples, folder.croissant):
        storage_of(folder.root).write(path, files[path.name])
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    storage_of(folder.root).write(folder.manifest, Manifest(described_splits(splits), hashes).file_bytes())
    storage_of(folder.root).write(folder.card, files[folder.card.name])


def samples_bytes(folder: PreparedFolder, splits: Sequence[PreparedSplit]) -> bytes:
    """Return a JPEG of some rows of the shards; deterministic for the same shards."""
    try:
        return encoded_picture(contact_sheet(_shown_rows(folder, splits)), "samples_jpeg")
    except (OSError, SyntaxError, ValueError) as error:  # Arrow's errors are subclasses of these
        data = folder.root / "data"
        raise DamagedError(f"{data}: rows of a shard cannot be read back ({error}); {REPAIR}") from error


def _shown_rows(folder: PreparedFolder, splits: Sequence[PreparedSplit]) -> Iterator[dict[str, Any]]:
    for split in splits:
        full = [sidecar for sidecar in split.sidecars if sidecar.rows]
        count = min(SHOWN_ROWS // len(splits), len(full))
        for position in range(count):
            yield _first_row(folder, full[position * len(full) // count].file)


def _first_row(folder: PreparedFolder, name: str) -> dict[str, Any]:
    """Return the first row of a shard, with decoded images."""
    path = folder.root / "data" / name
    with storage_of(path).parquet(path) as source, pq.ParquetFile(source) as file:
        row = next(file.iter_batches(batch_size=1, row_groups=[0])).to_pylist()[0]
    for column in (column for column in IMAGE_COLUMNS if column in row):
        is_video = isinstance(row[column], dict)
        row[column] = row_frames(row, column) if is_video else [_picture(image) for image in row[column]]
    if INSTANCES in row:
        row[INSTANCES] = instance_frames(row)
    return dict(row)


def _picture(image: Any) -> Image.Image:
    """Convert an encoded image, or an array as nested lists."""
    if isinstance(image, dict):
        opened = Image.open(io.BytesIO(image["bytes"]))
        opened.draft(None, (2 * THUMBNAIL[0], 2 * THUMBNAIL[1]))  # decode a JPEG at about the size shown
        return opened
    return Image.fromarray(np.array(image, np.uint8))
