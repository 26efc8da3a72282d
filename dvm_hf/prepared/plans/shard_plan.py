"""Make the plan of a split's shards: config, clips, source hashes, versions. Written first; every rerun compares it.

A shard's bytes are a pure function of this plan, the shard's index, and the bytes of its sources.
"""

import base64
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

from dvm_hf.clips.plan import ClipPlan, Plans
from dvm_hf.clips.straight_colours import estimation_versions
from dvm_hf.dataset.builder import DVM
from dvm_hf.dataset.columns import COLUMNS
from dvm_hf.dataset.config import (
    LATER_FIELDS,
    DVMConfig,
    field_values,
    pairs_path,
    require_valid,
    with_canonical_effects,
)
from dvm_hf.dataset.encoders import encoder_versions
from dvm_hf.dataset.features import features_of, file_schema
from dvm_hf.prepared.atomic_io import sha256_of
from dvm_hf.prepared.folder import FORMATS, PLAN_KIND, PreparedFolder, checksummed
from dvm_hf.prepared.plans.indexed_lines import write_indexed
from dvm_hf.prepared.plans.plan_clips import PLAIN, ClipTexts, content_digest, shard_line
from dvm_hf.prepared.plans.shard_size import Sharding, WantedShards, sharding
from dvm_hf.prepared.plans.stored_plan import StoredPlan
from dvm_hf.prepared.source_digests import SourceDigests
from dvm_hf.prepared.source_paths import relative_clips, unrooted, without_paths
from dvm_hf.prepared.storage.storage import storage_of
from dvm_hf.sources.folder_scan import has_file
from dvm_hf.sources.records import KINDS, Entry
from dvm_hf.synthetic.source_tree import MARK
from dvm_hf.versions import versions
from dvm_hf.wording import first_few

# Fields that a plan omits: on_error only decides whether a build stops; the clips already represent pairs and layout.
NOT_PLANNED = ("on_error", "pairs", "layout")
DIGEST_FORMAT = 1  # of the object whose SHA-256 is a plan's digest: another one would change the bytes of all shards
DERIVED = ("digest", "table", "counts", "schema")  # parts of a header that others determine
FIXED_ORDER = {"kinds": KINDS, "columns": COLUMNS}  # fields whose order changes no row


@dataclass(frozen=True)
class ShardPlan:
    """The plan of one split.

    clips: with source paths relative to the root. skipped: (name, reason) of skipped sources or pair lines, if
    on_error="skip". sources: SHA-256 by relative path. pairs: name and SHA-256 of the pair list. drawn: whether the
    sources are the demo's synthetic ones. entries: those of a sources file; empty for a folder in the DVM layout.
    """

    config: DVMConfig
    sharding: Sharding
    clips: tuple[ClipPlan, ...]
    sources: Mapping[str, str]
    versions: Mapping[str, str]
    skipped: tuple[tuple[str, str], ...] = ()
    pairs: tuple[str, str] | None = None
    drawn: bool = False
    entries: tuple[Entry, ...] = ()

    @property
    def split(self) -> str:
        return str(self.config.name)

    @property
    def num_shards(self) -> int:
        return self.sharding.num_shards

    def clips_of(self, index: int) -> tuple[ClipPlan, ...]:
        """Return the clips of a shard: every num_shards-th clip, so that shards are similar in size and kind."""
        return self.clips[index :: self.num_shards]

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the plan as one JSON object, by which shards and sidecars identify their plan.

        It does not depend on how the plan is stored.
        """
        content = self._content() | {"format": DIGEST_FORMAT, "clips": None, "sources": None} | self._entries()
        return content_digest(content, self.clips, self.sources)

    def header(self, table: str) -> dict[str, Any]:
        """Return the plan without clips and sources as a JSON object. table: SHA-256 of the table of clips."""
        foregrounds = {(one.kind, one.name) for clip in self.clips for one in clip.foregrounds}
        counts = {
            "clips": len(self.clips),
            "images": sum(kind == "image" for kind, _ in foregrounds),
            "videos": sum(kind == "video" for kind, _ in foregrounds),
            "backgrounds": len({clip.background.name for clip in self.clips}),
            "sources": len(self.sources),
        }
        schema = base64.b64encode(file_schema(features_of(self.config)).serialize().to_pybytes()).decode("ascii")
        return {
            **self._content(),
            **self._entries(),
            "counts": counts,
            "schema": schema,
            "digest": self.digest,
            "table": table,
        }

    def write(self, folder: PreparedFolder, *, replaces_former: bool = False) -> None:
        """Write the table of clips and then the header, unless the folder has a header for this split.

        replaces_former: whether to replace the header, because it is this plan's in the format of an earlier release.
        """
        table, storage = folder.clip_table(self.split, self.digest), storage_of(folder.root)
        with storage.new_file(table, replaces=True) as temporary, temporary.open("wb") as file:
            write_indexed(file, self._lines(), self.num_shards)
            file.flush()
            content = self.header(sha256_of(temporary))
        make = storage.write if replaces_former else storage.create
        make(folder.plan(self.split), checksummed(content))

    def _lines(self) -> Iterator[bytes]:
        texts = ClipTexts(PLAIN)
        for index in range(self.num_shards):
            yield shard_line(self.digest, index, self.clips_of(index), self.sources, texts)

    def _content(self) -> dict[str, Any]:
        return {
            "format": FORMATS[PLAN_KIND],
            "kind": PLAN_KIND,
            "split": self.split,
            "config": planned_fields(self.config),
            "pairs": self.pairs and dict(zip(("name", "sha256"), self.pairs, strict=True)),
            "versions": dict(self.versions),
            "sharding": vars(self.sharding),
            "drawn": self.drawn,
            "left_out": [{"name": name, "reason": reason} for name, reason in self.skipped],
        }

    def _entries(self) -> dict[str, Any]:
        return {"entries": [vars(entry) for entry in self.entries]} if self.entries else {}


def made_plan(
    config: DVMConfig, planned: Plans, digests: SourceDigests, *, wanted: WantedShards, former: Sharding | None = None
) -> ShardPlan:
    """Return the plan of a valid config with the clips `planned`, for the current sources.

    `former`: the sharding of an earlier plan. It is kept if it meets `wanted`, so that sizes are not estimated again.
    Raises ConfigError or SourceError.
    """
    root = digests.root
    is_kept = former is not None and wanted.met_by(former)
    chosen = former if former is not None and is_kept else sharding(wanted, planned.clips, encoding=config.encoding)
    clips = relative_clips(planned.clips, root)
    pairs = None
    if config.pairs is not None:
        path = pairs_path(config)
        pairs = (path.name, sha256_of(path))
    return ShardPlan(
        config=config,
        sharding=chosen,
        clips=clips,
        sources=digests.of(ClipTexts(PLAIN).paths(clips)),
        versions=current_versions()
        | estimation_versions(one for clip in clips for one in clip.foregrounds)
        | encoder_versions(config.encoding, config.camera),
        skipped=tuple((unrooted(problem.path), without_paths(problem.text, root)) for problem in planned.skipped),
        pairs=pairs,
        drawn=all(has_file(root / entry.path / MARK) for entry in planned.entries),
        entries=_planned_entries(planned.entries),
    )


def current_versions() -> dict[str, str]:
    """Return the versions of the package and libraries that a build would use now."""
    return {"dvm_hf": str(DVM.VERSION), **versions()}


def planned_fields(config: DVMConfig) -> dict[str, Any]:
    """Return the config fields of a plan by name, with lists in their fixed order."""
    return as_planned(field_values(config))


def as_planned(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of some config fields that a plan has, with lists and effects in their fixed order."""
    planned = {
        name: value
        for name, value in fields.items()
        if name not in NOT_PLANNED and (name not in LATER_FIELDS or value != getattr(DVMConfig, name))
    }
    for name in planned.keys() & FIXED_ORDER.keys():
        planned[name] = [value for value in FIXED_ORDER[name] if value in planned[name]]
    return with_canonical_effects(planned)


def planned_config(plan: StoredPlan) -> DVMConfig:
    """Return the config of a plan; raises ConfigError if this release does not allow it."""
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in plan.fields.items()
    }
    config = DVMConfig(name=plan.split, version=DVM.VERSION, **fields)
    require_valid(config)
    return config


def whole_plan(stored: StoredPlan) -> ShardPlan:
    """Read the clips and sources of all shards; raises the errors of `StoredPlan.shard`."""
    shards = [stored.shard(index) for index in range(stored.num_shards)]
    sources = {path: digest for shard in shards for path, digest in shard.sources.items()}
    clips = (clip for group in zip_longest(*(shard.clips for shard in shards)) for clip in group if clip is not None)
    return ShardPlan(
        config=planned_config(stored),
        sharding=Sharding(**stored.content["sharding"]),
        clips=tuple(clips),
        sources=dict(sorted(sources.items())),
        versions=stored.versions,
        skipped=stored.skipped,
        pairs=(stored.pairs["name"], stored.pairs["sha256"]) if stored.pairs else None,
        drawn=stored.drawn,
        entries=stored.entries,
    )


def replanned_fields(config: DVMConfig) -> str:
    """Return the fields that a plan omits, as JSON: a repair needs them, and the plan's header, to plan once more."""
    fields = {name: getattr(config, name) for name in NOT_PLANNED}
    if config.pairs is not None:
        fields["pairs"] = os.path.abspath(pairs_path(config))
    return json.dumps(fields)


def replanned_config(plan: StoredPlan, fields: str, *, data_dir: Path) -> DVMConfig:
    """Return the config that a plan was made from, for these sources. fields: `replanned_fields`."""
    config = planned_config(plan)
    config.data_dir = str(data_dir)
    for name, value in json.loads(fields).items():
        setattr(config, name, value)
    require_valid(config)
    return config


def differences(former: ShardPlan, current: ShardPlan) -> list[str]:
    """Return the differences between two plans, with both values."""
    before, after = former.header(""), current.header("")
    found = header_differences(before, after) + _changed_sources(former.sources, current.sources)
    ids = [[clip.clip_id for clip in plan.clips] for plan in (former, current)]
    if ids[0] != ids[1]:
        other = sorted(set(ids[0]) ^ set(ids[1]))
        found.append(f"clips were {len(ids[0])}, are {len(ids[1])} ({first_few(other) or 'in a different order'})")
    rest = [name for name in before if name not in DERIVED and before[name] != after.get(name)]
    return found or [f"{name} was {before[name]!r}, is {after.get(name)!r}" for name in rest]


def header_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the differences between config, versions, sharding and pair list of two plans, with both values."""
    found = []
    for part in ("config", "versions", "sharding"):
        names = dict.fromkeys([*before[part], *after[part]])
        later = {name: getattr(DVMConfig, name) for name in LATER_FIELDS} if part == "config" else {}
        pairs = [(name, *((later | one[part]).get(name) for one in (before, after))) for name in names]
        found += [f"{name} was {old!r}, is {new!r}" for name, old, new in pairs if old != new]
    if before["pairs"] != after["pairs"]:
        found.append(f"pairs was {before['pairs']}, is {after['pairs']}")
    return found


def _planned_entries(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return the entries of a plan: none for a folder in the DVM layout, whose plans are as before sources files."""
    is_dvm = len(entries) == 1 and not entries[0].name and entries[0].layout == "dvm"
    return () if is_dvm else tuple(replace(entry, path=unrooted(entry.path)) for entry in entries)


def _changed_sources(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    both = before.keys() & after.keys()
    changed = [f"{p} (was {before[p][:12]}, is {after[p][:12]})" for p in sorted(both) if before[p] != after[p]]
    groups = {
        "changed sources": changed,
        "removed sources": sorted(before.keys() - after.keys()),
        "new sources": sorted(after.keys() - before.keys()),
    }
    return [f"{name}: {first_few(paths)}" for name, paths in groups.items() if paths]
