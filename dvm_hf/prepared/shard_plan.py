"""What a split's shards shall be: config, clips, sources by content, versions. Written first, compared by every rerun.

A shard's bytes are a pure function of this plan, of its number, and of the bytes of its sources.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from dvm_hf.clips.plan import ClipPlan, Plans, Rendering, clip_seed
from dvm_hf.dataset.builder import DVM
from dvm_hf.dataset.columns import IMAGE_COLUMNS
from dvm_hf.dataset.config import DVMConfig, own_fields, pairs_path, rendering_of, require_valid
from dvm_hf.errors import DamagedError, SourceError
from dvm_hf.prepared.atomic_io import sha256_of
from dvm_hf.prepared.folder import FORMAT, REPAIR, seal, sealed, unsealed
from dvm_hf.prepared.shard_size import Sharding, WantedShards, sharding
from dvm_hf.prepared.source_digests import SourceDigests
from dvm_hf.sources.tree import KINDS, Background, Foreground
from dvm_hf.synthetic.source_tree import MARK
from dvm_hf.versions import versions

# Fields that are no part of a plan: on_error only says whether a build stops, and pairs is the clips themselves.
NOT_PLANNED = ("on_error", "pairs")
KIND = "plan"
ABSOLUTE_PATH = re.compile(r"(?<![\w./-])/(?=\S)[^\n]*?(?=; [a-z]|\n|$)")  # up to the advice: a path may hold anything
FIXED_ORDER = {"kinds": KINDS, "columns": IMAGE_COLUMNS}  # fields whose order changes no row


@dataclass(frozen=True)
class ShardPlan:
    """The plan of one split.

    clips: with the paths of their sources relative to the root. left_out: (name, reason) of what has no clip, with
    on_error="skip". sources: SHA-256 by relative path. pairs: name and SHA-256 of the pair list. drawn: whether the
    sources are the demo's.
    """

    config: DVMConfig
    sharding: Sharding
    clips: tuple[ClipPlan, ...]
    sources: Mapping[str, str]
    versions: Mapping[str, str]
    left_out: tuple[tuple[str, str], ...] = ()
    pairs: tuple[str, str] | None = None
    drawn: bool = False

    @property
    def split(self) -> str:
        return str(self.config.name)

    @property
    def num_shards(self) -> int:
        return self.sharding.num_shards

    def clips_of(self, index: int) -> tuple[ClipPlan, ...]:
        """Clips of a shard: every num_shards-th, so that all shards are alike in size and kind."""
        return self.clips[index :: self.num_shards]

    def content(self) -> dict[str, Any]:
        """The plan as JSON holds it."""
        return {
            "format": FORMAT,
            "kind": KIND,
            "split": self.split,
            "config": planned_fields(self.config),
            "pairs": self.pairs and dict(zip(("name", "sha256"), self.pairs, strict=True)),
            "versions": dict(self.versions),
            "sharding": vars(self.sharding),
            "drawn": self.drawn,
            "left_out": [{"name": name, "reason": reason} for name, reason in self.left_out],
            "clips": [_clip_content(clip) for clip in self.clips],
            "sources": dict(self.sources),
        }

    @cached_property
    def digest(self) -> str:
        """What a shard and its sidecar name their plan by; the seal of the plan's file."""
        return seal(self.content())

    def file_bytes(self) -> bytes:
        return sealed(self.content())


def made_plan(
    config: DVMConfig, planned: Plans, digests: SourceDigests, *, wanted: WantedShards, former: Sharding | None = None
) -> ShardPlan:
    """The plan of a valid config, whose clips are `planned`, as the sources are now.

    `former`: how an earlier plan was cut; kept if it is as wanted, so that nothing is measured again. Raises
    ConfigError or SourceError.
    """
    root = digests.root
    is_kept = former is not None and wanted.met_by(former)
    cut = former if former is not None and is_kept else sharding(wanted, planned.clips, encoding=config.encoding)
    clips = tuple(_relative(clip, root) for clip in planned.clips)
    pairs = None
    if config.pairs is not None:
        path = pairs_path(config)
        pairs = (path.name, sha256_of(path))
    return ShardPlan(
        config=config,
        sharding=cut,
        clips=clips,
        sources=digests.of(path for clip in clips for path in source_paths(clip)),
        versions=current_versions(),
        left_out=tuple((problem.path, without_paths(problem.text, root)) for problem in planned.left_out),
        pairs=pairs,
        drawn=(root / MARK).is_file(),
    )


def current_versions() -> dict[str, str]:
    """Versions of what a plan would be built with here and now."""
    return {"dvm_hf": str(DVM.VERSION), **versions()}


def planned_fields(config: DVMConfig) -> dict[str, Any]:
    """The config fields that a plan holds, by name; lists in their fixed order."""
    fields = {name: getattr(config, name) for name in own_fields() if name not in NOT_PLANNED}
    for name, order in FIXED_ORDER.items():
        fields[name] = [value for value in order if value in fields[name]]
    return fields


def read_plan(path: Path) -> ShardPlan:
    """A plan from its file; raises DamagedError where it is missing or damaged, PreparedError for another format."""
    content = unsealed(path, KIND)
    try:
        return plan_from_content(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"{path}: is not a valid plan ({type(error).__name__}: {error}); {REPAIR}") from error


def plan_from_content(content: Mapping[str, Any]) -> ShardPlan:
    """A plan from what `ShardPlan.content` gave; KeyError, TypeError or ValueError where it did not."""
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
        left_out=tuple((entry["name"], entry["reason"]) for entry in content["left_out"]),
        pairs=content["pairs"] and (content["pairs"]["name"], content["pairs"]["sha256"]),
        drawn=content["drawn"],
    )


def differences(there: ShardPlan, now: ShardPlan) -> list[str]:
    """What has changed from one plan to another, with both values."""
    before, after = there.content(), now.content()
    found = []
    for part in ("config", "versions", "sharding"):
        names = dict.fromkeys([*before[part], *after[part]])
        pairs = [(name, before[part].get(name), after[part].get(name)) for name in names]
        found += [f"{name} was {old!r}, is {new!r}" for name, old, new in pairs if old != new]
    if before["pairs"] != after["pairs"]:
        found.append(f"pairs was {before['pairs']}, is {after['pairs']}")
    found += _changed_sources(there.sources, now.sources)
    ids = [[clip.clip_id for clip in plan.clips] for plan in (there, now)]
    if ids[0] != ids[1]:
        other = sorted(set(ids[0]) ^ set(ids[1]))
        found.append(f"clips were {len(ids[0])}, are {len(ids[1])} ({_few(other) or 'in another order'})")
    rest = [name for name in before if before[name] != after[name]]
    return found or [f"{name} was {before[name]!r}, is {after[name]!r}" for name in rest]


def require_sources(plan: ShardPlan, digests: SourceDigests, clips: tuple[ClipPlan, ...]) -> None:
    """Raise SourceError where a source of these clips has not the bytes that the plan was made of."""
    wanted = {path for clip in clips for path in source_paths(clip)}
    now = digests.of(wanted)
    changed = [path for path in sorted(wanted) if now[path] != plan.sources.get(path)]
    if changed:
        raise SourceError(
            f"{digests.root}: {_few(changed)} changed since the plan was made; restore the file, or prepare into "
            "another folder"
        )


def without_paths(text: str, root: Path) -> str:
    """A text to publish: paths of sources from the root, others not at all, so that it is the same on all machines."""
    for folder in (str(root), os.path.realpath(root)):
        text = text.replace(f"{folder}{os.sep}", "")
    return ABSOLUTE_PATH.sub("…", text)


def source_paths(clip: ClipPlan) -> Iterator[str]:
    """Files of a clip of a plan, relative to the root of the sources."""
    paths = (clip.foreground.colour, clip.foreground.alpha, clip.foreground.trimap, clip.background.path)
    return (path.as_posix() for path in paths if path is not None)


def located(clip: ClipPlan, root: Path) -> ClipPlan:
    """A clip of a plan with the paths of its sources under a root."""
    fg = clip.foreground
    trimap = fg.trimap and root / fg.trimap
    foreground = replace(fg, colour=root / fg.colour, alpha=root / fg.alpha, trimap=trimap)
    return replace(clip, foreground=foreground, background=replace(clip.background, path=root / clip.background.path))


def _relative(clip: ClipPlan, root: Path) -> ClipPlan:
    fg = clip.foreground
    trimap = fg.trimap and fg.trimap.relative_to(root)
    foreground = replace(fg, colour=fg.colour.relative_to(root), alpha=fg.alpha.relative_to(root), trimap=trimap)
    return replace(
        clip, foreground=foreground, background=replace(clip.background, path=clip.background.path.relative_to(root))
    )


def _clip_content(clip: ClipPlan) -> dict[str, Any]:
    fg = clip.foreground
    return {
        "clip_id": clip.clip_id,
        "kind": fg.kind,
        "name": fg.name,
        "colour": fg.colour.as_posix(),
        "alpha": fg.alpha.as_posix(),
        "trimap": fg.trimap and fg.trimap.as_posix(),
        "background": clip.background.path.as_posix(),
    }


def _clip(content: Mapping[str, Any], *, seed: int, rendering: Rendering) -> ClipPlan:
    trimap = content["trimap"] and Path(content["trimap"])
    colour, alpha, background = (Path(content[name]) for name in ("colour", "alpha", "background"))
    foreground = Foreground(content["kind"], content["name"], colour, alpha, trimap)
    return ClipPlan(
        content["clip_id"],
        foreground,
        Background(background.stem, background),
        clip_seed(seed, content["clip_id"]),
        rendering,
    )


def _changed_sources(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    both = before.keys() & after.keys()
    changed = [f"{p} ({before[p][:12]} was, {after[p][:12]} is)" for p in sorted(both) if before[p] != after[p]]
    groups = {
        "sources whose bytes have changed": changed,
        "sources that are gone": sorted(before.keys() - after.keys()),
        "sources that are new": sorted(after.keys() - before.keys()),
    }
    return [f"{name}: {_few(paths)}" for name, paths in groups.items() if paths]


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
