"""Choose the number of shards of a split: as requested, or by size as estimated from a few of its clips."""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from datasets.utils import tqdm

from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.scene import Scene
from dvm_hf.clips.windows import planned_windows, render
from dvm_hf.dataset.columns import frame_collector, frame_encoder, stored_bytes
from dvm_hf.errors import ConfigError, SourceError

DEFAULT_SHARD_SIZE = 500_000_000  # bytes
SAMPLED_CLIPS, SAMPLED_FRAMES, MAX_SAMPLED_FRAMES = 8, 4, 16
SAFETY = 1.1  # shards vary in size; the largest should not exceed the limit by much
ROUND = 8  # larger numbers of shards are multiples of this, so that nodes and workers can share them equally


@dataclass(frozen=True)
class Sharding:
    """The sharding of a split. max_shard_size: bytes; None if the number was given. bytes_per_clip: the estimate."""

    num_shards: int
    max_shard_size: int | None = None
    bytes_per_clip: int | None = None


@dataclass(frozen=True)
class WantedShards:
    """The user's options. Without either, an existing plan keeps its sharding; otherwise DEFAULT_SHARD_SIZE applies."""

    num_shards: int | None = None
    max_shard_size: int | None = None

    def met_by(self, sharding: Sharding) -> bool:
        """Whether a plan has the requested sharding."""
        if self.num_shards is not None:
            return sharding.max_shard_size is None and sharding.num_shards == self.num_shards
        return self.max_shard_size in (None, sharding.max_shard_size)


def sharding(wanted: WantedShards, clips: Sequence[ClipPlan], *, encoding: str) -> Sharding:
    """Return the sharding of clips as requested; raises ConfigError if there are fewer clips than shards."""
    if wanted.num_shards is not None:
        if not 1 <= wanted.num_shards <= len(clips):
            raise ConfigError(
                f"num_shards={wanted.num_shards}: a shard contains at least one clip, and there are only {len(clips)}; "
                f"num_shards must be from 1 to {len(clips)}"
            )
        return Sharding(wanted.num_shards)
    limit = wanted.max_shard_size or DEFAULT_SHARD_SIZE
    each = bytes_per_clip(clips, encoding=encoding)
    count = math.ceil(len(clips) * each * SAFETY / limit)
    if count > ROUND:
        count = math.ceil(count / ROUND) * ROUND
    return Sharding(min(max(count, 1), len(clips)), limit, each)


def bytes_per_clip(clips: Sequence[ClipPlan], *, encoding: str) -> int:
    """Estimate the mean bytes of a clip's rows from a few frames of some evenly spaced clips.

    Clips that cannot be rendered are skipped; the build reports them. Raises the last clip's SourceError if none can
    be rendered.
    """
    sizes, fault = [], None
    count = min(SAMPLED_CLIPS, len(clips))
    chosen = [clips[position * len(clips) // count] for position in range(count)]
    for clip in tqdm(chosen, desc="Estimating shard sizes", unit=" clips", delay=2):
        try:
            sizes.append(_clip_bytes(clip, encoding=encoding))
        except SourceError as error:
            fault = error
    if not sizes and fault is not None:
        raise fault
    return round(sum(sizes) / len(sizes))


def require_window(clips: Sequence[ClipPlan], *, split: str) -> None:
    """Raise ConfigError if all clips are too short for a window; renders nothing.

    Returns without a check if a clip cannot be opened, because the build reports that.
    """
    longest = 0
    for clip in clips:
        try:
            count = _frame_count(clip)
        except SourceError:
            return
        if next(planned_windows(clip.rendering, count), None) is not None:
            return
        longest = max(longest, count)
    rendering = clips[0].rendering
    raise ConfigError(
        f"clip_length={rendering.clip_length!r}, frame_step={rendering.frame_step!r}: the longest clip of the split "
        f"{split!r} has {longest} frames, too few for one window; use smaller values, or remainder='keep'"
    )


def _frame_count(clip: ClipPlan) -> int:
    with ExitStack() as opened:
        return Scene(clip, opened).frame_count


def _clip_bytes(clip: ClipPlan, *, encoding: str) -> float:
    rendering = clip.rendering
    frames = sum(len(span.indices) for span in planned_windows(rendering, _frame_count(clip)))
    length: Any = SAMPLED_FRAMES
    if encoding == "video":  # its first frame takes more bytes than the others
        length = (
            MAX_SAMPLED_FRAMES if rendering.clip_length == "all" else min(rendering.clip_length, MAX_SAMPLED_FRAMES)
        )
    short = replace(clip, rendering=replace(rendering, clip_length=length, remainder="keep"))
    encoder = frame_encoder(rendering.columns, encoding=encoding, streaming=False)
    collect = frame_collector(rendering.columns, encoding=encoding)
    window = next(render(short, each=encoder, collect=collect, numbers={0}), None)
    return frames * stored_bytes(window.frames) / len(window.frames) if window is not None else 0.0
