"""Small prepared folders, written here rather than by `dvm prepare`: Parquet shards, sidecars, manifest, card."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from dvm_hf.columns import features

CARD = """\
---
license: other
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*.parquet
  - split: test
    path: data/test-*.parquet
---

# Drawn for a test {seed}
"""
ROWS = 3  # of a shard


def write_prepared(out: Path, *, shards: dict[str, int], seed: int = 0) -> Path:
    """A complete folder of so many shards a split; another seed makes other rows."""
    splits = {}
    for split, count in shards.items():
        stated = []
        for index in range(count):
            name = f"{split}-{index:05d}-of-{count:05d}"
            stated.append(_shard(out, name, [_row(split, seed, index, number) for number in range(ROWS)]))
        splits[split] = {"shards": stated}
        (out / "plan").mkdir(exist_ok=True)
        (out / "plan" / f"{split}.json").write_text(json.dumps({"seed": seed, "split": split}))
    files = {"README.md": CARD.format(seed=seed).encode(), "samples.jpg": _image(seed, "JPEG")}
    for path, content in files.items():
        (out / path).write_bytes(content)
    hashes = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    (out / "manifest.json").write_text(json.dumps({"format": 1, "splits": splits, "files": hashes}, indent=1))
    (out / ".cache").mkdir()
    (out / ".cache" / "sources.json").write_text("of this machine")
    return out


def _shard(out: Path, name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    path, sidecar = out / "data" / f"{name}.parquet", out / "shards" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    sidecar.parent.mkdir(parents=True, exist_ok=True)
    columns = features(("frames", "alpha"), encoding="jpeg", clip_length=2, crop_size=None)
    # the name that every release of datasets knows
    described = json.dumps({"info": {"features": columns.to_dict()}}).replace('"List"', '"Sequence"')
    table = pa.Table.from_pylist(rows, schema=columns.arrow_schema).replace_schema_metadata({"huggingface": described})
    pq.write_table(table, path, row_group_size=2, compression="NONE", use_dictionary=False)
    content = path.read_bytes()
    facts = {"file": path.name, "rows": len(rows), "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    sidecar.write_text(json.dumps(facts | {"clips": [row["clip_id"] for row in rows], "plan": "00"}))
    return facts


def _row(split: str, seed: int, shard: int, number: int) -> dict[str, Any]:
    value = seed * 1000 + (split == "train") * 500 + shard * 10 + number * 2
    return {
        "clip_id": f"image_{split}{shard}_{number}",
        "window": number,
        "start": 2 * number,
        "frames": [{"bytes": _image(value + frame, "JPEG"), "path": None} for frame in range(2)],
        "alpha": [{"bytes": _image(value + frame, "PNG"), "path": None} for frame in range(2)],
        "foreground_kind": number % 2,
        "foreground_name": f"{split}{shard}",
        "background_name": str(number),
        "height": 8,
        "width": 8,
        "seed": seed,
        "motion": [[0.5, 1.25, 0.1, 1.0], [0.75, 1.5, 0.2, 1.1]],
    }


def _image(value: int, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(value).integers(0, 256, (8, 8), np.uint8)).save(file, kind)
    return file.getvalue()
