"""The samples that one process of a rank renders, with skips, replacements and errors handled."""

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
from dvm_hf.training.sample_assignment import RankOrder, WorkerOrder, WorkItem, clip_order
from dvm_hf.training.sample_source import SampleSource
from dvm_hf.training.stream_state import Run

logger = logging.getLogger(__name__)

Sample: TypeAlias = dict[str, Any]
PATIENCE = 100  # samples; a rank may have a single clip per epoch, and a different one in the next epoch


@dataclass(frozen=True, kw_only=True)
class RenderedSamples:
    """Samples of one rank.

    epochs: number of epochs in an epoch run, or None for an endless run. units_per_turn: see `WorkerOrder`.

    If ranks must stay even, a skipped sample is replaced by another one. The other ranks cannot know that it is
    missing, and would wait for this rank at their last batch.
    """

    source: SampleSource
    order: RankOrder
    seed: int
    shuffle: bool
    units_per_turn: int
    epochs: int | None
    transform: Callable[[Sample], Sample] | None
    on_error: str

    def after(self, run: Run, runs: EpochRuns) -> Iterator[tuple[int, int, Sample]]:
        """Yield (epoch, number of this process's samples of that epoch done so far, sample), starting after `run`.

        Raises SourceError if a source cannot be used and on_error="raise", or if an endless run yields nothing for a
        long time.
        """
        worker_order = WorkerOrder(self.order, run.worker, max(run.workers, 1), self.units_per_turn)
        end = None if self.epochs is None else run.first_epoch + self.epochs
        skipped, in_vain = run.position, 0
        for epoch in count(run.epoch) if end is None else range(run.epoch, end):
            clips = clip_order(self.order.clips, seed=self.seed, epoch=epoch, shuffle=self.shuffle)
            for done, item in worker_order.work_items(clips, epoch=epoch, origin=run.origin, skipped=skipped):
                in_vain += len(item.samples)
                for item_done, sample in self._of_clip(epoch, item, run, runs):
                    in_vain = 0
                    yield epoch, done + item_done, sample
            if end is None and (in_vain >= max(PATIENCE, 2 * self.order.samples) or not self.order.samples):
                raise SourceError(
                    f"rank {self.order.rank}: none of the last {in_vain} samples, up to epoch {epoch}, could be "
                    "rendered; see the log for the reasons"
                )
            skipped = 0

    def _of_clip(self, epoch: int, item: WorkItem, run: Run, runs: EpochRuns) -> Iterator[tuple[int, Sample]]:
        """Yield (number of the item's samples done so far, sample) of one clip; skip or replace missing samples."""
        replaced = self.order.even is not None and self.order.world_size > 1
        missing, reasons = 0, ["the clip is shorter than planned, or than a window"]
        rows = self._rows(epoch, item, reasons)
        for done, (number, row) in enumerate(zip(item.samples, rows, strict=True), start=1):
            if row is not None:
                runs.count(run, made=1, skipped=0)
                yield done, self._finished(epoch, item.position, number, row)
                continue
            missing += 1
            if replaced:
                replacement = self._replacement(epoch, item, number)
                runs.count(run, made=1, skipped=0)
                yield done, replacement
        if missing:
            runs.count(run, made=0, skipped=missing)
            name = self.source.name(epoch, item.clip)
            logger.warning("%s: skipped %d of its samples in epoch %d: %s", name, missing, epoch, reasons[-1])

    def _rows(self, epoch: int, item: WorkItem, reasons: list[str]) -> Iterator[dict[str, Any] | None]:
        """Yield a row for each sample of a work item, or None for a missing one; append the reason to `reasons`."""
        given = 0
        try:
            found = retried(lambda done: self.source.samples(epoch, item.clip, item.samples[done:]))
            for row in islice(found, len(item.samples)):
                given += 1
                yield row
        except SourceError as error:
            if self.on_error == "raise" or isinstance(error, MachineError):
                raise
            reasons.append(str(error))
        yield from repeat(None, len(item.samples) - given)

    def _sample(self, epoch: int, clip: int, number: int, done: int) -> Iterator[dict[str, Any] | None]:
        """Return an iterator over the row of one sample; empty if `done` is 1."""
        return self.source.samples(epoch, clip, range(number + done, number + 1))

    def _finished(self, epoch: int, position: int, number: int, row: dict[str, Any]) -> Sample:
        index = position * self.order.samples_per_clip + number
        of_stream = {"epoch": epoch, "index": index, "root_seed": self.seed, "recipe": self.source.recipe}
        sample = tensors(row) | of_stream
        return sample if self.transform is None else self.transform(sample)

    def _replacement(self, epoch: int, item: WorkItem, number: int) -> Sample:
        """Return sample `number` of the next clip in the epoch's order that has one.

        It depends on that order only, so it is the same for any number of workers and after a resume.
        """
        order = clip_order(self.order.clips, seed=self.seed, epoch=epoch, shuffle=self.shuffle)
        for after in range(1, self.order.clips):
            position = (item.position + after) % self.order.clips
            clip = int(order[position])
            try:
                row = next(retried(partial(self._sample, epoch, clip, number)), None)
                if row is not None:
                    return self._finished(epoch, position, number, row)
            except SourceError as error:
                if self.on_error == "raise" or isinstance(error, MachineError):
                    raise
                # the rank that this clip is assigned to logs the error
        raise SourceError(
            f"rank {self.order.rank}: no clip of epoch {epoch} can replace a skipped sample of "
            f"{self.source.name(epoch, item.clip)}; see the log for the reasons, or pass even_ranks=None"
        )
