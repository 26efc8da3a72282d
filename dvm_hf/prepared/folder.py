"""A folder of prepared shards: the paths of its files, and the format of its JSON files.

OUT/README.md                             dataset card, written last; a placeholder that lists no data until then
OUT/manifest.json                         all splits, plans without clips, and shards; written before the card
OUT/samples.jpg                           some frames, for the card
OUT/croissant.json                        Croissant metadata: files, columns, terms
OUT/plan/train.json                       the plan of a split, without its clips
OUT/plan/train-0a1b2c3d4e5f.jsonl         its clips and the hashes of their sources, a line per shard; written first
OUT/data/train-00007-of-00240.parquet     a shard
OUT/shards/train-00007-of-00240.json      its sidecar: contents and hashes
OUT/.cache/huggingface/dvm_sources.sqlite location and hashes of the sources on this machine; uploads ignore this folder
OUT/.cache/huggingface/dvm_strays/        files quarantined by --repair: shards of other plans, foreign Parquet files
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvm_hf.errors import ConfigError, DamagedError, PreparedError
from dvm_hf.prepared.storage.storage import storage_of
from dvm_hf.sources.records import SPLITS

FORMAT = 1  # of checksummed files of a kind that `FORMATS` does not list
PLAN_KIND, MANIFEST_KIND, SIDECAR_KIND = "plan", "manifest", "sidecar"
FORMATS = {PLAN_KIND: 2, MANIFEST_KIND: 2}  # 1: with all clips and sources in these files
CHECKSUM = "seal"
REPAIR = "dvm verify --repair rebuilds it"
CLIP_TABLE = re.compile(r"(?P<split>train|test)-[0-9a-f]{12}\.jsonl")  # in the folder plan
SHARD_FILE = re.compile(r"(?P<split>train|test)-(?P<index>\d{5,})-of-(?P<count>\d{5,})\.(parquet|json)")


class FormerFormat(PreparedError):
    """A file has the format of an earlier release."""


@dataclass(frozen=True)
class PreparedFolder:
    """Paths of the files of one prepared dataset."""

    root: Path

    @property
    def card(self) -> Path:
        return self.root / "README.md"

    @property
    def manifest(self) -> Path:
        return self.root / "manifest.json"

    @property
    def samples(self) -> Path:
        return self.root / "samples.jpg"

    @property
    def croissant(self) -> Path:
        return self.root / "croissant.json"

    @property
    def local_sources(self) -> Path:
        return storage_of(self.root).local_cache(self.root) / "dvm_sources.sqlite"

    @property
    def quarantine(self) -> Path:
        """Folder for files that `--repair` moves out of the dataset."""
        return self.root / ".cache" / "huggingface" / "dvm_strays"

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders of this machine that a build writes to: they may have temporary files."""
        return storage_of(self.root).local_folders(self.root, ("plan", "data", "shards"))

    def plan(self, split: str) -> Path:
        return self.root / "plan" / f"{split}.json"

    def clip_table(self, split: str, digest: str) -> Path:
        """Return the path of the clips of a plan with this digest; another plan has another table."""
        return self.root / "plan" / f"{split}-{digest[:12]}.jsonl"

    def shard(self, split: str, index: int, count: int) -> Path:
        return self.root / "data" / f"{shard_name(split, index, count)}.parquet"

    def sidecar(self, split: str, index: int, count: int) -> Path:
        return self.root / "shards" / f"{shard_name(split, index, count)}.json"

    def planned_splits(self) -> tuple[str, ...]:
        """Return the splits that have a plan file."""
        return tuple(split for split in SPLITS if self.plan(split).is_file())

    def splits(self) -> tuple[str, ...]:
        """Return the splits that have a plan file, or a sidecar of a shard."""
        names = storage_of(self.root).stems(self.root / "shards", ".json")
        found = {shard["split"] for shard in (SHARD_FILE.fullmatch(f"{name}.json") for name in names) if shard}
        return tuple(split for split in SPLITS if split in found or self.plan(split).is_file())


def no_plan(folder: PreparedFolder, split: str | None = None) -> PreparedError:
    """Return the error for a folder without a plan, or without that of a split."""
    return PreparedError(
        f"{folder.root}: has no plan{f' of {split!r}' if split else ''}; run dvm prepare with --plan-only once, before "
        "the job array"
    )


def require_shard(split: str, index: int, num_shards: int) -> None:
    """Raise ConfigError if a split does not have this shard."""
    if not 0 <= index < num_shards:
        raise ConfigError(
            f"shards={index}: the split {split!r} has {num_shards} shards, numbered 0 to {num_shards - 1}; pass shards "
            "in that range (and --config, if the splits have different numbers)"
        )


def shard_name(split: str, index: int, count: int) -> str:
    """Return a shard's name in the convention of the Hub: train-00007-of-00240."""
    return f"{split}-{index:05d}-of-{count:05d}"


def json_bytes(value: Any) -> bytes:
    """Return a value as JSON in a fixed format, so that equal values give equal bytes."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def content_checksum(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an object's JSON."""
    return hashlib.sha256(json_bytes(content)).hexdigest()


def checksummed(content: Mapping[str, Any]) -> bytes:
    """Return an object as a JSON file that contains its own checksum, so that damage can be detected from it alone."""
    return json_bytes({**content, CHECKSUM: content_checksum(content)})


def read_checksummed(path: Path, kind: str) -> dict[str, Any]:
    """Return the object in a checksummed file.

    Raises DamagedError if the file is missing, damaged or of another kind, and PreparedError if it cannot be read or
    has the format of another release.
    """
    try:
        data = path.read_bytes()
        content = json.loads(data)
    except FileNotFoundError as error:
        raise DamagedError(f"{path}: is missing; {REPAIR}") from error
    except OSError as error:
        raise PreparedError(f"{path}: cannot be read ({error.strerror}); fix that, or move it elsewhere") from error
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path}: is damaged: not valid JSON ({error}); {REPAIR}") from error
    if not isinstance(content, dict) or not _is_intact(data, content.pop(CHECKSUM, None)):
        raise DamagedError(f"{path}: is damaged or was edited; {REPAIR}")
    found, expected = content.get("format"), FORMATS.get(str(content.get("kind")), FORMAT)
    if found == FORMAT != expected and content.get("kind") == kind:
        raise FormerFormat(
            f"{path}: has the format {found} of an earlier release, but this one reads {expected}. load_dataset still "
            "loads the folder; to continue, verify or push it, run dvm prepare again with the same options, which "
            "keeps its shards if the plan has the installed versions"
        )
    if found != expected:
        raise PreparedError(f"{path}: has format {found!r}, but this release reads {expected}; use another release")
    if content.get("kind") != kind:
        raise DamagedError(f"{path}: is not a {kind} but a file of the kind {content.get('kind')!r}; {REPAIR}")
    return content


def _is_intact(data: bytes, checksum: Any) -> bool:
    """Whether a file of `checksummed` has its checksum. The object is not written again, which takes longer."""
    end = f',\n "{CHECKSUM}": "{checksum}"\n}}\n'.encode()
    return data.endswith(end) and hashlib.sha256(data.removesuffix(end) + b"\n}\n").hexdigest() == checksum


def read_former(path: Path) -> dict[str, Any]:
    """Return the content of a plan in the format of an earlier release, whose checksum is its digest."""
    content = json.loads(path.read_bytes())
    return {**content, "digest": content.pop(CHECKSUM)}
