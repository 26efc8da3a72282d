"""Which process this is: its rank, and which worker of a loader."""

from typing import NamedTuple

import torch
from torch.utils.data import get_worker_info

from dvm_hf.config import require_whole
from dvm_hf.errors import ConfigError

MOST_WORKERS = 64


class Process(NamedTuple):
    """A worker of a loader, or, with workers = 0, a process that is none.

    pass_seed: the loader draws it anew for each pass and gives it to all workers; persistent workers keep their first.
    """

    worker: int
    workers: int
    pass_seed: int


def this_process() -> Process:
    info = get_worker_info()
    if info is None:
        return Process(0, 0, 0)
    if info.num_workers > MOST_WORKERS:
        raise ConfigError(f"num_workers={info.num_workers}: a ClipStream has at most {MOST_WORKERS} a rank; use fewer")
    return Process(int(info.id), int(info.num_workers), int(info.seed) - int(info.id))


def this_rank(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """(rank, world size) as given, else as torch.distributed has it, else (0, 1)."""
    if rank is None and world_size is None:
        is_distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        return (torch.distributed.get_rank(), torch.distributed.get_world_size()) if is_distributed else (0, 1)
    if rank is None or world_size is None:
        raise ConfigError(f"rank={rank!r}, world_size={world_size!r}: give both, or neither for torch.distributed's")
    require_whole(rank=(rank, 0), world_size=(world_size, 1))
    if rank >= world_size:
        raise ConfigError(f"rank={rank}: there are {world_size} ranks, numbered from 0; give 0 to {world_size - 1}")
    return rank, world_size
