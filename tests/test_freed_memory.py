"""Memory that was freed: kept for the next frame, or returned to the system, as the system counts it."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.one_lane,
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries decide this themselves"),
]

# Prints the page faults of 20 rounds, each with three arrays of 10 MB, which are 7,324 pages of 4 kB in a round.
ROUNDS = """
import resource
import numpy as np
from dvm_hf.freed_memory import keep_freed_memory

{setup}

def use_arrays():
    arrays = [np.ones(10_000_000, np.uint8) for _ in range(3)]

use_arrays()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    use_arrays()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
# Prints the resident memory, in MB, before and after what was freed is returned.
RETURNED = """
import numpy as np
from dvm_hf.freed_memory import keep_freed_memory, release_freed_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

keep_freed_memory()
arrays = [np.ones(10_000_000, np.uint8) for _ in range(5)]
before = resident()
del arrays
kept = resident()
release_freed_memory()
print(before - kept, kept - resident())
"""


def printed_by(program: str) -> list[float]:
    environment = {**os.environ, "NUMPY_MADVISE_HUGEPAGE": "0", "DVM_HF_RENDERS_ONLY": "1"}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return [float(number) for number in run.stdout.split()]


def test_arrays_of_the_next_frame_use_the_memory_of_the_last_one() -> None:
    (faults,) = printed_by(ROUNDS.format(setup="keep_freed_memory()"))
    assert faults < 1000


def test_without_it_each_frame_requests_its_memory_again() -> None:
    (faults,) = printed_by(ROUNDS.format(setup=""))
    assert faults > 20_000


def test_kept_memory_can_be_returned() -> None:
    freed, returned = printed_by(RETURNED)
    assert freed < 5
    assert returned > 45
