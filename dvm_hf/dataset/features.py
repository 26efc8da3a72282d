"""The features of the dataset, which need `datasets`, and the Arrow schema of its rows in files."""

import json
from typing import Any

import pyarrow as pa
from datasets import Array3D, Array4D, ClassLabel, Features, Image, Sequence, Value, Video

from dvm_hf.clips.motion import motion_columns
from dvm_hf.dataset.appearance import appearance_columns
from dvm_hf.dataset.columns import COLUMNS, GREY_COLUMNS, INSTANCES
from dvm_hf.dataset.config import DVMConfig, rendering_of
from dvm_hf.sources.records import KINDS


def features(
    columns: tuple[str, ...],
    *,
    encoding: str,
    clip_length: int | str,
    crop_size: int | None,
    motion: str = "dvm",
    foregrounds: int = 1,
    appearance: tuple[str, ...] = (),
) -> Features:
    """Return the features of the dataset: names, numbers, and the requested image columns in a fixed order.

    appearance: the columns of light and camera, see `appearance_columns`.
    """
    images: dict[str, Any] = {}
    for column in (column for column in COLUMNS if column in columns):
        if column == INSTANCES:
            images[column] = _instances(encoding, (foregrounds, clip_length, crop_size, crop_size))
        elif encoding == "video":
            images[column] = Video()
        elif encoding != "array":
            images[column] = [Image()]
        elif column in GREY_COLUMNS:
            images[column] = Array3D((clip_length, crop_size, crop_size), "uint8")
        else:
            images[column] = Array4D((clip_length, crop_size, crop_size, 3), "uint8")
    return Features(
        {
            "clip_id": Value("string"),
            "window": Value("int32"),
            "start": Value("int32"),
            **images,
            "foreground_kind": ClassLabel(names=list(KINDS)),
            "foreground_name": Value("string"),
            "background_name": Value("string"),
            "height": Value("int32"),
            "width": Value("int32"),
            "seed": Value("int64"),
            "motion": Sequence(Sequence(Value("float32"), length=len(motion_columns(motion, foregrounds)))),
            **(_instance_facts() if foregrounds > 1 else {}),
            **{name: Value("string") for name in appearance},
        }
    )


def _instances(encoding: str, shape: tuple[Any, ...]) -> Any:
    """Return the type of the instances: for each foreground, the type of the column alpha. shape: as an array."""
    if encoding == "array":
        return Array4D(shape, "uint8")
    return [Video()] if encoding == "video" else [[Image()]]


def _instance_facts() -> dict[str, Any]:
    return {
        "instance_kinds": Sequence(ClassLabel(names=list(KINDS))),
        "instance_names": Sequence(Value("string")),
        "instance_hidden": Sequence(Value("float32")),
    }


def features_of(config: DVMConfig) -> Features:
    """Return the features of a config's rows."""
    return features(
        rendering_of(config).columns,
        encoding=config.encoding,
        clip_length=config.clip_length,
        crop_size=config.crop_size,
        motion=config.motion,
        foregrounds=config.foregrounds_per_clip,
        appearance=appearance_columns(config.light, config.camera),
    )


def file_schema(features: Features) -> pa.Schema:
    """Return the Arrow schema of features, with the metadata from which every `datasets` reads them."""
    described = json.dumps({"info": {"features": portable(features.to_dict())}})
    return features.arrow_schema.with_metadata({b"huggingface": described})


def portable(features: Any) -> Any:
    """Describe features for every `datasets`: lists become "Sequence", because 3.6.0 does not have "List"."""
    if isinstance(features, list):
        return {"feature": portable(features[0]), "_type": "Sequence"}
    if not isinstance(features, dict):
        return features
    described = {name: portable(value) if name != "names" else value for name, value in features.items()}
    return {name: "Sequence" if (name, value) == ("_type", "List") else value for name, value in described.items()}
