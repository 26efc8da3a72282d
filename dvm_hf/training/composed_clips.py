"""Samples composited on the fly: each epoch's clips, their windows, their pixels. No torch."""

import copy
import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np

from dvm_hf.clips.plan import ClipPlan, number_stream
from dvm_hf.clips.scene import Frame
from dvm_hf.clips.windows import render
from dvm_hf.dataset.columns import LAYERS, row
from dvm_hf.dataset.config import (
    DVMConfig,
    checked_plans,
    listed_pairs,
    own_fields,
    require_valid,
    seeded_plans,
    source_tree,
)
from dvm_hf.errors import ConfigError
from dvm_hf.media.pixels import Pixels
from dvm_hf.sources.tree import KINDS
from dvm_hf.training.sample_order import epoch_seed

logger = logging.getLogger(__name__)

NO_PART_OF_THE_DATA = ("on_error", "encoding", "pairs")  # the pair list counts by what it says, not where it lies


class ComposedClips:
    """The clips of a config, dealt anew for each epoch; the sources are scanned once.

    A sample is a window of context + clip_length frames that starts at any frame of its clip (with clip_step=n: at
    every n-th), as `clip.render` makes it: window number w of the clip's plan.

    Raises ConfigError or SourceError where the builder does, before anything is rendered.
    """

    def __init__(self, config: DVMConfig, *, context: int, samples_per_clip: int) -> None:
        require_valid(config)
        if context and config.clip_length == "all":
            raise ConfigError(f"context={context}: a whole clip (clip_length='all') has no frames before it; use 0")
        self._samples_per_clip = samples_per_clip
        self._config = _windows_from_any_frame(config, context)
        tree, self._pairs = source_tree(config), listed_pairs(config)
        planned = checked_plans(self._config, tree, self._pairs)
        for problem in planned.left_out:
            logger.warning("%s left out: %s", problem.path, problem.text)
        self.identity = _identity(config, self._pairs) | {"context": context, "data_dir": _digest(tree.signatures)}
        self._tree = dataclasses.replace(tree, signatures={})  # not needed again, and pickled for every worker
        self._dealt: tuple[int, tuple[ClipPlan, ...]] = (0, planned.clips)
        self.clips, self.recipe = len(planned.clips), config.recipe

    def samples(self, epoch: int, clip: int, chosen: range) -> Iterator[dict[str, Any] | None]:
        """Rows of the chosen samples of a clip, in order, image columns (T, C, H, W); None for one it does not have.

        Raises SourceError where a source cannot be used.
        """
        plan = self.plans(epoch)[clip]
        due: list[int] = []  # windows that are still to come

        def numbers(windows: int) -> list[int]:
            drawn = _window_numbers(plan, self._samples_per_clip)(windows)
            due[:] = [drawn[sample] for sample in chosen]
            return list(due)

        columns = {column: LAYERS[column] for column in plan.rendering.columns}
        each = _planes_of(columns)
        for window in render(plan, each=each, numbers=numbers):
            while due.pop(0) != window.number:
                yield None
            yield row(window, encoding="array") | {"foreground_kind": KINDS.index(plan.foreground.kind)}

    def name(self, epoch: int, clip: int) -> str:
        return self.plans(epoch)[clip].clip_id

    def plans(self, epoch: int) -> tuple[ClipPlan, ...]:
        """The clips of an epoch: epoch 0 has those of load_dataset, each other one its own pairing and seeds."""
        if self._dealt[0] != epoch:
            seed = epoch_seed(self._config.seed, epoch)
            self._dealt = epoch, seeded_plans(self._config, self._tree, self._pairs, seed=seed).clips
        return self._dealt[1]


def _windows_from_any_frame(config: DVMConfig, context: int) -> DVMConfig:
    config = copy.copy(config)
    if config.clip_length != "all":
        config.clip_length += context
        config.clip_step = config.clip_step or 1
    return config


def _window_numbers(plan: ClipPlan, samples_per_clip: int) -> Callable[[int], Sequence[int]]:
    """Which of a clip's windows become samples, in rising order: different ones as long as there are enough.

    They lie in one stretch at a random place, as long as the windows end to end: so the frames that are decoded for one
    serve the others, and few are decoded for none.
    """
    rendering = plan.rendering

    def numbers(windows: int) -> list[int]:
        rng = number_stream(plan.seed, "window_start")
        laps, rest = divmod(samples_per_clip, windows)
        length = 1 if rendering.clip_length == "all" else rendering.clip_length * rendering.frame_step
        apart = -(-length // (rendering.clip_step or length))  # windows from one to the next that shares no frame
        stretch = min(windows, (samples_per_clip - 1) * apart + 1)
        first = int(rng.integers(windows - stretch, endpoint=True))
        drawn = (laps * windows + first + int(start) for start in rng.choice(stretch, rest, replace=False))
        return sorted([*range(laps * windows), *drawn], key=lambda number: (number % windows, number))

    return numbers


def _planes_of(columns: dict[str, Callable[[Frame], Pixels | None]]) -> Callable[[Frame], dict[str, Pixels]]:
    """What `render` shall keep of a frame: its layers, each (C, H, W)."""
    return lambda frame: {name: planes(pixels) for name, of in columns.items() if (pixels := of(frame)) is not None}


def planes(pixels: Pixels) -> Pixels:
    """(C, H, W) of an image (H, W, 3), (1, H, W) of a grey one (H, W)."""
    return pixels[None] if pixels.ndim == 2 else np.stack(cv2.split(pixels))


def _identity(config: DVMConfig, pairs: Any) -> dict[str, Any]:
    """The config's fields that make the data what they are, as JSON has them."""
    fields = {name: getattr(config, name) for name in own_fields() if name not in NO_PART_OF_THE_DATA}
    fields |= {name: sorted(fields[name]) for name in ("kinds", "columns")}
    return {"name": config.name} | fields | {"pairs": pairs and _digest([str(pair) for pair in pairs])}


def _digest(value: Any) -> str:
    """Short hash of the pair list, or of the sources' names and sizes: a copy of the tree has the same one."""
    if isinstance(value, dict):
        value = sorted((path, size) for path, (size, _) in value.items())
    return hashlib.sha256(json.dumps(value).encode("utf-8", "surrogateescape")).hexdigest()[:16]
