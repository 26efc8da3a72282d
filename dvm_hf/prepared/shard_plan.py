"""The plan of a split's shards: config, clips, source hashes, versions. Written first; every rerun compares it.

A shard's bytes are a pure function of this plan, the shard's index, and the bytes of its sources.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from dvm_hf.clips.plan import ClipPlan, Plans, Rendering, clip_seed
from dvm_hf.clips.straight_colours import estimation_versions
from dvm_hf.dataset.builder import DVM
from dvm_hf.dataset.columns import IMAGE_COLUMNS
from dvm_hf.dataset.config import DVMConfig, own_fields, pairs_path, rendering_of, require_valid
from dvm_hf.dataset.encoders import encoder_versions
from dvm_hf.dataset.features import features_of, file_schema
from dvm_hf.errors import DamagedError
from dvm_hf.prepared.atomic_io import sha256_of
from dvm_hf.prepared.folder import FORMAT, PLAN_KIND, REPAIR, checksummed, content_checksum, read_checksummed
from dvm_hf.prepared.shard_size import Sharding, WantedShards, sharding
from dvm_hf.prepared.shards import PlannedShard
from dvm_hf.prepared.source_digests import SourceDigests
from dvm_hf.prepared.source_paths import relative, source_paths, unrooted, without_paths
from dvm_hf.sources.records import KINDS, Background, Entry, Foreground
from dvm_hf.synthetic.source_tree import MARK
from dvm_hf.versions import versions
from dvm_hf.wording import first_few

# Fields that a plan omits: on_error only decides whether a build stops; the clips already represent pairs and layout.
NOT_PLANNED = ("on_error", "pairs", "layout")
FIXED_ORDER = {"kinds": KINDS, "columns": IMAGE_COLUMNS}  # fields whose order changes no row


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

    def shard(self, index: int) -> PlannedShard:
        """Return a shard: all that a process needs to build it."""
        clips = self.clips_of(index)
        paths = {path for clip in clips for path in source_paths(clip)} & self.sources.keys()
        sources = {path: self.sources[path] for path in sorted(paths)}
        return PlannedShard(
            split=self.split,
            index=index,
            num_shards=self.num_shards,
            plan=self.digest,
            clips=clips,
            sources=sources,
            encoding=self.config.encoding,
            schema=self.schema.serialize().to_pybytes(),
        )

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the rows."""
        return file_schema(features_of(self.config))

    def content(self) -> dict[str, Any]:
        """Return the plan as a JSON object."""
        return {
            "format": FORMAT,
            "kind": PLAN_KIND,
            "split": self.split,
            "config": planned_fields(self.config),
            "pairs": self.pairs and dict(zip(("name", "sha256"), self.pairs, strict=True)),
            "versions": dict(self.versions),
            "sharding": vars(self.sharding),
            "drawn": self.drawn,
            "left_out": [{"name": name, "reason": reason} for name, reason in self.skipped],
            "clips": [_clip_content(clip) for clip in self.clips],
            "sources": dict(self.sources),
        } | ({"entries": [vars(entry) for entry in self.entries]} if self.entries else {})

    @cached_property
    def digest(self) -> str:
        """The checksum of the plan's file, by which shards and sidecars identify their plan."""
        return content_checksum(self.content())

    def file_bytes(self) -> bytes:
        return checksummed(self.content())


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
    clips = tuple(relative(clip, root) for clip in planned.clips)
    pairs = None
    if config.pairs is not None:
        path = pairs_path(config)
        pairs = (path.name, sha256_of(path))
    return ShardPlan(
        config=config,
        sharding=chosen,
        clips=clips,
        sources=digests.of(path for clip in clips for path in source_paths(clip)),
        versions=current_versions()
        | estimation_versions(clip.foreground for clip in clips)
        | encoder_versions(config.encoding),
        skipped=tuple((unrooted(problem.path), without_paths(problem.text, root)) for problem in planned.skipped),
        pairs=pairs,
        drawn=all((root / entry.path / MARK).is_file() for entry in planned.entries),
        entries=_planned_entries(planned.entries),
    )


def current_versions() -> dict[str, str]:
    """Return the versions of the package and libraries that a build would use now."""
    return {"dvm_hf": str(DVM.VERSION), **versions()}


def planned_fields(config: DVMConfig) -> dict[str, Any]:
    """Return the config fields of a plan by name, with lists in their fixed order."""
    fields = {name: getattr(config, name) for name in own_fields() if name not in NOT_PLANNED}
    for name, order in FIXED_ORDER.items():
        fields[name] = [value for value in order if value in fields[name]]
    return fields


def read_plan(path: Path) -> ShardPlan:
    """Read a plan; raises DamagedError if it is missing or damaged, PreparedError if it has another format."""
    content = read_checksummed(path, PLAN_KIND)
    try:
        return plan_from_content(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"{path}: is not a valid plan ({type(error).__name__}: {error}); {REPAIR}") from error


def plan_from_content(content: Mapping[str, Any]) -> ShardPlan:
    """Parse the result of `ShardPlan.content`; raises KeyError, TypeError or ValueError if it is not valid."""
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in content["config"].items()
    }
    config = DVMConfig(name=content["split"], version=DVM.VERSION, **fields)
    require_valid(config)
    rendering = rendering_of(config)
    return ShardPlan(
        config=config,
        sharding=Sharding(**content["sharding"]),
        clips=tuple(_clip(clip, seed=config.seed, rendering=rendering) for clip in content["clips"]),
        sources=content["sources"],
        versions=content["versions"],
        skipped=tuple((entry["name"], entry["reason"]) for entry in content["left_out"]),
        pairs=content["pairs"] and (content["pairs"]["name"], content["pairs"]["sha256"]),
        drawn=content["drawn"],
        entries=tuple(Entry(**entry) for entry in content.get("entries", ())),
    )


def differences(former: ShardPlan, current: ShardPlan) -> list[str]:
    """Return the differences between two plans, with both values."""
    before, after = former.content(), current.content()
    found = []
    for part in ("config", "versions", "sharding"):
        names = dict.fromkeys([*before[part], *after[part]])
        pairs = [(name, before[part].get(name), after[part].get(name)) for name in names]
        found += [f"{name} was {old!r}, is {new!r}" for name, old, new in pairs if old != new]
    if before["pairs"] != after["pairs"]:
        found.append(f"pairs was {before['pairs']}, is {after['pairs']}")
    found += _changed_sources(former.sources, current.sources)
    ids = [[clip.clip_id for clip in plan.clips] for plan in (former, current)]
    if ids[0] != ids[1]:
        other = sorted(set(ids[0]) ^ set(ids[1]))
        found.append(f"clips were {len(ids[0])}, are {len(ids[1])} ({first_few(other) or 'in a different order'})")
    rest = [name for name in before if before[name] != after[name]]
    return found or [f"{name} was {before[name]!r}, is {after[name]!r}" for name in rest]


def _clip_content(clip: ClipPlan) -> dict[str, Any]:
    """Return a clip as a JSON object. It has the keys of `_usual` only if their values differ from the usual ones."""
    fg, usual = clip.foreground, _usual(clip.background.path)
    more = {
        "background_name": clip.background.name,
        "colours": fg.colours,
        "foreground_entry": fg.entry,
        "background_entry": clip.background.entry,
    }
    return {
        "clip_id": clip.clip_id,
        "kind": fg.kind,
        "name": fg.name,
        "colour": fg.colour.as_posix(),
        "alpha": fg.alpha.as_posix(),
        "trimap": fg.trimap and fg.trimap.as_posix(),
        "background": clip.background.path.as_posix(),
    } | {name: value for name, value in more.items() if value != usual[name]}


def _clip(content: Mapping[str, Any], *, seed: int, rendering: Rendering) -> ClipPlan:
    trimap = content["trimap"] and Path(content["trimap"])
    colour, alpha, background = (Path(content[name]) for name in ("colour", "alpha", "background"))
    more = {**_usual(background), **content}
    foreground = Foreground(
        content["kind"], content["name"], colour, alpha, trimap, more["colours"], more["foreground_entry"]
    )
    return ClipPlan(
        content["clip_id"],
        foreground,
        Background(more["background_name"], background, more["background_entry"]),
        clip_seed(seed, content["clip_id"]),
        rendering,
    )


def _usual(background: Path) -> dict[str, Any]:
    """Return what a clip of a folder in the DVM layout has, and its plan omits, as plans did before sources files."""
    return {
        "background_name": background.stem,
        "colours": "straight",
        "foreground_entry": 0,
        "background_entry": 0,
    }


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
