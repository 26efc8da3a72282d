"""The config fields of load_dataset("dvm.py", ...): validation, the name of the cache folder, and clip plans."""

import dataclasses
import hashlib
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import datasets

from dvm_hf.clips.appearance.named_effects import canonical
from dvm_hf.clips.plan import (
    Plans,
    Rendering,
    assigned_clips,
    listed_clips,
    require_distinct,
    sharing_backgrounds,
    with_companions,
)
from dvm_hf.clips.straight_colours import estimation_versions
from dvm_hf.dataset.columns import COLUMNS, IMAGE_COLUMNS, INSTANCES
from dvm_hf.dataset.encoders import encoder_versions, require_encoder, require_storable, x264_users
from dvm_hf.dataset.field_rules import EFFECT_FIELDS, FIELD_RULES, require_field
from dvm_hf.dataset.presets import PRESETS
from dvm_hf.errors import ConfigError, MachineError, SourceError
from dvm_hf.media.row_videos.encoding import MAX_SIDE
from dvm_hf.sources.folder_scan import MACHINE_FAULT
from dvm_hf.sources.frozen_lists import is_frozen_list
from dvm_hf.sources.pair_lists import Pair, frozen_list, read_pairs, require_file
from dvm_hf.sources.records import KINDS, SourceTree
from dvm_hf.sources.remote.source_files import address_or_path, present
from dvm_hf.sources.sources_file import is_sources_file
from dvm_hf.sources.tree import AUTO, scan
from dvm_hf.versions import versions

logger = logging.getLogger(__name__)

WITHOUT_PIXELS = ("pyarrow", "zlib-ng")  # libraries that store the images of rows without a change of their pixels
# Fields that are newer than plans: at their default, a plan omits them, so that its digest is that of earlier releases.
LATER_FIELDS = ("light", "camera", "preset", "foregrounds_per_clip", "difficulty", "shutter")


@dataclass
class DVMConfig(datasets.BuilderConfig):
    """Keyword arguments of load_dataset("dvm.py", ...), in addition to those of `datasets`.

    data_dir, a field of `datasets`: a source folder, or a sources file.
    layout: name of the layout of a source folder; "auto" recognizes it.
    pairs: path of a pair list in the authors' format, relative to the working directory or data_dir. None pairs every
        foreground with backgrounds chosen by the seed.
    backgrounds_per_foreground: number of clips per foreground, if pairs is None.
    kinds: kinds of foregrounds, "image" and "video".
    seed: root seed; the seed of each clip is derived from it and the clip's name.
    recipe: "dvm", the corrected pipeline, or "reference", the published one to the pixel, defects included.
    clip_length: frames per row, or "all" for the complete clip in one row.
    frame_step: distance between consecutive frames of a window, in source frames.
    clip_step: distance between the starts of consecutive windows, in source frames; None: clip_length * frame_step.
    remainder: the last, partial window: "drop" (default of train), "keep" (default of test) or "repeat_last".
    columns: image columns: "frames", "alpha", "trimap", "foreground", "background", "instances".
    trimap: "dvm-test", "dvm-train", "provided", or the width in px of the unknown band on each side.
    encoding: "jpeg", "lossless", "array" (requires crop_size, a clip_length, and a remainder other than "keep"), or
        "video".
    crop_size: side in px of a square crop around an unknown pixel, the same for all frames of a window.
    max_size: longest side in px of a foreground and of a composite.
    max_image_frames, max_video_frames: maximum number of frames per clip.
    background_blur: whether to blur the background with a 9 x 9 Gaussian.
    motion: "dvm", the published walk of image foregrounds; "rvm", eased affine motion of foreground, background and
        camera, with speeds, reversal and pauses; or "none".
    light, camera: "none", or effects separated by commas, see `clips.appearance.named_effects`.
    preset: name of the preset whose fields were used, see `dataset.presets`. `load_dataset`, `ClipStream` and the
        commands apply it; this class only records it.
    foregrounds_per_clip: number of foregrounds, one in front of the other; alpha is their union.
    difficulty: of clips with several foregrounds, "easy", "medium" or "hard": how much of one the others may hide.
    shutter: exposure time of a frame, from 0 to 1 frames, over which known motion is blurred.
    on_error: "raise" stops at a source that cannot be used; "skip" skips, logs and counts its clips.
    """

    layout: str = AUTO
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
    motion: str = "dvm"
    light: str = "none"
    camera: str = "none"
    preset: str | None = None
    foregrounds_per_clip: int = 1
    difficulty: str = "medium"
    shutter: float = 0.0
    on_error: str = "raise"

    def create_config_id(self, config_kwargs: dict[str, Any], custom_features: datasets.Features | None = None) -> str:
        """Return the name of the cache folder: config, recipe, and a hash of all fields, all sources and the pair list.

        `datasets` calls this when it creates the builder. Fields and folders are checked here, before anything is
        written. Raises ConfigError or SourceError.
        """
        require_buildable(self)
        require_storable(rendering_of(self).columns, encoding=self.encoding)
        fields = field_values(self)
        del fields["pairs"], fields["preset"]
        fields |= {name: sorted(fields[name]) for name in ("kinds", "columns")}  # their order changes no row
        fields = with_canonical_effects(fields)
        features = custom_features and custom_features.to_dict()
        tree = source_tree(self)
        self.inputs = inputs_of(self, tree)
        used = {name: number for name, number in versions().items() if name not in WITHOUT_PIXELS}
        used |= estimation_versions(tree.foregrounds) | encoder_versions(self.encoding, self.camera)
        text = json.dumps([fields, self.inputs, features, used], sort_keys=True)
        return f"{self.name}-{self.recipe}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def inputs_of(config: DVMConfig, tree: SourceTree) -> dict[str, str | None]:
    """Return hashes of the inputs of a build: the pair list (None if there is none) and the sources."""
    pairs = config.pairs and hashlib.sha256(pairs_path(config).read_bytes()).hexdigest()
    return {"pair list": pairs or None, "sources": tree.fingerprint()}


def require_unchanged(config: DVMConfig, tree: SourceTree) -> None:
    """Raise SourceError if sources or pair list changed since the builder's cache folder was named."""
    now, then = inputs_of(config, tree), getattr(config, "inputs", None)
    changed = [name for name in now if then is not None and then[name] != now[name]]
    if changed:
        raise SourceError(
            f"{config.data_dir}: the {' and '.join(changed)} changed after this builder was created; create a new one, "
            "as load_dataset does"
        )


def own_fields() -> tuple[str, ...]:
    """Return the names of the fields that `datasets` does not have."""
    base = {field.name for field in dataclasses.fields(datasets.BuilderConfig)}
    return tuple(field.name for field in dataclasses.fields(DVMConfig) if field.name not in base)


def with_canonical_effects(fields: dict[str, Any]) -> dict[str, Any]:
    """Return config fields with valid `light` and `camera`, if they are among them, in a form that orders effects."""
    return fields | {name: canonical(name, fields[name]) for name in EFFECT_FIELDS if name in fields}


def field_values(config: DVMConfig) -> dict[str, Any]:
    """Return the fields that `datasets` does not have by name; equal numbers have the same JSON."""
    return {name: getattr(config, name) for name in own_fields()} | {"shutter": float(config.shutter)}


def require_valid(config: DVMConfig) -> None:
    """Raise ConfigError for the first field whose value is not allowed."""
    for name in FIELD_RULES:
        require_field(name, getattr(config, name))
    if config.clip_length == "all" and config.clip_step is not None:
        raise ConfigError(f"clip_step={config.clip_step!r}: cannot be used with clip_length='all'; omit one of them")
    if config.encoding == "array" and _array_obstacle(config):
        raise ConfigError(f"encoding='array': rows of the same shape require {_array_obstacle(config)}")
    if config.recipe == "reference" and config.motion != "dvm":
        given, remedy = _origin(config, "motion")
        raise ConfigError(
            f"{given}: recipe='reference' allows motion='dvm' only, the published motion; use recipe='dvm', or {remedy}"
        )
    if config.recipe == "reference" and config.shutter:
        raise ConfigError(
            f"shutter={config.shutter!r}: recipe='reference' allows shutter=0 only, because the published pipeline has "
            "no motion blur; use recipe='dvm', or omit shutter"
        )
    _require_foregrounds(config)
    for name in EFFECT_FIELDS if config.recipe == "reference" else ():
        if getattr(config, name) != "none":
            given, remedy = _origin(config, name)
            raise ConfigError(
                f"{given}: recipe='reference' allows {name}='none' only, because the published pipeline has "
                f"no such effects; use recipe='dvm', or {remedy}"
            )
    for user in x264_users(config.encoding, config.camera):
        field = user.partition("=")[0]
        limit = "max_size" if config.crop_size is None or field == "camera" else "crop_size"
        if (side := getattr(config, limit)) > MAX_SIDE:
            raise ConfigError(
                f"{limit}={side!r}: {user} allows frames of up to {MAX_SIDE} px, the maximum of its encoder; "
                f"use a smaller value, or another {field}"
            )


def _origin(config: DVMConfig, name: str) -> tuple[str, str]:
    """Return where the value of a field comes from, for an error, and how to get the default value instead."""
    value, default = getattr(config, name), getattr(DVMConfig, name)
    if config.preset is not None and PRESETS[config.preset].get(name) == value:
        return f"preset={config.preset!r} has {name}={value!r}", f"pass {name}={default!r}"
    return f"{name}={value!r}", f"omit {name}"


def _require_foregrounds(config: DVMConfig) -> None:
    """Raise ConfigError for a field that does not allow several foregrounds, or that needs them."""
    count = config.foregrounds_per_clip
    if set(config.columns) == {INSTANCES}:
        raise ConfigError(
            f"columns={config.columns!r}: instances needs another image column beside it; add alpha, or another one of "
            f"{', '.join(IMAGE_COLUMNS)}"
        )
    if count == 1:
        if config.difficulty != DVMConfig.difficulty:
            raise ConfigError(
                f"difficulty={config.difficulty!r}: applies to clips with several foregrounds; use "
                "foregrounds_per_clip=2 or more, or omit difficulty"
            )
        return
    if config.recipe == "reference":
        raise ConfigError(
            f"foregrounds_per_clip={count}: recipe='reference' allows one foreground only, as published; use "
            "recipe='dvm', or omit foregrounds_per_clip"
        )
    if config.trimap == "provided":
        raise ConfigError(
            f"trimap='provided': the trimap file of one foreground does not fit the union of "
            f"foregrounds_per_clip={count}; use another trimap"
        )


def require_buildable(config: DVMConfig) -> None:
    """Raise ConfigError for a field whose value is not allowed, or an encoding that has no encoder here."""
    require_valid(config)
    require_encoder(config.encoding, config.camera)


def source_tree(config: DVMConfig) -> SourceTree:
    """Return the sources of the config's split; raises SourceError if they are missing."""
    with_trimaps = config.trimap == "provided"
    root = Path(config.data_dir or "")
    return scan(root, config.name, kinds=config.kinds, with_trimaps=with_trimaps, layout=config.layout)


def pairs_path(config: DVMConfig) -> Path:
    """Return the path of the config's pair list, as given, or relative to data_dir or the folder of a sources file.

    Raises SourceError if it is missing.
    """
    if not os.fspath(config.pairs or ""):
        raise ConfigError(f"pairs={config.pairs!r}: is empty; pass the path of a pair list, or omit pairs")
    given = Path(config.pairs or "").expanduser()
    data_dir = Path(config.data_dir or "")
    folder = data_dir.parent if is_sources_file(data_dir) else data_dir
    paths = (given, folder / given)
    for path in paths:
        with present([path]):
            if path.is_file():
                return path
    for path in paths:
        if path.exists():
            require_file(path)
    raise SourceError(
        f"{config.pairs}: no such pair list, neither in the working directory nor in {folder}; pass the path of a file"
    )


def plans(config: DVMConfig) -> Plans:
    """Return the clips of a valid config, and the sources or pair lines that were skipped.

    Raises SourceError if a required source cannot be used and on_error is "raise", if no clip remains, or if two clips
    would have the same name.
    """
    return checked_plans(config, source_tree(config), listed_pairs(config))


def checked_plans(
    config: DVMConfig, tree: SourceTree, pairs: tuple[Pair, ...] | None, *, background_reuse: int = 1
) -> Plans:
    """Return `plans` for sources that are already scanned and a pair list that is already read."""
    temporary = [problem for problem in tree.problems if problem.code == MACHINE_FAULT]
    if temporary:  # do not skip the files: the next scan may be able to read them
        raise MachineError(f"{tree.data_dir}: {temporary[0]}")
    if tree.ignored:
        shown = ", ".join(tree.ignored[:5])
        logger.warning("%s: %d files of unknown types are ignored: %s", tree.data_dir, len(tree.ignored), shown)
    for note in tree.notes:
        logger.warning("%s: %s", tree.data_dir, note)
    if pairs is None:
        _warn_of_few_backgrounds(config, tree)
    result = seeded_plans(config, tree, pairs, seed=config.seed, background_reuse=background_reuse)
    if result.skipped and (config.on_error == "raise" or not result.clips):
        shown = "; ".join(map(str, result.skipped[:3]))
        more = f"; and {len(result.skipped) - 3} more" if len(result.skipped) > 3 else ""
        origin = config.data_dir if config.pairs is None else pairs_path(config)
        raise SourceError(f"{origin}: {shown}{more} (pass on_error='skip' to skip such clips)")
    require_distinct(result)
    return result


def seeded_plans(
    config: DVMConfig, tree: SourceTree, pairs: tuple[Pair, ...] | None, *, seed: int, background_reuse: int = 1
) -> Plans:
    """Return the clips for any root seed, without checks and logs. background_reuse: see `assigned_clips`."""
    rendering = rendering_of(config)
    if pairs is not None:
        plans = listed_clips(tree, pairs, seed=seed, rendering=rendering)
    else:
        plans = assigned_clips(
            tree,
            backgrounds_per_foreground=config.backgrounds_per_foreground,
            seed=seed,
            rendering=rendering,
            background_reuse=background_reuse,
        )
    plans = with_companions(plans, tree)
    return sharing_backgrounds(plans, seed=seed) if background_reuse > 1 and config.motion == "rvm" else plans


def _warn_of_few_backgrounds(config: DVMConfig, tree: SourceTree) -> None:
    repeat = max(one.repeat for one in tree.entries)
    if config.backgrounds_per_foreground * repeat > len(tree.backgrounds):
        logger.warning(
            "%s: %d backgrounds for backgrounds_per_foreground=%d%s; each foreground is paired with all of them",
            address_or_path(Path(tree.root, "bg", tree.split) if tree.is_listed_by_file_name else tree.data_dir),
            len(tree.backgrounds),
            config.backgrounds_per_foreground,
            f", repeated {repeat} times" if repeat > 1 else "",
        )


def rendering_of(config: DVMConfig) -> Rendering:
    """Return the config fields that rendering needs, with the columns in their fixed order."""
    shared = {field.name for field in dataclasses.fields(Rendering)} - {"columns"}
    columns = tuple(column for column in COLUMNS if column in config.columns)
    fields = field_values(config)
    return Rendering(columns=columns, **{name: fields[name] for name in shared})


def listed_pairs(config: DVMConfig) -> tuple[Pair, ...] | None:
    """Return the lines of the config's pair list with its kinds; None if the config has no list.

    Raises SourceError if the list is not valid, and ConfigError if it is a list of frozen clips of another config.
    """
    if config.pairs is None:
        return None
    _require_frozen_fields(config)
    pairs = tuple(pair for pair in read_pairs(pairs_path(config)) if pair.kind in config.kinds)
    if not pairs:
        raise SourceError(
            f"{pairs_path(config)}: has no line of the kinds {', '.join(config.kinds)}; add one, or change kinds"
        )
    other = sorted({kind for pair in pairs for kind, _ in pair.companions} - set(config.kinds))
    if other:
        raise ConfigError(
            f"kinds={config.kinds!r}: clips of {pairs_path(config)} have companions of the kind {', '.join(other)}; "
            "add it to kinds"
        )
    return pairs


def _require_frozen_fields(config: DVMConfig) -> None:
    """Raise ConfigError if the pair list is one of frozen clips that have other seeds, crops or pixels."""
    path = pairs_path(config)
    if not is_frozen_list(path):
        return
    listed = {name: getattr(DVMConfig, name) for name in LATER_FIELDS} | frozen_list(path)["config"]
    names = ["seed", *(field.name for field in dataclasses.fields(Rendering) if field.name != "columns")]
    own = with_canonical_effects({name: getattr(config, name) for name in names})
    other = {name: listed[name] for name in names if name in listed and listed[name] != own[name]}
    if other:
        values = ", ".join(f"{name}={value!r}" for name, value in other.items())
        raise ConfigError(
            f"{path}: its clips have {values}, but this config has "
            f"{', '.join(f'{name}={getattr(config, name)!r}' for name in other)}; pass the same values"
        )


def _array_obstacle(config: DVMConfig) -> str:
    if config.crop_size is None:
        return "a crop_size"
    if config.clip_length == "all":
        return "a clip_length that is a number"
    if config.remainder == "keep":
        return "a remainder other than 'keep': 'drop' or 'repeat_last'"
    return ""
