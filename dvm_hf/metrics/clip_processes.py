"""Measure many clips, in several processes."""

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import cv2

from dvm_hf.errors import MetricsError
from dvm_hf.metrics.clip_evaluator import ClipEvaluator
from dvm_hf.metrics.clip_sums import ClipSums
from dvm_hf.metrics.flow import Flow
from dvm_hf.worker_processes import pooled_calls

REPORTS = 0.2  # seconds between two reports of progress

_frames: Any = None  # in a worker: the number of frames that all workers measured


@dataclass(frozen=True)
class Clip:
    """A clip to measure.

    frames: called for the frames, mappings with the arguments of `ClipEvaluator.update`. With more than one process,
    workers call it, so it must be picklable: a function of a module, or a `functools.partial` of one. flow: as for
    `ClipEvaluator`.
    """

    name: str
    frames: Callable[[], Iterable[Mapping[str, Any]]]
    flow: Flow | str | None = None


class Progress(NamedTuple):
    """Number of clips and frames that were measured so far."""

    clips: int
    frames: int


def evaluate_clips(
    clips: Iterable[Clip],
    *,
    convention: str = "default",
    processes: int = 1,
    on_progress: Callable[[Progress], None] | None = None,
    on_clip: Callable[[str, ClipSums], None] | None = None,
) -> dict[str, ClipSums]:
    """Return the sums of each clip by its name, in the order of the clips.

    clips: taken one after another, when a process is idle. processes: number of worker processes, each
    with one OpenCV thread; 1: work in this process. on_progress: called several times per second, and at the end.
    on_clip: called with the name and the sums of each clip when it is measured, for example to store them.

    Raises MetricsError, with the name of the clip, if its arrays do not fit; what `frames` raises; and MachineError if
    no process can be started. The other clips are then stopped.
    """
    report = on_progress or _no_report
    found: dict[str, ClipSums] = {}
    names: list[str] = []
    results = _here if processes == 1 else _in_pools
    for name, sums in results(_named(clips, names), convention, processes, report):
        found[name] = sums
        if on_clip is not None:
            on_clip(name, sums)
    return {name: found[name] for name in names}


def _no_report(progress: Progress) -> None:
    pass


def _named(clips: Iterable[Clip], names: list[str]) -> Iterator[Clip]:
    """Yield clips, and append their names."""
    seen = set()
    for clip in clips:
        if clip.name in seen:
            raise MetricsError(f"{clip.name}: two clips have this name; names must differ")
        seen.add(clip.name)
        names.append(clip.name)
        yield clip


def _measured(clip: Clip, convention: str, on_frames: Callable[[int], None]) -> ClipSums:
    try:
        evaluator = ClipEvaluator(convention, flow=clip.flow)
        for frame in clip.frames():
            evaluator.update(**frame)
            on_frames(1)
        return evaluator.sums()
    except MetricsError as error:
        raise MetricsError(f"{clip.name}: {error}") from error


def _here(
    clips: Iterable[Clip], convention: str, processes: int, report: Callable[[Progress], None]
) -> Iterator[tuple[str, ClipSums]]:
    done = frames = 0
    reported = time.monotonic()

    def on_frames(new: int) -> None:
        nonlocal frames, reported
        frames += new
        if time.monotonic() > reported + REPORTS:
            report(Progress(done, frames))
            reported = time.monotonic()

    for clip in clips:
        sums = _measured(clip, convention, on_frames)
        done += 1
        yield clip.name, sums
    report(Progress(done, frames))


def _in_pools(
    clips: Iterator[Clip], convention: str, processes: int, report: Callable[[Progress], None]
) -> Iterator[tuple[str, ClipSums]]:
    """Measure each clip in a process that is idle."""
    frames = multiprocessing.get_context("spawn").Value("q", 0)
    done = 0
    results = pooled_calls(
        partial(_measured_in_worker, convention=convention),
        clips,
        processes=processes,
        start=_start,
        arguments=(frames,),
        on_wait=lambda: report(Progress(done, frames.value)),
        seconds=REPORTS,
    )
    with closing(results):
        for clip, future in results:
            sums = _result(future, clip.name)
            done += 1
            yield clip.name, sums
    report(Progress(done, frames.value))


def _result(future: Future[ClipSums], name: str) -> ClipSums:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise MetricsError(
            f"{name}: the worker process ended unexpectedly at this clip; if memory ran out, use fewer processes"
        ) from error


def _start(frames: Any) -> None:
    """Prepare a worker process."""
    cv2.setNumThreads(1)
    global _frames
    _frames = frames


def _count(new: int) -> None:
    with _frames.get_lock():
        _frames.value += new


def _measured_in_worker(clip: Clip, convention: str) -> ClipSums:
    return _measured(clip, convention, _count)
