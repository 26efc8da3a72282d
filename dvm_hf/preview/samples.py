"""Select a few clips of a source tree, a prepared folder or a dataset on the Hub.

All three are streamed, so a large prepared folder is not copied into the cache.
"""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from datasets import IterableDataset, load_dataset
from datasets.utils import tqdm

from dvm_hf.dataset.appearance import APPEARANCE
from dvm_hf.dataset.columns import COLUMNS, IMAGE_COLUMNS, INSTANCES
from dvm_hf.dataset.loading import load_arguments
from dvm_hf.dataset.row_sources import ALLOWED, RowSource, readable, require_one_of, row_source
from dvm_hf.errors import SourceError
from dvm_hf.preview.row_frames import FirstFrames, Frames, instance_frames, row_frames
from dvm_hf.sources.records import KINDS, SPLITS
from dvm_hf.sources.tree import AUTO, splits_of

MAX_ROWS = 64  # rows of a shard that are read in search of another clip


@dataclass(frozen=True)
class Sample:
    """One row to show.

    facts: its names and numbers, by column. layers: the first frames of the row, by image column. motion: row, column,
    angle and zoom of each of these frames; empty if the dataset has no motion. row_frames: number of frames in the row.
    """

    facts: dict[str, Any]
    layers: dict[str, Frames]
    motion: tuple[tuple[float, ...], ...]
    row_frames: int

    @property
    def frame_count(self) -> int:
        return len(next(iter(self.layers.values())))

    def as_row(self) -> dict[str, Any]:
        """Return a dict like a row of a dataset that decodes images."""
        return {**self.facts, **self.layers}


def samples(
    source: str,
    *,
    clips: int = 6,
    frames: int = 16,
    config: str | None = None,
    split: str | None = None,
    fields: Mapping[str, Any] | None = None,
) -> list[Sample]:
    """Return rows of `clips` different clips, spread evenly over the source, with the first `frames` frames of each.

    If the source has fewer clips, more windows of these clips are added.

    source: a source folder in any known layout, or a sources file, of which a few windows are rendered with the config
    fields `fields`; a folder of Parquet files; or a dataset on the Hub, "user/name" or "hf://user/name", optionally
    with "@revision". Only the last one uses the network. "user/name" is not looked up on the Hub if a folder "user"
    exists. Any other folder is passed to load_dataset, whose error says what it lacks.

    Raises SourceError if the source cannot be read, and ConfigError if the arguments do not match it.
    """
    with readable(source):
        stream = _stream(source, config=config, split=split, frames=frames, fields=dict(fields or {}))
        _require_image_column(source, stream)
        found = [_sample(row, frames=frames) for row in _spread_rows(stream.decode(False), clips)]
    if not found:
        raise SourceError(f"{source}: has no rows; pass a source with at least one clip")
    return found


def _stream(
    source: str, *, config: str | None, split: str | None, frames: int, fields: dict[str, Any]
) -> IterableDataset:
    found = row_source(source, fields=fields)
    if found.kind == "sources":
        return _rendered(Path(found.path), config=config, split=split, fields={"clip_length": frames} | fields)
    return _stored(found, config=config, split=split)


def _rendered(folder: Path, *, config: str | None, split: str | None, fields: dict[str, Any]) -> IterableDataset:
    """Stream the windows of a source tree with load_dataset("dvm.py"), in every layer."""
    chosen = config or split or next(iter(splits_of(folder, fields.get("layout", AUTO))), SPLITS[0])
    require_one_of("config", chosen, SPLITS, str(folder))
    if split is not None:
        require_one_of("split", split, (chosen,), str(folder))
    columns = COLUMNS if fields.get("foregrounds_per_clip", 1) > 1 else IMAGE_COLUMNS
    fields = {"columns": columns, "remainder": "keep"} | fields
    return load_dataset(name=chosen, split=chosen, streaming=True, data_dir=str(folder), **load_arguments(), **fields)


def _stored(source: RowSource, *, config: str | None, split: str | None) -> IterableDataset:
    configs = source.configs()
    if config is not None:
        require_one_of("config", config, configs, source.name)
    chosen = config or next((name for name in SPLITS if name in configs), configs[0])
    splits = load_dataset(**source.load_arguments(chosen), streaming=True)
    if split is not None:
        require_one_of("split", split, splits, source.name)
    return splits[split or next((name for name in SPLITS if name in splits), next(iter(splits)))]


def _require_image_column(source: str, stream: IterableDataset) -> None:
    columns = list(stream.features or ())
    if "clip_id" not in columns or not set(columns) & set(IMAGE_COLUMNS):
        raise SourceError(
            f"{source}: has the columns {', '.join(columns) or '(unknown)'}, but must have clip_id and at least one of "
            f"{', '.join(IMAGE_COLUMNS)}; pass {ALLOWED}"
        )


def _spread_rows(stream: IterableDataset, wanted: int) -> list[dict[str, Any]]:
    """Return rows of different clips, from evenly spread shards; then more windows of these, if clips are too few.

    # 6 of 24 shards: 0 4 8 12 16 20, and the others only if one of these lacks rows
    """
    shards = stream.num_shards
    picked = min(wanted, shards)
    spread = [index * shards // picked for index in range(picked)]
    others = (index for index in range(shards) if index not in spread)
    found: dict[str, dict[str, Any]] = {}
    more: list[dict[str, Any]] = []
    with tqdm(total=wanted, desc="Reading clips", unit=" clips") as progress:
        for index in (*spread, *others):
            enough = min(wanted, len(found) + math.ceil(wanted / picked))
            for row in islice(stream.shard(num_shards=shards, index=index), MAX_ROWS):
                if row["clip_id"] not in found:
                    found[row["clip_id"]] = row
                    progress.update()
                elif len(more) < wanted:
                    more.append(row)
                if len(found) >= enough:
                    break
            if len(found) >= wanted:
                break
    return [*found.values(), *more][:wanted]


def _sample(row: Mapping[str, Any], *, frames: int) -> Sample:
    facts = {column: value for column, value in row.items() if column not in (*COLUMNS, "motion")}
    if isinstance(facts.get("foreground_kind"), int):
        facts["foreground_kind"] = KINDS[facts["foreground_kind"]]
    facts |= _instance_facts(facts) | _appearance_facts(facts)
    images = {column: row_frames(row, column) for column in IMAGE_COLUMNS if row.get(column) is not None}
    if row.get(INSTANCES) is not None:
        images[INSTANCES] = instance_frames(row)
    motion = tuple(tuple(map(float, pose)) for pose in row.get("motion") or ())
    counts = {column: len(values) for column, values in images.items()}
    if motion:
        counts["motion"] = len(motion)
    if not images or len(set(counts.values())) > 1 or not min(counts.values()):
        shown = ", ".join(f"{count} in {column}" for column, count in counts.items())
        raise SourceError(
            f"{row['clip_id']}: its columns have different numbers of frames, or none ({shown or 'no image column'}); "
            "rebuild the dataset"
        )
    layers: dict[str, Frames] = {column: FirstFrames(values, frames) for column, values in images.items()}
    return Sample(facts, layers, motion[:frames], row_frames=len(next(iter(images.values()))))


def _appearance_facts(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the numbers of light and camera, without those of effects that the clip lacks, as text."""
    found = {}
    for name in APPEARANCE:
        with suppress(KeyError, TypeError, ValueError, AttributeError):  # a column of this name in other data
            numbers = {effect: value for effect, value in (json.loads(facts[name]) or {}).items() if value}
            found[name] = json.dumps(_short(numbers)) if numbers else "no effects"
    return found


def _short(value: Any) -> Any:
    """Return numbers with 3 digits, and the number of the folds of a green screen instead of their shapes."""
    if isinstance(value, dict):
        return {name: len(one) if name == "folds" else _short(one) for name, one in value.items()}
    if isinstance(value, list):
        return list(map(_short, value))
    return float(f"{value:.3g}") if isinstance(value, float) else value


def _instance_facts(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the facts of the foregrounds of a clip that has several, as text."""
    if "instance_names" not in facts:
        return {}
    kinds = (KINDS[kind] if isinstance(kind, int) else str(kind) for kind in facts["instance_kinds"])
    return {
        "instance_kinds": ", ".join(kinds),
        "instance_names": ", ".join(facts["instance_names"]),
        "instance_hidden": ", ".join(f"{share:.0%}" for share in facts["instance_hidden"]),
    }
