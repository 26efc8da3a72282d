"""The dataset card of a prepared folder: YAML that the Hub and load_dataset read, and text for people."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import yaml

from dvm_hf.dataset.builder import CITATION
from dvm_hf.dataset.columns import IMAGE_COLUMNS
from dvm_hf.dataset.config import DVMConfig
from dvm_hf.prepared.parquet_rows import portable
from dvm_hf.prepared.shard_plan import ShardPlan, planned_fields
from dvm_hf.prepared.shards import PreparedSplit, features_of
from dvm_hf.wording import counted

SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
TAGS = ("video-matting", "image-matting", "alpha-matte", "trimap", "compositing", "video")
COLUMN_TEXT = {
    "clip_id": "`image_NAME_BACKGROUND` or `video_NAME_BACKGROUND`",
    "window": "number of the window in its clip",
    "start": "index of its first frame in the clip",
    "frames": "the composite, RGB",
    "alpha": "8-bit grey, lossless",
    "trimap": "8-bit grey, lossless: 0 background, 128 unknown, 255 foreground",
    "foreground": "colour of the foreground, RGB: straight, or premultiplied where `recipe` is `reference`",
    "background": "the background without the foreground, RGB",
    "foreground_kind": "image (a still, moved) or video",
    "foreground_name": "file name without extension",
    "background_name": "file name without extension",
    "height": "of the frames, px",
    "width": "of the frames, px",
    "seed": "of the clip",
    "motion": "[row, column, angle, zoom] of each frame: the foreground's middle before any crop; px, degrees",
}
DIFFERENCES = {
    "dvm": """\
Sizes, lengths and random walks are those of *Deep Video Matting*. Corrected, on purpose:

- Each clip has a seed of its own, derived from the root seed and its name: the same data in every run.
- Composites are rounded to nearest, not cut (which is half a level too dark on average).
- Alpha is one lossless channel, not a JPEG, so that zeros stay zeros.
- The foreground's colour is straight, not premultiplied.
- Stills move by one sub-pixel warp, not by whole pixels and two interpolations, and fade out at their own edge.
- Bands of training trimaps are symmetric and the same for all frames of a clip.
- Nothing is left out without a word.""",
    "reference": """\
Frames are the published pipeline's, operation by operation, its known defects included: composites cut to integers,
foregrounds premultiplied, positions cut to whole pixels. Only the alpha is stored better, lossless in one channel. Each
clip has a seed of its own, so the data is the same in every run.""",
}
LICENCE = {
    True: """\
The sources were drawn by a program and are free of any claim, and so is what was made of them. They show the pipeline;
they are no training data.""",
    False: """\
`other`: these are composites, and the rights in them are those of their sources, which this package does not know. You
need the right to share every foreground and every background before you share this dataset.""",
}
FRONT_MATTER = re.compile(r"\A---\n(?P<yaml>.*?\n)---[ \t]*(\n|\Z)", re.DOTALL)
HIDING_CARD = b"""\
---
configs:
- config_name: default
  data_files:
  - split: train
    path: not-complete-yet/*.parquet
---

This dataset is not complete: it is being prepared or pushed, or that was cut short. Running the same command again
completes it.
"""
LICENCE_NAMES = {True: "drawn-sources-free-of-claims", False: "as-the-sources"}


def card_text(splits: Sequence[PreparedSplit]) -> str:
    """README.md of a prepared folder; the same splits, the same text."""
    matter = yaml.safe_dump(front_matter(splits), sort_keys=False, allow_unicode=True, width=10**6)
    return f"---\n{matter}---\n\n{_text(splits)}"


def front_matter(splits: Sequence[PreparedSplit]) -> dict[str, Any]:
    """The card's YAML: what the Hub shows, and which files are which split."""
    rows = sum(split.total("rows") for split in splits)
    drawn = all(split.plan.drawn for split in splits)
    return {
        "pretty_name": "Video matting clips" + (" (drawn sources)" if drawn else ""),
        "license": "other",
        "license_name": LICENCE_NAMES[drawn],
        "task_categories": ["image-segmentation"],
        "tags": list(TAGS),
        "size_categories": [next((name for limit, name in SIZES if rows < limit), "n>10M")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": s.plan.split, "path": data_files(s.plan)} for s in splits],
            }
        ],
        "dataset_info": {
            "features": yaml_features(splits[0].plan.config),
            "splits": [
                {"name": s.plan.split, "num_bytes": s.total("arrow_size"), "num_examples": s.total("rows")}
                for s in splits
            ],
            "download_size": sum(split.total("file_size") for split in splits),
            "dataset_size": sum(split.total("arrow_size") for split in splits),
        },
    }


def data_files(plan: ShardPlan) -> str:
    """The files of a split, such that those of a plan with another number of shards are none of them."""
    return f"data/{plan.split}-*-of-{plan.num_shards:05d}.parquet"


def yaml_features(config: DVMConfig) -> list[dict[str, Any]]:
    """Features as a card's dataset_info has them, in words that every supported `datasets` reads."""
    return [{"name": name, **_yaml(feature)} for name, feature in portable(features_of(config).to_dict()).items()]


def _yaml(feature: dict[str, Any]) -> dict[str, Any]:
    """`{"_type": "Sequence", "feature": {"_type": "Image"}}` becomes `{"sequence": "image"}`."""
    kind = feature["_type"]
    if kind == "Sequence":
        inner = _yaml(feature["feature"])
        length = {"length": feature["length"]} if feature.get("length", -1) >= 0 else {}
        return {"sequence": inner["dtype"] if list(inner) == ["dtype"] else inner, **length}
    if kind == "Value":
        return {"dtype": feature["dtype"]}
    if kind == "ClassLabel":
        return {"dtype": {"class_label": {"names": {str(i): name for i, name in enumerate(feature["names"])}}}}
    if kind.startswith("Array"):
        snake_case = f"{kind[:-1].lower()}_d"  # Array4D is array4_d to `datasets`
        return {"dtype": {snake_case: {"shape": list(feature["shape"]), "dtype": feature["dtype"]}}}
    return {"dtype": kind.lower()}


def _text(splits: Sequence[PreparedSplit]) -> str:
    recipes = list(dict.fromkeys(split.plan.config.recipe for split in splits))
    drawn = all(split.plan.drawn for split in splits)
    parts = {
        "# Video matting clips": f"""\
Composited frame sequences with alpha and trimap, for training and testing video matting. A row is one window of one
clip. Made by `dvm prepare` (dvm_hf {splits[0].plan.versions["dvm_hf"]}); `manifest.json` tells of all shards,
sources and versions.

![Rows of this dataset](samples.jpg)

{_split_table(splits)}""",
        "## Load it": _how_to_load(splits),
        "## Columns": _column_table(splits[0].plan.config),
        "## Provenance": _provenance(splits),
        "## Config": f"Fields of the builder that made this.\n\n{_fields(splits)}",
        "## What differs from the published pipeline": "\n\n".join(
            (f"Rows whose `recipe` is `{recipe}`, see above:\n\n" if len(recipes) > 1 else "") + DIFFERENCES[recipe]
            for recipe in recipes
        ),
        "## Licence": LICENCE[drawn],
        "## Citation": f"```bibtex\n{CITATION}\n```",
    }
    return "\n\n".join(f"{heading}\n\n{text}" for heading, text in parts.items()) + "\n"


def _split_table(splits: Sequence[PreparedSplit]) -> str:
    lines = ["| split | clips | rows | frames | shards | size |", "| --- | --- | --- | --- | --- | --- |"]
    for split in splits:
        numbers = (len(split.plan.clips), split.total("rows"), split.total("frames"), split.plan.num_shards)
        size = f"{split.total('file_size') / 1e9:.2f} GB"
        lines.append(f"| {split.plan.split} | {' | '.join(f'{number:,}' for number in numbers)} | {size} |")
    return "\n".join(lines)


def _how_to_load(splits: Sequence[PreparedSplit]) -> str:
    split, config = splits[0].plan.split, splits[0].plan.config
    shown = next(column for column in IMAGE_COLUMNS if column in config.columns)
    return f"""\
With `datasets` alone, 3.6.0 or newer; put this repository's name, or the path of a local copy, for `REPO`:

```python
from datasets import load_dataset

rows = load_dataset("REPO", split="{split}")                      # downloads all of it
stream = load_dataset("REPO", split="{split}", streaming=True)    # or a shard at a time, as it is needed
row = next(iter(stream))
row["{shown}"][0], row["clip_id"], row["height"], row["width"]
```

To train, stream, shuffle, and give each node shards of its own:

```python
from datasets.distributed import split_dataset_by_node

stream = stream.shuffle(seed=1, buffer_size=16)
mine = split_dataset_by_node(stream, rank=rank, world_size=world_size)  # world_size should divide the number of shards
loader = torch.utils.data.DataLoader(mine, batch_size=None, num_workers=4)
```"""


def _column_table(config: DVMConfig) -> str:
    lines = ["| column | type | |", "| --- | --- | --- |"]
    for name, feature in portable(features_of(config).to_dict()).items():
        lines.append(f"| `{name}` | {_type_name(feature)} | {COLUMN_TEXT[name]} |")
    return "\n".join(lines)


def _type_name(feature: dict[str, Any]) -> str:
    if feature["_type"] == "Sequence":
        length = f" ({feature['length']})" if feature.get("length", -1) >= 0 else ""
        return f"list of {_type_name(feature['feature'])}{length}"
    if feature["_type"].startswith("Array"):
        return f"{feature['dtype']} {tuple(feature['shape'])}"
    return str(feature.get("dtype", feature["_type"]))


def _provenance(splits: Sequence[PreparedSplit]) -> str:
    lines = []
    for split in splits:
        plan = split.plan
        stills = {clip.foreground.name for clip in plan.clips if clip.foreground.kind == "image"}
        moving = {clip.foreground.name for clip in plan.clips if clip.foreground.kind == "video"}
        backgrounds = {clip.background.name for clip in plan.clips}
        chosen = f"by the pair list `{plan.pairs[0]}`" if plan.pairs else f"by the seed {plan.config.seed}"
        origin = "drawn by a program" if plan.drawn else "by content hash in the manifest"
        lines.append(
            f"- `{plan.split}`: {counted(len(stills), 'still')} and {counted(len(moving), 'video')} as foregrounds, "
            f"{counted(len(backgrounds), 'background video')}, paired {chosen}; sources {origin}."
        )
        if split.left_out:
            lines.append(f"  Left out, as the manifest lists: {len(split.left_out):,} (sources or clips).")
    return "\n".join(lines)


def _fields(splits: Sequence[PreparedSplit]) -> str:
    fields = {split.plan.split: planned_fields(split.plan.config) for split in splits}
    lines = ["| field | value |", "| --- | --- |"]
    for name in (field.name for field in dataclasses.fields(DVMConfig)):
        values = {split: repr(held[name]) for split, held in fields.items() if name in held}
        if len(set(values.values())) == 1:
            lines.append(f"| `{name}` | `{next(iter(values.values()))}` |")
        elif values:
            lines.append(f"| `{name}` | {', '.join(f'{split}: `{value}`' for split, value in values.items())} |")
    return "\n".join(lines)
