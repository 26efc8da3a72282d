"""Predictions for `dvm evaluate`, made from the rows of a reference."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

Mattes = dict[str, dict[int, np.ndarray]]  # by clip and index of the frame


def stored_layers(prepared: Path, column: str, *, split: str = "test") -> Mattes:
    """Return an image column of a prepared folder, decoded by Pillow."""
    found: Mattes = {}
    for path in sorted((prepared / "data").glob(f"{split}-*.parquet")):
        for row in pq.read_table(path, columns=["clip_id", "start", column]).to_pylist():
            for number, image in enumerate(row[column]):
                pixels = np.asarray(Image.open(io.BytesIO(image["bytes"])))
                found.setdefault(row["clip_id"], {})[row["start"] + number] = pixels
    return found


def changed(mattes: Mattes, change: Callable[[np.ndarray], np.ndarray]) -> Mattes:
    return {clip: {index: change(alpha) for index, alpha in frames.items()} for clip, frames in mattes.items()}


def write_pictures(folder: Path, mattes: Mattes) -> Path:
    """Write CLIP_ID/NNNNN.png."""
    for clip, frames in mattes.items():
        (folder / clip).mkdir(parents=True, exist_ok=True)
        for index, alpha in frames.items():
            Image.fromarray(alpha).save(folder / clip / f"{index:05d}.png")
    return folder


def rows_of(mattes: Mattes) -> dict[str, list[Any]]:
    """Return the columns of a dataset with one row for each clip."""
    return {
        "clip_id": list(mattes),
        "start": [min(frames) for frames in mattes.values()],
        "alpha": [[Image.fromarray(frames[index]) for index in sorted(frames)] for frames in mattes.values()],
    }
