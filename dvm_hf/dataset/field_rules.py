"""The values that each field of a config may have, and ConfigError for others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dvm_hf.clips.appearance.named_effects import allowed_text, is_valid
from dvm_hf.clips.motion import MOTION_COLUMNS
from dvm_hf.clips.recipes import RECIPES
from dvm_hf.clips.stacked.difficulties import DIFFICULTIES
from dvm_hf.dataset.columns import COLUMNS, ENCODINGS, MAX_INSTANCES
from dvm_hf.dataset.presets import PRESETS
from dvm_hf.errors import ConfigError
from dvm_hf.sources.records import KINDS, SPLITS

REMAINDERS = ("drop", "keep", "repeat_last")
TRIMAPS = ("dvm-test", "dvm-train", "provided")
ON_ERROR = ("raise", "skip")
EFFECT_FIELDS = ("light", "camera")
LARGEST_SIZE = 32766  # px; OpenCV's warps use 16-bit indices


def _integer(low: int, high: int = 2**31 - 1) -> tuple[Callable[[Any], bool], str]:
    is_allowed = lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high  # noqa: E731
    return is_allowed, f"an integer of at least {low}" if high == 2**31 - 1 else f"an integer from {low} to {high}"


def _number(low: float, high: float) -> tuple[Callable[[Any], bool], str]:
    is_allowed = lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high  # noqa: E731
    return is_allowed, f"a number from {low} to {high}"


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


def _effects(field: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: is_valid(field, value), allowed_text(field)


FIELD_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": _one_of(SPLITS),
    "layout": (lambda value: isinstance(value, str) and bool(value), "'auto' or the name of a layout"),
    "pairs": (lambda value: value is None or isinstance(value, str | Path), "the path of a pair list, or None"),
    "backgrounds_per_foreground": _integer(1),
    "kinds": _some_of(KINDS),
    "seed": _integer(0, 2**63 - 1),
    "recipe": _one_of(tuple(RECIPES)),
    "clip_length": _or(("all",), _integer(1)),
    "frame_step": _integer(1),
    "clip_step": _or((None,), _integer(1)),
    "remainder": _one_of(REMAINDERS),
    "columns": _some_of(COLUMNS),
    "trimap": _or(TRIMAPS, _integer(0, LARGEST_SIZE)),
    "encoding": _one_of(ENCODINGS),
    "crop_size": _or((None,), _integer(1, LARGEST_SIZE)),
    "max_size": _integer(16, LARGEST_SIZE),
    "max_image_frames": _integer(1),
    "max_video_frames": _integer(1),
    "background_blur": (lambda value: isinstance(value, bool), "True or False"),
    "motion": _one_of(tuple(MOTION_COLUMNS)),
    **{name: _effects(name) for name in EFFECT_FIELDS},
    "preset": _or((None,), _one_of(tuple(PRESETS))),
    "foregrounds_per_clip": _integer(1, MAX_INSTANCES),
    "difficulty": _one_of(tuple(DIFFICULTIES)),
    "shutter": _number(0, 1),
    "on_error": _one_of(ON_ERROR),
}


def require_field(name: str, value: Any) -> None:
    """Raise ConfigError if a field does not allow this value."""
    is_allowed, allowed = FIELD_RULES[name]
    if not is_allowed(value):
        raise ConfigError(f"{name}={value!r}: not allowed; {name} must be {allowed}")


def require_integers(**numbers: tuple[Any, int]) -> None:
    """Raise ConfigError for the first named value, given with its minimum, that is not an integer in range."""
    for name, (value, least) in numbers.items():
        is_allowed, allowed = _integer(least)
        if not is_allowed(value):
            raise ConfigError(f"{name}={value!r}: not allowed; {name} must be {allowed}")


def require_range(name: str, value: Any, limits: tuple[float, float]) -> None:
    """Raise ConfigError if a named value is not a pair of numbers within limits, the smaller one first."""
    is_pair = isinstance(value, tuple | list) and len(value) == 2
    is_pair = is_pair and all(isinstance(end, int | float) and not isinstance(end, bool) for end in value)
    if not is_pair or not limits[0] <= value[0] <= value[1] <= limits[1]:
        raise ConfigError(
            f"{name}={value!r}: not allowed; {name} must be a range, two numbers from {limits[0]} to {limits[1]}, "
            "the smaller one first"
        )
