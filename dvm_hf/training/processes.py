"""The rank of this process, and its number among a loader's workers."""

import os
import sys
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.utils.data import get_worker_info

from dvm_hf.dataset.field_rules import require_integers
from dvm_hf.errors import ConfigError

MAX_WORKERS = 64
SHARDERS = ("IterableDatasetShard.", "DataLoaderDispatcher.")  # of accelerate; transformers also has the first one


class Process(NamedTuple):
    """A worker of a loader; or a process that is not a worker, with workers = 0.

    loader_seed: drawn by the loader for each iteration and shared by all workers; persistent workers keep the first.
    """

    worker: int
    workers: int
    loader_seed: int


def this_process() -> Process:
    info = get_worker_info()
    if info is None:
        return Process(0, 0, 0)
    if info.num_workers > MAX_WORKERS:
        raise ConfigError(
            f"num_workers={info.num_workers}: a ClipStream has at most {MAX_WORKERS} workers per rank; use fewer"
        )
    return Process(int(info.id), int(info.num_workers), int(info.seed) - int(info.id))


@dataclass
class Ranks:
    """The rank and world size of a stream: as given, or torch.distributed's at the time of the call.

    A spawned worker has no process group, and inherits the values of its parent process.
    """

    rank: int | None = None
    world_size: int | None = None
    inherited: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        rank, world_size = self.rank, self.world_size
        if rank is None and world_size is None:
            return
        if rank is None or world_size is None:
            raise ConfigError(
                f"rank={rank!r}, world_size={world_size!r}: pass both, or neither to use those of torch.distributed"
            )
        require_integers(rank=(rank, 0), world_size=(world_size, 1))
        if rank >= world_size:
            raise ConfigError(f"rank={rank}: there are {world_size} ranks, numbered from 0; pass 0 to {world_size - 1}")

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"inherited": self._known()}

    @property
    def are_known(self) -> bool:
        """Whether they were passed, or are known from a process group."""
        return self._known() is not None

    def current(self) -> tuple[int, int]:
        """Return (rank, world size). Raises ConfigError if WORLD_SIZE is above 1 and there is no process group."""
        known = self._known()
        if known is not None:
            return known
        processes = os.environ.get("WORLD_SIZE", "")
        if processes.isdecimal() and int(processes) > 1:
            raise ConfigError(
                f"WORLD_SIZE={processes}: torch.distributed has no process group yet, so every rank would get all "
                "samples; call torch.distributed.init_process_group first, or pass rank and world_size "
                "(rank=0, world_size=1 for all samples in each rank)"
            )
        return 0, 1

    def _known(self) -> tuple[int, int] | None:
        if self.rank is not None and self.world_size is not None:
            return self.rank, self.world_size
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return torch.distributed.get_rank(), torch.distributed.get_world_size()
        return self.inherited if get_worker_info() is not None else None


def require_one_sharding(world_size: int) -> None:
    """Raise ConfigError if a loader splits a stream among ranks that is already split among them.

    Such a loader calls the stream in this process, or in the one that forked it, so it is in the call stack.
    """
    frame = sys._getframe(1) if world_size > 1 else None
    while frame is not None:
        name = frame.f_code.co_qualname  # type: ignore[attr-defined, unused-ignore]  # Python 3.11
        if name.startswith(SHARDERS):
            raise ConfigError(
                f"world_size={world_size}: {name.split('.')[0]} splits the samples among the ranks once more, so most "
                "would be dropped; do not pass the DataLoader to accelerator.prepare (see docs/training.md), or pass "
                "rank=0, world_size=1 to the ClipStream"
            )
        frame = frame.f_back
