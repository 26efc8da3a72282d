"""The order in which a process takes work that other processes also do."""

import os
import random
import socket
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def shuffled(jobs: Sequence[Item]) -> Sequence[Item]:
    """Return jobs in a random order that differs per process, so that builders of one folder seldom collide.

    Different starting points in one common order are not enough: a builder that catches up with another one would then
    collide with it at every shard.
    """
    return random.Random(f"{socket.gethostname()}-{os.getpid()}").sample(jobs, len(jobs))
