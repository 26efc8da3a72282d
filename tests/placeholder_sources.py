"""Sources of one byte, for scans, which decode nothing, and sources files that list them."""

from pathlib import Path
from typing import Any

import yaml

VALID = """\
train:
  foregrounds:
    - {path: a}
  backgrounds:
    - {path: a}
"""


def put(root: Path, *names: str, data: bytes = b"x") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def put_still(root: Path, name: str, *, split: str = "train") -> None:
    put(root, f"fg/image/{split}/fg/{name}.png", f"fg/image/{split}/alpha/{name}.png")


def put_sets(root: Path) -> Path:
    """Write two small DVM folders, a and b, with train and test; b has a third background."""
    for name in ("a", "b"):
        for split in ("train", "test"):
            put_still(root / name, "cat", split=split)
            put_still(root / name, "dog", split=split)
            put(root / name, f"fg/video/{split}/0000/f.mp4", f"fg/video/{split}/0000/a.mp4")
            put(root / name, *(f"bg/{split}/{number:04}.mp4" for number in range(2 if name == "a" else 3)))
    return root


def written(folder: Path, text: str | dict[str, Any] = VALID) -> Path:
    """Write a sources file and return its path."""
    path = folder / "sources.yaml"
    path.write_text(text if isinstance(text, str) else yaml.safe_dump(text, sort_keys=False), encoding="utf-8")
    return path
