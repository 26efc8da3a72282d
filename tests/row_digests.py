"""Hashes of the pictures of rows, to compare rows however they are stored and loaded."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

IMAGE_COLUMNS = ("frames", "alpha", "trimap", "foreground", "background")


def digest(pixels: Iterable[Any]) -> str:
    """Hash the shapes and pixels of a list of pictures, regardless of their encoding."""
    sha = hashlib.sha256()
    for picture in map(np.asarray, pixels):
        sha.update(repr((picture.shape, picture.dtype.str)).encode() + picture.tobytes())
    return sha.hexdigest()


def digests(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows in the order of clips and windows, with hashes of their pictures."""
    made = [{name: digest(row[name]) if name in IMAGE_COLUMNS else row[name] for name in row} for row in rows]
    return sorted(made, key=lambda row: (row["clip_id"], row["window"]))
