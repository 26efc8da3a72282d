"""The config fields of load_dataset("dvm.py", ...), checked, and the name of their cache folder."""

import dataclasses
import hashlib
import itertools
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import datasets

from dvm_hf.clips.plan import Plans, Rendering, dealt_clips, listed_clips, require_distinct
from dvm_hf.clips.recipes import RECIPES
from dvm_hf.dataset.columns import ENCODINGS, IMAGE_COLUMNS
from dvm_hf.errors import ConfigError, MachineError, SourceError
from dvm_hf.machine_faults import raise_machine_fault, retried
from dvm_hf.sources.pair_lists import Pair, read_pairs
from dvm_hf.sources.tree import KINDS, MACHINE_FAULT, SPLITS, SourceTree, scan
from dvm_hf.versions import versions

logger = logging.getLogger(__name__)

REMAINDERS = ("drop", "keep", "repeat_last")
TRIMAPS = ("dvm-test", "dvm-train", "provided")
ON_ERROR = ("raise", "skip")
LARGEST_SIZE = 32766  # px: OpenCV's warps index with 16 bits


@dataclass
class DVMConfig(datasets.BuilderConfig):
    """Keyword arguments of load_dataset("dvm.py", ...), beside the library's own (data_dir: root of the source tree).

    pairs: a pair list in the authors' format, its path from here or from data_dir; None pairs every foreground
        with backgrounds chosen by the seed.
    backgrounds_per_foreground: for pairs=None.
    kinds: which foregrounds, "image" and "video".
    seed: root seed; each clip's own comes from it and the clip's name.
    recipe: "dvm", the corrected pipeline, or "reference", the published one to the pixel, defects included.
    clip_length: frames in a row, or "all": the whole clip in one.
    frame_step: source frames from one frame of a window to the next.
    clip_step: source frames from one window's start to the next; None: clip_length * frame_step.
    remainder: the last, shorter window: "drop" (train's default), "keep" (test's), "repeat_last".
    columns: image columns, of "frames", "alpha", "trimap", "foreground", "background".
    trimap: "dvm-test", "dvm-train", "provided", or the radius in px of the unknown band on each side.
    encoding: "jpeg", "lossless", or "array" (needs crop_size, a clip_length, and no remainder="keep").
    crop_size: side in px of a square crop around an unknown pixel, the same for all frames of a window.
    max_size: longest side in px of a foreground and of a composite.
    max_image_frames, max_video_frames: the most frames of a clip.
    background_blur: 9 x 9 Gaussian on the background.
    on_error: "raise" stops at a source that cannot be used, "skip" leaves its clips out, logs and counts them.
    """

    pairs: str | None = None
    backgrounds_per_foreground: int = 4
    kinds: tuple[str, ...] = KINDS
    seed: int = 2019
    recipe: str = "dvm"
    clip_length: int | Literal["all"] = 16
    frame_step: int = 1
    clip_step: int | None = None
    remainder: str = "drop"
    columns: tuple[str, ...] = ("frames", "alpha", "trimap")
    trimap: str | int = "dvm-test"
    encoding: str = "jpeg"
    crop_size: int | None = None
    max_size: int = 1920
    max_image_frames: int = 60
    max_video_frames: int = 150
    background_blur: bool = False
    on_error: str = "raise"

    def create_config_id(self, config_kwargs: dict[str, Any], custom_features: datasets.Features | None = None) -> str:
        """Name of the cache folder: config, recipe, and a hash of every field, every source and the pair list.

        `datasets` calls this when it makes the builder; fields and folders are checked here, before anything is
        written. Raises ConfigError or SourceError.
        """
        require_valid(self)
        fields = {name: getattr(self, name) for name in own_fields() if name != "pairs"}
        fields |= {name: sorted(fields[name]) for name in ("kinds", "columns")}  # their order changes no row
        features = custom_features and custom_features.to_dict()
        self.inputs = inputs_of(self, source_tree(self))
        used = {name: number for name, number in versions().items() if name != "pyarrow"}  # touches no pixel
        text = json.dumps([fields, self.inputs, features, used], sort_keys=True)
        return f"{self.name}-{self.recipe}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def inputs_of(config: DVMConfig, tree: SourceTree) -> dict[str, str | None]:
    """Hashes of what a build reads: the pair list, None without one, and the sources."""
    pairs = config.pairs and hashlib.sha256(pairs_path(config).read_bytes()).hexdigest()
    return {"pair list": pairs or None, "sources": tree.fingerprint()}


def require_unchanged(config: DVMConfig, tree: SourceTree) -> None:
    """Raise SourceError where sources or pair list are not those that the builder's cache folder is named after."""
    now, then = inputs_of(config, tree), getattr(config, "inputs", None)
    changed = [name for name in now if then is not None and then[name] != now[name]]
    if changed:
        raise SourceError(
            f"{config.data_dir}: its {' and '.join(changed)} changed after this builder was made; make a new one, as "
            "load_dataset does"
        )


def files_of(plans: Plans, tree: SourceTree) -> dict[str, tuple[int, int]]:
    """Return the files that the clips read, each with its size and time of modification when they were scanned."""
    used: set[str] = set()  # strings are looked up faster than paths
    for plan in plans.clips:
        files = (plan.foreground.colour, plan.foreground.alpha, plan.foreground.trimap, plan.background.path)
        used.update(str(path) for path in files if path)
    paths = ((os.path.normpath(f"{tree.root}/{name}"), signature) for name, signature in tree.signatures.items())
    return {path: signature for path, signature in paths if path in used}


def require_same_files(files: dict[str, tuple[int, int]]) -> None:
    """Raise SourceError for the first of `files_of` that was replaced since, MachineError if one cannot be asked.

    For the end of a build: its key in the cache is of the files that were there when it began.
    """

    def replaced(begin: int) -> Iterator[str | None]:
        for path, signature in itertools.islice(files.items(), begin, None):
            yield path if _signature(path) != signature else None

    for path in filter(None, retried(replaced)):
        raise SourceError(
            f"{path}: was replaced or removed while the dataset was built, and nothing of the build is kept; load "
            "again when the sources no longer change"
        )


def _signature(path: str) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)
    except OSError as error:
        raise_machine_fault(Path(path), error)
        return None
    return stat.st_size, stat.st_mtime_ns


def own_fields() -> tuple[str, ...]:
    """Names of the fields that `datasets` does not know."""
    base = {field.name for field in dataclasses.fields(datasets.BuilderConfig)}
    return tuple(field.name for field in dataclasses.fields(DVMConfig) if field.name not in base)


def require_valid(config: DVMConfig) -> None:
    """Raise ConfigError for the first field whose value is not allowed."""
    for name in FIELD_RULES:
        require_field(name, getattr(config, name))
    if config.clip_length == "all" and config.clip_step is not None:
        raise ConfigError(
            f"clip_step={config.clip_step!r}: has no meaning with clip_length='all'; leave one of them out"
        )
    if config.encoding == "array" and _array_obstacle(config):
        raise ConfigError(f"encoding='array': rows of one shape need {_array_obstacle(config)}")


def require_field(name: str, value: Any) -> None:
    """Raise ConfigError where a field may not have this value."""
    is_allowed, allowed = FIELD_RULES[name]
    if not is_allowed(value):
        raise ConfigError(f"{name}={value!r}: not allowed; {name} must be {allowed}")


def require_whole(**numbers: tuple[Any, int]) -> None:
    """Raise ConfigError for the first of some named numbers, each with its least value, that is not allowed."""
    for name, (value, least) in numbers.items():
        is_allowed, allowed = _whole(least)
        if not is_allowed(value):
            raise ConfigError(f"{name}={value!r}: not allowed; {name} must be {allowed}")


def require_range(name: str, value: Any, limits: tuple[float, float]) -> None:
    """Raise ConfigError where a named value is not two numbers within limits, the smaller first."""
    is_pair = isinstance(value, tuple | list) and len(value) == 2
    is_pair = is_pair and all(isinstance(end, int | float) and not isinstance(end, bool) for end in value)
    if not is_pair or not limits[0] <= value[0] <= value[1] <= limits[1]:
        raise ConfigError(
            f"{name}={value!r}: not allowed; {name} must be a range, two numbers from {limits[0]} to {limits[1]}, "
            "the smaller first"
        )


def source_tree(config: DVMConfig) -> SourceTree:
    """The sources of the config's split; raises SourceError where they are missing."""
    with_trimaps = config.trimap == "provided"
    return scan(Path(config.data_dir or ""), config.name, kinds=config.kinds, with_trimaps=with_trimaps)


def pairs_path(config: DVMConfig) -> Path:
    """Where the config's pair list is: as given, else in data_dir. Raises SourceError where it is in neither."""
    given = Path(config.pairs or "").expanduser()
    for path in (given, Path(config.data_dir or "") / given):
        if path.is_file():
            return path
    raise SourceError(
        f"{config.pairs}: no such pair list, neither from here nor in {config.data_dir}; pairs must name a file"
    )


def plans(config: DVMConfig) -> Plans:
    """The clips of a valid config, and what is left out of them.

    Raises SourceError, under on_error="raise", where a source that clips would use cannot be used, and always
    where no clip is left or two would have one name.
    """
    return checked_plans(config, source_tree(config), listed_pairs(config))


def checked_plans(config: DVMConfig, tree: SourceTree, pairs: tuple[Pair, ...] | None) -> Plans:
    """As `plans`, of sources that are scanned and a pair list that is read."""
    passing = [problem for problem in tree.problems if problem.code == MACHINE_FAULT]
    if passing:  # not to be left out: the next scan may find the files in order
        raise MachineError(f"{tree.root}: {passing[0]}")
    if tree.passed_over:
        shown = ", ".join(tree.passed_over[:5])
        logger.warning("%s: %d files are of no known type and passed over: %s", tree.root, len(tree.passed_over), shown)
    if pairs is None:
        _warn_of_few_backgrounds(config, tree)
    result = seeded_plans(config, tree, pairs, seed=config.seed)
    if result.left_out and (config.on_error == "raise" or not result.clips):
        shown = "; ".join(map(str, result.left_out[:3]))
        more = f"; and {len(result.left_out) - 3} more" if len(result.left_out) > 3 else ""
        origin = config.data_dir if config.pairs is None else pairs_path(config)
        raise SourceError(f"{origin}: {shown}{more} (on_error='skip' leaves such clips out)")
    require_distinct(result)
    return result


def seeded_plans(config: DVMConfig, tree: SourceTree, pairs: tuple[Pair, ...] | None, *, seed: int) -> Plans:
    """The clips with another root seed than the config's; nothing is checked or logged."""
    rendering = rendering_of(config)
    if pairs is not None:
        return listed_clips(tree, pairs, seed=seed, rendering=rendering)
    count = config.backgrounds_per_foreground
    return dealt_clips(tree, backgrounds_per_foreground=count, seed=seed, rendering=rendering)


def _warn_of_few_backgrounds(config: DVMConfig, tree: SourceTree) -> None:
    count = config.backgrounds_per_foreground
    if count > len(tree.backgrounds):
        logger.warning(
            "%s: %d backgrounds for backgrounds_per_foreground=%d; each foreground gets them all",
            Path(tree.root, "bg", tree.split),
            len(tree.backgrounds),
            count,
        )


def rendering_of(config: DVMConfig) -> Rendering:
    """The config's fields that rendering needs; columns in their fixed order."""
    shared = {field.name for field in dataclasses.fields(Rendering)} - {"columns"}
    columns = tuple(column for column in IMAGE_COLUMNS if column in config.columns)
    return Rendering(columns=columns, **{name: getattr(config, name) for name in shared})


def listed_pairs(config: DVMConfig) -> tuple[Pair, ...] | None:
    """Lines of the config's pair list that are of its kinds; None where it names no list."""
    if config.pairs is None:
        return None
    pairs = tuple(pair for pair in read_pairs(pairs_path(config)) if pair.kind in config.kinds)
    if not pairs:
        raise SourceError(
            f"{pairs_path(config)}: has no line of the kinds {', '.join(config.kinds)}; add one or change kinds"
        )
    return pairs


def _array_obstacle(config: DVMConfig) -> str:
    if config.crop_size is None:
        return "a crop_size"
    if config.clip_length == "all":
        return "a clip_length that is a number"
    if config.remainder == "keep":
        return "a remainder other than 'keep': 'drop' or 'repeat_last'"
    return ""


def _whole(low: int, high: int = 2**31 - 1) -> tuple[Callable[[Any], bool], str]:
    is_allowed = lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high  # noqa: E731
    return is_allowed, f"an integer of at least {low}" if high == 2**31 - 1 else f"an integer from {low} to {high}"


def _or(extra: tuple[Any, ...], rule: tuple[Callable[[Any], bool], str]) -> tuple[Callable[[Any], bool], str]:
    is_allowed, allowed = rule
    return lambda value: value in extra or is_allowed(value), f"{allowed}, or {', '.join(map(repr, extra))}"


def _one_of(choices: tuple[str, ...]) -> tuple[Callable[[Any], bool], str]:
    return lambda value: value in choices, "one of " + ", ".join(map(repr, choices))


def _some_of(choices: tuple[str, ...]) -> tuple[Callable[[Any], bool], str]:
    def is_allowed(value: Any) -> bool:
        if not isinstance(value, list | tuple) or not value:
            return False
        return all(isinstance(name, str) and name in choices for name in value) and len(set(value)) == len(value)

    return is_allowed, f"a list of one or more of {', '.join(map(repr, choices))}"


FIELD_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": _one_of(SPLITS),
    "pairs": (lambda value: value is None or isinstance(value, str | Path), "the path of a pair list, or None"),
    "backgrounds_per_foreground": _whole(1),
    "kinds": _some_of(KINDS),
    "seed": _whole(0, 2**63 - 1),
    "recipe": _one_of(tuple(RECIPES)),
    "clip_length": _or(("all",), _whole(1)),
    "frame_step": _whole(1),
    "clip_step": _or((None,), _whole(1)),
    "remainder": _one_of(REMAINDERS),
    "columns": _some_of(IMAGE_COLUMNS),
    "trimap": _or(TRIMAPS, _whole(0, LARGEST_SIZE)),
    "encoding": _one_of(ENCODINGS),
    "crop_size": _or((None,), _whole(1, LARGEST_SIZE)),
    "max_size": _whole(16, LARGEST_SIZE),
    "max_image_frames": _whole(1),
    "max_video_frames": _whole(1),
    "background_blur": (lambda value: isinstance(value, bool), "True or False"),
    "on_error": _one_of(ON_ERROR),
}
