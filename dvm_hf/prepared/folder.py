"""A folder of prepared shards: where its files lie, and how its JSON is written.

OUT/README.md                             dataset card: a true one is written last, until then one that names no data
OUT/manifest.json                         what all of it is, written before the card
OUT/samples.jpg                           some frames, for the card
OUT/plan/train.json                       what shall be made, written first
OUT/data/train-00007-of-00240.parquet     a shard
OUT/shards/train-00007-of-00240.json      its sidecar: what it holds and how its bytes hash
OUT/.cache/huggingface/dvm_sources.json   where the sources are on this machine; uploads leave this folder out
OUT/.cache/huggingface/dvm_strays/        what --repair has put aside: others' shards and Parquet files
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvm_hf.errors import DamagedError, PreparedError
from dvm_hf.sources.tree import SPLITS

FORMAT = 1  # of every sealed file
SEAL = "seal"
REPAIR = "dvm verify --repair rebuilds it"
SHARD_FILE = re.compile(r"(?P<split>train|test)-(?P<index>\d{5,})-of-(?P<count>\d{5,})\.(parquet|json)")


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
    def local_sources(self) -> Path:
        return self.root / ".cache" / "huggingface" / "dvm_sources.json"

    @property
    def strays(self) -> Path:
        """Where `--repair` puts whole shards of other plans."""
        return self.root / ".cache" / "huggingface" / "dvm_strays"

    @property
    def folders(self) -> tuple[Path, ...]:
        """Every folder that is written into."""
        return (self.root, *(self.root / name for name in ("plan", "data", "shards")), self.local_sources.parent)

    def plan(self, split: str) -> Path:
        return self.root / "plan" / f"{split}.json"

    def shard(self, split: str, index: int, count: int) -> Path:
        return self.root / "data" / f"{shard_name(split, index, count)}.parquet"

    def sidecar(self, split: str, index: int, count: int) -> Path:
        return self.root / "shards" / f"{shard_name(split, index, count)}.json"

    def planned_splits(self) -> tuple[str, ...]:
        """Splits that have a plan here."""
        return tuple(split for split in SPLITS if self.plan(split).is_file())


def shard_name(split: str, index: int, count: int) -> str:
    """As the Hub names shards: train-00007-of-00240."""
    return f"{split}-{index:05d}-of-{count:05d}"


def json_bytes(value: Any) -> bytes:
    """The one way JSON is written here: the same value, the same bytes."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode("utf-8")


def seal(content: Mapping[str, Any]) -> str:
    """SHA-256 of an object's JSON."""
    return hashlib.sha256(json_bytes(content)).hexdigest()


def sealed(content: Mapping[str, Any]) -> bytes:
    """A file of an object, its seal in it, so that a changed byte shows without any other file."""
    return json_bytes({**content, SEAL: seal(content)})


def unsealed(path: Path, kind: str) -> dict[str, Any]:
    """The object in a sealed file.

    Raises DamagedError where the file is missing, not as it was sealed or of another kind, and PreparedError where it
    cannot be read or is of another release.
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
    content = {name: value for name, value in content.items() if name != SEAL} if isinstance(content, dict) else {}
    if data != sealed(content):
        raise DamagedError(f"{path}: is damaged or was edited; {REPAIR}")
    if content.get("format") != FORMAT:
        raise PreparedError(
            f"{path}: has format {content.get('format')!r}, but this release reads {FORMAT}; use another release"
        )
    if content.get("kind") != kind:
        raise DamagedError(f"{path}: is not a {kind} but a file of the kind {content.get('kind')!r}; {REPAIR}")
    return content
