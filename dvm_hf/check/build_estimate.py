"""Estimate a build of a config: clips, rows, bytes and time."""

import functools
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dvm_hf.check.findings import Finding, finding
from dvm_hf.check.source import Facts
from dvm_hf.clips.appearance.named_effects import named_effects
from dvm_hf.clips.geometry import geometry, shared_geometry
from dvm_hf.clips.plan import ClipPlan, Rendering
from dvm_hf.clips.windows import planned_windows, render
from dvm_hf.dataset.columns import FILE_ENCODINGS, INSTANCES, frame_collector, frame_encoder, stored_bytes
from dvm_hf.dataset.config import DVMConfig, rendering_of
from dvm_hf.errors import SourceError
from dvm_hf.media.pixels import Size
from dvm_hf.sources.records import path_in_tree

# Measured on the demo's sources, with both configs, on one core: encoded bytes per pixel, and seconds per pixel to
# render and encode the default columns. `benchmarks/check.py --costs` prints them, and those of motions.
SYNTHETIC_BYTES = {"jpeg": 0.26, "grey_png": 0.18, "flat_png": 0.01, "colour_png": 1.2}
SYNTHETIC_BYTES |= {"colour_h264": 0.14, "grey_h264": 0.14}
SYNTHETIC_TRIMAP_BYTES = {"grey_h264": 0.01}  # if they differ from those of an alpha in the same encoding
SYNTHETIC_SECONDS = {"jpeg": 2.1e-8, "lossless": 4.5e-8, "array": 3.9e-8, "video": 3.1e-8}
MOTION_SECONDS = {"dvm": 1.0, "rvm": 1.25, "none": 1.0}  # of frames with motion, relative to those with "dvm"
EFFECT_SECONDS = {  # of an effect in all clips, relative to frames without effects: `benchmarks/light.py`
    "matched": 0.0,
    "exposure": 0.1,
    "shadow": 0.2,
    "greenscreen": -0.2,
    "defocus": 0.9,
    "noise": 0.8,
    "jpeg": 0.4,
    "h264": 0.8,
}
# Of each foreground after the first, relative to a clip with one and the same motion, per pixel.
FOREGROUND_SECONDS = {"dvm": 0.3, "rvm": 0.1, "none": 0.4}
SHUTTER_SECONDS = {"dvm": 1.4, "rvm": 0.4, "none": 0.0}  # added by shutter=1, relative to the same motion without
# Bytes of a column that an effect in all clips adds, relative to the column without effects. Others add less than 0.1.
EFFECT_BYTES = {
    "frames": {
        "colour_png": {"greenscreen": -0.4, "noise": 0.4, "h264": -0.1},
        "jpeg": {"greenscreen": -0.4, "defocus": -0.1, "noise": 0.3, "jpeg": -0.3, "h264": -0.1},
        "colour_h264": {"greenscreen": -0.4, "defocus": -0.1, "noise": 1.3, "jpeg": 0.2, "h264": 0.1},
    },
    "background": {
        "colour_png": {"greenscreen": -0.8, "defocus": -0.1},
        "jpeg": {"greenscreen": -0.8, "defocus": -0.2},
        "colour_h264": {"greenscreen": -0.9, "defocus": -0.3},
    },
}
SAMPLED_CLIPS = 4
GREY = ("alpha", "trimap")


@dataclass(frozen=True)
class BuildEstimate:
    """Estimate of a build. It is a lower bound if a video has damaged frames, as only frames before them are counted.

    without_rows: number of clips without a row, because they are shorter than a window or a source is refused.
    bytes: size of the images, without the small overhead of Parquet or Arrow. seconds: CPU time on one core. basis: the
    origin of both numbers.
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
    """Bytes, and seconds on one core, per pixel of a frame, in all columns together."""

    bytes: float
    seconds: float
    basis: str


def build_estimate(
    config: DVMConfig,
    plans: Iterable[ClipPlan],
    facts: Mapping[tuple[str, str], Facts],
    costs: Costs,
    *,
    refused: int = 0,
) -> tuple[list[Finding], BuildEstimate]:
    """Return the estimate of a build, with findings if clips are smaller than the crop, or all shorter than a window.

    plans: clips whose sources can be used. facts: of the sources, keyed by kind ("image", "video", "background") and
    name. refused: number of other clips, which have no rows.
    """
    clips = without_rows = refused
    rows = frames = pixels = too_small = 0
    smallest = longest = 0  # px of clips that are too small; frames of those that are too short
    rendering = rendering_of(config)
    for plan in plans:
        clips += 1
        made = (0, 0)
        background, *foregrounds = _facts(plan, facts)
        frame = _frame_size([one.size for one in foregrounds], background.size, max_size=rendering.max_size)
        if rendering.crop_size and rendering.crop_size > min(frame):
            too_small += 1
            smallest = min(smallest or min(frame), *frame)
        else:
            frame_count = _frame_count(plan, background, foregrounds)
            made = _rows_and_frames(rendering, frame_count)
            longest = max(longest, frame_count)
        area = rendering.crop_size**2 if rendering.crop_size else frame.height * frame.width
        pixels += made[1] * area
        without_rows += not made[0]
        rows, frames = rows + made[0], frames + made[1]
    size, seconds = round(pixels * costs.bytes), pixels * costs.seconds
    found = []
    if too_small:
        counts = {"crop": rendering.crop_size, "count": too_small, "clips": clips, "maximum": smallest}
        found = [finding("crop-too-large", ".", config=config.name, **counts)]
    if longest and not rows:
        lengths = {"length": rendering.clip_length, "step": rendering.frame_step, "maximum": longest}
        found.append(finding("no-rows", ".", config=config.name, **lengths))
    return found, BuildEstimate(config.name, clips, without_rows, rows, frames, size, seconds, costs.basis)


def is_readable(plan: ClipPlan, facts: Mapping[tuple[str, str], Facts]) -> bool:
    """Return whether all sources of a clip could be read."""
    return all(min(one.size) for one in _facts(plan, facts))


def paths_of(plan: ClipPlan, root: Path) -> set[str]:
    """Return the paths of a clip's files, and of the folders of its video foregrounds, as in findings.

    The trimap is one of them only if it is read.
    """
    files = [plan.background.path]
    for one in plan.foregrounds:
        files += [one.colour, one.alpha]
        if one.trimap is not None and plan.rendering.trimap == "provided":
            files.append(one.trimap)
        if one.kind == "video":
            files.append(one.colour.parent)
    return {path_in_tree(path, root) for path in files}


def _facts(plan: ClipPlan, facts: Mapping[tuple[str, str], Facts]) -> list[Facts]:
    """Return the facts of the background and of each foreground."""
    keys = [("background", plan.background.name), *((one.kind, one.name) for one in plan.foregrounds)]
    return [facts.get(key, Facts()) for key in keys]


def _frame_size(foregrounds: Sequence[Size], background: Size, *, max_size: int) -> Size:
    if len(foregrounds) > 1:
        return shared_geometry(foregrounds, background, max_size=max_size).frame
    return geometry(foregrounds[0], background, max_size=max_size).frame


def _frame_count(plan: ClipPlan, background: Facts, foregrounds: Sequence[Facts]) -> int:
    """Return the number of frames of a clip; a video of unknown length is assumed to be long enough."""
    kinds = (one.kind for one in plan.foregrounds)
    videos = [background, *(one for one, kind in zip(foregrounds, kinds, strict=True) if kind == "video")]
    return min([plan.max_frames, *(one.frames for one in videos if one.frames)])


def synthetic_costs(config: DVMConfig) -> Costs:
    """Return the measured constants for sources like the demo's."""
    columns = rendering_of(config).columns
    counts = {INSTANCES: config.foregrounds_per_clip}
    effects = [*named_effects("light", config.light), *named_effects("camera", config.camera)]
    if config.encoding == "array":
        size: float = sum(counts.get(column, 1 if column in GREY else 3) for column in columns)
    else:
        files = FILE_ENCODINGS[config.encoding]
        sizes = {"trimap": SYNTHETIC_BYTES | SYNTHETIC_TRIMAP_BYTES}
        added = {column: EFFECT_BYTES.get(column, {}).get(files[column], {}) for column in columns}
        size = sum(
            counts.get(column, 1)
            * sizes.get(column, SYNTHETIC_BYTES)[files[column]]
            * max(0.1, 1 + sum(one.share * added[column].get(one.name, 0) for one in effects))
            for column in columns
        )
    factor = MOTION_SECONDS[config.motion] + sum(one.share * EFFECT_SECONDS[one.name] for one in effects)
    factor += MOTION_SECONDS[config.motion] * SHUTTER_SECONDS[config.motion] * config.shutter
    factor *= 1 + FOREGROUND_SECONDS[config.motion] * (config.foregrounds_per_clip - 1)
    seconds = SYNTHETIC_SECONDS[config.encoding] * factor
    return Costs(size, seconds, "constants measured on the demo's synthetic sources")


def sampled(config: DVMConfig, plan: ClipPlan) -> tuple[int, int, float] | None:
    """Render the first window of a clip, and return its pixels, bytes and seconds; None if it has no window."""
    columns = rendering_of(config).columns
    each = frame_encoder(columns, encoding=config.encoding, streaming=False)
    collect = frame_collector(columns, encoding=config.encoding)
    start = time.process_time()
    try:
        window = next(iter(render(plan, each=each, collect=collect, numbers=[0])), None)
    except SourceError:
        return None  # reported as a finding
    if window is None:
        return None
    pixels = window.view.height * window.view.width * len(window.frames)
    return pixels, stored_bytes(window.frames), time.process_time() - start


def costs_of(samples: list[tuple[int, int, float]]) -> Costs | None:
    if not samples:
        return None
    pixels, size, seconds = (sum(numbers) for numbers in zip(*samples, strict=True))
    count = f"{len(samples)} of these clips" if len(samples) > 1 else "one of these clips"
    return Costs(size / pixels, seconds / pixels, f"the first window{'s' * (len(samples) > 1)} of {count}")


@functools.lru_cache(maxsize=4096)
def _rows_and_frames(rendering: Rendering, frame_count: int) -> tuple[int, int]:
    rows = frames = 0
    for span in planned_windows(rendering, frame_count):
        fills_up = rendering.remainder == "repeat_last" and rendering.clip_length != "all"
        rows += 1
        frames += int(rendering.clip_length) if fills_up else len(span.indices)
    return rows, frames
