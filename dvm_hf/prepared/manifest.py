"""The manifest of a prepared folder: plans, shards, what was left out, hashes of the other files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dvm_hf.errors import DamagedError
from dvm_hf.prepared.folder import FORMAT, REPAIR, SHARD_FILE, sealed, unsealed
from dvm_hf.prepared.shard_plan import ShardPlan, plan_from_content
from dvm_hf.prepared.shards import PreparedSplit, Recorded, Sidecar

KIND = "manifest"
SHARD_FIELDS = ("file", "rows", "frames", "bytes", "arrow_bytes", "sha256")  # of a sidecar


@dataclass(frozen=True)
class Manifest:
    """What a manifest states. splits: as `described_splits` gives them; files: SHA-256 of card and samples, by name."""

    splits: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, str]

    @cached_property
    def shards(self) -> dict[str, Mapping[str, Any]]:
        """What it says of each shard, by path from the folder: the `SHARD_FIELDS`."""
        return {f"data/{shard['file']}": shard for split in self.splits.values() for shard in split["shards"]}

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file of a whole folder, from it: card and manifest, samples, plans, shards with their sidecars."""
        plans = (f"plan/{split}.json" for split in self.splits)
        pairs = ((path, f"shards/{Path(path).stem}.json") for path in self.shards)
        named = ("README.md", "manifest.json", *sorted(self.files.keys() - {"README.md"}))
        return (*named, *plans, *(path for pair in pairs for path in pair))

    def plan(self, split: str) -> ShardPlan:
        """The plan of a split; raises DamagedError where it is none of this release."""
        try:
            return plan_from_content(self.splits[split]["plan"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            text = f"manifest.json: its plan of {split} is not valid ({type(error).__name__}: {error}); {REPAIR}"
            raise DamagedError(text) from error

    def agrees_with(self, sidecar: Sidecar) -> bool:
        """Whether it says the same of a shard, where it tells of that shard and plan at all."""
        stated = self.shards.get(f"data/{sidecar.file}")
        if stated is None or not any(split["plan_seal"] == sidecar.plan for split in self.splits.values()):
            return True
        return stated == shard_fields(sidecar)

    def recorded(self, plan: ShardPlan, index: int) -> Recorded | None:
        """What it says that a shard of a plan must become; None where it tells of another plan."""
        split = self.splits.get(plan.split)
        if split is None or split["plan_seal"] != plan.digest or index >= len(split["shards"]):
            return None
        left_out = frozenset(entry["name"] for entry in split["left_out"])
        return Recorded(split["shards"][index]["sha256"], left_out)

    def content(self) -> dict[str, Any]:
        """The manifest as JSON holds it."""
        return {"format": FORMAT, "kind": KIND, "splits": dict(self.splits), "files": dict(self.files)}

    def file_bytes(self) -> bytes:
        return sealed(self.content())


def read_manifest(path: Path) -> Manifest:
    """A manifest from its file; raises DamagedError where it is missing or damaged, else PreparedError."""
    content = unsealed(path, KIND)
    try:
        return manifest_from_content(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"{path}: is not a valid manifest ({type(error).__name__}: {error}); {REPAIR}") from error


def manifest_from_content(content: Any) -> Manifest:
    """A manifest from what `Manifest.content` gave; KeyError, TypeError, ValueError or AttributeError where it did not.

    Plans are left as they are: those of another release are none of this one's.
    """
    if content["kind"] != KIND:
        raise ValueError(f"its kind is {content['kind']!r}")
    for split, described in content["splits"].items():
        for shard in described["shards"]:
            name = SHARD_FILE.fullmatch(shard["file"])
            if name is None or name["split"] != split or not isinstance(shard["sha256"], str):
                raise ValueError(f"{shard['file']!r} is not a shard of {split!r}")
            int(shard["bytes"])
        required = (described["plan_seal"], described["plan"], [entry["name"] for entry in described["left_out"]])
        if None in required:
            raise ValueError(f"it lacks parts of {split!r}")
    if not any(described["shards"] for described in content["splits"].values()):
        raise ValueError("it states no shards")
    if not {"README.md"} <= content["files"].keys() or any("/" in name for name in content["files"]):
        raise ValueError("its files are not those of a folder")
    return Manifest(content["splits"], content["files"])


def described_splits(splits: Sequence[PreparedSplit]) -> dict[str, Any]:
    """The part of a manifest that is about shards."""
    described = {}
    for split in splits:
        totals = {"rows": "rows", "frames": "frames", "bytes": "file_size", "arrow_bytes": "arrow_size"}
        described[split.plan.split] = {
            **{name: split.total(what) for name, what in totals.items()},
            "left_out": [{"name": name, "reason": reason} for name, reason in split.left_out],
            "shards": [shard_fields(sidecar) for sidecar in split.sidecars],
            "plan_seal": split.plan.digest,
            "plan": split.plan.content(),
        }
    return described


def shard_fields(sidecar: Sidecar) -> dict[str, Any]:
    """What a manifest says of a shard."""
    content = sidecar.content()
    return {name: content[name] for name in SHARD_FIELDS}
