"""A look-alike joined with a small set of the other role by `dvm init`, and hashes of the pixels of its rows."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from command_runs import run
from look_alikes import Names, draw, matte

from dvm_hf.dataset.columns import IMAGE_COLUMNS
from dvm_hf.sources.records import SPLITS

FRAMES = 4  # maximum of a clip: two windows
FIELDS: dict[str, Any] = {
    "clip_length": 2,
    "max_image_frames": FRAMES,
    "max_video_frames": FRAMES,
    "backgrounds_per_foreground": 2,
    "remainder": "drop",
    "columns": IMAGE_COLUMNS,
    "encoding": "lossless",
}
Hashes = dict[tuple[str, int], str]


@dataclass(frozen=True)
class Joined:
    """A sources file, the folder of the set in it, and the names of its sources in each split that can be built."""

    file: Path
    folder: Path
    foregrounds: dict[str, set[str]]
    backgrounds: dict[str, set[str]]


def joined(name: str, root: Path) -> Joined:
    """Draw a look-alike, and write a sources file of it and of what it lacks: stills, or foregrounds with alpha.

    A folder without splits is one of training sources.
    """
    expected = draw(name, root / "set")
    folders, held = [root / "set"], {"foregrounds": expected.foregrounds, "backgrounds": expected.backgrounds}
    names = {role: _named("set", of_role) for role, of_role in held.items()}
    for role, other in {"foregrounds": "distinctions646", "backgrounds": "bg20k"}.items():
        if not held[role]:
            added = draw(other, root / "added")
            of_role = {"foregrounds": added.foregrounds, "backgrounds": added.backgrounds}[role]
            names[role] = _named("added", of_role)
            folders.append(root / "added")
    file = root / "sources.yaml"
    result = run("init", str(file), *map(str, folders), "--json")
    assert result.exit_code == 0, result.stderr
    entries = json.loads(result.stdout)["entries"]
    found = {(one["split"], one["role"]) for one in entries}
    splits = [split for split in SPLITS if {(split, role) for role in names} <= found]
    chosen = {role: {split: names[role][split] for split in splits} for role in names}
    return Joined(file, root / "set", chosen["foregrounds"], chosen["backgrounds"])


def _named(entry: str, names: Names) -> dict[str, set[str]]:
    return {split: {f"{entry}.{name}" for name in of_split} for split, of_split in names.items()}


def as_options(fields: Mapping[str, Any]) -> list[str]:
    """Return config fields as options of a command."""
    texts = {name: ",".join(value) if isinstance(value, tuple) else str(value) for name, value in fields.items()}
    return [part for name, text in texts.items() for part in (f"--{name.replace('_', '-')}", text)]


def pixel_hashes(rows: Iterable[Mapping[str, Any]]) -> Hashes:
    """Return a hash of the decoded pixels of each row, in all image columns, by clip and window."""
    return {(row["clip_id"], row["window"]): pixel_hash(row) for row in rows}


def pixel_hash(row: Mapping[str, Any]) -> str:
    """Return the hash of a row's columns: lists of pictures, or arrays (T, H, W, 3) and (T, H, W)."""
    sha = hashlib.sha256()
    for column in IMAGE_COLUMNS:
        pixels = np.stack([np.asarray(picture) for picture in row[column]])
        assert pixels.dtype == np.uint8
        sha.update(repr((column, pixels.shape)).encode() + pixels.tobytes())
    return sha.hexdigest()


def deviation(row: Mapping[str, Any]) -> float:
    """Return how far the composites are from alpha * foreground + (1 - alpha) * background, in levels."""
    frames, alpha, foreground, background = (
        np.stack([np.asarray(picture) for picture in row[column]]).astype(float)
        for column in ("frames", "alpha", "foreground", "background")
    )
    part = alpha[..., None] / 255
    return float(np.abs(frames - part * foreground - (1 - part) * background).max())


def matte_numbers(row: Mapping[str, Any]) -> list[int]:
    """Return which of the five drawn mattes each alpha of a video foreground shows; -1 if it shows none of them."""
    drawn = np.stack([matte(number) for number in range(5)])
    levels = [np.abs(np.asarray(alpha, float) - drawn).mean(axis=(1, 2)) for alpha in row["alpha"]]
    return [int(one.argmin()) if one.min() < 2 else -1 for one in levels]


def sample_as_row(sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sample of a ClipStream with its image columns as arrays (T, H, W, 3) and (T, H, W)."""
    images = {column: sample[column].permute(0, 2, 3, 1).squeeze(-1).numpy() for column in IMAGE_COLUMNS}
    return {**sample, **images}
