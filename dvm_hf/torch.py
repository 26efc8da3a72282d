"""Clips for training with PyTorch: composited on the fly, or read from a prepared dataset.

    stream = ClipStream("train", data_dir="DVM", clip_length=4, crop_size=320, epochs=2)
    for batch in torch.utils.data.DataLoader(stream, batch_size=4, num_workers=2): ...

This module needs the extra `torch`. No module of a lower layer imports it.
"""

import logging
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any, Literal

from dvm_hf.environment import require_usable

try:
    import torch  # noqa: F401  for the error message if it is missing
except ImportError as error:
    raise ImportError(
        f'dvm_hf.torch needs PyTorch ({error}): run in the clone: python -m pip install -e ".[torch]"'
    ) from error
else:
    require_usable()  # the modules below import them
from torch.utils.data import IterableDataset

from dvm_hf.dataset.builder import DVM, require_known_fields, source_root
from dvm_hf.dataset.config import DVMConfig, own_fields
from dvm_hf.dataset.field_rules import require_field, require_integers
from dvm_hf.dataset.presets import preset_fields
from dvm_hf.errors import ConfigError, SourceError
from dvm_hf.open_iterators import closed_at_exit
from dvm_hf.training.collation import collate, of_full_batches
from dvm_hf.training.colour_jitter import ColourJitter
from dvm_hf.training.composed_clips import ComposedClips
from dvm_hf.training.dataset_rows import DatasetRows
from dvm_hf.training.epoch_order import EpochOrder, clip_order
from dvm_hf.training.epoch_runs import EpochRuns
from dvm_hf.training.matting_metrics import MattingMetrics
from dvm_hf.training.matting_transform import MattingTransform
from dvm_hf.training.processes import Ranks, require_one_sharding, this_process
from dvm_hf.training.rendered_samples import RenderedSamples, Sample
from dvm_hf.training.sample_assignment import (
    ClipRanks,
    EvenRanks,
    RankOrder,
    SegmentRanks,
    StartOffset,
    units_per_turn,
)
from dvm_hf.training.sample_source import SampleSource
from dvm_hf.training.stream_options import StreamOptions, stream_options
from dvm_hf.training.stream_state import Run, run_of, state_of

__all__ = ["ClipStream", "ColourJitter", "MattingMetrics", "MattingTransform", "collate"]

logger = logging.getLogger(__name__)


class ClipStream(IterableDataset):  # type: ignore[type-arg, unused-ignore]
    """Windows of composited clips as tensors, with new clips in each epoch.

    A sample is a dict with the columns of a row of load_dataset. Images are uint8 tensors (T, C, H, W), RGB, with
    T = context + clip_length; `motion` is float32 (T, 4), or (T, 22) with motion="rvm". `start` is the index of the
    first frame in its clip, context included. In addition, a sample has `epoch`; `index`, its position in the epoch's
    global order; and the stream's `root_seed` and `recipe`.

    Use one loader per stream. An epoch run is one iteration over the stream or its loader, and the stream counts all
    of them.

    Parameters
    ----------
    name, data_dir, fields: as for load_dataset, with the same errors. `clip_step` defaults to 1: windows start at any
        frame. `encoding` has no effect.
    epochs: number of epochs in an epoch run. Run p, from 0, starts with epoch p * epochs, in every rank, with or
        without workers, even if you broke out of the previous run. None: an endless run. If you start another one, it
        starts one epoch later.
    shuffle: whether to shuffle the clips in each epoch. None: True for "train", False for "test".
    context: number of frames before each window that are part of the sample (2 in the published loader, with
        clip_length=2).
    samples_per_clip: number of windows from one segment of a clip, decoded once. Each has its own crop. They are
        consecutive.
    background_reuse: number of clips for which a segment of a background is decoded once. Each has its own foreground,
        motion, crop and window within the segment. Four segments take turns, so successive samples have different
        backgrounds. A segment of a video foreground is decoded once for its clips over these, as far as possible. A
        process holds the decoded frames: up to 64 MiB for a background and 128 MiB for a foreground, or one window if
        that is larger. Workers then yield the same batches, but in an order that depends on their number. Not an option
        of `from_dataset`.
    batch_size: of the loader. The loader's batches are then the same, in the same order, for any number of workers.
        With samples_per_clip, this holds if it divides batch_size. Also needed for `__len__`.
    drop_last: of the loader. Each worker then yields full batches of batch_size only.
    rank, world_size: this process's share. None: those of torch.distributed when iteration begins, or a single rank.
    even_ranks: "drop" drops the last samples of an epoch, fewer than world_size, so that all ranks have the same number
        of samples and batches. "pad" repeats the first samples of the epoch instead; their `index` appears twice. Both
        also replace each skipped sample by a sample of another clip. None does neither. The default is "drop" if the
        stream shuffles, or None otherwise.
    still_memory: bytes of decoded stills, image foregrounds and backgrounds, that each process that renders keeps for
        later clips and epochs; the least recently used ones are released first. 0 keeps one. Not an option of
        `from_dataset`.
    transform: called with each sample in the worker; see `MattingTransform`.

    Raises ConfigError and SourceError. With on_error="raise", iteration also raises a SourceError that names the
    unusable file. With on_error="skip", the samples of such a clip are skipped, logged, and counted in `left_out`. A
    SourceError is also raised if the first epoch run yields nothing, or if an endless run yields nothing for a long
    time.
    """

    def __init__(
        self,
        name: str = "train",
        *,
        data_dir: str | None = None,
        context: int = 0,
        samples_per_clip: int = 1,
        background_reuse: int = 1,
        shuffle: bool | None = None,
        epochs: int | None = 1,
        batch_size: int | None = None,
        drop_last: bool = False,
        rank: int | None = None,
        world_size: int | None = None,
        even_ranks: EvenRanks | Literal["auto"] = "auto",
        still_memory: int = 2**29,
        transform: Callable[[Sample], Sample] | None = None,
        **fields: Any,
    ) -> None:
        require_known_fields(fields)
        for field in fields.keys() - {*own_fields()}:
            raise ConfigError(
                f"{field}={fields[field]!r}: ClipStream does not have this argument of load_dataset; omit it"
            )
        require_field("name", name)
        options = StreamOptions(
            context=context,
            samples_per_clip=samples_per_clip,
            background_reuse=background_reuse,
            shuffle=name == "train" if shuffle is None else shuffle,
            epochs=epochs,
            batch_size=batch_size,
            drop_last=drop_last,
            rank=rank,
            world_size=world_size,
            even_ranks=even_ranks,
            transform=transform,
        )
        defaults = {config.name: {"remainder": config.remainder} for config in DVM.BUILDER_CONFIGS}
        config = DVMConfig(name=name, data_dir=source_root(data_dir), **defaults[name] | preset_fields(fields))
        source = ComposedClips(
            config,
            context=context,
            samples_per_clip=samples_per_clip,
            still_memory=still_memory,
            background_reuse=background_reuse,
            shuffles=options.shuffle is not False,
        )
        order = source.order if background_reuse > 1 else None
        self._set_up(source, options, seed=config.seed, on_error=config.on_error, epoch_order=order)

    @classmethod
    def from_dataset(
        cls,
        dataset: Any,
        *,
        clip_length: int | Literal["all"] = "all",
        crop_size: int | None = None,
        columns: tuple[str, ...] | None = None,
        seed: int = 2019,
        recipe: str = "dvm",
        frame_step: int = 1,
        on_error: str = "raise",
        **options: Any,
    ) -> "ClipStream":
        """Create a stream over the rows of a dataset built by load_dataset or read from Parquet, which replace clips.

        Windows and crops differ in each epoch; the composites are those of the dataset.

        Parameters
        ----------
        dataset: a `datasets.Dataset`, not a stream, with this package's columns. Workers decode only the images of
            the window.
        clip_length: number of frames after the context, or "all" for the complete row.
        crop_size: as in the config, around an unknown pixel of the window's middle frame.
        columns: image columns to use; None: all.
        recipe, frame_step: those that the dataset was built with.
        options: options of `ClipStream`, from `context` to `transform`, without `background_reuse` and `still_memory`.
            Shuffles by default.

        Raises ConfigError for an option or a dataset that is not allowed, and SourceError while iterating.
        """
        given: dict[str, Any] = {
            "clip_length": clip_length,
            "crop_size": crop_size,
            "seed": seed,
            "recipe": recipe,
            "frame_step": frame_step,
        }
        for name, value in {**given, "on_error": on_error}.items():
            require_field(name, value)
        chosen = stream_options(options)
        if chosen.background_reuse > 1:
            raise ConfigError(
                f"background_reuse={chosen.background_reuse}: rows of a dataset are composited already, so they "
                "share no background; omit it"
            )
        rows = DatasetRows(
            dataset, columns=columns, context=chosen.context, samples_per_clip=chosen.samples_per_clip, **given
        )
        stream = cls.__new__(cls)
        stream._set_up(rows, chosen, seed=seed, on_error=on_error)
        return stream

    def _set_up(
        self,
        source: SampleSource,
        options: StreamOptions,
        *,
        seed: int,
        on_error: str,
        epoch_order: Callable[[int], EpochOrder] | None = None,
    ) -> None:
        self._source, self._ranks = source, Ranks(options.rank, options.world_size)
        self._samples_per_clip, self._shuffle = options.samples_per_clip, options.shuffle is not False
        self._even_ranks = options.rank_policy(shuffles=self._shuffle)
        self._batch_size, self._drop_last, self._epochs = options.batch_size, options.drop_last, options.epochs
        self._seed, self._transform, self._on_error = seed, options.transform, on_error
        self._background_reuse = options.background_reuse
        self._epoch_order = epoch_order or partial(
            clip_order,
            clips=source.clips,
            seed=seed,
            shuffle=self._shuffle,
            samples_per_clip=options.samples_per_clip,
        )
        self._runs = EpochRuns()
        self._run: Run | None = None  # the latest of this process
        self._resumed: Run | None = None  # the next of a worker that has loaded a state
        if self._ranks.are_known:
            self._warn_of_no_samples()

    @property
    def samples_per_epoch(self) -> int:
        """Number of this rank's samples in an epoch, including those that will be skipped.

        Raises ConfigError while the rank is unknown: see `rank`.
        """
        return self._order.samples

    @property
    def left_out(self) -> int:
        """Number of samples skipped so far by this process and the workers of its loaders."""
        return self._runs.skipped

    def __len__(self) -> int:
        """Return the number of this rank's samples in an epoch run, including those that will be skipped.

        len(loader) is then the number of batches, for any number of workers. Raises TypeError if the number is not
        certain: if the run is endless, if `batch_size` was not passed, or if a run has several epochs and each ends
        with a part of a clip.
        """
        order, batch_size = self._order, self._batch_size
        if self._epochs is None or batch_size is None:
            cause = "is endless (epochs=None)" if self._epochs is None else "needs the loader's batch_size for it"
            raise TypeError(f"this ClipStream has no length: it {cause}")
        if self._epochs > 1 and batch_size > 1 and order.samples % order.unit_length:
            part = "an incomplete unit (see background_reuse)" if self._background_reuse > 1 else "a part of a clip"
            raise TypeError(f"this ClipStream has no length: its epochs end with {part}; use epochs=1")
        samples = self._epochs * order.samples
        return samples - samples % batch_size if self._drop_last else samples

    @property
    def _order(self) -> RankOrder:
        rank, world_size = self._ranks.current()
        even = self._even_ranks if world_size > 1 else None
        part = self._source.clips, self._samples_per_clip, rank, world_size, even, self._shuffle
        return SegmentRanks(*part, self._background_reuse) if self._background_reuse > 1 else ClipRanks(*part)

    @property
    def _identity(self) -> dict[str, Any]:
        """The values that a saved state must match; the sources last, so that an error names a changed field first."""
        order = self._order
        return {
            "seed": self._seed,
            "samples_per_clip": self._samples_per_clip,
            "shuffle": self._shuffle,
            "batch_size": self._batch_size or 1,
            "rank": order.rank,
            "world_size": order.world_size,
            "even_ranks": order.even,
        } | self._source.identity

    def _warn_of_no_samples(self) -> None:
        order = self._order
        if not order.samples:
            logger.warning(
                "rank %d of %d has no samples, because there are only %d clips",
                order.rank,
                order.world_size,
                order.clips,
            )

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, from 0, that the next epoch run starts with. Each run otherwise continues after the last."""
        require_integers(epoch=(epoch, 0))
        self._require_one_sharding()
        self._run = None
        self._runs.set_next(epoch, StartOffset(epoch, 0))

    def __iter__(self) -> Iterator[Sample]:
        # A worker starts the epoch run here, because its loader waits for it. Any other process starts it with the
        # first sample, because torchdata creates an iterator that it discards when it resumes a finished run.
        self._require_one_sharding()
        samples = self._yielded(self._order, self._begun() if this_process().workers else None)
        return closed_at_exit(samples)

    def __getstate__(self) -> dict[str, Any]:
        self._require_one_sharding()  # here, because a spawned worker does not have the loader in its call stack
        return self.__dict__

    def _require_one_sharding(self) -> None:
        if self._ranks.are_known:
            require_one_sharding(self._ranks.current()[1])

    def state_dict(self) -> dict[str, Any]:
        """Return the position of this process in the stream, for `load_state_dict` of a stream with the same config.

        The dict holds integers, strings and lists. It counts the samples that this process has yielded. With loader
        workers, use torchdata's StatefulDataLoader and its state_dict: this method works only between epoch runs, and
        raises RuntimeError within one. Each rank saves its own state.
        """
        if this_process().workers:
            assert self._run is not None  # the loader asks a worker only after it has started
            return state_of(self._run, self._identity)
        if self._runs.workers_are_running():
            raise RuntimeError(
                "ClipStream.state_dict: the loader's workers have read ahead, and only the loader knows which batches "
                "were used; use torchdata.stateful_dataloader.StatefulDataLoader and its state_dict(), or "
                "num_workers=0, or save between epoch runs"
            )
        run = self._run
        if run is None or run.has_ended or run.number < self._runs.latest:
            run = self._new_run(self._runs.latest + 1)
        return state_of(run, self._identity)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a `state_dict`; this decodes one clip, or one segment of each source, at most.

        `epochs`, `drop_last`, `on_error` and `transform` may differ. Raises ConfigError, naming the field, if anything
        else differs, including the rank.
        """
        process = this_process()
        run = run_of(state, self._identity, worker=process.worker, workers=process.workers)
        self._run = None
        if process.workers:
            self._resumed = run
        else:
            self._runs.set_next(run.first_epoch, run.origin)

    def _begun(self) -> Run:
        """Start an epoch run in this process, and return it."""
        number = self._runs.begin(this_process())
        resumed, self._resumed = self._resumed, None
        if resumed is not None:  # in every worker of this run
            self._runs.resume(number, resumed.first_epoch, resumed.origin)
            resumed.number = number
        self._run = resumed or self._new_run(number)
        return self._run

    def _new_run(self, number: int) -> Run:
        """Return the progress of this process at the beginning of an epoch run."""
        process = this_process()
        first_epoch, origin = self._runs.start(number, self._epochs)
        return Run(first_epoch, origin, process.worker, process.workers, origin.epoch, number=number)

    def _yielded(self, order: RankOrder, begun: Run | None) -> Generator[Sample, None, None]:
        """Yield the samples of an epoch run, and record each one in the run."""
        run = begun or self._begun()
        is_complete = run.is_at_its_beginning
        samples = RenderedSamples(
            source=self._source,
            order=order,
            epoch_order=self._epoch_order,
            seed=self._seed,
            units_per_turn=units_per_turn(self._batch_size or 1, order.unit_length),
            epochs=self._epochs,
            transform=self._transform,
            on_error=self._on_error,
        ).after(run, self._runs)
        if self._drop_last:
            samples = of_full_batches(samples, self._batch_size or 1)
        for epoch, position, sample in samples:
            run.epoch, run.position = epoch, position
            yield sample
        run.epoch, run.position, run.has_ended = run.first_epoch + (self._epochs or 0), 0, True
        self._runs.end(run)
        if is_complete and order.samples and not self._runs.made and self._runs.is_ended(run.number):
            raise SourceError(
                f"rank {order.rank}: all samples of the first epoch run were skipped; see the log for the reasons"
            )
