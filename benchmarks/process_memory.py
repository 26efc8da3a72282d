"""The memory of a command and all its processes, sampled 20 times a second, each page counted once (PSS)."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

INTERVAL = 0.05  # seconds between two samples


def peak_memory(command: Sequence[str]) -> tuple[int, str]:
    """Run a command; return the highest sum over its processes in bytes, and its standard output. Needs Linux."""
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, sum(map(proportional_bytes, family(process.pid))))
            try:
                process.wait(INTERVAL)
            except subprocess.TimeoutExpired:
                continue
        assert process.stdout is not None
        printed = process.stdout.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, printed)
    return peak, printed


def family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(descendant for child in children for descendant in family(int(child)))]


def proportional_bytes(pid: int) -> int:
    """Return the memory of a process, with its share of the pages that it shares; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
