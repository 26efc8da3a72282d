"""Measure many clips, in several processes."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import cv2

from dvm_hf.errors import MetricsError
from dvm_hf.metrics.clip_evaluator import ClipEvaluator
from dvm_hf.metrics.clip_sums import ClipSums
from dvm_hf.metrics.flow import Flow
from dvm_hf.worker_pool import Death, pooled_results, report
from dvm_hf.worker_processes import end_with_parent

REPORTS = 0.2  # seconds between two reports of progress


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
    counter = _Counter(on_progress or _no_report)
    found: dict[str, ClipSums] = {}
    names: list[str] = []
    results = _here if processes == 1 else _in_processes
    for name, sums in results(_named(clips, names), convention, processes, counter):
        found[name] = sums
        counter.clips += 1
        if on_clip is not None:
            on_clip(name, sums)
    counter.report()
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


class _Counter:
    """Counts clips and frames, and reports them several times per second."""

    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._report = report
        self.clips = self.frames = 0
        self._reported = time.monotonic()

    def add_frames(self, new: int) -> None:
        self.frames += new
        if time.monotonic() > self._reported + REPORTS:
            self.report()

    def report(self) -> None:
        self._report(Progress(self.clips, self.frames))
        self._reported = time.monotonic()


def _here(clips: Iterator[Clip], convention: str, processes: int, counter: _Counter) -> Iterator[tuple[str, ClipSums]]:
    for clip in clips:
        yield clip.name, _measured(clip, convention, counter.add_frames)


def _in_processes(
    clips: Iterator[Clip], convention: str, processes: int, counter: _Counter
) -> Iterator[tuple[str, ClipSums]]:
    """Measure each clip in a process that is idle."""
    results = pooled_results(
        partial(_measured_in_worker, convention=convention),
        clips,
        processes=processes,
        on_report=counter.add_frames,
        initializer=_start,
        is_lean=False,  # frames may come from `datasets`
    )
    with closing(results):
        for clip, sums in results:
            if isinstance(sums, Death):
                raise MetricsError(
                    f"{clip.name}: the worker process ended unexpectedly at this clip; if memory ran out, use fewer "
                    "processes"
                )
            yield clip.name, sums


def _start() -> None:
    """Prepare a worker process."""
    end_with_parent()
    cv2.setNumThreads(1)


def _measured_in_worker(clip: Clip, convention: str) -> ClipSums:
    return _measured(clip, convention, report)
