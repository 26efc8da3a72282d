"""The samples of a rank, as one of its processes makes them."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeAlias

from dvm_hf.errors import MachineError, SourceError
from dvm_hf.machine_faults import retried
from dvm_hf.training.collation import tensors
from dvm_hf.training.passes import Passes
from dvm_hf.training.sample_order import Piece, RankOrder, WorkerOrder, clip_order
from dvm_hf.training.sample_source import SampleSource
from dvm_hf.training.stream_state import Run

logger = logging.getLogger(__name__)

Sample: TypeAlias = dict[str, Any]
PATIENCE = 100  # samples; a rank may have one clip in an epoch, which is another one in the next


@dataclass(frozen=True, kw_only=True)
class RankSamples:
    """epochs: in a pass, None: without end. pieces_a_turn: see `WorkerOrder`."""

    source: SampleSource
    order: RankOrder
    seed: int
    shuffle: bool
    pieces_a_turn: int
    epochs: int | None
    transform: Callable[[Sample], Sample] | None
    on_error: str

    def after(self, run: Run, passes: Passes) -> Iterator[tuple[int, int, Sample]]:
        """(epoch, how many of this process's samples of that epoch are done with this one, sample), on from a run.

        Raises SourceError where a source cannot be used, unless such are left out; and where a pass without end has
        nothing to make.
        """
        worker_order = WorkerOrder(self.order, run.worker, max(run.workers, 1), self.pieces_a_turn)
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

    def _of_clip(self, epoch: int, piece: Piece, run: Run, passes: Passes) -> Iterator[tuple[int, Sample]]:
        """(how many of the piece are passed with this one, sample) of one clip; those that it does not have are left
        out.
        """
        made, reason = 0, "the clip is shorter than planned, or than a window"
        try:
            found = retried(lambda done: self.source.samples(epoch, piece.clip, piece.samples[done:]))
            for passed, (number, row) in enumerate(zip(piece.samples, found, strict=False), start=1):
                if row is None:
                    continue
                made += 1
                index = piece.place * self.order.samples_per_clip + number
                of_stream = {"epoch": epoch, "index": index, "root_seed": self.seed, "recipe": self.source.recipe}
                sample = tensors(row) | of_stream
                passes.count(run, made=1, left_out=0)
                yield passed, sample if self.transform is None else self.transform(sample)
        except SourceError as error:
            if self.on_error == "raise" or isinstance(error, MachineError):
                raise
            reason = str(error)
        missing = len(piece.samples) - made
        if missing:
            passes.count(run, made=0, left_out=missing)
            name = self.source.name(epoch, piece.clip)
            logger.warning("%s: %d of its samples left out in epoch %d: %s", name, missing, epoch, reason)
