"""Draw the demo's foregrounds: hair, fur, seeds, lace, smoke and a jellyfish."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from dvm_hf.synthetic.canvas import (
    TAU,
    Array,
    Canvas,
    Drawing,
    Field,
    as_bytes,
    bell,
    ellipse,
    fractal,
    grid,
    ramp,
    tinted,
)

FOREGROUND_FRAMES = 40

ImageForeground: TypeAlias = Callable[[np.random.Generator, int, int], Drawing]
VideoForeground: TypeAlias = Callable[[np.random.Generator, int, int], Iterator[Drawing]]


@dataclass(frozen=True)
class Hair:
    """A head seen from behind. Lengths are in head sizes; `wind` > 0 blows to the right."""

    palette: str
    cloth: str
    curl: float
    turns: float
    wind: float
    length: float

    def strands(self, traits: Array, height: int, width: int, *, sway: float = 0.0) -> Array:
        """Return paths (n, 40, 2) over the skull and down. traits: (n, 7), seven numbers in 0..1 per strand."""
        t = np.linspace(0, 1, 40)
        m, cx, cy = self.head(height, width)
        side, loose, fly, reach, tilt, own, phase = (traits[:, k, None] for k in range(7))
        side = np.sin((side - 0.5) * np.pi)
        lock = np.round(side * 8 + (loose - 0.5) * 1.4) / 8
        side = side + (lock - side) * 0.7 * t**1.6
        skull, below = np.clip(t / 0.38, 0, 1) * np.pi / 2, np.clip((t - 0.38) / 0.62, 0, 1)
        stray = np.clip((fly - 0.86) / 0.14, 0, 1) * (own - 0.5) * 2
        blown = (self.wind + sway) * below**1.6
        wave = np.sin(TAU * (self.turns * t + 3.1 * lock + 0.25 * phase)) + 0.4 * np.sin(TAU * (2.3 * t + phase))
        x = (0.225 + 0.015 * tilt) * side * np.sin(skull) * (1 + 0.3 * below - 0.25 * below**3)
        x = x + self.curl * below**0.7 * (0.6 + 0.8 * own) * wave + blown * (0.7 + 0.6 * loose) + 0.2 * stray * t**1.3
        y = -(0.265 + 0.02 * tilt) * np.cos(skull) + below * self.length * (0.6 + 0.45 * reach)
        y = y - 0.45 * np.abs(blown) * below * loose - 0.1 * np.abs(stray) * t * (phase + 0.3 * np.sin(9 * t))
        return np.stack([cx + m * x, cy + m * y], axis=-1)

    def head(self, height: int, width: int) -> tuple[float, float, float]:
        m = min(height, 1.15 * width)
        return m, 0.5 * width - 0.35 * self.wind * m, 0.34 * height

    def bust(self, rng: np.random.Generator, height: int, width: int, *, factor: int) -> Canvas:
        m, cx, _ = self.head(height, width)
        tone = 0.3 + 0.35 * fractal(rng, height, width, cell=height / 6)
        knit = 0.6 * fractal(rng, height, width, cell=8, stretch=0.6)
        knit = knit + 0.4 * fractal(rng, height, width, cell=height / 3)
        v = np.linspace(0, 1, 80)
        rise = np.clip((v - 0.12) / 0.5, 0, 1)
        half = (0.1 + 0.27 * rise**1.2 * (2 - rise)) * np.sqrt(np.clip(1 - np.clip((v - 0.8) / 0.2, 0, 1) ** 2, 0, 1))
        left, right = (np.stack([cx + s * m * half, height * (0.62 + 0.365 * v)], -1) for s in (-1, 1))
        canvas = Canvas(tinted(tone, self.palette), factor=factor)
        canvas.fill(ellipse(cx, 0.6 * height, 0.095 * m, 0.13 * height), "8a5a44 d9a384", tone)
        canvas.fill(np.concatenate([left, right[::-1]]), self.cloth, knit)
        return canvas

    def frames(
        self, rng: np.random.Generator, height: int, width: int, sways: Array, *, factor: int, density: float
    ) -> Iterator[Drawing]:
        m, cx, cy = self.head(height, width)
        bust = self.bust(rng, height, width, factor=factor)
        traits = rng.random((int(density * np.sqrt(height * width)), 7))
        own, lock = traits[:, 6], np.modf(np.round(traits[:, 0] * 31) * 0.618)[0]
        colours = ramp(self.palette, 0.3 * lock + 0.7 * own)
        opacity = np.where(traits[:, 2] > 0.86, 0.35, 0.55) + 0.45 * own
        edges = np.array([[0.1, 0.5, 0, 0.4, 0, 0, 0], [0.9, 0.5, 0, 0.4, 0, 0, 0]])
        y, x = grid(height, width)
        shade = 0.3 * fractal(rng, height, width, cell=height / 5, stretch=0.1)
        dense = (cy + (0.72 * self.length + 0.5 * (shade - 0.15)) * m - y) / (0.18 * m)  # thins out towards the tips
        light = 0.62 + 0.4 * bell((y - cy + 0.12 * m) / (0.12 * m)) + 0.3 * bell((x - cx + 0.1 * m) / (0.2 * m))
        for sway in sways:
            canvas = bust.copy()
            left, right = self.strands(edges, height, width, sway=float(sway))
            canvas.fill(np.concatenate([left, right[::-1]]), self.palette, shade, opacity=dense)
            paths = self.strands(traits, height, width, sway=float(sway))
            canvas.strands(paths, colours, opacity, thick=0.55 if factor > 2 else 0.0)
            yield canvas.drawing(light)

    def still(self, rng: np.random.Generator, height: int, width: int) -> Drawing:
        return next(self.frames(rng, height, width, np.zeros(1), factor=3, density=4.2))

    def swaying(self, rng: np.random.Generator, height: int, width: int) -> Iterator[Drawing]:
        at = np.arange(FOREGROUND_FRAMES) / FOREGROUND_FRAMES
        sways = 0.13 * np.sin(TAU * at) + 0.04 * np.sin(3 * TAU * at)
        yield from self.frames(rng, height, width, sways, factor=2, density=1.8)


def fluffy_cat(rng: np.random.Generator, height: int, width: int) -> Drawing:
    fur = "3c2e26 8c7460 c9b59c f6ecdd"
    m, cx, cy = min(height, width), 0.5 * width, 0.54 * height
    tone = fractal(rng, height, width, cell=m / 5)
    canvas = Canvas(tinted(0.3 + 0.4 * tone, fur), factor=3)
    for s in (-1, 1):
        ear = np.array([[0.02, -0.2], [0.13, -0.33], [0.26, -0.43], [0.31, -0.3], [0.33, -0.06]]) * m
        tip = np.array([0.21 * m, -0.2 * m])
        canvas.fill((cx, cy) + ear * (s, 1), fur, 0.35 * tone)
        canvas.fill((cx, cy) + (tip + 0.55 * (ear - tip)) * (s, 1), "6b4a44 c98f86", tone)
    canvas.fill(ellipse(cx, cy, 0.33 * m, 0.28 * m), fur, 0.35 + 0.4 * tone)
    canvas.strands(*coat(rng, int(14 * m), (cx, cy), (0.33 * m, 0.28 * m), fur, tone), thick=0.6)
    t = np.linspace(0, 1, 12)
    for s in (-1, 1):
        x, y = cx + s * 0.13 * m, cy - 0.02 * m
        canvas.fill(ellipse(x, y, 0.062 * m, 0.058 * m), "20150f 2b1d14", tone)
        canvas.fill(ellipse(x, y, 0.054 * m, 0.05 * m), "7f9a2f d8d860", tone)
        canvas.fill(ellipse(x, y, 0.016 * m, 0.044 * m), "050505 101010", tone)
        canvas.fill(ellipse(x - 0.016 * m, y - 0.02 * m, 0.011 * m, 0.011 * m), "ffffff ffffff", tone)
        fall = cy + m * (0.1 + 0.2 * (rng.random((9, 1)) - 0.4) * t + 0.06 * t**2)
        whiskers = np.stack([np.broadcast_to(cx + s * m * (0.05 + 0.42 * t), fall.shape), fall], -1)
        canvas.strands(whiskers, np.full((9, 3), 245, np.float32), np.full(9, 0.9), thick=0.5)
    canvas.fill(ellipse(cx, cy + 0.085 * m, 0.03 * m, 0.02 * m), "a85f5f d88a86", tone)
    rows, columns = grid(height, width)
    return canvas.drawing(0.7 + 0.4 * bell(np.hypot(columns - cx + 0.12 * m, rows - cy + 0.16 * m) / (0.36 * m)))


def coat(
    rng: np.random.Generator,
    count: int,
    centre: tuple[float, float],
    radii: tuple[float, float],
    palette: str,
    tone: Field,
) -> tuple[Array, Field, Array]:
    """Return paths, colours and opacity of striped fur that grows outwards from an ellipse; the rim is faintest."""
    bias, extra, bend, shade = rng.random((4, count))
    angle, radius = TAU * rng.random(count), 0.98 * np.sqrt(rng.random(count))
    root = np.stack([np.cos(angle), np.sin(angle)], -1) * radius[:, None] * radii + centre
    t = np.linspace(0, 1, 9)
    turn = (angle + (bias - 0.5) * 1.1)[:, None] + (bend - 0.35)[:, None] * 0.9 * t
    length = radii[0] * (0.15 + 0.17 * extra + 0.15 * radius)
    steps = np.stack([np.cos(turn), np.sin(turn) + 0.25 * t], -1) * length[:, None, None] / len(t)
    wobble = tone[root[:, 1].astype(int), root[:, 0].astype(int)]
    stripe = 0.5 + 0.5 * np.sin(11 * np.abs(np.cos(angle)) * radius + 4 * wobble)
    colours = ramp(palette, np.clip(0.1 + 0.6 * stripe + 0.4 * (shade - 0.35), 0, 1))
    return root[:, None] + np.cumsum(steps, axis=1), colours, 1 - 0.5 * radius**2 * (0.5 + 0.5 * shade)


def dandelion(rng: np.random.Generator, height: int, width: int) -> Drawing:
    m, cx, cy = min(height, width), 0.4 * width, 0.38 * height
    tone = fractal(rng, height, width, cell=m / 4)
    canvas = Canvas(tinted(0.3 + 0.5 * tone, "a8a396 e6e1d3 fffdf6"), factor=3)
    t, count, hairs = np.linspace(0, 1, 12), 180, 26
    stem = np.stack([cx + 0.1 * m * t**2, cy + (0.97 * height - cy) * t], -1)
    side = np.array([0.012 * m, 0])
    canvas.fill(np.concatenate([stem - side, (stem + side)[::-1]]), "5c6b2a 93a552 77883c", tone)
    canvas.fill(ellipse(cx, cy, 0.05 * m, 0.045 * m), "4a3a1c 8d7440", tone)
    turn, tilt = TAU * 0.381966 * np.arange(count), np.sqrt((np.arange(count) + 0.5) / count)  # golden-angle spiral
    outwards = np.stack([tilt * np.cos(turn), tilt * np.sin(turn)], -1)[:, None]
    centre = np.tile(np.array([cx, cy]), (count, 1, 1))
    centre[-14:, 0] += np.stack([0.2 + 0.4 * rng.random(14), 0.5 * (rng.random(14) - 0.55)], -1) * (width - cx)
    stalks = centre + outwards * (0.12 + 0.88 * t[:, None]) * 0.27 * m * (0.92 + 0.14 * rng.random((count, 1, 1)))
    canvas.strands(stalks, ramp("7a6240 c9b48a", rng.random(count)), 0.55 + 0.3 * rng.random(count))
    fan = turn[:, None] + np.linspace(-1.9, 1.9, hairs) + 0.25 * rng.standard_normal((count, hairs))
    size = 0.1 * m * (0.7 + 0.3 * rng.random((count, hairs))) * (0.65 + 0.35 * tilt[:, None])
    spread = np.stack([np.cos(fan), np.sin(fan)], -1)[:, :, None] * t[:, None] ** 0.9 * size[..., None, None]
    lift = outwards[:, None] * t[:, None] ** 2 * 0.022 * m
    pappus = (stalks[:, None, -1:] + spread + lift).reshape(-1, len(t), 2)
    canvas.strands(pappus, ramp("cfc8b8 ffffff", rng.random(len(pappus))), 0.45 + 0.5 * rng.random(len(pappus)))
    return canvas.drawing()


def draped(u: Array, v: Array, height: int, width: int) -> Array:
    """Map cloth coordinates 0..1 (across, down) to points (..., 2) of a veil gathered at the top."""
    fold = 0.045 * v * np.sin(TAU * (4.5 * u + 0.25 * v)) + 0.02 * np.sin(TAU * (2 * u + v))
    x = 0.5 + (u - 0.5) * (0.2 + 0.66 * v**0.8 - 0.12 * v**4) + fold * (1 - np.abs(2 * u - 1) ** 4)
    return np.stack([width * x, height * (0.06 + v * (0.86 + 0.035 * np.abs(np.sin(9 * np.pi * u))))], -1)


def lace_veil(rng: np.random.Generator, height: int, width: int) -> Drawing:
    cloth, t = "8f8c9c e9e4ea fffefc", np.linspace(0, 1, 120)
    tone = fractal(rng, height, width, cell=height / 5)
    canvas = Canvas(tinted(0.5 + 0.4 * tone, cloth), factor=3)
    sides = ((t, 0 * t), (0 * t + 1, t), (t[::-1], 0 * t + 1), (0 * t, t[::-1]))
    edges = [draped(u, v, height, width) for u, v in sides]
    y, x = grid(height, width)
    u = np.clip(0.5 + (x / width - 0.5) / (0.2 + 0.54 * (y / height) ** 0.8), 0, 1)
    folds = 0.5 + 0.5 * np.cos(TAU * (4.5 * u + 0.25 * y / height))
    canvas.fill(np.concatenate(edges), cloth, 0.45 + 0.5 * folds * tone, opacity=0.1 + 0.3 * folds**3 * (0.5 + tone))
    across = np.linspace(-0.8, 1.8, 180)[:, None] + 0.8 * t * np.where(np.arange(180) % 2, 1, -1)[:, None]
    across = np.clip(across, 0, 1)
    net = draped(across, np.broadcast_to(t, across.shape), height, width)
    canvas.strands(net, ramp("d8d2dc ffffff", rng.random(180)), 0.5 + 0.35 * rng.random(180))
    canvas.strands(np.stack(edges), np.full((4, 3), 250, np.float32), np.array([0.9, 0.6, 1, 0.6]), thick=1)
    u = np.append(0.06 + 0.88 * rng.random(40), np.arange(1, 30) / 30)  # 40 scattered over the cloth, 29 along the hem
    v = np.append(0.1 + 0.8 * rng.random(40) ** 0.7, [0.975] * 29)
    radii = np.append(0.012 + 0.022 * rng.random(40), [0.017] * 29) * height
    flowers = embroidery(rng, draped(u, v, height, width), radii)
    canvas.strands(flowers, ramp("e6dfe4 ffffff", rng.random(len(flowers))), np.ones(len(flowers)), thick=1)
    return canvas.drawing(0.72 + 0.35 * folds)


def embroidery(rng: np.random.Generator, centres: Array, radii: Array) -> Array:
    """Return threads (8 n, 50, 2) of n five-petalled flowers."""
    angle = np.linspace(0, TAU, 50)
    petal = 0.45 + 0.55 * np.abs(np.cos(2.5 * (angle + TAU * rng.random((len(radii), 1)))))
    ring = np.stack([np.cos(angle) * petal, np.sin(angle) * petal], -1) * radii[:, None, None]
    threads = centres[:, None, None] + ring[:, None] * np.linspace(0.15, 1, 8)[:, None, None]
    return np.asarray(threads.reshape(-1, 50, 2))


def smoke(rng: np.random.Generator, height: int, width: int, *, palette: str, frames: int) -> Iterator[Drawing]:
    speed = 0.011 * height
    tall = height + int(2 * speed * frames) + 2
    fine, coarse = fractal(rng, tall, width, cell=width / 7), fractal(rng, tall, width, cell=width / 3)
    y, x = grid(height, width)
    up = 1 - y / height
    ends = np.clip(up / 0.05, 0, 1) * np.clip((1 - up) / 0.35, 0, 1)
    for k in range(frames):
        drift, curl = coarse[int(speed * k) :][:height] - 0.5, fine[int(1.7 * speed * k) :][:height]
        across = x / width - 0.5 - 0.06 * np.sin(5 * up - 0.12 * k) + drift * (0.08 + 0.5 * up)
        source_x, source_y = x + 0.3 * width * drift * up, y + 0.25 * width * (curl - 0.5)
        wisps = np.asarray(cv2.remap(curl, source_x, source_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
        density = bell(across / (0.035 + 0.21 * up**0.9)) * ends * np.clip(2.6 * wisps - 0.62, 0, 1.6)
        alpha = 1.02 * (1 - np.exp(-2.6 * (1.45 - 0.75 * up) * density))
        yield Drawing(tinted(0.5 + 1.1 * (wisps - 0.5) - 0.9 * across, palette), as_bytes(alpha))


def smoke_plume(rng: np.random.Generator, height: int, width: int) -> Drawing:
    return next(smoke(rng, height, width, palette="3c4048 8d929b d5d8dc f6f6f4", frames=1))


def rising_smoke(rng: np.random.Generator, height: int, width: int) -> Iterator[Drawing]:
    yield from smoke(rng, height, width, palette="5a3c30 a8836c e3cdb8 fff6ea", frames=FOREGROUND_FRAMES)


def jellyfish(rng: np.random.Generator, height: int, width: int) -> Iterator[Drawing]:
    glow = "5b2a7a b04fa0 f09ac0 ffe6f0"
    m, t, s = min(height, width), np.linspace(0, 1, 30), np.linspace(-1, 1, 60)
    traits = rng.random((110, 4, 1))
    colours, opacity = ramp(glow, 0.3 + 0.7 * traits[:, 1, 0]), 0.25 + 0.7 * traits[:, 1, 0] ** 2
    tone = fractal(rng, height, width, cell=m / 6)
    water = Canvas(tinted(0.35 + 0.4 * tone, glow), factor=2)
    y, x = grid(height, width)
    for k in range(FOREGROUND_FRAMES):
        canvas, pulse = water.copy(), np.sin(TAU * k / 20)
        cx, cy = width / 2 + 0.05 * m * np.sin(TAU * k / 40), m * (0.4 - 0.03 * np.cos(TAU * k / 20))
        rx, ry = m * (0.27 + 0.03 * pulse), m * (0.31 - 0.03 * pulse)
        side = 2 * traits[:, 0] - 1
        wave = np.sin(TAU * (1.4 * t - k / 20 + 0.25 * side + 0.2 * traits[:, 3])) * t * 0.05 * m
        fall = t * (0.25 + 0.33 * traits[:, 2]) * height
        paths = np.stack([cx + side * rx * (0.92 - 0.35 * t) + wave, cy + fall], -1)
        canvas.strands(paths, colours, opacity)
        dome = np.stack([cx + rx * s, cy - ry * np.sqrt(1 - s**2)], -1)
        frill = np.stack([cx + rx * s, cy + 0.018 * m * np.cos(9 * np.pi * s) * (1 - s**8)], -1)
        away = np.hypot((x - cx) / rx, (y - cy) / ry)
        ribs = 0.5 + 0.5 * np.cos(22 * np.arctan2(x - cx, cy + 0.15 * m - y))
        body = 0.3 + 0.25 * ribs * away + 0.45 * np.minimum(away, 1) ** 5
        canvas.fill(np.concatenate([dome, frill[::-1]]), glow, 0.25 + 0.3 * ribs + 0.5 * tone * away, opacity=body)
        for petal in (-0.11, -0.04, 0.04, 0.11):
            organ = ellipse(cx + petal * m, cy - 0.16 * m + 3 * petal**2 * m, 0.028 * m, 0.05 * m)
            canvas.fill(organ, "ffb0d0 fff0e0", tone)
        yield canvas.drawing()


AUBURN = Hair("2a0f08 6e2f16 a5522a e09a5c", "20343a 4f7a80 a9c6c2", curl=0.012, turns=1.6, wind=0.0, length=0.5)
BLONDE = Hair("5c4320 a8843f dcbf74 fff0bd", "5a1f2c a84a58 d98f8a", curl=0.018, turns=1.2, wind=0.28, length=0.48)
CURLS = Hair("08070a 1e181a 40363a 7a6864", "8a7a2c d6c66a f4ecc0", curl=0.028, turns=3.4, wind=0.0, length=0.34)
PLATINUM = Hair("6b6570 a9a3aa dcd6d6 ffffff", "1c2340 3d4c86 8da0d6", curl=0.014, turns=1.5, wind=0.0, length=0.4)
COPPER = Hair("4a1c10 a04a24 d88a50 ffd0a0", "1c2c20 4a6a4c a8c09a", curl=0.02, turns=2.4, wind=0.1, length=0.42)

TRAIN_IMAGES: Mapping[str, tuple[ImageForeground, int, int]] = {  # name: draw function, height, width
    "auburn_hair": (AUBURN.still, 760, 620),
    "dandelion-seeds": (dandelion, 600, 740),
    "fluffy_cat": (fluffy_cat, 600, 660),
    "smoke_plume": (smoke_plume, 720, 560),
}
TEST_IMAGES: Mapping[str, tuple[ImageForeground, int, int]] = {
    "black_curls": (CURLS.still, 720, 600),
    "lace_veil": (lace_veil, 740, 640),
    "windblown_blonde": (BLONDE.still, 600, 720),
}
TRAIN_VIDEOS: tuple[VideoForeground, ...] = (PLATINUM.swaying, jellyfish)
TEST_VIDEOS: tuple[VideoForeground, ...] = (rising_smoke, COPPER.swaying)
