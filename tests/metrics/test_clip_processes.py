"""Many clips, in this process or in several: the same sums, in the same order, and errors that name the clip."""

import os
import signal
import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
from reference_mattes import frames

from dvm_hf.errors import MetricsError, SourceError
from dvm_hf.metrics import AffineFlow, Clip, ClipEvaluator, Progress, evaluate_clips
from dvm_hf.metrics.frames import REGIONS

LENGTHS = (3, 5, 1, 4, 2)


def clips() -> list[Clip]:
    flow = AffineFlow([[0, 2 * t, 0, 1] for t in range(5)])
    found = [Clip(f"clip{number}", partial(frames, number, length=length)) for number, length in enumerate(LENGTHS)]
    found[1] = Clip("clip1", found[1].frames, flow=flow)
    return found


def test_clips_are_measured_one_by_one_in_this_process() -> None:
    reports: list[Progress] = []
    found = evaluate_clips(iter(clips()), convention="default", on_progress=reports.append)
    assert [*found] == [clip.name for clip in clips()]
    for clip, length in zip(clips(), LENGTHS, strict=True):
        evaluator = ClipEvaluator(flow=clip.flow)
        for frame in clip.frames():
            evaluator.update(**frame)
        assert repr(found[clip.name]) == repr(evaluator.sums())
        assert found[clip.name].frames == length
    assert [sums.flow for sums in found.values()] == [None, "affine", None, None, None]
    assert reports[-1] == (5, sum(LENGTHS))


@pytest.mark.slow
def test_processes_give_the_same_sums_in_the_order_of_the_clips() -> None:
    reports: list[Progress] = []
    found = evaluate_clips(clips(), convention="vm108", processes=2, on_progress=reports.append)
    assert repr(found) == repr(evaluate_clips(clips(), convention="vm108"))
    assert reports[-1] == (5, sum(LENGTHS))
    assert reports == sorted(reports)


def without_frames() -> Iterator[dict[str, np.ndarray]]:
    yield from ()


def unreadable() -> Iterator[dict[str, np.ndarray]]:
    yield next(frames(0))
    raise SourceError("a.png: cannot be read")


def killed() -> Iterator[dict[str, np.ndarray]]:
    yield next(frames(0))
    os.kill(os.getpid(), signal.SIGKILL)


def endless() -> Iterator[dict[str, np.ndarray]]:
    while True:
        yield next(frames(0))
        time.sleep(0.01)


def test_errors_of_a_clip_name_it_and_those_of_its_reader_are_raised_as_they_are() -> None:
    with pytest.raises(MetricsError, match="bad: the clip has no frames"):
        evaluate_clips([Clip("bad", without_frames)])
    with pytest.raises(SourceError, match=r"^a.png: cannot be read"):
        evaluate_clips([Clip("bad", unreadable)])


@pytest.mark.slow
def test_an_error_in_one_process_stops_the_others() -> None:
    with pytest.raises(SourceError, match=r"^a.png: cannot be read"):
        evaluate_clips([Clip("endless", endless), Clip("bad", unreadable)], processes=2)


@pytest.mark.slow
def test_a_killed_process_is_an_error_that_names_its_clip() -> None:
    with pytest.raises(
        MetricsError, match=r"^bad: the worker process ended unexpectedly at this clip; if memory ran out"
    ):
        evaluate_clips([Clip("endless", endless), Clip("bad", killed)], processes=2)


def test_names_must_differ() -> None:
    with pytest.raises(MetricsError, match="clip0: two clips have this name"):
        evaluate_clips([*clips()[:1], *clips()[:1]])


def test_clips_are_not_collected_before_they_are_measured() -> None:
    taken = []

    def one_by_one() -> Iterator[Clip]:
        for clip in clips():
            taken.append(clip.name)
            yield clip

    with pytest.raises(MetricsError, match=r"clip0: .*convention='sane'"):
        evaluate_clips(one_by_one(), convention="sane")
    assert taken == ["clip0"]
    assert {*REGIONS} == {*evaluate_clips(one_by_one())["clip4"].sums}
