"""`dvm bench`: what each stage of a build costs on this machine."""

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

from dvm_hf.commands.config_options import config, config_options
from dvm_hf.dataset.config import plans, require_valid
from dvm_hf.dataset.stage_times import StageTimes, first_of_each_kind, views_times
from dvm_hf.errors import SourceError
from dvm_hf.sources.tree import SPLITS
from dvm_hf.synthetic.camera_like import draw_filmed_sources
from dvm_hf.versions import versions


@click.command("bench")
@click.argument("data_dir", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
@click.option("--config", "split", type=click.Choice(SPLITS), default="train", show_default=True, help="Of DATA_DIR.")
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True, help="Runs of which medians are shown.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else on stdout.")
@config_options
def bench_command(data_dir: Path | None, split: str, runs: int, as_json: bool, **fields: Any) -> None:
    """Time each stage of a build on this machine.

    Takes the first still and the first moving foreground of DATA_DIR; without it, 1080p media that it draws, as costly
    to decode as filmed ones. Prints CPU milliseconds a frame: of one core, however many there are. Without --crop-size
    both the whole frame and a crop of 320 px are timed.

    Example: dvm bench DVM --columns frames,alpha,foreground,background
    """
    datasets.disable_progress_bars() if as_json else datasets.enable_progress_bars()
    if data_dir is None:
        fields["backgrounds_per_foreground"] = "1"  # as many as are drawn
    with _sources(data_dir) as root:
        wanted = config(split, str(root), fields)
        require_valid(wanted)
        chosen = first_of_each_kind(plans(wanted).clips)
        views = 2 if wanted.crop_size is None else 1
        measured: list[StageTimes] = []
        with tqdm(total=len(chosen) * views * runs, desc="Timing", unit=" runs", delay=2) as bar:
            for plan in chosen:
                measured += views_times(plan, encoding=wanted.encoding, runs=runs, tick=bar.update)
    if not measured:
        raise SourceError(f"{root}: no clip has a window to be timed; dvm check says why")
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
        yield draw_filmed_sources(Path(folder))


def machine() -> dict[str, str]:
    """What the numbers were measured with."""
    used = versions()
    packages = {"OpenCV": used["opencv"], "PyAV": used["av"], "NumPy": used["numpy"], "datasets": datasets.__version__}
    return {"machine": platform.machine(), "cores": str(os.cpu_count()), "Python": platform.python_version()} | packages


def in_words(measured: list[StageTimes], *, runs: int) -> str:
    """A table: a stage a line, a clip a column."""
    told = machine()
    head = f"{told.pop('machine')}, {told.pop('cores')} cores, " + ", ".join(f"{k} {v}" for k, v in told.items())
    names = max((list(times.stages) for times in measured), key=len)  # a still lacks a stage, none has one more
    table = [["", *(times.clip_id.partition("_")[0] for times in measured)]]
    table.append(["", *(f"{times.width} x {times.height}" for times in measured)])
    for name in names:
        table.append([name, *(f"{times.stages[name]:.2f}" if name in times.stages else "" for times in measured)])
    table.append(["decode, render, encode", *(f"{times.whole:.1f}" for times in measured)])
    table.append(["frames/s of one core", *(f"{1000 / times.whole:.0f}" for times in measured)])
    lines = [f"{line[0]:30}" + "".join(f"{cell:>14}" for cell in line[1:]) for line in table]
    clips = "\n".join(
        f"{times.clip_id}: {times.frames} frames" for times in {times.clip_id: times for times in measured}.values()
    )
    return "\n".join([head, f"CPU ms a frame, medians of {runs} runs", "", *lines, "", clips])
