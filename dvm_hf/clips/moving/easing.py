"""Easing functions: how far a movement has come at a part of its time.

Each maps a time from 0 to 1 to a progress that is 0 at 0 and 1 at 1. `BackIn` and the like leave [0, 1] in between.
Formulas and choice of the functions: RobustVideoMatting's augmentation.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

Easing: TypeAlias = Callable[[float], float]

LINEAR_SHARE = 0.2  # of the movements; the others have one of `EASINGS`, all equally likely


def _back(t: float) -> float:
    return t**3 - t * math.sin(math.pi * t)


def _bounce(t: float) -> float:
    return 1 - _bounce_out(1 - t)


def _bounce_out(t: float) -> float:
    if t < 4 / 11:
        return 121 * t**2 / 16
    if t < 8 / 11:
        return 363 / 40 * t**2 - 99 / 10 * t + 17 / 5
    if t < 9 / 10:
        return 4356 / 361 * t**2 - 35442 / 1805 * t + 16061 / 1805
    return 54 / 5 * t**2 - 513 / 25 * t + 268 / 25


def _circular(t: float) -> float:
    return 1 - math.sqrt(1 - t**2)


def _elastic(t: float) -> float:
    return math.sin(13 * math.pi * t / 2) * _exponential(t)


def _exponential(t: float) -> float:
    return 0.0 if t == 0 else math.pow(2, 10 * (t - 1))


def _sine(t: float) -> float:
    return 1 - math.cos(math.pi * t / 2)


def _power(exponent: int) -> Easing:
    return lambda t: math.pow(t, exponent)


def _out(ease_in: Easing) -> Easing:
    return lambda t: 1 - ease_in(1 - t)


def _in_out(ease_in: Easing) -> Easing:
    return lambda t: ease_in(2 * t) / 2 if t < 0.5 else 1 - ease_in(2 - 2 * t) / 2


def _step(t: float) -> float:
    return 0.0 if t < 0.5 else 1.0


_IN: dict[str, Easing] = {
    "Back": _back,
    "Bounce": _bounce,
    "Circular": _circular,
    "Cubic": _power(3),
    "Exponential": _exponential,
    "Elastic": _elastic,
    "Quad": _power(2),
    "Quartic": _power(4),
    "Quintic": _power(5),
    "Sine": _sine,
}
EASINGS: dict[str, Easing] = {
    f"{name}{form}": made
    for name, ease_in in _IN.items()
    for form, made in (("In", ease_in), ("Out", _out(ease_in)), ("InOut", _in_out(ease_in)))
} | {"Step": _step}


def linear(t: float) -> float:
    """Return the time itself."""
    return t


def drawn_easing(rng: np.random.Generator) -> Easing:
    """Draw an easing function: linear with `LINEAR_SHARE`, else one of `EASINGS`."""
    chance, number = rng.random(), int(rng.integers(len(EASINGS)))
    return linear if chance < LINEAR_SHARE else list(EASINGS.values())[number]
