"""Measure the cost of each stage of a clip on this machine: decode, composite, trimap, encode, write and read rows.

Times are CPU time of the process, including FFmpeg's threads, so that the number of cores does not matter. The cost of
a rendering stage is the difference between rendering with and without it. Runs of the stages alternate, so that a
change of the machine's speed affects all stages equally.
"""

import dataclasses
import functools
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.arrow_writer import ArrowWriter

from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.scene import Frame
from dvm_hf.clips.windows import FrameCollector, render
from dvm_hf.dataset.appearance import appearance_columns
from dvm_hf.dataset.columns import (
    FILE_ENCODINGS,
    INSTANCES,
    EncodedFrame,
    frame_collector,
    frame_encoder,
    row,
)
from dvm_hf.dataset.features import features
from dvm_hf.dataset.instances import is_grey
from dvm_hf.media.pixels import Size
from dvm_hf.media.row_videos.decoding import RowVideo
from dvm_hf.media.video.frame_sources import Backdrop, opened_backdrop, opened_frames
from dvm_hf.media.video.video_tags import Role

FRAMES = 48  # maximum per clip
KEPT = 4  # frames that are encoded repeatedly
WINDOW = 8  # frames per row
CROP_SIZE = 320  # px; measured in addition to the full frame if the config has no crop_size


@dataclass(frozen=True)
class StageTimes:
    """Times of one clip in one view of height x width px.

    stages: CPU ms per frame by name, in pipeline order. whole: CPU ms per frame to decode, render and encode, measured
    as one run.
    """

    clip_id: str
    height: int
    width: int
    frames: int
    stages: dict[str, float]
    whole: float


def first_of_each_kind(plans: Iterable[ClipPlan]) -> list[ClipPlan]:
    """Return the first clip with an image foreground and the first with a video foreground, shortened."""
    first: dict[str, ClipPlan] = {}
    for plan in plans:
        first.setdefault(plan.foreground.kind, _shortened(plan))
    return list(first.values())


def views_times(plan: ClipPlan, *, encoding: str, runs: int, tick: Callable[[], None]) -> list[StageTimes]:
    """Measure a clip as planned and, if it has no crop_size, a crop of `CROP_SIZE` px if its frames are large enough.

    `tick` is called after each run. Raises SourceError if a source cannot be used.
    """
    times = stage_times(plan, encoding=encoding, runs=runs, tick=tick)
    if times is None or plan.rendering.crop_size is not None or min(times.height, times.width) < CROP_SIZE:
        return [] if times is None else [times]
    crop = dataclasses.replace(plan, rendering=dataclasses.replace(plan.rendering, crop_size=CROP_SIZE))
    cropped = stage_times(crop, encoding=encoding, runs=runs, tick=tick)
    return [times] if cropped is None else [times, cropped]


def stage_times(plan: ClipPlan, *, encoding: str, runs: int, tick: Callable[[], None]) -> StageTimes | None:
    """Return the medians of several runs; None if the clip has no window."""
    window = next(render(plan, each=lambda frame: frame), None)
    if window is None:
        return None
    frames = sum(len(one.frames) for one in render(plan, each=_nothing))
    jobs = stage_functions(plan, encoding, frames)
    ms: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(runs):
        for name, job in jobs.items():
            start = time.process_time()
            job()
            ms[name].append((time.process_time() - start) * 1000 / frames)
        tick()
    stages = differences(_cumulative(ms))
    if encoding != "array":
        stages |= _file_times(plan, window.frames[:KEPT], encoding, runs)
    return StageTimes(
        plan.clip_id, window.view.height, window.view.width, frames, stages, statistics.median(ms["whole"])
    )


def differences(ms: dict[str, list[float]]) -> dict[str, float]:
    """Return the median of the first, and of each other one the median increase over its predecessor in the same run.

    # {"a": [1, 2], "b": [4, 6]} -> {"a": 1.5, "b": 3.5}
    """
    names = list(ms)
    added = {names[0]: statistics.median(ms[names[0]])}
    for before, name in itertools.pairwise(names):
        more = statistics.median(b - a for a, b in zip(ms[before], ms[name], strict=True))
        added[name] = max(more, 0.0)  # noise can make a negligible cost negative
    return added


def _shortened(plan: ClipPlan) -> ClipPlan:
    rendering = dataclasses.replace(
        plan.rendering,
        clip_length=WINDOW,
        frame_step=1,
        clip_step=None,
        remainder="keep",
        max_image_frames=min(FRAMES, plan.rendering.max_image_frames),
        max_video_frames=min(FRAMES, plan.rendering.max_video_frames),
    )
    return dataclasses.replace(plan, rendering=rendering)


def stage_functions(plan: ClipPlan, encoding: str, frames: int) -> dict[str, Callable[[], None]]:
    """Return what to time, by name: decoding, rendering with more and more columns, and rendering with encoding."""
    wanted, columns = set(plan.rendering.columns), {"frames", "alpha"}
    is_video = plan.foreground.kind == "video"
    decoded_first = [plan.background.path] + [plan.foreground.alpha] * is_video  # any column needs a video's alpha
    jobs = {
        "decoded first": lambda: _decode(plan, frames, *decoded_first),
        "background": _rendering(plan, {"background"}),
    }
    if is_video and not plan.foreground.has_own_alpha:
        jobs["colours"] = lambda: _decode(plan, frames, plan.foreground.colour)
    jobs["composite"] = _rendering(plan, columns)
    if "trimap" in wanted:
        columns = columns | {"trimap"}
        jobs["trimap"] = _rendering(plan, columns)
    if wanted - columns:
        jobs["other columns"] = _rendering(plan, columns | wanted)
    encode = frame_encoder(plan.rendering.columns, encoding=encoding, streaming=False)
    collect = frame_collector(plan.rendering.columns, encoding=encoding)
    return jobs | {"whole": lambda: _exhaust(render(plan, each=encode, collect=collect))}


def _cumulative(ms: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return the cost of rendering up to and including each stage; a video foreground adds the decoding of colours."""
    totals = {"decode": ms["decoded first"], "convert to RGB, crop, resize": ms["background"]}
    if "colours" in ms:
        totals["decode the foreground"] = [a + b for a, b in zip(ms["background"], ms["colours"], strict=True)]
    totals["composite the foreground"] = ms["composite"]
    return totals | {name: ms[name] for name in ("trimap", "other columns") if name in ms}


def _rendering(plan: ClipPlan, columns: set[str]) -> Callable[[], None]:
    rendering = dataclasses.replace(plan.rendering, columns=tuple(sorted(columns)))
    reduced = dataclasses.replace(plan, rendering=rendering)
    return lambda: _exhaust(render(reduced, each=_nothing))


def _decode(plan: ClipPlan, frames: int, *paths: Path) -> None:
    """Decode the frames of files that the clip needs; those of videos without a colour conversion."""
    for path in paths:
        if path == plan.background.path:
            source: Backdrop = opened_backdrop(path, max_frames=plan.max_frames)
        else:
            role: Role = "alpha" if path == plan.foreground.alpha else "colour"
            role = "both" if plan.foreground.has_own_alpha else role
            source = opened_frames(path, max_frames=plan.max_frames, role=role)
        with closing(source):
            _exhaust(source.pictures(range(frames)))


def _file_times(plan: ClipPlan, frames: tuple[Frame, ...], encoding: str, runs: int) -> dict[str, float]:
    """Time the encoding of each column, and writing a row to Arrow and decoding it as `datasets` does."""
    times = {}
    for column in plan.rendering.columns:
        kind = FILE_ENCODINGS[encoding][column].rpartition("_")[2]
        encode = frame_encoder((column,), encoding=encoding, streaming=False)
        collect = frame_collector((column,), encoding=encoding)
        times[f"encode {column} ({kind})"] = _median_ms(
            functools.partial(_encode, encode, collect, frames), runs, len(frames)
        )
    columns = plan.rendering.columns
    encode = frame_encoder(columns, encoding=encoding, streaming=False)
    window = next(render(plan, each=encode, collect=frame_collector(columns, encoding=encoding), numbers=[0]))
    rows = features(
        columns,
        encoding=encoding,
        clip_length=WINDOW,
        crop_size=None,
        motion=plan.rendering.motion,
        foregrounds=len(plan.foregrounds),
        appearance=appearance_columns(plan.rendering.light, plan.rendering.camera),
    )
    example = row(window, encoding=encoding)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "row.arrow"))
        times["write an Arrow row"] = _median_ms(lambda: _write(rows, example, path), runs, len(window.frames))
    if encoding == "video":
        times["read a row back (PyAV)"] = _median_ms(lambda: _decode_videos(example, columns), runs, len(window.frames))
    else:
        times["read a row back (PIL)"] = _median_ms(
            lambda: rows.decode_example(rows.encode_example(example)), runs, len(window.frames)
        )
    return times


def _encode(
    encode: Callable[[Frame], EncodedFrame],
    collect: Callable[[], FrameCollector[EncodedFrame, Any]],
    frames: tuple[Frame, ...],
) -> None:
    collected = collect()
    for frame in frames:
        collected.append(encode(frame))
    collected.frames()


def _decode_videos(example: dict[str, Any], columns: tuple[str, ...]) -> None:
    size = Size(example["height"], example["width"])
    for column in columns:
        for file in example[column] if column == INSTANCES else [example[column]]:
            video = RowVideo(file["bytes"], size=size, is_grey=is_grey(column), name=column)
            _exhaust(frame.pixels() for frame in video.all_frames())


def _write(rows: Any, example: dict[str, Any], path: str) -> None:
    with ArrowWriter(features=rows, path=path) as writer:
        writer.write(rows.encode_example(example))
        writer.finalize()


def _median_ms(job: Callable[[], object], runs: int, frames: int) -> float:
    times = []
    for _ in range(runs):
        start = time.process_time()
        job()
        times.append((time.process_time() - start) * 1000 / frames)
    return statistics.median(times)


def _nothing(frame: Frame) -> None:
    """Discard a frame."""


def _exhaust(things: Iterator[object]) -> None:
    for _ in things:
        pass
