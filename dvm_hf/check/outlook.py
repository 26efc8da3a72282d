"""What a build of a config will make of the sources: clips, rows, and an estimate of bytes and time."""

import functools
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dvm_hf.check.source import Facts
from dvm_hf.clip import render, spans
from dvm_hf.columns import FILE_ENCODINGS, frame_encoder
from dvm_hf.config import DVMConfig, rendering_of
from dvm_hf.errors import SourceError
from dvm_hf.geometry import geometry
from dvm_hf.plan import ClipPlan, Rendering

# Measured on the demo's sources, both configs, on one core: encoded bytes of a pixel, and seconds that it takes to
# render and encode the default columns. `benchmarks/check.py --costs` prints them.
DRAWN_BYTES = {"jpeg": 0.26, "grey_png": 0.18, "flat_png": 0.01, "colour_png": 1.2}
DRAWN_SECONDS = {"jpeg": 2.1e-8, "lossless": 4.5e-8, "array": 3.9e-8}
SAMPLED_CLIPS = 4
GREY = ("alpha", "trimap")


@dataclass(frozen=True)
class Outlook:
    """What a build will make. without_rows: clips that give none, as they are shorter than a
    window or a source cannot be read.

    bytes: of the images before Parquet or Arrow add their few. seconds: CPU time, of one core. basis: where the two
    come from.
    """

    config: str
    clips: int
    without_rows: int
    rows: int
    frames: int
    bytes: int
    seconds: float
    basis: str


@dataclass(frozen=True)
class Costs:
    """Of one pixel of a frame in all columns: bytes, and seconds of one core."""

    bytes: float
    seconds: float
    basis: str


def outlook(
    config: DVMConfig, plans: Iterable[ClipPlan], facts: Mapping[tuple[str, str], Facts], costs: Costs
) -> Outlook:
    """Counts by the facts of the sources, keyed by kind ("image", "video", "background") and name."""
    clips = without_rows = rows = frames = 0
    pixels = 0
    rendering = rendering_of(config)
    for plan in plans:
        foreground = facts.get((plan.foreground.kind, plan.foreground.name), Facts())
        background = facts.get(("background", plan.background.name), Facts())
        clips += 1
        count = min(plan.max_frames, background.frames)
        if plan.foreground.kind == "video":
            count = min(count, foreground.frames)
        made = _rows_and_frames(rendering, count) if min(*foreground.size, *background.size) else (0, 0)
        without_rows += not made[0]
        rows, frames = rows + made[0], frames + made[1]
        if made[0]:
            frame = geometry(foreground.size, background.size, max_size=rendering.max_size).frame
            area = rendering.crop_size**2 if rendering.crop_size else frame.height * frame.width
            pixels += made[1] * area
    size, seconds = round(pixels * costs.bytes), pixels * costs.seconds
    return Outlook(config.name, clips, without_rows, rows, frames, size, seconds, costs.basis)


def drawn_costs(config: DVMConfig) -> Costs:
    """By constants, for sources like the demo's."""
    columns = rendering_of(config).columns
    if config.encoding == "array":
        size: float = sum(1 if column in GREY else 3 for column in columns)
    else:
        files = FILE_ENCODINGS[config.encoding]
        size = sum(DRAWN_BYTES[files[column]] for column in columns)
    return Costs(size, DRAWN_SECONDS[config.encoding], "constants measured on the demo's drawn sources")


def sampled_costs(config: DVMConfig, plans: tuple[ClipPlan, ...]) -> Costs:
    """By rendering the first window of a few clips, here and now; by constants where none of them can be rendered."""
    encoding = config.encoding
    each = frame_encoder(rendering_of(config).columns, encoding=encoding, streaming=False)
    pixels = size = 0
    start, clips = time.process_time(), 0
    for plan in plans[:: max(1, len(plans) // SAMPLED_CLIPS)][:SAMPLED_CLIPS]:
        try:
            window = next(iter(render(plan, each=each, numbers=[0])), None)
        except SourceError:
            continue  # a finding of its own
        if window is not None:
            clips += 1
            pixels += window.view.height * window.view.width * len(window.frames)
            size += sum(_stored(value) for frame in window.frames for value in frame.values())
    if not clips:
        return drawn_costs(config)
    return Costs(size / pixels, (time.process_time() - start) / pixels, f"the first windows of {clips} of these clips")


def _stored(value: object) -> int:
    return len(value["bytes"]) if isinstance(value, dict) else int(getattr(value, "nbytes", 0))


@functools.lru_cache(maxsize=4096)
def _rows_and_frames(rendering: Rendering, frame_count: int) -> tuple[int, int]:
    rows = frames = 0
    for span in spans(
        frame_count,
        clip_length=rendering.clip_length,
        frame_step=rendering.frame_step,
        clip_step=rendering.clip_step,
        remainder=rendering.remainder,
    ):
        fills_up = rendering.remainder == "repeat_last" and rendering.clip_length != "all"
        rows += 1
        frames += int(rendering.clip_length) if fills_up else len(span.indices)
    return rows, frames
