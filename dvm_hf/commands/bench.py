"""`dvm bench`: measure the CPU time of each stage of a build on this machine."""

import dataclasses
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import datasets
from datasets.utils import tqdm

from dvm_hf.commands.config_options import (
    SourceFolder,
    config,
    config_options,
    integer_option,
    json_option,
    split_option,
)
from dvm_hf.commands.help_sections import SectionedCommand
from dvm_hf.dataset.config import plans, require_buildable
from dvm_hf.dataset.encoders import require_storable
from dvm_hf.dataset.stage_times import StageTimes, first_of_each_kind, views_times
from dvm_hf.errors import SourceError
from dvm_hf.synthetic.camera_like import draw_camera_like_sources
from dvm_hf.versions import versions
from dvm_hf.wording import counted


@click.command("bench", cls=SectionedCommand)
@click.argument("data_dir", type=SourceFolder(exists=True, path_type=Path), required=False)
@split_option("Config to time.", default="train")
@integer_option("--runs", "Runs per stage. The median is reported.", default=5)
@json_option
@config_options
def bench_command(data_dir: Path | None, split: str, runs: int, as_json: bool, **fields: Any) -> None:
    """Time each stage of a build on this machine.

    Times the first image foreground and the first video foreground of DATA_DIR. Without DATA_DIR, dvm bench draws
    camera-like 1080p sources, which are as expensive to decode as camera footage. The results are CPU milliseconds per
    frame, on one core. Without --crop-size, both complete frames and 320 px crops are timed.

    Example: dvm bench DVM --columns frames,alpha,foreground,background
    """
    datasets.disable_progress_bars() if as_json else datasets.enable_progress_bars()
    if data_dir is None:
        fields["backgrounds_per_foreground"] = "1"  # as many as are drawn
    with _sources(data_dir) as root:
        wanted = config(split, str(root), fields)
        require_buildable(wanted)
        require_storable(wanted.columns, encoding=wanted.encoding)
        chosen = first_of_each_kind(plans(wanted).clips)
        views = 2 if wanted.crop_size is None else 1
        measured: list[StageTimes] = []
        with tqdm(total=len(chosen) * views * runs, desc="Timing", unit=" runs", delay=2) as bar:
            for plan in chosen:
                measured += views_times(plan, encoding=wanted.encoding, runs=runs, tick=bar.update)
    if not measured:
        raise SourceError(f"{root}: all clips are too short or too small to time; run dvm check to see why")
    if as_json:
        clips = [dataclasses.asdict(times) for times in measured]
        click.echo(json.dumps({"machine": machine(), "runs": runs, "clips": clips}))
    else:
        click.echo(in_words(measured, runs=runs))


@contextmanager
def _sources(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        yield data_dir
        return
    with tempfile.TemporaryDirectory(prefix="dvm_bench_") as folder:
        yield draw_camera_like_sources(Path(folder))


def machine() -> dict[str, str]:
    """Return the machine and the library versions of a measurement."""
    used = versions()
    packages = {"OpenCV": used["opencv"], "PyAV": used["av"], "NumPy": used["numpy"], "datasets": datasets.__version__}
    return {
        "machine": platform.machine(),
        "cores": str(os.cpu_count() or 1),
        "Python": platform.python_version(),
    } | packages


def in_words(measured: list[StageTimes], *, runs: int) -> str:
    """Return a table with one line per stage and one column per clip."""
    used = machine()
    cores = counted(int(used.pop("cores")), "core")
    head = f"{used.pop('machine')}, {cores}, " + ", ".join(f"{name} {version}" for name, version in used.items())
    names = max((list(times.stages) for times in measured), key=len)  # an image foreground lacks a stage
    table = [["", *(times.clip_id.partition("_")[0] for times in measured)]]
    table.append(["", *(f"{times.width} x {times.height}" for times in measured)])
    for name in names:
        table.append([name, *(f"{times.stages[name]:.2f}" if name in times.stages else "" for times in measured)])
    table.append(["decode, render, encode", *(f"{times.whole:.1f}" for times in measured)])
    table.append(["frames/s on one core", *(f"{1000 / times.whole:.0f}" for times in measured)])
    lines = [f"{line[0]:30}" + "".join(f"{cell:>14}" for cell in line[1:]) for line in table]
    clips = "\n".join(
        f"{times.clip_id}: {counted(times.frames, 'frame')}"
        for times in {times.clip_id: times for times in measured}.values()
    )
    return "\n".join([head, f"CPU ms per frame, median of {counted(runs, 'run')}", "", *lines, "", clips])
