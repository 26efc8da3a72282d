"""The passes over one stream, counted: what its processes know of each other, in shared memory.

A loader's workers begin each pass as copies of the stream that know nothing of the pass before, and the main process
is not told that a pass begins. So each process that begins one looks it up in a log that all of them share.
"""

import zlib

import torch

from dvm_hf.training.processes import MOST_WORKERS, Process
from dvm_hf.training.sample_order import StartOffset
from dvm_hf.training.stream_state import Run

LOGGED = 64  # the latest passes; older ones have no process left that begins late


class EpochRuns:
    """Passes have numbers from 1, in the order in which their first process began them.

    The log has one 64-bit word a pass: its number and a mark of the loader's iterator, from the seed that it gives to
    all workers of the pass. A process begins the earliest pass that has its mark and that it has not begun yet, else a
    new one. Marks may come again: persistent workers keep theirs, and so does a loader whose generator is seeded anew
    for each pass. That does no harm as long as each worker begins each pass of its loader, sooner or later: loaders
    wait for their workers to end before they are gone.

    No lock is needed: a word is written whole, the processes of a pass write the same one, and in the other tables
    each process has an entry of its own.
    """

    def __init__(self) -> None:
        self._log = _shared(LOGGED)
        self._begun = _shared(1 + MOST_WORKERS)  # by process: the number of the latest pass it has begun,
        self._ended = _shared(1 + MOST_WORKERS)  # of the latest it has gone through,
        self._made = _shared(1 + MOST_WORKERS)  # samples that it has made
        self._left_out = _shared(1 + MOST_WORKERS)  # and left out
        self._base = _shared(4)  # number, first epoch and origin of the pass that the later ones follow
        self.begin_next_with(0, StartOffset(0, 0))

    @property
    def latest(self) -> int:
        """Number of the latest pass that has begun; 0: none has."""
        return int(self._log.numpy().max()) >> 32

    @property
    def made(self) -> int:
        return int(self._made.sum())

    @property
    def left_out(self) -> int:
        return int(self._left_out.sum())

    def begin(self, process: Process) -> int:
        """Number of the pass that a process begins now."""
        mark = process.workers << 24 | zlib.crc32(process.pass_seed.to_bytes(9, "big", signed=True)) >> 8
        own = _entry(process.worker, process.workers)
        log = [(word >> 32, word & 0xFFFFFFFF) for word in self._log.tolist()]
        begun_by_others = [number for number, its in log if its == mark and number > int(self._begun[own])]
        number: int = min(begun_by_others, default=max(log)[0] + 1)
        self._log[number % LOGGED] = number << 32 | mark
        self._begun[own] = number
        return number

    def end(self, run: Run) -> None:
        """A process has gone through a pass to its end."""
        self._ended[_entry(run.worker, run.workers)] = run.number

    def is_ended(self, number: int) -> bool:
        """Whether all workers of a pass have gone through it to its end."""
        workers = int(self._log[number % LOGGED]) >> 24 & 0xFF
        return bool((self._ended[1 : 1 + workers] >= number).all())

    def workers_are_under_way(self) -> bool:
        """Whether workers have begun the latest pass and not all of them have ended it, as far as is known."""
        return self.latest >= int(self._base[0]) and not self.is_ended(self.latest)

    def count(self, run: Run, *, made: int, left_out: int) -> None:
        entry = _entry(run.worker, run.workers)
        self._made[entry] += made
        self._left_out[entry] += left_out

    def begin_next_with(self, first_epoch: int, origin: StartOffset) -> None:
        """The next pass begins with an epoch, at an origin; those after it follow from there."""
        self.resume(self.latest + 1, first_epoch, origin)

    def resume(self, number: int, first_epoch: int, origin: StartOffset) -> None:
        """The pass of this number goes on with one that began with an epoch."""
        self._base[:] = torch.tensor([number, first_epoch, *origin], device="cpu")

    def start(self, number: int, epochs: int | None) -> tuple[int, StartOffset]:
        """First epoch of the pass of this number, and where it begins; a pass has so many epochs."""
        base, first_epoch, *origin = self._base.tolist()
        if number <= base:
            return first_epoch, StartOffset(*origin)
        epoch = first_epoch + (number - base) * (epochs or 1)
        return epoch, StartOffset(epoch, 0)


def _shared(length: int) -> torch.Tensor:
    tensor = torch.zeros(length, dtype=torch.int64, device="cpu")  # whatever the default device is
    tensor.share_memory_()  # type: ignore[no-untyped-call, unused-ignore]
    return tensor


def _entry(worker: int, workers: int) -> int:
    return worker + 1 if workers else 0
