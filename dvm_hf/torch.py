"""Clips for training with PyTorch: composited on the fly, or read from a prepared dataset.

    stream = ClipStream("train", data_dir="DVM", clip_length=4, crop_size=320, epochs=2)
    for batch in torch.utils.data.DataLoader(stream, batch_size=4, num_workers=2): ...

Needs the extra `torch`; nothing below imports it.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

try:
    import torch
except ImportError as error:
    raise ImportError(f'dvm_hf.torch needs PyTorch ({error}): pip install "dvm_hf[torch]"') from error
from torch.utils.data import IterableDataset

from dvm_hf.builder import DVM, require_known_fields, source_root
from dvm_hf.config import ON_ERROR, DVMConfig, require_whole
from dvm_hf.errors import ConfigError, SourceError
from dvm_hf.training.collation import collate
from dvm_hf.training.composed_clips import ComposedClips
from dvm_hf.training.matting_transform import MattingTransform
from dvm_hf.training.passes import Passes, this_rank, this_worker
from dvm_hf.training.prepared_rows import PreparedRows
from dvm_hf.training.sample_order import Origin, Piece, RankOrder, WorkerOrder, clip_order
from dvm_hf.training.stream_state import Run, resumed, run_of, state_of

__all__ = ["ClipStream", "MattingTransform", "collate"]

logger = logging.getLogger(__name__)

Sample = dict[str, Any]


class SampleSource(Protocol):
    """Where samples come from. clips: how many give samples in an epoch. identity: what makes the data what they
    are."""

    clips: int
    identity: dict[str, Any]

    def samples(self, epoch: int, clip: int, chosen: range) -> Iterator[dict[str, Any] | None]:
        """Rows of the chosen samples, in order, image columns (T, C, H, W); None, or fewer, where the clip has not so
        many.
        """

    def name(self, epoch: int, clip: int) -> str:
        """Of a clip, for messages."""


class ClipStream(IterableDataset):  # type: ignore[type-arg, unused-ignore]
    """Windows of composited clips as tensors; each epoch has new clips.

    A sample is a dict: the columns of a row of load_dataset, images as uint8 tensors (T, C, H, W), RGB, T = context +
    clip_length, `motion` float32 (T, 4); and `epoch` and `index`, its place in the epoch's order over all ranks.
    `start` is the clip's frame that the tensors begin with, context included.

    Parameters
    ----------
    name, data_dir, fields: as for load_dataset, with its errors. `clip_step` defaults to 1: windows begin at any frame.
        `encoding` has no effect.
    epochs: in one pass, None: without end. A second pass goes on with the epochs after, so that a loop over a loader
        sees new clips each time, with or without workers; a pass that was left early is gone through again.
    shuffle: the order of clips, anew for each epoch; None: for "train" yes, for "test" no.
    context: frames before each window, which are part of the sample (the published loader: 2, with clip_length=2).
    samples_per_clip: windows out of one stretch of a clip, each with a crop of its own, made in one pass over its
        videos. They come one after the other.
    batch_size: the loader's. So the same batches come out in the same order for any number of workers; with
        samples_per_clip, as long as it divides batch_size.
    rank, world_size: this process's share; None: as torch.distributed has it, else the only one.
    transform: called with each sample, in the worker; see `MattingTransform`.

    Raises ConfigError and SourceError, where on_error="raise" also while iterating, naming the file. With
    on_error="skip" the samples of such a clip are left out: logged, and counted in `left_out`.
    """

    def __init__(
        self,
        name: str = "train",
        *,
        data_dir: str | None = None,
        context: int = 0,
        samples_per_clip: int = 1,
        shuffle: bool | None = None,
        epochs: int | None = 1,
        batch_size: int = 1,
        rank: int | None = None,
        world_size: int | None = None,
        transform: Callable[[Sample], Sample] | None = None,
        **fields: Any,
    ) -> None:
        require_known_fields(fields)
        require_whole(context=(context, 0), samples_per_clip=(samples_per_clip, 1))
        defaults = {config.name: {"remainder": config.remainder} for config in DVM.BUILDER_CONFIGS}
        config = DVMConfig(name=name, data_dir=source_root(data_dir), **defaults.get(name, {}) | fields)
        self._set_up(
            ComposedClips(config, context=context, samples_per_clip=samples_per_clip),
            seed=config.seed,
            samples_per_clip=samples_per_clip,
            shuffle=name == "train" if shuffle is None else shuffle,
            epochs=epochs,
            batch_size=batch_size,
            ranks=(rank, world_size),
            transform=transform,
            on_error=config.on_error,
        )

    @classmethod
    def from_dataset(
        cls,
        dataset: Any,
        *,
        clip_length: int | None = None,
        crop_size: int | None = None,
        columns: tuple[str, ...] | None = None,
        seed: int = 2019,
        on_error: str = "raise",
        context: int = 0,
        samples_per_clip: int = 1,
        shuffle: bool = True,
        epochs: int | None = 1,
        batch_size: int = 1,
        rank: int | None = None,
        world_size: int | None = None,
        transform: Callable[[Sample], Sample] | None = None,
    ) -> "ClipStream":
        """The same stream over a prepared dataset, built by load_dataset or read from Parquet: its rows are the clips.

        dataset: a `datasets.Dataset` (not streaming) with this package's columns. Its images are decoded in the
        workers, only those of the window. clip_length: frames after the context, None: all that a row has. crop_size:
        as in the config, around an unknown pixel of the window's middle frame. columns: of the dataset's image columns,
        None: all. Windows and crops differ from epoch to epoch; composites are what they are.
        """
        given = {"clip_length": clip_length, "crop_size": crop_size}
        require_whole(
            context=(context, 0),
            samples_per_clip=(samples_per_clip, 1),
            **{name: (value, 1) for name, value in given.items() if value is not None},
        )
        if on_error not in ON_ERROR:
            raise ConfigError(f"on_error={on_error!r}: not allowed; on_error must be one of {', '.join(ON_ERROR)}")
        rows = PreparedRows(
            dataset,
            clip_length=clip_length,
            context=context,
            crop_size=crop_size,
            columns=columns,
            seed=seed,
            samples_per_clip=samples_per_clip,
        )
        stream = cls.__new__(cls)
        stream._set_up(
            rows,
            seed=seed,
            samples_per_clip=samples_per_clip,
            shuffle=shuffle,
            epochs=epochs,
            batch_size=batch_size,
            ranks=(rank, world_size),
            transform=transform,
            on_error=on_error,
        )
        return stream

    def _set_up(
        self,
        source: SampleSource,
        *,
        seed: int,
        samples_per_clip: int,
        shuffle: bool,
        epochs: int | None,
        batch_size: int,
        ranks: tuple[int | None, int | None],
        transform: Callable[[Sample], Sample] | None,
        on_error: str,
    ) -> None:
        require_whole(batch_size=(batch_size, 1), **({} if epochs is None else {"epochs": (epochs, 1)}))
        rank, world_size = this_rank(*ranks)
        self.epochs, self._transform, self._on_error = epochs, transform, on_error
        self._source, self._seed, self._shuffle, self._turn = source, seed, shuffle, -(-batch_size // samples_per_clip)
        self._rank_order = RankOrder(source.clips, samples_per_clip, rank, world_size)
        self._identity = {
            "seed": seed,
            "samples_per_clip": samples_per_clip,
            "shuffle": shuffle,
            "batch_size": batch_size,
            "world_size": world_size,
        } | source.identity  # the sources last: a field that changes which are used is named first
        self._passes = Passes()
        self._run: Run | None = None  # this process's latest
        self._resumed: tuple[int, Run] | None = None  # the generation of `_passes` that it belongs to
        self._begins_resumed = False  # a worker with a state does, even where its siblings have ended that pass

    @property
    def samples_per_epoch(self) -> int:
        """Samples that this rank makes in an epoch, those that will be left out included."""
        return self._rank_order.samples

    @property
    def left_out(self) -> int:
        """Samples left out so far by this process and the workers of its loaders."""
        return self._passes.left_out

    def set_epoch(self, epoch: int) -> None:
        """Begin the next pass with an epoch, from 0. Not needed from one pass to the next."""
        require_whole(epoch=(epoch, 0))
        self._run = self._resumed = None
        self._passes.set(epoch)

    def __iter__(self) -> Iterator[Sample]:
        self._run = run = self._next_run()
        self._passes.begin(run.worker, run.workers, epoch=run.first_epoch)
        return self._samples(run)

    def state_dict(self) -> dict[str, Any]:
        """Where this process is: plain numbers and strings, for `load_state_dict` of a stream with the same config.

        It knows what it has handed out itself. Behind a loader with workers, use torchdata's StatefulDataLoader and
        its state_dict: between passes this one is right, within one it raises RuntimeError.
        """
        run = self._run
        if not this_worker()[1]:
            if self._passes.workers_are_under_way():
                raise RuntimeError(
                    "ClipStream.state_dict: the loader's workers have read ahead, and only the loader knows how far "
                    "its batches were used; use torchdata.stateful_dataloader.StatefulDataLoader and its "
                    "state_dict(), or num_workers=0, or save between passes"
                )
            if run is None or run.has_ended or run.first_epoch < self._passes.next_epoch():
                run = self._next_run()
        assert run is not None  # a worker is asked after it has begun
        return state_of(run, self._identity)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a `state_dict` was taken, by decoding one clip at most.

        `epochs` and `on_error` may differ, and so may the rank: ranks that walk in step have the same state. Raises
        ConfigError, naming the field, where anything else differs.
        """
        run = run_of(state, self._identity)
        worker, workers = this_worker()
        if workers:
            end = run.first_epoch if self.epochs is None else run.first_epoch + self.epochs
            next_epoch = run.first_epoch if self.epochs is None or self._has_rest(run, end) else end
            self._passes.restore(worker, workers, first_epoch=run.first_epoch, next_epoch=next_epoch)
        else:
            self._passes.set(run.first_epoch)
        self._run, self._resumed = None, (self._passes.generation, run)
        self._begins_resumed = workers > 0

    def _has_rest(self, run: Run, end: int) -> bool:
        """Whether a worker's run has samples left before an epoch."""
        order, clips = self._worker_order(run), np.arange(self._rank_order.clips)
        rests = (
            order.pieces(clips, epoch=epoch, origin=run.origin, skipped=run.position if epoch == run.epoch else 0)
            for epoch in range(run.epoch, end)
        )
        return any(next(rest, None) is not None for rest in rests)

    def _worker_order(self, run: Run) -> WorkerOrder:
        return WorkerOrder(self._rank_order, run.worker, max(run.workers, 1), self._turn)

    def _next_run(self) -> Run:
        """The pass that begins now: the resumed one until it has been gone through, else the next epochs."""
        worker, workers = this_worker()
        epoch = self._passes.next_epoch()
        begins_resumed, self._begins_resumed = self._begins_resumed, False
        if self._resumed is not None and self._resumed[0] == self._passes.generation:
            saved = self._resumed[1]
            end = saved.first_epoch + (self.epochs or 0)
            if workers and not begins_resumed and self.epochs and not self._has_rest(saved, end):
                epoch = max(epoch, end)  # it was through, and its siblings, who may not have said so yet, too
            elif begins_resumed or epoch == self._passes.base:
                return resumed(saved, worker, workers)
        return Run(epoch, Origin(epoch, 0), worker, workers, epoch)

    def _samples(self, run: Run) -> Iterator[Sample]:
        order = self._worker_order(run)
        while self.epochs is None or run.epoch < run.first_epoch + self.epochs:
            clips = clip_order(self._rank_order.clips, seed=self._seed, epoch=run.epoch, shuffle=self._shuffle)
            made, planned = 0, 0
            for done, piece in order.pieces(clips, epoch=run.epoch, origin=run.origin, skipped=run.position):
                planned += len(piece.samples)
                for passed, sample in self._of_clip(run, piece):
                    run.position = done + passed
                    made += 1
                    yield sample
                run.position = done + len(piece.samples)
            if self.epochs is None and not made and (planned or not self._rank_order.samples):
                raise SourceError(f"epoch {run.epoch}: has no sample for rank {self._rank_order.rank}; see the log")
            run.epoch, run.position = run.epoch + 1, 0
        run.has_ended = True
        self._passes.end(run.worker, run.workers, next_epoch=run.epoch)

    def _of_clip(self, run: Run, piece: Piece) -> Iterator[tuple[int, Sample]]:
        """Samples of one clip, and how many of the piece are passed with each; those that it does not have are left
        out.
        """
        made, reason = 0, "the clip is shorter than planned, or than a window"
        try:
            found = self._source.samples(run.epoch, piece.clip, piece.samples)
            for passed, (number, row) in enumerate(zip(piece.samples, found, strict=False), start=1):
                if row is None:
                    continue
                made += 1
                index = piece.place * self._rank_order.samples_per_clip + number
                sample = tensors(row) | {"epoch": run.epoch, "index": index}
                yield passed, sample if self._transform is None else self._transform(sample)
        except SourceError as error:
            if self._on_error == "raise":
                raise
            reason = str(error)
        missing = len(piece.samples) - made
        if missing:
            name = self._source.name(run.epoch, piece.clip)
            self._passes.leave_out(run.worker, run.workers, samples=missing)
            logger.warning("%s: %d of its samples left out in epoch %d: %s", name, missing, run.epoch, reason)


def tensors(row: dict[str, Any]) -> Sample:
    """A row with its image columns and its motion as tensors."""
    images = {name: torch.from_numpy(value) for name, value in row.items() if hasattr(value, "dtype")}
    return row | images | {"motion": torch.tensor(row["motion"], dtype=torch.float32)}
