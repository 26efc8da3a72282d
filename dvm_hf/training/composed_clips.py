"""Samples composited on the fly: the clips of each epoch, their windows and pixels. Without PyTorch."""

import copy
import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from dvm_hf.clips.moving.eased_motion import foreground_playback, timing_of
from dvm_hf.clips.plan import ClipPlan, number_stream
from dvm_hf.clips.windows import render
from dvm_hf.dataset.columns import INSTANCES, frame_encoder, row
from dvm_hf.dataset.config import (
    DVMConfig,
    checked_plans,
    field_values,
    listed_pairs,
    require_valid,
    seeded_plans,
    source_tree,
    with_canonical_effects,
)
from dvm_hf.dataset.encoders import require_encoder
from dvm_hf.dataset.field_rules import require_integers
from dvm_hf.errors import ConfigError
from dvm_hf.media.pixels import Pixels
from dvm_hf.media.still.still_files import is_still
from dvm_hf.media.still.still_pictures import STILLS
from dvm_hf.sources.pair_lists import Pair
from dvm_hf.sources.records import KINDS
from dvm_hf.sources.remote.source_files import Prefetch
from dvm_hf.training.background_segments import BackgroundSegment, HeldSegments
from dvm_hf.training.epoch_order import epoch_seed, order_stream
from dvm_hf.training.foreground_segments import ForegroundSegment, HeldForegrounds, Place, can_share_foreground
from dvm_hf.training.segment_order import SegmentOrder, segment_order
from dvm_hf.training.segment_windows import segment_length

logger = logging.getLogger(__name__)

# a pair list is identified by its content, not by its path, and the sources by names and sizes, not by their layout
NOT_IN_IDENTITY = ("on_error", "encoding", "pairs", "layout", "preset")


class ComposedClips:
    """The clips of a config, with new pairs and seeds in each epoch; the sources are scanned once.

    A sample is a window of context + clip_length frames that starts at any frame of its clip, or at every n-th with
    clip_step=n. It equals the window with the same number from `clips.windows.render`.

    still_memory: bytes of decoded stills that a process keeps, see `StillMemory`.
    background_reuse: number of clips that share a segment of their background; with more than one, epochs have the
    order `segment_order`. shuffles: whether that order is shuffled.

    Raises ConfigError or SourceError as the builder does, before any frame is rendered.
    """

    def __init__(
        self,
        config: DVMConfig,
        *,
        context: int,
        samples_per_clip: int,
        still_memory: int,
        background_reuse: int = 1,
        shuffles: bool = True,
    ) -> None:
        require_valid(config)
        require_encoder("array", config.camera)
        require_integers(still_memory=(still_memory, 0))
        if context and config.clip_length == "all":
            raise ConfigError(
                f"context={context}: a complete clip (clip_length='all') has no frames before it; use context=0"
            )
        self._samples_per_clip, self._still_memory = samples_per_clip, still_memory
        self._background_reuse, self._shuffles = background_reuse, shuffles
        self._config = _windows_from_any_frame(config, context)
        tree, self._pairs = source_tree(config), listed_pairs(config)
        planned = checked_plans(self._config, tree, self._pairs, background_reuse=background_reuse)
        for problem in planned.skipped:
            logger.warning("%s skipped: %s", problem.path, problem.text)
        self.identity = _identity(config, self._pairs) | {
            "context": context,
            "background_reuse": background_reuse,
            "data_dir": _digest(tree.signatures),
        }
        if tree.settings:
            self.identity["sources_file"] = _digest(tree.settings)
        self._tree = dataclasses.replace(tree, signatures={})  # no longer needed, and would be pickled for every worker
        self._planned: tuple[int, tuple[ClipPlan, ...]] = (0, planned.clips)
        self._ordered: tuple[int, SegmentOrder] | None = None
        self._segments, self._foregrounds = HeldSegments(samples_per_clip), HeldForegrounds()
        self._prefetch = Prefetch()
        self.clips, self.recipe = len(planned.clips), config.recipe

    def __getstate__(self) -> dict[str, Any]:
        # decoded frames cannot be pickled
        return vars(self) | {"_segments": HeldSegments(self._samples_per_clip), "_foregrounds": HeldForegrounds()}

    def samples(self, epoch: int, clip: int, chosen: Sequence[int]) -> Iterator[dict[str, Any] | None]:
        """Yield the rows of the chosen samples of a clip, in order, with image columns (T, C, H, W).

        Yield None for a sample that the clip lacks. Raises SourceError if a source cannot be used.
        """
        STILLS.share(self._still_memory)
        plan = self.plans(epoch)[clip]
        segment, shared, within = None, None, None
        if self._background_reuse > 1:
            segment = self._segment(epoch, clip)
            shared = self._shared_foreground(epoch, clip, segment)
            within = _common_windows(segment, shared)
        pending: list[int] = []  # numbers of the windows that are not rendered yet

        def numbers(windows: int) -> list[int]:
            drawn = window_numbers(plan, self._samples_per_clip, within)(windows)
            pending[:] = [drawn[sample] for sample in chosen]
            return list(pending)

        each = frame_encoder(plan.rendering.columns, encoding="array", streaming=True)
        foreground = None if shared is None else shared.foreground
        for window in render(plan, each=each, numbers=numbers, backdrop=segment, foreground=foreground):
            while pending.pop(0) != window.number:
                yield None
            yield _sample_row(row(window, encoding="array", stacked=stacked_planes), plan)

    def announce(self, epoch: int, clip: int) -> None:
        plan = self.plans(epoch)[clip]
        self._prefetch.start((*plan.foreground_files, plan.background.path))

    def name(self, epoch: int, clip: int) -> str:
        return self.plans(epoch)[clip].clip_id

    def plans(self, epoch: int) -> tuple[ClipPlan, ...]:
        """Return the clips of an epoch: those of load_dataset in epoch 0, and new pairs and seeds in later ones."""
        if self._planned[0] != epoch:
            seed, reuse = epoch_seed(self._config.seed, epoch), self._background_reuse
            plans = seeded_plans(self._config, self._tree, self._pairs, seed=seed, background_reuse=reuse)
            self._planned = epoch, plans.clips
        return self._planned[1]

    def order(self, epoch: int) -> SegmentOrder:
        """Return the order of an epoch if clips share segments of their backgrounds."""
        if self._ordered is None or self._ordered[0] != epoch:
            plans = self.plans(epoch)
            order = segment_order(
                [(plan.foreground.kind, plan.foreground.name) for plan in plans],
                [plan.background.path for plan in plans],
                [plan.max_frames for plan in plans],
                background_reuse=self._background_reuse,
                samples_per_clip=self._samples_per_clip,
                rng=order_stream(self._config.seed, epoch) if self._shuffles else None,
            )
            self._ordered = epoch, order
        return self._ordered[1]

    def release(self) -> None:
        self._segments.release()
        self._foregrounds.release()
        self._prefetch.stop()

    def _segment(self, epoch: int, clip: int) -> BackgroundSegment | None:
        """Return the segment of a clip, decoded; None if the background is a still."""
        order, plans = self.order(epoch), self.plans(epoch)
        lead, unit_lead = int(order.leads[clip]), int(order.unit_leads[clip])
        return self._segments.get((epoch, lead), plans[lead], plans[unit_lead], limit=order.segments_held)

    def _shared_foreground(self, epoch: int, clip: int, segment: BackgroundSegment | None) -> ForegroundSegment | None:
        """Return the decoded segment of a clip's foreground if other clips of its unit use it, too."""
        order, plans = self.order(epoch), self.plans(epoch)
        plan, unit_lead, clips = plans[clip], int(order.unit_leads[clip]), int(order.foreground_uses[clip])
        if clips == 1 or not can_share_foreground(plan):
            return None
        count = None if segment is None else segment.window_count
        place = Place(plans[unit_lead], count, clips, self._samples_per_clip)
        # with the count, so that the windows do not depend on which clip of the unit a process renders first
        found = self._foregrounds.get((epoch, unit_lead, plan.foreground.name, count), plan, place)
        return found if found is not None and _common_windows(segment, found) else None


def _common_windows(segment: BackgroundSegment | None, shared: ForegroundSegment | None) -> range | None:
    """Return the windows that are in the segments of both sources; None if neither has one."""
    ranges = [one.windows for one in (segment, shared) if one is not None]
    if not ranges:
        return None
    return range(max(one.start for one in ranges), min(one.stop for one in ranges))


def _windows_from_any_frame(config: DVMConfig, context: int) -> DVMConfig:
    config = copy.copy(config)
    if config.clip_length != "all":
        config.clip_length += context
        config.clip_step = config.clip_step or 1
    return config


def window_numbers(
    plan: ClipPlan, samples_per_clip: int, segment: range | None = None
) -> Callable[[int], Sequence[int]]:
    """Return a function that selects the windows of a clip for its samples, in ascending order.

    The windows differ as long as there are enough of them. They are selected from one segment of the clip, so that few
    decoded frames are unused.

    segment: numbers of the windows in the segment that several clips share. None, or if the clip ends before it: a
    random segment, which is as long as the windows end to end.
    """

    def numbers(windows: int) -> list[int]:
        rng = number_stream(plan.seed, "window_start")
        within = range(windows) if segment is None else range(windows)[segment.start : segment.stop]
        if segment is None or not within:
            speed = fastest_speed(plan)
            length = segment_length(plan.rendering, windows, samples_per_clip=samples_per_clip, speed=speed)
            first = int(rng.integers(windows - length, endpoint=True))
            within = range(first, first + length)
        repeats, rest = divmod(samples_per_clip, len(within))
        drawn = (repeats * windows + within[int(place)] for place in rng.choice(len(within), rest, replace=False))
        every = (turn * windows + number for turn in range(repeats) for number in within)
        return sorted([*every, *drawn], key=lambda number: (number % windows, number))

    return numbers


def fastest_speed(plan: ClipPlan) -> float:
    """Return the number of source frames per frame of the clip, of the video that is played fastest."""
    timing = timing_of(plan)
    if timing is None:
        return 1
    videos = [foreground_playback(plan, index) for index, one in enumerate(plan.foregrounds) if one.kind == "video"]
    videos += [timing.background] * (not is_still(plan.background.path))
    return max((video.speed for video in videos), default=1)


def _sample_row(composed: dict[str, Any], plan: ClipPlan) -> dict[str, Any]:
    """Return a row with numbers for kinds, and with instances as the channels of an image, (T, N, H, W)."""
    kinds: dict[str, Any] = {"foreground_kind": KINDS.index(plan.foreground.kind)}
    if plan.companions:
        kinds["instance_kinds"] = [KINDS.index(one.kind) for one in plan.foregrounds]
    if INSTANCES in composed:
        composed[INSTANCES] = composed[INSTANCES].swapaxes(0, 1)
    return composed | kinds


def stacked_planes(frames: Sequence[Pixels]) -> Pixels:
    """Convert images of the same shape, (H, W, 3) or (H, W), to (T, C, H, W)."""
    height, width, channels = (*frames[0].shape, 1)[:3]
    stacked = np.empty((len(frames), channels, height, width), np.uint8)
    for frame, planes_of_frame in zip(frames, stacked, strict=True):
        cv2.split(frame, list(planes_of_frame))  # into these arrays, without a copy of the planes
    return stacked


def _identity(config: DVMConfig, pairs: Any) -> dict[str, Any]:
    """Return the config fields that determine the samples, as JSON values."""
    fields = {name: value for name, value in field_values(config).items() if name not in NOT_IN_IDENTITY}
    fields = with_canonical_effects(fields | {name: sorted(fields[name]) for name in ("kinds", "columns")})
    return {"name": config.name} | fields | {"pairs": pairs and _digest(list(map(_pair_text, pairs)))}


def _pair_text(pair: Pair) -> str:
    """Return a line of a pair list, with the companions of a frozen clip."""
    return "+".join([str(pair), *(part for one in pair.companions for part in one)])


def _digest(value: Any) -> str:
    """Return a short hash of a pair list, of settings, or of names and sizes of sources, which copies share."""
    if isinstance(value, dict):
        value = sorted((path, size) for path, (size, _) in value.items())
    return hashlib.sha256(json.dumps(value).encode("utf-8", "surrogateescape")).hexdigest()[:16]
