"""The manifest of a prepared folder: plans without clips, shards, skipped sources and clips, hashes of other files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dvm_hf.dataset.content_digest import split_digest
from dvm_hf.errors import DamagedError
from dvm_hf.prepared.folder import (
    FORMATS,
    MANIFEST_KIND,
    REPAIR,
    SHARD_FILE,
    PreparedFolder,
    checksummed,
    read_checksummed,
)
from dvm_hf.prepared.plans.stored_plan import StoredPlan, entries_of, require_header
from dvm_hf.prepared.shards import Recorded, Sidecar
from dvm_hf.sources.records import Entry

SHARD_FIELDS = ("file", "rows", "frames", "bytes", "arrow_bytes", "sha256")  # of a sidecar


@dataclass(frozen=True)
class PreparedSplit:
    """A split whose shards are all built."""

    plan: StoredPlan
    sidecars: tuple[Sidecar, ...]

    def total(self, what: str) -> int:
        """Return the sum of rows, frames, arrow_size or file_size over the shards."""
        return sum(int(getattr(sidecar, what)) for sidecar in self.sidecars)

    @property
    def skipped(self) -> tuple[tuple[str, str], ...]:
        """(name, reason) of skipped sources and of completely or partly skipped clips."""
        return self.plan.skipped + tuple(entry for sidecar in self.sidecars for entry in sidecar.skipped)

    @property
    def digests(self) -> dict[str, str]:
        """The content digests of clips by clip_id, sorted; empty if a version without digests built a shard."""
        if not all(sidecar.has_digests for sidecar in self.sidecars):
            return {}
        return dict(sorted(pair for sidecar in self.sidecars for pair in sidecar.digests.items()))


@dataclass(frozen=True)
class Manifest:
    """The contents of a manifest. splits: see `described_splits`. files: SHA-256 of card and samples by name."""

    splits: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, str]

    @cached_property
    def shards(self) -> dict[str, Mapping[str, Any]]:
        """The `SHARD_FIELDS` of each shard, by its path relative to the folder."""
        return {f"data/{shard['file']}": shard for split in self.splits.values() for shard in split["shards"]}

    @property
    def paths(self) -> tuple[str, ...]:
        """Relative paths of all files of a complete folder: card, manifest, samples, plans, shards and sidecars."""
        folder = PreparedFolder(Path())
        plans = (folder.plan(split).as_posix() for split in self.splits)
        digests = {split: described["plan"].get("digest") for split, described in self.splits.items()}
        tables = (folder.clip_table(split, digest).as_posix() for split, digest in digests.items() if digest)
        pairs = ((path, f"shards/{Path(path).stem}.json") for path in self.shards)
        named = ("README.md", "manifest.json", *sorted(self.files.keys() - {"README.md"}))
        return (*named, *plans, *tables, *(path for pair in pairs for path in pair))

    def entries(self, split: str) -> tuple[Entry, ...]:
        """Return the entries of a split's sources."""
        return entries_of(self.splits[split]["plan"])

    def agrees_with(self, sidecar: Sidecar) -> bool:
        """Whether a sidecar matches the manifest; True if the manifest does not list its shard or plan."""
        recorded = self.shards.get(f"data/{sidecar.file}")
        if recorded is None or not any(split["plan_seal"] == sidecar.plan for split in self.splits.values()):
            return True
        return recorded == shard_fields(sidecar)

    def recorded(self, plan: StoredPlan, index: int) -> Recorded | None:
        """Return the recorded state of a shard of a plan; None if the manifest has another plan."""
        split = self.splits.get(plan.split)
        if split is None or split["plan_seal"] != plan.digest or index >= len(split["shards"]):
            return None
        skipped = frozenset(entry["name"] for entry in split["left_out"])
        return Recorded(split["shards"][index]["sha256"], skipped)

    def content(self) -> dict[str, Any]:
        """Return the manifest as a JSON object."""
        return {
            "format": FORMATS[MANIFEST_KIND],
            "kind": MANIFEST_KIND,
            "splits": dict(self.splits),
            "files": dict(self.files),
        }

    def file_bytes(self) -> bytes:
        return checksummed(self.content())


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; raises DamagedError if it is missing or damaged, PreparedError if it cannot be read."""
    content = read_checksummed(path, MANIFEST_KIND)
    try:
        return manifest_from_content(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"{path}: is not a valid manifest ({type(error).__name__}: {error}); {REPAIR}") from error


def manifest_from_content(content: Any) -> Manifest:
    """Parse the result of `Manifest.content`.

    Raises KeyError, TypeError, ValueError or AttributeError if it is not valid.
    """
    if content["kind"] != MANIFEST_KIND:
        raise ValueError(f"its kind is {content['kind']!r}")
    for split, described in content["splits"].items():
        for shard in described["shards"]:
            name = SHARD_FILE.fullmatch(shard["file"])
            if name is None or name["split"] != split or not isinstance(shard["sha256"], str):
                raise ValueError(f"{shard['file']!r} is not a shard of {split!r}")
            int(shard["bytes"])
        if content["format"] == FORMATS[MANIFEST_KIND]:  # the manifest of an earlier push may have a former one
            require_header(described["plan"])
            if described["plan"]["digest"] != described["plan_seal"]:
                raise ValueError(f"its plans of {split!r} differ")
        required = (described["plan_seal"], described["plan"], [entry["name"] for entry in described["left_out"]])
        if None in required:
            raise ValueError(f"it lacks parts of {split!r}")
    if not any(described["shards"] for described in content["splits"].values()):
        raise ValueError("it lists no shards")
    if not {"README.md"} <= content["files"].keys() or any("/" in name for name in content["files"]):
        raise ValueError("its list of files is not that of a prepared folder")
    return Manifest(content["splits"], content["files"])


def described_splits(splits: Sequence[PreparedSplit]) -> dict[str, Any]:
    """Return the splits as a manifest lists them."""
    described = {}
    for split in splits:
        totals = {"rows": "rows", "frames": "frames", "bytes": "file_size", "arrow_bytes": "arrow_size"}
        described[split.plan.split] = {
            **{name: split.total(what) for name, what in totals.items()},
            "left_out": [{"name": name, "reason": reason} for name, reason in split.skipped],
            "shards": [shard_fields(sidecar) for sidecar in split.sidecars],
            "plan_seal": split.plan.digest,
            "plan": dict(split.plan.content),
        } | _digests(split)
    return described


def _digests(split: PreparedSplit) -> dict[str, Any]:
    clips = split.digests
    return {"digest": split_digest(clips), "digests": clips} if clips else {}


def shard_fields(sidecar: Sidecar) -> dict[str, Any]:
    """Return the entry of a shard in a manifest."""
    content = sidecar.content()
    return {name: content[name] for name in SHARD_FIELDS}
