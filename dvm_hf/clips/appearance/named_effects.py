"""The effects that the config fields `light` and `camera` name, and the text that names them.

The text is "none", or effects separated by commas, each NAME[=VALUE][:SHARE]:

    noise               the default range, in all clips
    noise=2             the value 2
    jpeg=40-80:0.3      a random value from 40 to 80 for each clip, in 0.3 of the clips
"""

import functools
import re
from typing import NamedTuple

import numpy as np

NONE = "none"
NUMBER = r"[0-9]+(?:\.[0-9]+)?"
EFFECT = re.compile(rf"(?P<name>\w+)(?:=(?P<low>{NUMBER})(?:-(?P<high>{NUMBER}))?)?(?::(?P<share>{NUMBER}))?")


class EffectRule(NamedTuple):
    """What the value of an effect is, its default range, and the range of allowed values."""

    value: str
    default: tuple[float, float]
    limits: tuple[float, float]


class Effect(NamedTuple):
    """A named effect: its value is drawn from `low` to `high` for each clip. share: of the clips that have it."""

    name: str
    low: float
    high: float
    share: float


# The position of an effect is part of its seed: append new effects at the end.
EFFECTS: dict[str, dict[str, EffectRule]] = {
    "light": {
        "matched": EffectRule("part of the way to the background's colours", (0, 0.5), (0, 1)),
        "exposure": EffectRule("stops up or down", (0, 0.5), (0, 2)),
        "shadow": EffectRule("darkness of the shadow", (0, 0.6), (0, 1)),
        "greenscreen": EffectRule("strength of the spill", (0.1, 0.4), (0, 1)),
    },
    "camera": {
        "defocus": EffectRule("radius of the blur, thousandths of the frame's shorter side", (2, 10), (0, 30)),
        "noise": EffectRule("standard deviation in levels", (0, 7.65), (0, 30)),
        "jpeg": EffectRule("quality", (40, 95), (1, 100)),
        "h264": EffectRule("quantizer", (20, 36), (0, 51)),
    },
}


@functools.lru_cache(maxsize=64)
def named_effects(field: str, text: str) -> tuple[Effect, ...]:
    """Return the effects that a field names, in the order of `EFFECTS`. Raises ValueError if the text is not valid."""
    rules, found = EFFECTS[field], {}
    for part in [] if text == NONE else text.split(","):
        match = EFFECT.fullmatch(part.strip())
        if match is None or match["name"] not in rules or match["name"] in found:
            raise ValueError(part)
        default = rules[match["name"]].default
        low, high = (default[0], default[1]) if match["low"] is None else (float(match["low"]),) * 2
        high = high if match["high"] is None else float(match["high"])
        effect = Effect(match["name"], low, high, float(match["share"] or 1))
        least, most = rules[effect.name].limits
        if not (least <= low <= high <= most and effect.share <= 1):
            raise ValueError(part)
        found[effect.name] = effect
    return tuple(found[name] for name in rules if name in found)


def is_valid(field: str, text: object) -> bool:
    """Whether a field allows this value."""
    if not isinstance(text, str):
        return False
    try:
        named_effects(field, text)
    except ValueError:
        return False
    return True


def canonical(field: str, text: str) -> str:
    """Return the text that names the same effects in a fixed order and form."""
    named = ((one.name, *map(_number, one[1:])) for one in named_effects(field, text))
    return ",".join(f"{name}={low}-{high}:{share}" for name, low, high, share in named) or NONE


def _number(value: float) -> str:
    """Return the shortest text, without an exponent, that reads as exactly this number."""
    return np.format_float_positional(value, trim="-")


def allowed_text(field: str) -> str:
    """Return what a field allows, for an error."""
    names = ", ".join(
        f"{name} ({rule.limits[0]:g} to {rule.limits[1]:g}, default {rule.default[0]:g}-{rule.default[1]:g})"
        for name, rule in EFFECTS[field].items()
    )
    form = "NAME[=VALUE or LOW-HIGH][:SHARE]"
    return f"'none', or effects separated by commas, each {form}, with different names of {names}"
