"""The dataset builder with its configs `train` and `test`: the contract with `datasets`."""

import difflib
import inspect
import logging
import os
import warnings
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import datasets
from datasets.exceptions import DatasetGenerationError

import dvm_hf
from dvm_hf.clips.plan import ClipPlan
from dvm_hf.clips.windows import Window, retried_windows
from dvm_hf.dataset.columns import frame_collector, frame_encoder, row
from dvm_hf.dataset.config import (
    DVMConfig,
    checked_plans,
    listed_pairs,
    own_fields,
    pairs_path,
    rendering_of,
    require_unchanged,
    source_tree,
)
from dvm_hf.dataset.features import features_of
from dvm_hf.dataset.presets import preset_fields
from dvm_hf.dataset.skipped import SkippedClips, report_saved
from dvm_hf.dataset.used_files import files_of, require_same_files
from dvm_hf.errors import ConfigError, MachineError, SourceError
from dvm_hf.machine_faults import FULL, full_disk
from dvm_hf.open_iterators import closed_at_exit
from dvm_hf.sources.records import SPLITS
from dvm_hf.sources.remote.source_files import local_path
from dvm_hf.synthetic.source_tree import cached_sources

logger = logging.getLogger(__name__)

DATA_DIR_VARIABLE = "DVM_DATA_DIR"
LOAD_DATASET = ("datasets.load", "load_dataset")  # module and function
DESCRIPTION = (
    "Video matting clips: foreground images and videos with known alpha, composited over video backgrounds by the "
    "recipe of Deep Video Matting (Sun et al., CVPR 2021). Each row is a window of a clip: frames, alpha and trimap."
)
CITATION = """\
@inproceedings{sun2021deep,
  title     = {Deep Video Matting via Spatio-Temporal Alignment and Aggregation},
  author    = {Sun, Yanan and Wang, Guanzhi and Gu, Qiao and Tang, Chi-Keung and Tai, Yu-Wing},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year      = {2021}
}"""
LICENSE = "The licences of the sources, which are not part of this package; rights in a source apply to its composites."


class GenerationError(SourceError, DatasetGenerationError):
    """A source stopped a build. Subclasses the errors of both this package and `datasets`, so you can catch either."""


class MachineGenerationError(MachineError, GenerationError):
    """A fault of the machine stopped a build. The partial build is discarded, so that the next one starts over."""


class DVM(datasets.GeneratorBasedBuilder):
    """Composited matting clips from a DVM source tree; see `DVMConfig` for the keyword arguments."""

    VERSION = datasets.Version(dvm_hf.__version__)
    BUILDER_CONFIG_CLASS = DVMConfig
    BUILDER_CONFIGS = [  # noqa: RUF012  `datasets` requires this name and type
        DVMConfig(name="train", version=VERSION, remainder="drop"),
        DVMConfig(name="test", version=VERSION, remainder="keep"),
    ]
    DEFAULT_CONFIG_NAME = "train"
    DEFAULT_WRITER_BATCH_SIZE = 8  # a row has megabytes: 8 is 3.5 times as fast as 1,000, in a seventh of the memory

    def __init__(self, *args: Any, data_dir: str | None = None, **kwargs: Any) -> None:
        require_known_fields(kwargs)
        if kwargs.get("data_files"):
            raise ConfigError(
                "data_files: not used by this dataset; pass the folder that contains fg/ and bg/ as data_dir"
            )
        self._skipped: SkippedClips | None = None
        self._streaming_skips = 0
        self._files: dict[str, tuple[int, int]] = {}  # size and modification time of each file of a build
        kwargs["dataset_name"] = "dvm"  # datasets >= 4 would use "dvm.py", also for the cache folder
        super().__init__(*args, data_dir=source_root(data_dir), **preset_fields(kwargs))
        require_own_split(self.config.name)
        if self.config.pairs is not None:  # the working directory may change before the build
            self.config.pairs = os.path.abspath(pairs_path(self.config))

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description=DESCRIPTION, citation=CITATION, license=LICENSE, features=features_of(self.config)
        )

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        tree = source_tree(self.config)
        require_unchanged(self.config, tree)
        planned = checked_plans(self.config, tree, listed_pairs(self.config))
        for problem in planned.skipped:
            self._skip(problem.path, problem.text, is_source=self.config.pairs is None)
        streaming = bool(dl_manager.is_streaming)
        self._files = {} if streaming else files_of(planned, tree)
        gen_kwargs = {"plans": list(planned.clips), "streaming": streaming}  # `datasets` shards the list
        return [datasets.SplitGenerator(name=self.config.name, gen_kwargs=gen_kwargs)]

    def _generate_examples(self, plans: list[ClipPlan], streaming: bool) -> Iterator[tuple[Any, dict[str, Any]]]:
        return closed_at_exit(self._examples(plans, streaming=streaming))

    def _examples(self, plans: list[ClipPlan], *, streaming: bool) -> Generator[tuple[Any, dict[str, Any]], None, None]:
        encoding = self.config.encoding
        columns = rendering_of(self.config).columns
        each = frame_encoder(columns, encoding=encoding, streaming=streaming)
        collect = frame_collector(columns, encoding=encoding)
        shard = 0  # counts only clips that have rows: datasets 4.5 cannot count an empty shard
        for plan in plans:
            windows, item = retried_windows(plan, each=each, collect=collect), 0
            while (window := self._next_window(windows, plan, item)) is not None:
                yield _key(shard, item, plan), row(window, encoding=encoding)
                item += 1
            shard += item > 0

    def _next_window(self, windows: Iterator[Window[Any]], plan: ClipPlan, item: int) -> Window[Any] | None:
        """Return the next window; None at the end of the clip, or at an unusable source if on_error="skip"."""
        try:
            window = next(windows, None)
        except SourceError as error:
            if self.config.on_error == "raise" or isinstance(error, MachineError):
                self._note_fatal(plan, error)
                raise
            rest = f" (starting at window {item}; earlier windows are kept)" if item else ""
            self._skip(plan.clip_id, f"{error}{rest}")
            return None
        if window is None and not item:
            self._skip(plan.clip_id, "is shorter than a window; use a smaller clip_length, or remainder='keep'")
        return window

    def download_and_prepare(self, *args: Any, **kwargs: Any) -> None:
        """Build as in `datasets`, then log which clips were skipped, also if the build was found in the cache.

        Raises GenerationError, which names the source, if one cannot be used and on_error is "raise".
        """
        self._skipped = SkippedClips.in_new_file()
        try:
            super().download_and_prepare(*args, **kwargs)
        except DatasetGenerationError:
            reason = self._skipped.fatal_reason()
            if reason is not None:
                kind = MachineGenerationError if self._skipped.is_machine_fault() else GenerationError
                raise kind(reason) from None
            raise
        except OSError as error:
            if full_disk(error) is None:
                raise
            raise MachineGenerationError(_no_space(self._cache_dir_root, error)) from error
        finally:
            self._skipped.remove()
            self._skipped = None
        report_saved(self._fs, self._output_dir)

    def _download_and_prepare(self, *args: Any, **kwargs: Any) -> None:
        """Build as in `datasets`, into a temporary folder that the cache does not use yet.

        Raises SourceError if the build has no row or if sources were replaced during it. Saves the list of skipped
        clips with the data.
        """
        super()._download_and_prepare(*args, **kwargs)
        require_same_files(self._files)
        if self._skipped is None:
            return
        if not self.info.splits[self.config.name].num_examples:
            raise SourceError(f"{self.config.data_dir}: no window remains after skipping {self._skipped.summary()}")
        self._skipped.save_in(self._fs, self._output_dir)

    def _save_infos(self) -> None:
        """Do nothing for save_infos=True, where datasets 3.6.0 would write into the folder of this package."""
        logger.warning("save_infos=True writes no extra file; sizes and row counts are in %s", self._output_dir)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_files": {}}  # workers do not need it

    def _prepare_split_single(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Build as in `datasets`, in any process. Record a full disk, because the library does not report the cause."""
        try:
            yield from super()._prepare_split_single(*args, **kwargs)
        except (DatasetGenerationError, OSError) as error:
            full = full_disk(error)
            if full is not None and self._skipped is not None:
                reason = _no_space(self._cache_dir_root, full)
                with suppress(OSError):  # the folder of temporary files may be full, too
                    self._skipped.note("cache", reason, is_fatal=True, is_machine=True)
            raise

    def _skip(self, name: str, reason: str, *, is_source: bool = False) -> None:
        if self._skipped is not None:
            logger.warning("%s skipped: %s", name, reason)
            self._skipped.note(name, reason, is_source=is_source)
        else:  # streaming has no end at which to report: `datasets` requests one clip at a time
            self._streaming_skips += 1
            logger.warning("%s skipped (%d so far): %s", name, self._streaming_skips, reason)

    def _note_fatal(self, plan: ClipPlan, error: SourceError) -> None:
        if self._skipped is not None:
            is_machine = isinstance(error, MachineError)
            hint = "" if is_machine else " (pass on_error='skip' to skip such clips)"
            self._skipped.note(plan.clip_id, f"{plan.clip_id}: {error}{hint}", is_fatal=True, is_machine=is_machine)


def _no_space(cache: str, error: OSError) -> str:
    return (
        f"{error.strerror or 'No space left on device'}: {cache} cannot hold the built dataset; {FULL} and load again"
    )


def source_root(given: str | None) -> str:
    """Return the root of the sources: the argument, the environment variable, or synthetic sources with a warning."""
    if given is not None and not os.fspath(given):
        raise ConfigError(f"data_dir={given!r}: is empty; pass the folder that contains fg/ and bg/, or omit data_dir")
    chosen = given or os.environ.get(DATA_DIR_VARIABLE)
    if chosen:
        return os.path.abspath(os.path.expanduser(local_path(os.fspath(chosen))))
    synthetic = str(cached_sources(Path(datasets.config.HF_DATASETS_CACHE)))
    warnings.warn(
        f"no data_dir given: using synthetic demo sources in {synthetic}; for your own, pass data_dir='DVM' "
        f"(the folder that contains fg/ and bg/) or set the environment variable {DATA_DIR_VARIABLE}",
        UserWarning,
        stacklevel=2,
    )
    return synthetic


def require_own_split(config: str) -> None:
    """Raise ConfigError if the call of `load_dataset` requests a split that this config does not have.

    `datasets` does not pass the split to its builders. It would fail only after this config's split is built, hours
    later, so this function finds the call on the stack.
    """
    frame = inspect.currentframe()
    while frame is not None and (frame.f_globals.get("__name__"), frame.f_code.co_name) != LOAD_DATASET:
        frame = frame.f_back
    requested = frame.f_locals.get("split") if frame is not None else None
    others = [name for name in split_names(requested) if name != config]
    if not others:
        return
    shown = str(requested) if isinstance(requested, datasets.NamedSplit) else requested
    text = f"split={shown!r}: the config {config!r} has the split {config!r} only"
    if others[0] in SPLITS:
        raise ConfigError(
            f'{text}; pass the config of that split: load_dataset("dvm.py", "{others[0]}", ..., split="{others[0]}")'
        )
    raise ConfigError(f"{text}, and not {others[0]!r}; use split={config!r}")


def split_names(requested: Any) -> list[str]:
    """Return the names in load_dataset's `split`: a string, Split, ReadInstruction, or a list or dict of these.

    Raises ConfigError for a string that `datasets` cannot read.
    """
    if isinstance(requested, dict):
        requested = list(requested.values())
    if isinstance(requested, list | tuple):
        return [name for one in requested for name in split_names(one)]
    if isinstance(requested, str | datasets.NamedSplit) and str(requested) != str(datasets.Split.ALL):
        try:
            requested = datasets.ReadInstruction.from_spec(str(requested))
        except ValueError as error:
            raise ConfigError(
                f"split={str(requested)!r}: {error}; pass the name of a split, or a part of it such as 'train[:10%]'"
            ) from None
    if not isinstance(requested, datasets.ReadInstruction):
        return []
    return [str(part.splitname) for part in requested._relative_instructions]


def require_known_fields(kwargs: dict[str, Any]) -> None:
    """Raise ConfigError for a keyword argument that neither this config nor `datasets` has."""
    known = (
        set(own_fields())
        | set(inspect.signature(datasets.DatasetBuilder.__init__).parameters)
        | {"version", "description"}
    )
    for name in kwargs.keys() - known:
        near = difflib.get_close_matches(name, own_fields(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; the fields are {', '.join(own_fields())}"
        raise ConfigError(f"{name}={kwargs[name]!r}: there is no config field {name!r}{hint}")


def _key(shard: int, item: int, plan: ClipPlan) -> Any:
    """Return the unique key of an example: a `Key` since datasets 4.5.0, a string before that."""
    key_class = getattr(datasets.builder, "Key", None)
    return key_class(shard, item) if key_class else f"{plan.clip_id}/{item}"
