"""Croissant metadata of a prepared folder (mlcommons.org/croissant, 1.0): its files, columns, terms and digests.

Dates and the address are unknown to a build, so they are not part of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dvm_hf.dataset.builder import CITATION
from dvm_hf.dataset.content_digest import split_digest
from dvm_hf.dataset.features import features_of, portable
from dvm_hf.prepared.folder import json_bytes
from dvm_hf.prepared.manifest import PreparedSplit
from dvm_hf.prepared.plans.shard_plan import planned_config
from dvm_hf.wording import counted

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
PARQUET = "application/x-parquet"
# The context of the specification of Croissant 1.0.
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
FILES = {"Image": "sc:ImageObject", "Video": "sc:VideoObject"}
TYPES = {"string": "sc:Text", "int32": "sc:Integer", "int64": "sc:Integer", "float32": "sc:Float"}


def croissant_bytes(splits: Sequence[PreparedSplit], *, name: str, terms: str, texts: Mapping[str, str]) -> bytes:
    """Return croissant.json of a folder; deterministic for the same splits.

    name, terms, texts (of the columns): those of the card.
    """
    digests = {split.plan.split: split_digest(split.digests) for split in splits if split.digests}
    return json_bytes(
        {
            "@context": CONTEXT,
            "@type": "sc:Dataset",
            "conformsTo": CONFORMS_TO,
            "name": name,
            "description": _description(splits, digests),
            "license": terms,
            "citeAs": CITATION,
            "version": _version(digests),
            "keywords": ["video matting", "image matting", "alpha matte", "trimap", "compositing"],
            "distribution": [file for split in splits for file in _files(split)],
            "recordSet": [_record_set(split, texts) for split in splits],
        }
    )


def _description(splits: Sequence[PreparedSplit], digests: Mapping[str, str]) -> str:
    rows, clips = sum(split.total("rows") for split in splits), sum(split.plan.counts["clips"] for split in splits)
    known = "".join(f"; content digest of {split}: {digest}" for split, digest in digests.items())
    return (
        f"Composited frame sequences with alpha and trimap: {counted(rows, 'row')} of {counted(clips, 'clip')}, built "
        f"by dvm_hf {splits[0].plan.versions['dvm_hf']}{known}"
    )


def _version(digests: Mapping[str, str]) -> str:
    """Return a version that is the same for the same pixels: digits of their digest, as semantic build metadata."""
    return f"1.0.0+{split_digest(digests)[:12]}" if digests else "1.0.0"


def _files(split: PreparedSplit) -> Iterator[dict[str, Any]]:
    """Yield the shards of a split, and the set of them."""
    for sidecar in split.sidecars:
        yield {
            "@type": "cr:FileObject",
            "@id": sidecar.file,
            "name": sidecar.file,
            "contentUrl": f"data/{sidecar.file}",
            "contentSize": f"{sidecar.file_size} B",
            "sha256": sidecar.sha256,
            "encodingFormat": PARQUET,
        }
    yield {
        "@type": "cr:FileSet",
        "@id": _set_id(split),
        "name": _set_id(split),
        "includes": f"data/{split.plan.split}-*-of-{split.plan.num_shards:05d}.parquet",
        "encodingFormat": PARQUET,
    }


def _record_set(split: PreparedSplit, texts: Mapping[str, str]) -> dict[str, Any]:
    name = split.plan.split
    features = portable(features_of(planned_config(split.plan)).to_dict())
    nested = [column for column, feature in features.items() if _is_nested(feature)]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"The rows of the split {name}: windows of clips. Not described here, because they are nested "
        f"lists: {', '.join(nested)}.",
        "key": [{"@id": f"{name}/clip_id"}, {"@id": f"{name}/window"}],
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column}",
                "name": column,
                "description": texts[column],
                "dataType": _data_type(feature),
                **({"repeated": True} if feature["_type"] == "Sequence" else {}),
                "source": {"fileSet": {"@id": _set_id(split)}, "extract": {"column": column}} | _transform(feature),
            }
            for column, feature in features.items()
            if column not in nested
        ],
    }


def _set_id(split: PreparedSplit) -> str:
    return f"{split.plan.split}-shards"


def _is_nested(feature: dict[str, Any]) -> bool:
    """Whether a column has lists of lists, which version 1.0 cannot describe."""
    is_array: bool = feature["_type"].startswith("Array")
    return is_array or (feature["_type"] == "Sequence" and feature["feature"]["_type"] == "Sequence")


def _transform(feature: dict[str, Any]) -> dict[str, Any]:
    """Return what gives the file of an image or a video, which is stored as `{"bytes": ..., "path": ...}`."""
    return {"transform": {"jsonPath": "bytes"}} if _data_type(feature) in FILES.values() else {}


def _data_type(feature: dict[str, Any]) -> str:
    kind = feature["_type"]
    if kind == "Sequence":
        return _data_type(feature["feature"])
    return FILES.get(kind) or ("sc:Integer" if kind == "ClassLabel" else TYPES[feature["dtype"]])
