"""Clips for training with PyTorch: composited on the fly, or read from a prepared dataset.

    stream = ClipStream("train", data_dir="DVM", clip_length=4, crop_size=320, epochs=2)
    for batch in torch.utils.data.DataLoader(stream, batch_size=4, num_workers=2): ...

Needs the extra `torch`; nothing below imports it.
"""

import logging
from collections.abc import Callable, Generator, Iterator
from typing import Any, Literal

from dvm_hf.environment import require_usable

try:
    import torch  # noqa: F401  for the message, where it is missing
except ImportError as error:
    raise ImportError(f'dvm_hf.torch needs PyTorch ({error}): pip install "dvm_hf[torch]"') from error
else:
    require_usable()  # the modules below import them
from torch.utils.data import IterableDataset

from dvm_hf.dataset.builder import DVM, require_known_fields, source_root
from dvm_hf.dataset.config import DVMConfig, own_fields, require_field, require_whole
from dvm_hf.errors import ConfigError, SourceError
from dvm_hf.training.collation import collate, whole_batches
from dvm_hf.training.colour_jitter import ColourJitter
from dvm_hf.training.composed_clips import ComposedClips
from dvm_hf.training.epoch_runs import EpochRuns
from dvm_hf.training.matting_transform import MattingTransform
from dvm_hf.training.open_iterators import closed_at_exit
from dvm_hf.training.prepared_rows import PreparedRows
from dvm_hf.training.processes import Ranks, require_one_sharding, this_process
from dvm_hf.training.rank_samples import RankSamples, Sample
from dvm_hf.training.sample_order import EvenRanks, RankOrder, StartOffset, units_a_turn
from dvm_hf.training.sample_source import SampleSource
from dvm_hf.training.stream_options import StreamOptions, stream_options
from dvm_hf.training.stream_state import Run, run_of, state_of

__all__ = ["ClipStream", "ColourJitter", "MattingTransform", "collate"]

logger = logging.getLogger(__name__)


class ClipStream(IterableDataset):  # type: ignore[type-arg, unused-ignore]
    """Windows of composited clips as tensors; each epoch has new clips.

    A sample is a dict: the columns of a row of load_dataset, images as uint8 tensors (T, C, H, W), RGB, T = context +
    clip_length, `motion` float32 (T, 4); `epoch` and `index`, its place in the epoch's order over all ranks; and the
    stream's `root_seed` and `recipe`. `start` is the clip's frame that the tensors begin with, context included.

    One stream, one loader: the passes over it are counted, whoever makes them.

    Parameters
    ----------
    name, data_dir, fields: as for load_dataset, with its errors. `clip_step` defaults to 1: windows begin at any frame.
        `encoding` has no effect.
    epochs: in one pass. Each pass that begins takes the epochs after those of the pass before, also where that one was
        left early: pass p, from 0, begins with epoch p * epochs, with or without workers, in every rank. None: one pass
        without end; should a second one begin, it begins one epoch later than the first.
    shuffle: the order of clips, anew for each epoch; None: for "train" yes, for "test" no.
    context: frames before each window, which are part of the sample (the published loader: 2, with clip_length=2).
    samples_per_clip: windows out of one stretch of a clip, each with a crop of its own, made in one pass over its
        videos. They come one after the other.
    batch_size: the loader's. So the same batches come out in the same order for any number of workers; with
        samples_per_clip, as long as it divides batch_size. Needed for a length, see `__len__`.
    drop_last: the loader's. Of its part of a pass, each worker hands out whole batches of batch_size only.
    rank, world_size: this process's share; None: torch.distributed's when iteration begins, else the only one.
    even_ranks: "drop" leaves out the last samples of an epoch, fewer than world_size, so that all ranks have the same
        number of samples and batches; "pad" repeats the epoch's first samples instead: their `index` appears twice.
        Either also replaces each sample that is left out by a repeat of another one. None: neither. The default is
        "drop" if the stream shuffles, else None.
    transform: called with each sample, in the worker; see `MattingTransform`.

    Raises ConfigError and SourceError, where on_error="raise" also while iterating, naming the file. With
    on_error="skip" the samples of such a clip are left out: logged, and counted in `left_out`. Where none is left in
    the first pass, or for long in one without end, SourceError ends it.
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
        batch_size: int | None = None,
        drop_last: bool = False,
        rank: int | None = None,
        world_size: int | None = None,
        even_ranks: EvenRanks | Literal["auto"] = "auto",
        transform: Callable[[Sample], Sample] | None = None,
        **fields: Any,
    ) -> None:
        require_known_fields(fields)
        for field in fields.keys() - {*own_fields()}:
            raise ConfigError(f"{field}={fields[field]!r}: only load_dataset takes it; leave it out of a ClipStream")
        require_field("name", name)
        options = StreamOptions(
            context=context,
            samples_per_clip=samples_per_clip,
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
        config = DVMConfig(name=name, data_dir=source_root(data_dir), **defaults[name] | fields)
        source = ComposedClips(config, context=context, samples_per_clip=samples_per_clip)
        self._set_up(source, options, seed=config.seed, on_error=config.on_error)

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
        """The same stream over a prepared dataset, built by load_dataset or read from Parquet: its rows are the clips.

        dataset: a `datasets.Dataset` (not streaming) with this package's columns. Its images are decoded in the
        workers, only those of the window. clip_length: frames after the context, "all": the whole row. crop_size:
        as in the config, around an unknown pixel of the window's middle frame. columns: of the dataset's image columns,
        None: all. recipe, frame_step: that the dataset was built with. Windows and crops differ from epoch to epoch;
        composites are what they are. options: as for a `ClipStream`, from `context` to `transform`; by default it
        shuffles.
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
        rows = PreparedRows(
            dataset, columns=columns, context=chosen.context, samples_per_clip=chosen.samples_per_clip, **given
        )
        stream = cls.__new__(cls)
        stream._set_up(rows, chosen, seed=seed, on_error=on_error)
        return stream

    def _set_up(self, source: SampleSource, options: StreamOptions, *, seed: int, on_error: str) -> None:
        self._source, self._ranks = source, Ranks(options.rank, options.world_size)
        self._samples_per_clip, self._shuffle = options.samples_per_clip, options.shuffle is not False
        self._even_ranks = options.rank_policy(shuffles=self._shuffle)
        self._batch_size, self._drop_last, self._epochs = options.batch_size, options.drop_last, options.epochs
        self._seed, self._transform, self._on_error = seed, options.transform, on_error
        self._passes = EpochRuns()
        self._run: Run | None = None  # this process's latest
        self._resumed: Run | None = None  # a worker's next, where it was given a state
        if self._ranks.are_known:
            self._warn_of_no_samples()

    @property
    def samples_per_epoch(self) -> int:
        """Samples that this rank makes in an epoch, those that will be left out included.

        Raises ConfigError while the rank is not known: see `rank`.
        """
        return self._order.samples

    @property
    def left_out(self) -> int:
        """Samples left out so far by this process and the workers of its loaders."""
        return self._passes.left_out

    def __len__(self) -> int:
        """Samples that this rank hands out in a pass, those that will be left out included.

        With it, len(loader) is the number of batches for any number of workers. Raises TypeError if that is not
        certain: in a pass without end, if the stream was not told `batch_size`, and in passes of several epochs of
        which each ends with a part of a clip.
        """
        order, batch_size = self._order, self._batch_size
        if self._epochs is None or batch_size is None:
            missing = "epochs=None" if self._epochs is None else "batch_size, the loader's, was not given"
            raise TypeError(f"a ClipStream has no length here: {missing}")
        if self._epochs > 1 and batch_size > 1 and order.samples % self._samples_per_clip:
            raise TypeError("a ClipStream has no length here: its epochs end with a part of a clip; use epochs=1")
        samples = self._epochs * order.samples
        return samples - samples % batch_size if self._drop_last else samples

    @property
    def _order(self) -> RankOrder:
        rank, world_size = self._ranks.current()
        return RankOrder(
            self._source.clips,
            self._samples_per_clip,
            rank,
            world_size,
            even=self._even_ranks if world_size > 1 else None,
            shuffled=self._shuffle,
        )

    @property
    def _identity(self) -> dict[str, Any]:
        """The sources last: a field that changes which are used is named first."""
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
                "rank %d of %d has no samples: there are %d clips", order.rank, order.world_size, order.clips
            )

    def set_epoch(self, epoch: int) -> None:
        """Begin the next pass with an epoch, from 0. Not needed from one pass to the next."""
        require_whole(epoch=(epoch, 0))
        self._require_one_sharding()
        self._run = None
        self._passes.begin_next_with(epoch, StartOffset(epoch, 0))

    def __iter__(self) -> Iterator[Sample]:
        # A worker begins the pass here, as its loader waits for that; any other process with the pass's first sample,
        # as torchdata makes an iterator that it throws away when it resumes a pass that was ended.
        self._require_one_sharding()
        samples = self._handed_out(self._order, self._begun() if this_process().workers else None)
        return closed_at_exit(samples)

    def __getstate__(self) -> dict[str, Any]:
        self._require_one_sharding()  # a spawned worker does not see who iterates
        return self.__dict__

    def _require_one_sharding(self) -> None:
        if self._ranks.are_known:
            require_one_sharding(self._ranks.current()[1])

    def state_dict(self) -> dict[str, Any]:
        """Where this process is: plain numbers and strings, for `load_state_dict` of a stream with the same config.

        It knows what it has handed out itself. Behind a loader with workers, use torchdata's StatefulDataLoader and
        its state_dict: between passes this one is right, within one it raises RuntimeError. Each rank saves its own.
        """
        if this_process().workers:
            assert self._run is not None  # a worker is asked after it has begun
            return state_of(self._run, self._identity)
        if self._passes.workers_are_under_way():
            raise RuntimeError(
                "ClipStream.state_dict: the loader's workers have read ahead, and only the loader knows how far "
                "its batches were used; use torchdata.stateful_dataloader.StatefulDataLoader and its "
                "state_dict(), or num_workers=0, or save between passes"
            )
        run = self._run
        if run is None or run.has_ended or run.number < self._passes.latest:
            run = self._from_the_start(self._passes.latest + 1)
        return state_of(run, self._identity)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a `state_dict` was taken, by decoding one clip at most.

        `epochs`, `drop_last`, `on_error` and `transform` may differ. Raises ConfigError, naming the field, where
        anything else differs, the rank included.
        """
        process = this_process()
        run = run_of(state, self._identity, worker=process.worker, workers=process.workers)
        self._run = None
        if process.workers:
            self._resumed = run
        else:
            self._passes.begin_next_with(run.first_epoch, run.origin)

    def _begun(self) -> Run:
        """This process's run in the pass that begins now."""
        number = self._passes.begin(this_process())
        resumed, self._resumed = self._resumed, None
        if resumed is not None:  # in every worker of this pass
            self._passes.resume(number, resumed.first_epoch, resumed.origin)
            resumed.number = number
        self._run = resumed or self._from_the_start(number)
        return self._run

    def _from_the_start(self, number: int) -> Run:
        """This process's run in a pass, from where the pass begins."""
        process = this_process()
        first_epoch, origin = self._passes.start(number, self._epochs)
        return Run(first_epoch, origin, process.worker, process.workers, origin.epoch, number=number)

    def _handed_out(self, order: RankOrder, begun: Run | None) -> Generator[Sample, None, None]:
        """The samples of a run, which knows of each one that is handed out."""
        run = begun or self._begun()
        is_whole = run.is_at_its_beginning
        samples = RankSamples(
            source=self._source,
            order=order,
            seed=self._seed,
            shuffle=self._shuffle,
            units_a_turn=units_a_turn(self._batch_size or 1, self._samples_per_clip),
            epochs=self._epochs,
            transform=self._transform,
            on_error=self._on_error,
        ).after(run, self._passes)
        if self._drop_last:
            samples = whole_batches(samples, self._batch_size or 1)
        for epoch, position, sample in samples:
            run.epoch, run.position = epoch, position
            yield sample
        run.epoch, run.position, run.has_ended = run.first_epoch + (self._epochs or 0), 0, True
        self._passes.end(run)
        if is_whole and order.samples and not self._passes.made and self._passes.is_ended(run.number):
            raise SourceError(f"rank {order.rank}: no sample is left in the first pass; see the log for the reasons")
