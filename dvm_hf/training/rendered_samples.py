"""The samples that one process of a rank renders, with skips, replacements and errors handled."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, count, islice, pairwise, repeat
from typing import Any, TypeAlias

from dvm_hf.errors import MachineError, SourceError
from dvm_hf.machine_faults import retried
from dvm_hf.training.collation import tensors
from dvm_hf.training.epoch_order import EpochOrder, Place
from dvm_hf.training.epoch_runs import EpochRuns
from dvm_hf.training.sample_assignment import RankOrder, WorkerOrder
from dvm_hf.training.sample_source import SampleSource
from dvm_hf.training.stream_state import Run

logger = logging.getLogger(__name__)

Sample: TypeAlias = dict[str, Any]
PATIENCE = 100  # samples; a rank may have a single clip per epoch, and a different one in the next epoch


@dataclass
class OpenClip:
    """A clip whose samples are being rendered.

    rows: a row for each of its samples, or None for a missing one. pending, missing: number of its samples that are not
    done, and that could not be rendered. reasons: why, the last one last.
    """

    number: int
    pending: int
    reasons: list[str]
    rows: Iterator[dict[str, Any] | None] = field(default_factory=lambda: iter(()))
    missing: int = 0


@dataclass(frozen=True, kw_only=True)
class RenderedSamples:
    """Samples of one rank.

    epoch_order: returns the order of an epoch. epochs: number of epochs in an epoch run, or None for an endless run.
    units_per_turn: see `WorkerOrder`.

    If ranks must stay even, a skipped sample is replaced by another one. The other ranks cannot know that it is
    missing, and would wait for this rank at their last batch.
    """

    source: SampleSource
    order: RankOrder
    epoch_order: Callable[[int], EpochOrder]
    seed: int
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
        try:
            for epoch in count(run.epoch) if end is None else range(run.epoch, end):
                order = self.epoch_order(epoch)
                items = worker_order.work_items(epoch=epoch, origin=run.origin, skipped=skipped)
                for (done, indices), (_, later) in pairwise(chain(items, [(0, range(0))])):
                    in_vain += len(indices)
                    for item_done, sample in self._of_item(epoch, order, indices, later, run, runs):
                        in_vain = 0
                        yield epoch, done + item_done, sample
                if end is None and (in_vain >= max(PATIENCE, 2 * self.order.samples) or not self.order.samples):
                    raise SourceError(
                        f"rank {self.order.rank}: none of the last {in_vain} samples, up to epoch {epoch}, could be "
                        "rendered; see the log for the reasons"
                    )
                skipped = 0
        finally:
            self.source.release()

    def _of_item(
        self, epoch: int, order: EpochOrder, indices: range, later: range, run: Run, runs: EpochRuns
    ) -> Iterator[tuple[int, Sample]]:
        """Yield (number of the item's samples done so far, sample) of a work item; skip or replace missing samples.

        later: indices of the next work item. The next clip is announced when one begins.
        """
        replaced = self.order.even is not None and self.order.world_size > 1
        places = list(order.places(indices))
        opened = self._clips(epoch, places)
        next_clips = dict(pairwise(dict.fromkeys((*opened, *(place.clip for place in order.places(later[:1]))))))
        for done, place in enumerate(places, start=1):
            clip = opened[place.clip]
            if place.clip in next_clips:  # the clip begins
                self.source.announce(epoch, next_clips.pop(place.clip))
            clip.pending -= 1
            row = next(clip.rows)
            sample = None if row is None else self._finished(epoch, place.index, row)
            if sample is None:
                clip.missing += 1
                sample = self._replacement(epoch, order, place) if replaced else None
            if sample is not None:
                runs.count(run, made=1, skipped=0)
                yield done, sample
            if not clip.pending:
                del opened[place.clip]
                self._report(epoch, clip, run, runs)

    def _clips(self, epoch: int, places: list[Place]) -> dict[int, OpenClip]:
        """Return the clips of a work item by number. A clip's sources are opened with its first sample."""
        numbers: dict[int, list[int]] = {}
        for place in places:
            numbers.setdefault(place.clip, []).append(place.number)
        opened = {}
        for number, samples in numbers.items():
            clip = opened[number] = OpenClip(
                number, len(samples), ["the clip is shorter than planned, or than a window"]
            )
            clip.rows = self._rows(epoch, number, samples, clip.reasons)
        return opened

    def _rows(self, epoch: int, clip: int, samples: list[int], reasons: list[str]) -> Iterator[dict[str, Any] | None]:
        """Yield a row for each of a clip's samples, or None for a missing one; append the reason to `reasons`."""
        given = 0
        try:
            found = retried(lambda done: self.source.samples(epoch, clip, samples[done:]))
            for row in islice(found, len(samples)):
                given += 1
                yield row
        except SourceError as error:
            if self.on_error == "raise" or isinstance(error, MachineError):
                raise
            reasons.append(str(error))
        yield from repeat(None, len(samples) - given)

    def _report(self, epoch: int, clip: OpenClip, run: Run, runs: EpochRuns) -> None:
        """Count and log the samples of a clip that are missing."""
        if clip.missing:
            runs.count(run, made=0, skipped=clip.missing)
            name = self.source.name(epoch, clip.number)
            logger.warning("%s: skipped %d of its samples in epoch %d: %s", name, clip.missing, epoch, clip.reasons[-1])

    def _finished(self, epoch: int, index: int, row: dict[str, Any]) -> Sample:
        of_stream = {"epoch": epoch, "index": index, "root_seed": self.seed, "recipe": self.source.recipe}
        sample = tensors(row) | of_stream
        return sample if self.transform is None else self.transform(sample)

    def _replacement(self, epoch: int, order: EpochOrder, missing: Place) -> Sample:
        """Return a sample of the next clip in the epoch's order that has one.

        It depends on that order only, so it is the same for any number of workers and after a resume.
        """
        for place in order.following(missing):
            try:
                row = next(retried(partial(self._row, epoch, place)), None)
                if row is not None:
                    return self._finished(epoch, place.index, row)
            except SourceError as error:
                if self.on_error == "raise" or isinstance(error, MachineError):
                    raise
                # the rank that this clip is assigned to logs the error
        raise SourceError(
            f"rank {self.order.rank}: no clip of epoch {epoch} can replace a skipped sample of "
            f"{self.source.name(epoch, missing.clip)}; see the log for the reasons, or pass even_ranks=None"
        )

    def _row(self, epoch: int, place: Place, done: int) -> Iterator[dict[str, Any] | None]:
        """Return an iterator over the row of one sample; empty if `done` is 1."""
        return self.source.samples(epoch, place.clip, [place.number][done:])
