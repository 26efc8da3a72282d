"""How many shards a split is cut into: as many as said, or as its bytes ask for, measured on a few of its clips."""

import math
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from datasets.utils import tqdm

from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.scene import Scene
from dvm_hf.clips.windows import planned_spans, render
from dvm_hf.dataset.columns import frame_encoder
from dvm_hf.errors import ConfigError, SourceError

DEFAULT_SHARD_SIZE = 500_000_000  # bytes
SAMPLED_CLIPS, SAMPLED_FRAMES = 8, 4
SAFETY = 1.1  # shards vary in size; the largest shall not pass the limit by much
SIZE = re.compile(r"\s*(?P<number>\d+(\.\d+)?)\s*((?P<prefix>[KMGT])(?P<binary>i)?)?B?\s*", re.IGNORECASE | re.ASCII)
ROUND = 8  # more shards than this come in multiples of it: they must divide among nodes and workers


@dataclass(frozen=True)
class Sharding:
    """How a split is cut. max_shard_size: bytes, or None where the number was given; bytes_per_clip: as measured."""

    num_shards: int
    max_shard_size: int | None = None
    bytes_per_clip: int | None = None


@dataclass(frozen=True)
class WantedShards:
    """What the user asked for; neither: DEFAULT_SHARD_SIZE, or, where there is a plan, as it is cut already."""

    num_shards: int | None = None
    max_shard_size: int | None = None

    def met_by(self, sharding: Sharding) -> bool:
        """Whether a plan is cut as wanted."""
        if self.num_shards is not None:
            return sharding.max_shard_size is None and sharding.num_shards == self.num_shards
        return self.max_shard_size in (None, sharding.max_shard_size)


def size_in_bytes(text: str) -> int:
    """Bytes of "500MB", "0.5 GiB" or "1000000"; raises ConfigError."""
    found = SIZE.fullmatch(text)
    size = 0
    if found is not None:
        base = 1024 if found["binary"] else 1000
        size = int(float(found["number"]) * base ** " KMGT".index((found["prefix"] or " ").upper()))
    if size < 1:
        raise ConfigError(f"max_shard_size={text!r}: not a size; pass bytes, or a number with KB, MB, GB, MiB or GiB")
    return size


def sharding(wanted: WantedShards, clips: Sequence[ClipPlan], *, encoding: str) -> Sharding:
    """How to cut clips into shards as wanted; raises ConfigError where there are fewer clips than shards."""
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
    """Mean bytes of a clip's rows: of some clips, spread over all, from a few frames of each.

    Clips that cannot be rendered are passed over here: the build says what is wrong with them. Raises SourceError, the
    last clip's own, where none can.
    """
    sizes, fault = [], None
    count = min(SAMPLED_CLIPS, len(clips))
    chosen = [clips[place * len(clips) // count] for place in range(count)]
    for clip in tqdm(chosen, desc="Estimating shard sizes", unit=" clips", delay=2):
        try:
            sizes.append(_clip_bytes(clip, encoding=encoding))
        except SourceError as error:
            fault = error
    if not sizes and fault is not None:
        raise fault
    return round(sum(sizes) / len(sizes))


def require_a_window(clips: Sequence[ClipPlan], *, split: str) -> None:
    """Raise ConfigError where all clips are too short for a window, before any of them is rendered.

    Where one cannot be opened, the build tells.
    """
    longest = 0
    for clip in clips:
        try:
            count = _frame_count(clip)
        except SourceError:
            return
        if next(planned_spans(clip.rendering, count), None) is not None:
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
    frames = sum(len(span.indices) for span in planned_spans(rendering, _frame_count(clip)))
    short = replace(clip, rendering=replace(rendering, clip_length=SAMPLED_FRAMES, remainder="keep"))
    encoder = frame_encoder(rendering.columns, encoding=encoding, streaming=False)
    sampled = [frame for window in render(short, each=encoder, numbers={0}) for frame in window.frames]
    return frames * sum(map(_frame_bytes, sampled)) / len(sampled) if sampled else 0.0


def _frame_bytes(frame: dict[str, Any]) -> int:
    return sum(len(image["bytes"]) if isinstance(image, dict) else image.nbytes for image in frame.values())
