"""Small prepared folders, written here instead of by `dvm prepare`: synthetic rows and their metadata."""

import dataclasses
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from dvm_hf.clips.plan import ClipPlan
from dvm_hf.dataset.builder import DVM
from dvm_hf.dataset.config import DVMConfig, rendering_of
from dvm_hf.dataset.features import features
from dvm_hf.prepared.card import front_matter
from dvm_hf.prepared.folder import PreparedFolder, checksummed, read_checksummed
from dvm_hf.prepared.manifest import Manifest, PreparedSplit, described_splits
from dvm_hf.prepared.plans.shard_plan import ShardPlan
from dvm_hf.prepared.plans.shard_size import Sharding
from dvm_hf.prepared.plans.stored_plan import open_plan
from dvm_hf.prepared.shards import Sidecar, read_sidecar
from dvm_hf.sources.records import Background, Entry, Foreground

ROWS = 3  # of a shard


def write_prepared(out: Path, *, shards: dict[str, int], seed: int = 0, entries: tuple[Entry, ...] = ()) -> Path:
    """Write a complete folder with this many shards per split; another seed gives other rows."""
    splits = []
    for split, count in shards.items():
        plan = dataclasses.replace(_plan(split, count, seed), entries=entries)
        sidecars = [_shard(out, plan, index, seed) for index in range(count)]
        (out / "plan").mkdir(exist_ok=True)
        plan.write(PreparedFolder(out))
        splits.append(PreparedSplit(open_plan(PreparedFolder(out), split), tuple(sidecars)))
    matter = yaml.safe_dump(front_matter(splits), sort_keys=False)
    card = f"---\n{matter}---\n\n# Drawn for a test {seed}\n"
    files = {"README.md": card.encode(), "samples.jpg": _image(seed, "JPEG")}
    for path, content in files.items():
        (out / path).write_bytes(content)
    hashes = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    (out / "manifest.json").write_bytes(Manifest(described_splits(splits), hashes).file_bytes())
    (out / ".cache").mkdir()
    (out / ".cache" / "sources.json").write_text("of this machine")
    return out


def written_splits(out: Path) -> list[PreparedSplit]:
    """Read the plans and sidecars of a folder back."""
    return [
        PreparedSplit(
            open_plan(PreparedFolder(out), split),
            tuple(map(read_sidecar, sorted((out / "shards").glob(f"{split}-*")))),
        )
        for split in ("train", "test")
        if (out / f"plan/{split}.json").exists()
    ]


def with_content(split: PreparedSplit, **changed: Any) -> PreparedSplit:
    """Return a split whose plan has other parts in its header."""
    return dataclasses.replace(split, plan=dataclasses.replace(split.plan, content={**split.plan.content, **changed}))


def rewritten(path: Path, table: pa.Table) -> set[Path]:
    """Rewrite a shard's rows, with a matching sidecar."""
    pq.write_table(table, path)
    sidecar_path = path.parents[1] / "shards" / f"{path.stem}.json"
    content = read_checksummed(sidecar_path, "sidecar") | {
        "rows": table.num_rows,
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    sidecar_path.write_bytes(checksummed(content))
    return {path, sidecar_path}


def _plan(split: str, count: int, seed: int) -> ShardPlan:
    config = DVMConfig(name=split, version=DVM.VERSION, clip_length=2, columns=("frames", "alpha"), seed=seed)
    clips = []
    for number in range(ROWS):
        for shard in range(count):
            name = f"{split}{shard}"
            files = (Path(f"fg/image/{split}/{part}/{name}.png") for part in ("fg", "alpha"))
            background = Background(str(number), Path(f"bg/{split}/{number}.mp4"))
            foreground = Foreground("image", name, *files)
            clips.append(ClipPlan(f"image_{name}_{number}", foreground, background, seed, rendering_of(config)))
    return ShardPlan(config, Sharding(count), tuple(clips), sources={}, versions={"dvm_hf": "0"})


def _shard(out: Path, plan: ShardPlan, index: int, seed: int) -> Sidecar:
    name = f"{plan.split}-{index:05d}-of-{plan.num_shards:05d}"
    path, sidecar_path = out / "data" / f"{name}.parquet", out / "shards" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    sidecar_path.parent.mkdir(parents=True, exist_ok=True)
    rows = [_row(plan.split, seed, index, number) for number in range(ROWS)]
    columns = features(("frames", "alpha"), encoding="jpeg", clip_length=2, crop_size=None)
    # the name that every release of datasets knows
    described = json.dumps({"info": {"features": columns.to_dict()}}).replace('"List"', '"Sequence"')
    table = pa.Table.from_pylist(rows, schema=columns.arrow_schema).replace_schema_metadata({"huggingface": described})
    pq.write_table(table, path, row_group_size=2, compression="NONE", use_dictionary=False)
    content = path.read_bytes()
    counts = {row["clip_id"]: 1 for row in rows}
    digest = hashlib.sha256(content).hexdigest()
    sidecar = Sidecar(path.name, plan.digest, counts, len(rows), 2 * len(rows), table.nbytes, len(content), digest)
    sidecar_path.write_bytes(sidecar.file_bytes())
    return sidecar


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
