"""The random parameters of light and camera, drawn before any pixel is read.

Each effect has its own stream, so that switching one on changes no other draw. Its first draw decides whether the clip
has the effect, the second one is its value, so that another share or range changes no later draw either.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dvm_hf.clips.appearance.named_effects import EFFECTS, named_effects
from dvm_hf.clips.plan import ClipPlan, number_stream

DRIFT_SHARE = 0.5  # of the clips with exposure; in the others it is constant
DRIFT = 0.25  # stops of exposure from the first frame to the last one, up or down
BALANCE = 0.2  # stops of the red and the blue channel against the green one, up or down
BALANCE_DRIFT = 0.05
# The pose and blur of a shadow, BGMv2's ranges. Its frames have 256 to 511 px, its boxes 20 to 39 px.
SHADOW_ANGLE = 5.0  # degrees
SHADOW_SHIFT = 0.2  # of the frame's width and height
SHADOW_SCALE = (0.5, 1.5)
SHADOW_SHEAR = 5.0  # degrees
SHADOW_BOX = (20 / 384, 39 / 384)  # of the frame's shorter side
GREEN_SHARE = 0.8  # of the backings; the others are blue
BACKINGS = {"green": ((20, 130, 35), (70, 190, 85)), "blue": ((15, 40, 130), (50, 90, 200))}  # RGB, lowest and highest
SPILL_BOX = (0.01, 0.04)  # of the frame's shorter side
FOLDS = (4, 12)


@dataclass(frozen=True)
class Exposure:
    """Gains in stops of (red, green, blue), in linear light, at the first frame and at the last one."""

    first: tuple[float, float, float]
    last: tuple[float, float, float]


@dataclass(frozen=True)
class Shadow:
    """A shadow: its darkness, its pose about the frame's centre, and the box that blurs it.

    pose: angle (degrees), shifts to the right and down (of the frame's sides), scale, shear (degrees). box: side as a
    part of the frame's shorter side.
    """

    darkness: float
    pose: tuple[float, float, float, float, float]
    box: float


@dataclass(frozen=True)
class Fold:
    """A fold of cloth: position across the cloth, width, depth, centre and length along it, and its bend."""

    position: float
    width: float
    depth: float
    centre: float
    length: float
    bend: float
    turns: float
    phase: float


@dataclass(frozen=True)
class Screen:
    """A backing. Lengths are parts of its longer side.

    colour: RGB levels. gradient: brightness change from one side to the other, and its direction in degrees. spot: x,
    y, radius and gain of the lamp's bright area. shade: x, y, radius and depth of a soft shadow on the cloth. tilt:
    angle of the folds to the vertical, degrees. spill: its strength. spill_box: side of the box that softens it, as a
    part of the frame's shorter side.
    """

    colour: tuple[float, float, float]
    gradient: tuple[float, float]
    spot: tuple[float, float, float, float]
    shade: tuple[float, float, float, float]
    tilt: float
    folds: tuple[Fold, ...]
    spill: float
    spill_box: float


@dataclass(frozen=True)
class LightParameters:
    """mix: how far the foreground's colours move to the background's, 0 to 1. None or 0: the clip lacks the effect."""

    mix: float = 0.0
    exposure: Exposure | None = None
    shadow: Shadow | None = None
    screen: Screen | None = None


@dataclass(frozen=True)
class CameraParameters:
    """defocus: radius of the blur, as a part of the frame's shorter side. noise: standard deviation, levels.

    noise_key: of the noise. jpeg: quality. h264: quantizer. None or 0: the clip lacks the effect.
    """

    defocus: float = 0.0
    noise: float = 0.0
    noise_key: int = 0
    jpeg: int | None = None
    h264: int | None = None


def drawn_light(plan: ClipPlan) -> LightParameters | None:
    """Draw the light of a clip; None if it has none of the effects."""
    drawn = {name: (value, rng) for name, value, rng in _drawn(plan, "light", plan.rendering.light)}
    if not drawn:
        return None
    return LightParameters(
        mix=drawn["matched"][0] if "matched" in drawn and "greenscreen" not in drawn else 0.0,
        exposure=_exposure(*drawn["exposure"]) if "exposure" in drawn else None,
        shadow=_shadow(*drawn["shadow"]) if "shadow" in drawn else None,
        screen=_screen(*drawn["greenscreen"]) if "greenscreen" in drawn else None,
    )


def drawn_camera(plan: ClipPlan) -> CameraParameters | None:
    """Draw the camera of a clip; None if it has none of the effects."""
    drawn = {name: (value, rng) for name, value, rng in _drawn(plan, "camera", plan.rendering.camera)}
    if not drawn:
        return None
    has_noise = "noise" in drawn
    return CameraParameters(
        defocus=drawn["defocus"][0] / 1000 if "defocus" in drawn else 0.0,
        noise=drawn["noise"][0] if has_noise else 0.0,
        noise_key=int(drawn["noise"][1].integers(2**63)) if has_noise else 0,
        jpeg=round(drawn["jpeg"][0]) if "jpeg" in drawn else None,
        h264=round(drawn["h264"][0]) if "h264" in drawn else None,
    )


def _drawn(plan: ClipPlan, field: str, text: str) -> Iterator[tuple[str, float, np.random.Generator]]:
    """Yield name, value and generator of each effect that the clip has."""
    positions = {name: index for index, name in enumerate(EFFECTS[field])}
    for effect in named_effects(field, text):
        rng = number_stream(plan.seed, field, index=positions[effect.name])
        chance, part = rng.random(2)
        if chance < effect.share:
            yield effect.name, float(effect.low + part * (effect.high - effect.low)), rng


def _exposure(stops: float, rng: np.random.Generator) -> Exposure:
    """Return the gains of a clip: a change by `stops`, up or down, with its white balance, constant or drifting."""
    sign = 1 if rng.random() < 0.5 else -1
    red, blue = rng.uniform(-BALANCE, BALANCE, 2)
    first = np.array([sign * stops + red, sign * stops, sign * stops + blue])
    is_drifting, change = rng.random() < DRIFT_SHARE, rng.uniform(-DRIFT, DRIFT)
    red, blue = rng.uniform(-BALANCE_DRIFT, BALANCE_DRIFT, 2)
    last = first + is_drifting * np.array([change + red, change, change + blue])
    return Exposure(_three(first), _three(last))


def _shadow(darkness: float, rng: np.random.Generator) -> Shadow:
    angle, right, down, scale, shear = rng.uniform(
        [-SHADOW_ANGLE, -SHADOW_SHIFT, -SHADOW_SHIFT, SHADOW_SCALE[0], -SHADOW_SHEAR],
        [SHADOW_ANGLE, SHADOW_SHIFT, SHADOW_SHIFT, SHADOW_SCALE[1], SHADOW_SHEAR],
    ).tolist()
    return Shadow(darkness, (angle, right, down, scale, shear), float(rng.uniform(*SHADOW_BOX)))


def _screen(spill: float, rng: np.random.Generator) -> Screen:
    low, high = BACKINGS["green" if rng.random() < GREEN_SHARE else "blue"]
    colour = _three(rng.uniform(low, high))
    gradient = float(rng.uniform(0, 0.3)), float(rng.uniform(0, 360))
    x, y, radius, gain = rng.uniform([0.2, 0, 0.3, 0], [0.8, 0.5, 0.7, 0.3]).tolist()
    left, top, extent, depth = rng.uniform([0, 0.2, 0.1, 0], [1, 0.7, 0.3, 0.3]).tolist()
    folds = tuple(_fold(rng) for _ in range(int(rng.integers(*FOLDS, endpoint=True))))
    return Screen(
        colour=colour,
        gradient=gradient,
        spot=(x, y, radius, gain),
        shade=(left, top, extent, depth),
        tilt=float(rng.uniform(-25, 25)),
        folds=folds,
        spill=spill,
        spill_box=float(rng.uniform(*SPILL_BOX)),
    )


def _fold(rng: np.random.Generator) -> Fold:
    """Draw a fold; see `Fold` for the numbers."""
    lows, highs = [-0.1, 0.008, 0.04, 0, 0.1, 0, 0.3, 0], [1.1, 0.05, 0.2, 0.6, 0.5, 0.03, 1.5, 1]
    return Fold(*rng.uniform(lows, highs).tolist())


def _three(values: np.ndarray) -> tuple[float, float, float]:
    first, second, third = map(float, values)
    return first, second, third
