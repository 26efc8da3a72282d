"""Measure what `dvm prepare` and `dvm verify` cost besides rendering, by the number of clips.

The sources are 100 bytes to 3 kB each, a tenth as many as clips, and shards have 50 clips. The shards are not rendered:
each contains one row, so that only planning, listing and reading are measured. CPU time and peak memory are those of
one process, imports included. Pass --folder to keep the files for another run.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dvm_hf.media.still.image_encoding import encoded_image
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.parquet_rows import parquet_rows
from dvm_hf.prepared.plans.stored_plan import StoredPlan, open_plan
from dvm_hf.prepared.prepare import unlisted_shards
from dvm_hf.prepared.shard_task import Job
from dvm_hf.prepared.shards import Sidecar
from dvm_hf.prepared.source_digests import SourceDigests, require_sources
from dvm_hf.synthetic.source_tree import draw_sources

INTERVAL = 0.05  # seconds between two looks at the memory of a process
CLIPS_PER_SHARD, BACKGROUNDS_PER_FOREGROUND, CLIPS_PER_SOURCE = 50, 40, 10
GREY, COLOUR = np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.uint8)


def write_sources(root: Path, clips: int) -> None:
    """Write stills with alpha and, as backgrounds, copies of one short video: a source for each ten clips."""
    foregrounds = clips // BACKGROUNDS_PER_FOREGROUND
    still, alpha = encoded_image(COLOUR, "colour_png"), encoded_image(GREY + 255, "grey_png")
    film = small_film(root.parent / "film")
    folders = {name: root / name / "train" for name in ("fg/image", "bg")}
    for part in ("fg", "alpha"):
        (folders["fg/image"] / part).mkdir(parents=True)
    folders["bg"].mkdir(parents=True)
    for number in range(foregrounds):
        (folders["fg/image"] / "fg" / f"{number:06}.png").write_bytes(still)
        (folders["fg/image"] / "alpha" / f"{number:06}.png").write_bytes(alpha)
    for number in range(clips // CLIPS_PER_SOURCE - 2 * foregrounds):
        (folders["bg"] / f"{number:06}.mp4").write_bytes(film)


def small_film(folder: Path) -> bytes:
    """Return the smallest background of the synthetic sources."""
    draw_sources(folder, scale=0.1)
    film = min(folder.rglob("bg/*/*.mp4"), key=lambda path: path.stat().st_size).read_bytes()
    shutil.rmtree(folder)
    return film


def write_shards(plan: StoredPlan) -> None:
    """Write shards of one row, and their sidecars."""
    images = {
        "frames": [{"bytes": encoded_image(COLOUR, "jpeg"), "path": None}],
        "alpha": [{"bytes": encoded_image(GREY, "grey_png"), "path": None}],
        "trimap": [{"bytes": encoded_image(GREY, "grey_png"), "path": None}],
    }
    folder = plan.folder
    for index in range(plan.num_shards):
        ids = [clip["clip_id"] for clip in plan.line(index)["clips"]]
        path = folder.shard(plan.split, index, plan.num_shards)
        row = {"clip_id": ids[0], "window": 0, "start": 0, **images, "foreground_kind": "image"}
        row |= {"foreground_name": "x", "background_name": "x", "height": 8, "width": 8, "seed": 0}
        with parquet_rows(path, plan.schema, {"plan": plan.digest, "split": plan.split, "shard": index}) as rows:
            rows.append(row | {"motion": [[0.0, 0.0, 0.0, 1.0]]})
        counts = {name: int(name == ids[0]) for name in ids}
        sidecar = Sidecar(path.name, plan.digest, counts, **vars(rows.written))
        folder.sidecar(plan.split, index, plan.num_shards).write_bytes(sidecar.file_bytes())


def measured(name: str, arguments: Sequence[str]) -> None:
    """Run a command and print its CPU time and peak memory."""
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=printed)
        peak, ended = 0, 0
        while not ended:
            peak = max(peak, peak_bytes(process.pid))  # the peak of `usage` would include this process, before exec
            time.sleep(INTERVAL)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            printed.seek(0)
            raise SystemExit(f"{name}: {printed.read().decode()}")
    print(f"{name:44}{usage.ru_utime + usage.ru_stime:9.2f} s{peak / 1e6:8.0f} MB", flush=True)


def peak_bytes(pid: int) -> int:
    """Return the peak memory of a process so far; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def measured_here(name: str, begin: float, count: int = 1) -> None:
    print(f"{name:44}{(time.process_time() - begin) / count:11.4f} s", flush=True)


def measure(folder: Path, clips: int) -> None:
    shards = clips // CLIPS_PER_SHARD
    print(f"\n{clips:,} clips, {clips // CLIPS_PER_SOURCE:,} source files, {shards:,} shards", flush=True)
    sources, out = folder / "DVM", folder / "out"
    dvm = ("-m", "dvm_hf")
    both = (str(sources), str(out), "--config", "train")
    planning = ("--num-shards", str(shards), "--backgrounds-per-foreground", str(BACKGROUNDS_PER_FOREGROUND))
    if not sources.exists():
        write_sources(sources, clips)
    measured("plan, with the hashes of all sources", (*dvm, "prepare", *both, *planning, "--plan-only"))
    measured("plan again", (*dvm, "prepare", *both, *planning, "--plan-only"))
    plan = open_plan(PreparedFolder(out), "train")
    size = plan.table.stat().st_size + plan.folder.plan("train").stat().st_size
    print(f"{'size of the plan':44}{size / 1e6:11.1f} MB", flush=True)
    chosen = range(0, shards, max(1, shards // 100))
    begin = time.process_time()
    read = [plan.shard(index) for index in chosen]
    measured_here("read the plan of a shard", begin, len(read))
    begin = time.process_time()
    for shard in read:
        require_sources(shard.sources, SourceDigests(sources, plan.folder.local_sources), shard.clips)
    measured_here("compare the sources of a shard", begin, len(read))
    write_shards(plan)
    measured("task of a finished shard", (*dvm, "prepare", *both, "--shard-index", str(shards // 2)))
    begin = time.process_time()
    assert not unlisted_shards(plan.folder, {"train": plan}, [Job("train", index) for index in range(shards)])
    measured_here("list the missing shards", begin)
    measured("write the manifest and the card", (*dvm, "prepare", *both, "--finish"))
    print(f"{'size of the manifest':44}{plan.folder.manifest.stat().st_size / 1e6:11.1f} MB", flush=True)
    measured("verify", (*dvm, "verify", str(out)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[1_000, 10_000], help="numbers of clips")
    parser.add_argument("--folder", type=Path, help="folder for the files; they are kept")
    arguments = parser.parse_args()
    for clips in arguments.clips:
        if arguments.folder is not None:
            measure(arguments.folder / str(clips), clips)
            continue
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), clips)


if __name__ == "__main__":
    main()
