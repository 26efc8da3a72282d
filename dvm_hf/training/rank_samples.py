"""The samples of a rank, as one of its processes makes them."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count, islice, repeat
from typing import Any, TypeAlias

from dvm_hf.errors import MachineError, SourceError
from dvm_hf.machine_faults import retried
from dvm_hf.training.collation import tensors
from dvm_hf.training.epoch_runs import EpochRuns
from dvm_hf.training.sample_order import RankOrder, WorkerOrder, WorkItem, clip_order
from dvm_hf.training.sample_source import SampleSource
from dvm_hf.training.stream_state import Run

logger = logging.getLogger(__name__)

Sample: TypeAlias = dict[str, Any]
PATIENCE = 100  # samples; a rank may have one clip in an epoch, which is another one in the next


@dataclass(frozen=True, kw_only=True)
class RankSamples:
    """epochs: in a pass, None: without end. units_a_turn: see `WorkerOrder`.

    If ranks must stay even, a sample that is left out is replaced: another rank cannot know that it is missing, and
    would wait for this one at its last batch.
    """

    source: SampleSource
    order: RankOrder
    seed: int
    shuffle: bool
    units_a_turn: int
    epochs: int | None
    transform: Callable[[Sample], Sample] | None
    on_error: str

    def after(self, run: Run, passes: EpochRuns) -> Iterator[tuple[int, int, Sample]]:
        """(epoch, how many of this process's samples of that epoch are done with this one, sample), on from a run.

        Raises SourceError where a source cannot be used, unless such are left out; and where a pass without end has
        nothing to make.
        """
        worker_order = WorkerOrder(self.order, run.worker, max(run.workers, 1), self.units_a_turn)
        end = None if self.epochs is None else run.first_epoch + self.epochs
        skipped, in_vain = run.position, 0
        for epoch in count(run.epoch) if end is None else range(run.epoch, end):
            clips = clip_order(self.order.clips, seed=self.seed, epoch=epoch, shuffle=self.shuffle)
            for done, piece in worker_order.pieces(clips, epoch=epoch, origin=run.origin, skipped=skipped):
                in_vain += len(piece.samples)
                for passed, sample in self._of_clip(epoch, piece, run, passes):
                    in_vain = 0
                    yield epoch, done + passed, sample
            if end is None and (in_vain >= max(PATIENCE, 2 * self.order.samples) or not self.order.samples):
                raise SourceError(
                    f"rank {self.order.rank}: none of the latest {in_vain} samples, up to epoch {epoch}, could be "
                    "made; see the log for the reasons"
                )
            skipped = 0

    def _of_clip(self, epoch: int, piece: WorkItem, run: Run, passes: EpochRuns) -> Iterator[tuple[int, Sample]]:
        """(how many of the piece are passed with this one, sample) of one clip; those that it does not have are left
        out, or replaced.
        """
        replaced = self.order.even is not None and self.order.world_size > 1
        missing, reasons = 0, ["the clip is shorter than planned, or than a window"]
        rows = self._rows(epoch, piece, reasons)
        for passed, (number, row) in enumerate(zip(piece.samples, rows, strict=True), start=1):
            if row is not None:
                passes.count(run, made=1, left_out=0)
                yield passed, self._finished(epoch, piece.place, number, row)
                continue
            missing += 1
            if replaced:
                replacement = self._replacement(epoch, piece, number)
                passes.count(run, made=1, left_out=0)
                yield passed, replacement
        if missing:
            passes.count(run, made=0, left_out=missing)
            name = self.source.name(epoch, piece.clip)
            logger.warning("%s: %d of its samples left out in epoch %d: %s", name, missing, epoch, reasons[-1])

    def _rows(self, epoch: int, piece: WorkItem, reasons: list[str]) -> Iterator[dict[str, Any] | None]:
        """A row for each sample of a piece, None for one that the clip does not have; the reason, where there is one,
        is put to the others.
        """
        given = 0
        try:
            found = retried(lambda done: self.source.samples(epoch, piece.clip, piece.samples[done:]))
            for row in islice(found, len(piece.samples)):
                given += 1
                yield row
        except SourceError as error:
            if self.on_error == "raise" or isinstance(error, MachineError):
                raise
            reasons.append(str(error))
        yield from repeat(None, len(piece.samples) - given)

    def _sample(self, epoch: int, clip: int, number: int, done: int) -> Iterator[dict[str, Any] | None]:
        """The row of one sample, unless it is `done` already."""
        return self.source.samples(epoch, clip, range(number + done, number + 1))

    def _finished(self, epoch: int, place: int, number: int, row: dict[str, Any]) -> Sample:
        index = place * self.order.samples_per_clip + number
        of_stream = {"epoch": epoch, "index": index, "root_seed": self.seed, "recipe": self.source.recipe}
        sample = tensors(row) | of_stream
        return sample if self.transform is None else self.transform(sample)

    def _replacement(self, epoch: int, piece: WorkItem, number: int) -> Sample:
        """Sample `number` of the next clip of the epoch's order that has one: a function of that order alone, so the
        same for any number of workers and after a resume.
        """
        order = clip_order(self.order.clips, seed=self.seed, epoch=epoch, shuffle=self.shuffle)
        for after in range(1, self.order.clips):
            place = (piece.place + after) % self.order.clips
            clip = int(order[place])
            try:
                row = next(retried(partial(self._sample, epoch, clip, number)), None)
                if row is not None:
                    return self._finished(epoch, place, number, row)
            except SourceError as error:
                if self.on_error == "raise" or isinstance(error, MachineError):
                    raise
                # logged by the rank whose turn it is
        raise SourceError(
            f"rank {self.order.rank}: no clip of epoch {epoch} can replace a sample that is left out of "
            f"{self.source.name(epoch, piece.clip)}; see the log for the reasons, or pass even_ranks=None"
        )
