"""Compare the CPU time of the engines of `dvm prepare`: whole processes with all that they start, alternating.

Prints what each process of Ray takes for a start and stop, the medians for a small build and for one of more frames,
with and without that cost, and whether all folders have the same files. Needs the extra `ray`.
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
IMPORT = "from dvm_hf.prepared.engines.ray_engine import RayCluster, connected\n"  # what `dvm prepare` imports anyway
START = IMPORT + "with connected(RayCluster(num_proc=2)): pass"
PARTS = {  # part of a command line: the process
    "raylet/raylet": "raylet",  # has the command lines of agents and workers as arguments
    "RayCluster": "the process that starts it, and its imports",
    "gcs_server": "GCS server",
    "log_monitor.py": "log monitor",
    "monitor.py": "autoscaler's monitor",
    "dashboard/dashboard.py": "dashboard, without modules",
    "dashboard/agent.py": "dashboard agent",
    "runtime_env/agent": "agent of runtime environments",
    "default_worker.py": "two workers",
}
LOADS = {
    "small": ["--clip-length", "8"],
    "larger": ["--clip-length", "8", "--backgrounds-per-foreground", "6"],
}


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


def start_parts() -> dict[str, float]:
    """Return the CPU time of each kind of process of a Ray that is started and stopped."""
    names: dict[int, str] = {}
    seen: dict[int, float] = {}
    with subprocess.Popen([sys.executable, "-c", START]) as process:
        while process.poll() is None:
            seen |= descendants_cpu(process.pid)
            for pid in seen.keys() - names.keys():
                name = process_name(pid)
                if name is not None:
                    names[pid] = name
            time.sleep(0.05)
    found: dict[str, float] = {}
    for pid, seconds in seen.items():
        name = names.get(pid, "other")
        found[name] = found.get(name, 0) + seconds
    return found


def process_name(pid: int) -> str | None:
    """Return what a process of Ray is, by its command line; None if it has none, as processes that begin or end."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return None
    return next((name for part, name in PARTS.items() if part in line), None)


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


def measure(folder: Path, options: list[str], runs: int) -> tuple[dict[str, float], bool]:
    """Return the median CPU time of each engine, and whether all folders have the same files."""
    times: dict[str, list[float]] = {name: [] for name in ENGINES}
    hashes = set()
    for run in range(runs):
        for engine in ENGINES:
            out = folder / f"{engine}{run}"
            command = [sys.executable, "-m", "dvm_hf", "prepare", str(folder.parent / "DVM"), str(out)]
            command += ["--config", "train", *options, "--num-shards", "8", "--num-proc", "2", "--engine", engine]
            times[engine].append(cpu_seconds(command))
            hashes.add(tuple(tree_hashes(out).items()))
    return {name: statistics.median(values) for name, values in times.items()}, len(hashes) == 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scale", type=float, default=0.5, help="size of the synthetic sources")
    parser.add_argument("--loads", nargs="+", choices=LOADS, default=[*LOADS])
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"CPU seconds, median of {arguments.runs} runs")
    alone = []
    for _ in range(arguments.runs):
        alone.append(cpu_seconds([sys.executable, "-c", START]) - cpu_seconds([sys.executable, "-c", IMPORT]))
    start = statistics.median(alone)
    print(f"start and stop Ray alone             {start:8.1f}")
    for name, seconds in sorted(start_parts().items(), key=lambda item: -item[1]):
        print(f"  {name:<48}{seconds:6.1f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        draw_sources(Path(folder, "DVM"), scale=arguments.scale)
        for load in arguments.loads:
            times, are_equal = measure(Path(folder, load), LOADS[load], arguments.runs)
            print(f"\n{load} build: {' '.join(LOADS[load])}")
            print(f"local                                {times['local']:8.1f}")
            print(f"ray                                  {times['ray']:8.1f}")
            print(f"ray / local                          {times['ray'] / times['local']:8.2f}")
            print(f"the same without start and stop      {(times['ray'] - start) / times['local']:8.2f}")
            print(f"the same files: {are_equal}", flush=True)


if __name__ == "__main__":
    main()
