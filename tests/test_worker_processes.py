"""Processes leave Ctrl-C to their parent from their start on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dvm_hf.worker_processes import LEAN

ROOT = Path(__file__).resolve().parents[1]
WORKERS = """
import multiprocessing, signal
from dvm_hf.worker_processes import deferred_interrupts

def is_blocked():
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())

def report():
    raise SystemExit(0 if is_blocked() else 7)

if __name__ == "__main__":
    codes = []
    for number in range(2):
        worker = multiprocessing.get_context("spawn").Process(target=report)
        with deferred_interrupts():
            worker.start()
        worker.join()
        codes.append(worker.exitcode)
    print(codes, is_blocked())
"""


@pytest.mark.slow
def test_a_starting_worker_receives_no_interrupt(tmp_path: Path) -> None:
    """Not even the first worker of a process, with which Python starts a process of its own."""
    (tmp_path / "workers.py").write_text(WORKERS, encoding="utf-8")
    command = [sys.executable, str(tmp_path / "workers.py")]
    environment = os.environ | LEAN | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[0, 0] False\n", "")
