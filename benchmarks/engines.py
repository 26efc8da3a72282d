"""Compare the CPU time of the engines of `dvm prepare`: whole processes with all that they start, alternating.

Prints the medians, the cost of starting and stopping Ray alone, and whether all folders have the same files. Needs the
extra `ray`.
"""

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from slurm import tree_hashes

from dvm_hf.synthetic.source_tree import draw_sources

ENGINES = ("local", "ray")
START = """
from dvm_hf.prepared.engines.ray_engine import RayCluster, connected
with connected(RayCluster(num_proc=2)):
    pass
"""


def cpu_seconds(command: list[str]) -> float:
    """Run a command, and return the CPU time of its processes; those of Ray are found while they run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seen: dict[int, float] = {}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            seen |= descendants_cpu(process.pid)
            time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    waited = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return max(waited, sum(seen.values()))


def descendants_cpu(pid: int) -> dict[int, float]:
    """Return the CPU time of a process and of its descendants by process, without that of their ended children."""
    ticks, parents, found = os.sysconf("SC_CLK_TCK"), {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(fields[1]), (int(fields[11]) + int(fields[12])) / ticks
    inside = {pid}
    while new := {child for child, (parent, _) in parents.items() if parent in inside} - inside:
        inside |= new
    for one in inside & parents.keys():
        found[one] = parents[one][1]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scale", type=float, default=0.5, help="size of the synthetic sources")
    arguments = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in (*ENGINES, "start")}
    hashes = set()
    with tempfile.TemporaryDirectory() as folder:
        draw_sources(Path(folder, "DVM"), scale=arguments.scale)
        for run in range(arguments.runs):
            for engine in ENGINES:
                out = Path(folder, f"{engine}{run}")
                command = [sys.executable, "-m", "dvm_hf", "prepare", f"{folder}/DVM", str(out), "--config", "train"]
                command += ["--num-shards", "8", "--clip-length", "8", "--num-proc", "2", "--engine", engine]
                times[engine].append(cpu_seconds(command))
                hashes.add(tuple(tree_hashes(out).items()))
            times["start"].append(cpu_seconds([sys.executable, "-c", START]))
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(f"CPU seconds, median of {arguments.runs} runs")
    print(f"local                                {medians['local']:8.1f}")
    print(f"ray                                  {medians['ray']:8.1f}")
    print(f"start and stop Ray alone             {medians['start']:8.1f}")
    print(f"ray / local (at most 1.35): {medians['ray'] / medians['local']:.2f}")
    print(f"the same files: {len(hashes) == 1}")


if __name__ == "__main__":
    main()
