"""What the processes that read one stream know of each other's passes over it, in shared memory.

A loader's workers are forked or spawned anew for every pass and end with it. Without this each would begin with the
same epoch again, and the main process could not say where the stream stands.
"""

import torch
from torch.utils.data import get_worker_info

from dvm_hf.config import require_whole
from dvm_hf.errors import ConfigError

MOST_WORKERS = 64


class Passes:
    """Per process: the pass it has begun, the first epoch it has not been through, the samples it left out.

    Epochs are counted from 0. Each process writes only its own entry, keyed by (worker, workers); (0, 0) is a process
    that is no worker. So no lock is needed: an entry that a starting worker reads can only be changed by itself, or
    by one of its siblings that has gone through the pass already, which the smallest of their entries does not show.
    """

    def __init__(self) -> None:
        entries = 1 + MOST_WORKERS * (MOST_WORKERS + 1) // 2
        self._table = torch.zeros(3, entries, dtype=torch.int32)
        self._base = torch.zeros(2, dtype=torch.int64)  # epoch to begin with, times it was set
        for tensor in (self._table, self._base):
            tensor.share_memory_()  # type: ignore[no-untyped-call, unused-ignore]

    @property
    def base(self) -> int:
        """The epoch that the stream was told to begin with."""
        return int(self._base[0])

    @property
    def generation(self) -> int:
        """How often it was told."""
        return int(self._base[1])

    @property
    def left_out(self) -> int:
        return int(self._table[2].sum())

    def next_epoch(self) -> int:
        """The first epoch that some process has not been through."""
        ended = self._table[1].numpy()
        through = [int(ended[_entries(workers)].min()) for workers in range(MOST_WORKERS + 1)]
        return max(self.base, *through)

    def begin(self, worker: int, workers: int, *, epoch: int) -> None:
        if not workers:
            self._table[0] = 0  # passes that workers have left early
        self._table[0, _entries(workers).start + worker] = epoch + 1

    def end(self, worker: int, workers: int, *, next_epoch: int) -> None:
        self._table[1, _entries(workers).start + worker] = next_epoch

    def leave_out(self, worker: int, workers: int, *, samples: int) -> None:
        self._table[2, _entries(workers).start + worker] += samples

    def workers_are_under_way(self) -> bool:
        """Whether worker processes have begun a pass that not all of them have ended."""
        begun, ended = self._table[0].numpy(), self._table[1].numpy()
        groups = [_entries(workers) for workers in range(1, MOST_WORKERS + 1)]
        return any(begun[group].max() > max(ended[group].min(), self.base) for group in groups)

    def set(self, epoch: int) -> None:
        """Begin the next pass with an epoch, whatever was before."""
        self._table[:2] = 0
        self._base[0] = epoch
        self._base[1] += 1

    def restore(self, worker: int, workers: int, *, first_epoch: int, next_epoch: int) -> None:
        """A worker goes on in a pass that began with an epoch; its siblings say the same of theirs, in any order."""
        own = _entries(workers)
        self._table[1, : own.start] = 0
        self._table[1, own.stop :] = 0
        self._base[0] = first_epoch
        self.end(worker, workers, next_epoch=next_epoch)


def _entries(workers: int) -> slice:
    """Where the entries of a loader with so many workers lie in the table; the process itself where there are none."""
    start = 1 + workers * (workers - 1) // 2 if workers else 0
    return slice(start, start + max(workers, 1))


def this_worker() -> tuple[int, int]:
    """(worker, number of workers) in a loader's worker process; (0, 0) elsewhere."""
    info = get_worker_info()
    if info is None:
        return 0, 0
    if info.num_workers > MOST_WORKERS:
        raise ConfigError(f"num_workers={info.num_workers}: a ClipStream has at most {MOST_WORKERS} a rank; use fewer")
    return int(info.id), int(info.num_workers)


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
