"""Options that commands share: those of the config fields, such as `--clip-length 8`, and a few others."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from typing import Any, NamedTuple, TypeVar

import click

from dvm_hf.addresses import is_address, is_store_address
from dvm_hf.clips.appearance.named_effects import EFFECTS
from dvm_hf.clips.motion import MOTION_COLUMNS
from dvm_hf.clips.recipes import RECIPES
from dvm_hf.clips.stacked.difficulties import DIFFICULTIES
from dvm_hf.commands.help_sections import JSON_HELP, SectionOption
from dvm_hf.dataset.builder import DVM
from dvm_hf.dataset.columns import COLUMNS, ENCODINGS
from dvm_hf.dataset.config import DVMConfig, own_fields
from dvm_hf.dataset.field_rules import FIELD_RULES, ON_ERROR, REMAINDERS
from dvm_hf.dataset.presets import PRESETS, fields_text, preset_fields
from dvm_hf.errors import ConfigError
from dvm_hf.prepared.folder import PreparedFolder
from dvm_hf.prepared.storage.object_path import location
from dvm_hf.sources.records import KINDS, SPLITS
from dvm_hf.sources.remote.source_files import local_path

Command = TypeVar("Command", bound=Callable[..., Any])
DEFAULTS = {field.name: field.default for field in fields(DVMConfig)}
SHOWN_DEFAULTS = {  # shown in the help if None has a meaning
    "pairs": "pairs chosen by the seed",
    "clip_step": "clip length x frame step",
    "crop_size": "complete frames",
}


class NamedPath(click.Path):
    """A path that is not empty. An empty one comes from an unset shell variable, and would be the working directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("is empty; pass a folder", param, ctx)
        return super().convert(value, param, ctx)


class PreparedLocation(NamedPath):
    """The path of a prepared folder, or the address of one in an object store."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return location(value) if is_address(value) else super().convert(value, param, ctx)


class SourceFolder(NamedPath):
    """The path of a source folder or a sources file, or an address; the value is a local path, see `local_path`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(local_path(value) if isinstance(value, str) else value, param, ctx)


class SourceOrPrepared(SourceFolder):
    """The same, or the address of a prepared folder in an object store; the value of that is an `ObjectPath`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if is_store_address(value):
            folder = location(value)
            if PreparedFolder(folder).splits():
                return folder
        return super().convert(value, param, ctx)


json_option = click.option("--json", "as_json", is_flag=True, help=JSON_HELP)


def split_option(meaning: str, *, default: str | None = None) -> Callable[[Command], Command]:
    """Return the option `--config` of a command that reads sources."""
    return click.option(
        "--config",
        "split",
        cls=SectionOption,
        section="Sources",
        type=click.Choice(SPLITS),
        default=default,
        show_default=default is not None,
        help=meaning,
    )


def integer_option(flag: str, meaning: str, *, least: int = 1, **settings: Any) -> Callable[[Command], Command]:
    """Return an option whose value is an integer of at least `least`; `settings` are those of `click.option`."""
    limits = {"type": click.IntRange(least), "metavar": "INTEGER"}
    return click.option(flag, cls=SectionOption, help=meaning, **limits, **{"show_default": True} | settings)


class FieldHelp(NamedTuple):
    """The help of a config field: its section, its metavar and its meaning."""

    section: str
    metavar: str
    meaning: str


FIELD_HELP: dict[str, FieldHelp] = {
    "layout": FieldHelp(
        "Sources", "NAME", "Layout of the source folder, or auto to recognize it. Not used with a sources file."
    ),
    "pairs": FieldHelp(
        "Sources",
        "PATH",
        "Pair list in the authors' format, relative to the working directory or to the source folder.",
    ),
    "backgrounds_per_foreground": FieldHelp(
        "Sources", "INTEGER", "Backgrounds per foreground. Ignored if a pair list is given."
    ),
    "kinds": FieldHelp("Sources", "LIST", f"Kinds of foregrounds to use, separated by commas: {', '.join(KINDS)}."),
    "seed": FieldHelp("Sources", "INTEGER", "Root random seed. Same seed and sources, same clips."),
    "recipe": FieldHelp(
        "Clips",
        f"[{'|'.join(RECIPES)}]",
        "Compositing pipeline: dvm is the corrected one, reference the published one, defects included.",
    ),
    "clip_length": FieldHelp("Clips", "INTEGER|all", "Frames per row, or all to store the complete clip in one row."),
    "frame_step": FieldHelp("Clips", "INTEGER", "Source frames from one frame of a window to the next."),
    "clip_step": FieldHelp("Clips", "INTEGER", "Source frames from the start of one window to the start of the next."),
    "remainder": FieldHelp(
        "Clips",
        f"[{'|'.join(REMAINDERS)}]",
        "Last, partial window of a clip: drop it, keep it, or fill it with copies of its last frame.",
    ),
    "columns": FieldHelp("Output", "LIST", f"Image columns of a row, separated by commas: {', '.join(COLUMNS)}."),
    "trimap": FieldHelp(
        "Clips",
        "NAME|INTEGER",
        "Trimap: the preset dvm-test or dvm-train, provided for the trimaps of the source folder, or the radius in "
        "pixels of the unknown band on each side of the edge.",
    ),
    "encoding": FieldHelp(
        "Output",
        f"[{'|'.join(ENCODINGS)}]",
        "Encoding of the image columns: jpeg (alpha and trimap as PNG), lossless, array, or video (H.264; alpha and "
        "trimap lossless). array needs a crop size, and windows of the same length.",
    ),
    "crop_size": FieldHelp(
        "Clips",
        "INTEGER",
        "Side in pixels of a square crop around an unknown pixel. All frames of a window have the same crop.",
    ),
    "max_size": FieldHelp("Clips", "INTEGER", "Longest side in pixels of a foreground and of a composite."),
    "max_image_frames": FieldHelp("Clips", "INTEGER", "Maximum number of frames of a clip with an image foreground."),
    "max_video_frames": FieldHelp("Clips", "INTEGER", "Maximum number of frames of a clip with a video foreground."),
    "background_blur": FieldHelp("Clips", "", "Blur the background with a 9 x 9 Gaussian kernel."),
    "motion": FieldHelp(
        "Clips",
        f"[{'|'.join(MOTION_COLUMNS)}]",
        "Motion of the layers: dvm is the published walk of image foregrounds; rvm moves foreground, background and "
        "camera, and changes speed and direction of videos; none moves nothing.",
    ),
    "light": FieldHelp(
        "Clips",
        "EFFECTS",
        "Effects of light on the layers before they are composited: none, or effects separated by commas, each "
        f"NAME[=VALUE or LOW-HIGH][:SHARE of the clips]. Names: {', '.join(EFFECTS['light'])}.",
    ),
    "camera": FieldHelp(
        "Clips",
        "EFFECTS",
        "Effects of a camera on the background (defocus) or on the composite, written like those of --light. Names: "
        f"{', '.join(EFFECTS['camera'])}.",
    ),
    "preset": FieldHelp(
        "Clips",
        f"[{'|'.join(PRESETS)}]",
        "Config fields of a published method. Options that you pass override them. "
        + " ".join(f"{name}: {fields_text(name)}." for name in PRESETS),
    ),
    "foregrounds_per_clip": FieldHelp(
        "Clips", "INTEGER", "Number of foregrounds in a clip, 1 to 4, one in front of the other. alpha is their union."
    ),
    "difficulty": FieldHelp(
        "Clips",
        f"[{'|'.join(DIFFICULTIES)}]",
        "With several foregrounds: how much of one of them the others may hide: easy at most 5 %, medium 5 to 30 %, "
        "hard 50 to 85 %.",
    ),
    "shutter": FieldHelp(
        "Clips",
        "NUMBER",
        "Motion blur: part of a frame's time, 0 to 1, during which the shutter is open. 0 is no blur. Blurs the motion "
        "that is added to the layers, not the motion inside videos.",
    ),
    "on_error": FieldHelp(
        "Sources",
        f"[{'|'.join(ON_ERROR)}]",
        "If a source is unusable: raise an error, or skip its clips, log them and count them.",
    ),
}


def config_options(command: Command) -> Command:
    """Add an option for each config field; the command receives them as keyword arguments, None if not given."""
    return options_of({name: _shown_default(name) for name in own_fields()})(command)


def options_of(shown_defaults: Mapping[str, str]) -> Callable[[Command], Command]:
    """Add the options of some config fields, each with the default that its help shows."""
    return lambda command: _with_options(command, shown_defaults)


def _with_options(command: Command, shown_defaults: Mapping[str, str]) -> Command:
    for name, default in reversed(list(shown_defaults.items())):
        section, metavar, meaning = FIELD_HELP[name]
        flag = "--" + name.replace("_", "-")
        settings: dict[str, Any] = {"section": section, "help": f"{meaning}  [default: {default}]", "default": None}
        if isinstance(DEFAULTS[name], bool):
            command = click.option(f"{flag}/--no-{flag[2:]}", name, cls=SectionOption, **settings)(command)
        else:
            command = click.option(flag, name, cls=SectionOption, metavar=metavar, **settings)(command)
    return command


def config(split: str, data_dir: str, given: Mapping[str, Any]) -> DVMConfig:
    """Return the config of a split with the fields given as text. Raises ConfigError if a value is not allowed."""
    chosen = {"version": DVM.VERSION, "data_dir": data_dir, **preset_fields(given_fields(given))}
    return DVMConfig(**{**_own_defaults(split), "name": split, **chosen})


def given_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the fields that were given, as text or as a switch. Raises ConfigError as `config` does."""
    return {name: field_value(name, text) for name, text in given.items() if text is not None}


def field_value(name: str, text: Any) -> Any:
    """Parse the text of an option as a list, text, a number or None: the first that the field's rule allows."""
    is_allowed, allowed = FIELD_RULES[name]
    for read in (_listed, _unchanged, _number, _none):
        value = read(name, text)
        if value is not ... and is_allowed(value):
            return value
    raise ConfigError(f"{name}={text!r}: not allowed; --{name.replace('_', '-')} must be {allowed}")


def _listed(name: str, text: Any) -> Any:
    return tuple(part.strip() for part in text.split(",")) if isinstance(DEFAULTS[name], tuple) else ...


def _unchanged(name: str, text: Any) -> Any:
    return text


def _number(name: str, text: Any) -> Any:
    """Return an integer, or a float if the field is one."""
    if isinstance(text, str) and text.isdecimal():
        return int(text)
    try:
        return float(text) if isinstance(DEFAULTS[name], float) else ...
    except ValueError:
        return ...


def _none(name: str, text: Any) -> Any:
    return None if text == "none" else ...


def _own_defaults(split: str) -> dict[str, Any]:
    """Return the fields of the builder's config of this split."""
    named = next(config for config in DVM.BUILDER_CONFIGS if config.name == split)
    return {name: getattr(named, name) for name in own_fields()}


def shown_defaults(*, without: Collection[str]) -> dict[str, str]:
    """Return the default that the help shows for each field, except those in `without`."""
    return {name: _shown_default(name) for name in own_fields() if name not in without}


def _shown_default(name: str) -> str:
    if name in SHOWN_DEFAULTS:
        return SHOWN_DEFAULTS[name]
    values = {config.name: getattr(config, name) for config in DVM.BUILDER_CONFIGS}
    shown = {split: ",".join(v) if isinstance(v, tuple) else str(v).lower() for split, v in values.items()}
    if len(set(shown.values())) == 1:
        return next(iter(shown.values()))
    return ", ".join(f"{value} for {split}" for split, value in shown.items())
