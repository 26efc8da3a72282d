"""Count the epoch runs of a stream over all of its processes, in shared memory.

A loader's workers start each epoch run with a copy of the stream that does not contain the previous run, and the main
process is not notified. Each process that starts an epoch run therefore looks up its number in a shared log.
"""

import zlib

import torch

from dvm_hf.training.processes import MAX_WORKERS, Process
from dvm_hf.training.sample_assignment import StartOffset
from dvm_hf.training.stream_state import Run

LOGGED = 64  # number of latest epoch runs in the log; no process starts an older one so late


class EpochRuns:
    """The epoch runs of a stream, numbered from 1 in the order in which their first process started them.

    The log has one 64-bit word per epoch run: its number, and a tag of the loader's iterator, derived from the seed
    that the loader gives to all workers of the run. A process starts the earliest run that has its tag and that it has
    not started yet, or otherwise a new one. Tags can repeat: persistent workers keep theirs, and so does a loader whose
    generator is reseeded for each run. Repeated tags are harmless, because every worker eventually starts every run of
    its loader: a loader waits for its workers to end before it is deleted.

    No lock is needed: words are written atomically, the processes of a run write the same word, and in the other
    tables each process has its own entry.
    """

    def __init__(self) -> None:
        self._log = _shared(LOGGED)
        self._begun = _shared(1 + MAX_WORKERS)  # by process: number of the latest run that it has started
        self._ended = _shared(1 + MAX_WORKERS)  # number of the latest run that it has finished
        self._made = _shared(1 + MAX_WORKERS)  # number of samples that it has rendered
        self._skipped = _shared(1 + MAX_WORKERS)  # number of samples that it has skipped
        self._base = _shared(4)  # number, first epoch and start offset of the run that later ones are counted from
        self.set_next(0, StartOffset(0, 0))

    @property
    def latest(self) -> int:
        """Number of the latest epoch run that has started, or 0."""
        return int(self._log.numpy().max()) >> 32

    @property
    def made(self) -> int:
        return int(self._made.sum())

    @property
    def skipped(self) -> int:
        return int(self._skipped.sum())

    def begin(self, process: Process) -> int:
        """Record that a process starts an epoch run, and return the number of the run."""
        tag = process.workers << 24 | zlib.crc32(process.loader_seed.to_bytes(9, "big", signed=True)) >> 8
        own = _entry(process.worker, process.workers)
        log = [(word >> 32, word & 0xFFFFFFFF) for word in self._log.tolist()]
        begun_by_others = [number for number, its_tag in log if its_tag == tag and number > int(self._begun[own])]
        number: int = min(begun_by_others, default=max(log)[0] + 1)
        self._log[number % LOGGED] = number << 32 | tag
        self._begun[own] = number
        return number

    def end(self, run: Run) -> None:
        """Record that a process has finished an epoch run."""
        self._ended[_entry(run.worker, run.workers)] = run.number

    def is_ended(self, number: int) -> bool:
        """Return whether all workers of an epoch run have finished it."""
        workers = int(self._log[number % LOGGED]) >> 24 & 0xFF
        return bool((self._ended[1 : 1 + workers] >= number).all())

    def workers_are_running(self) -> bool:
        """Return whether workers have started the latest epoch run, and are not all known to have finished it."""
        return self.latest >= int(self._base[0]) and not self.is_ended(self.latest)

    def count(self, run: Run, *, made: int, skipped: int) -> None:
        entry = _entry(run.worker, run.workers)
        self._made[entry] += made
        self._skipped[entry] += skipped

    def set_next(self, first_epoch: int, origin: StartOffset) -> None:
        """Set the first epoch and the start offset of the next epoch run; later runs are counted from it."""
        self.resume(self.latest + 1, first_epoch, origin)

    def resume(self, number: int, first_epoch: int, origin: StartOffset) -> None:
        """Set the first epoch and the start offset of an epoch run."""
        self._base[:] = torch.tensor([number, first_epoch, *origin], device="cpu")

    def start(self, number: int, epochs: int | None) -> tuple[int, StartOffset]:
        """Return the first epoch and the start offset of an epoch run, if each run has `epochs` epochs."""
        base, first_epoch, *origin = self._base.tolist()
        if number <= base:
            return first_epoch, StartOffset(*origin)
        epoch = first_epoch + (number - base) * (epochs or 1)
        return epoch, StartOffset(epoch, 0)


def _shared(length: int) -> torch.Tensor:
    tensor = torch.zeros(length, dtype=torch.int64, device="cpu")  # regardless of the default device
    tensor.share_memory_()  # type: ignore[no-untyped-call, unused-ignore]
    return tensor


def _entry(worker: int, workers: int) -> int:
    return worker + 1 if workers else 0
