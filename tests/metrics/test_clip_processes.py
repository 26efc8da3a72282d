"""Many clips, in this process or in several: the same sums, in the same order, and errors that name the clip."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from reference_mattes import frames

from dvm_hf.errors import MetricsError, SourceError
from dvm_hf.metrics import AffineFlow, Clip, ClipEvaluator, ClipSums, Progress, evaluate_clips
from dvm_hf.metrics.frames import REGIONS
from dvm_hf.worker_processes import LEAN

LENGTHS = (3, 5, 1, 4, 2)


def clips() -> list[Clip]:
    flow = AffineFlow([[0, 2 * t, 0, 1] for t in range(5)])
    found = [Clip(f"clip{number}", partial(frames, number, length=length)) for number, length in enumerate(LENGTHS)]
    found[1] = Clip("clip1", found[1].frames, flow=flow)
    return found


def test_clips_are_measured_one_by_one_in_this_process() -> None:
    reports: list[Progress] = []
    measured: dict[str, ClipSums] = {}
    found = evaluate_clips(
        iter(clips()), convention="default", on_progress=reports.append, on_clip=measured.__setitem__
    )
    assert measured == found
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
        time.sleep(0.2)


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


DRIVER = """
import sys
from dvm_hf.metrics import Clip, evaluate_clips
from test_clip_processes import endless

if __name__ == "__main__":
    clips = [Clip("a", endless), Clip("b", endless)]
    evaluate_clips(clips, processes=2, on_progress=lambda done: print(done, flush=True))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="lists processes in /proc")
def test_workers_end_with_a_killed_driver(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(DRIVER)
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1]), *sys.path])
    environment = os.environ | LEAN | {"PYTHONPATH": paths}
    command = [sys.executable, "driver.py"]
    driver = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment)
    assert driver.stdout is not None
    assert any("frames=0" not in line for line in driver.stdout)  # the workers measure
    workers = children(driver.pid)
    assert len(workers) >= 2
    driver.kill()
    driver.wait()
    driver.stdout.close()
    until = time.monotonic() + 30
    while (left := [pid for pid in workers if is_running(pid)]) and time.monotonic() < until:
        time.sleep(0.1)
    assert left == []


def children(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(path.parent.name))
    return found


def is_running(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


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
