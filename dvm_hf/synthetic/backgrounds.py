"""Draw the demo's backgrounds: layers that drift at different speeds."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from dvm_hf.media.pixels import Pixels
from dvm_hf.synthetic.canvas import Array, as_bytes, bell, fractal, grid, ramp, stops, tinted

BACKGROUND_FRAMES = 48
FASTEST = 4  # px per frame; a backdrop is wider than the frame by this times the number of frames


@dataclass(frozen=True)
class Layer:
    """A drifting layer.

    colour: premultiplied, (h, w', 3).
    transmittance: for the layers behind, same shape; None for an opaque layer.
    speed: px per frame; the sign is the direction.
    """

    colour: Pixels
    transmittance: Pixels | None
    speed: float

    def view(self, width: int, frame: int) -> tuple[Pixels, Pixels | None]:
        travel = round(abs(self.speed) * frame)
        start = travel if self.speed > 0 else self.colour.shape[1] - width - travel
        columns = slice(start, start + width)
        return self.colour[:, columns], None if self.transmittance is None else self.transmittance[:, columns]


def layer(colour: Pixels, speed: float, alpha: Array | None = None) -> Layer:
    if alpha is None:
        return Layer(colour, None, speed)
    transmittance = np.repeat(255 - as_bytes(alpha)[..., None], 3, axis=2)
    return Layer(np.asarray(cv2.multiply(colour, 255 - transmittance, scale=1 / 255), np.uint8), transmittance, speed)


def drifting(layers: list[Layer], width: int) -> Iterator[Pixels]:
    """Yield frames (h, w, 3) of layers from back to front."""
    for frame in range(BACKGROUND_FRAMES):
        picture = np.ascontiguousarray(layers[0].view(width, frame)[0])
        for one in layers[1:]:
            colour, transmittance = one.view(width, frame)
            if transmittance is not None:
                picture = np.asarray(cv2.add(cv2.multiply(picture, transmittance, scale=1 / 255), colour), np.uint8)
        yield picture


def sky(rng: np.random.Generator, height: int, width: int, palette: str, *, cloud: float = 0.35) -> Pixels:
    fall = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    return tinted((1 - cloud) * fall + cloud * fractal(rng, height, width, cell=height / 3, stretch=2.5), palette)


def hills(rng: np.random.Generator, height: int, width: int, palette: str) -> list[Layer]:
    layers = [layer(sky(rng, height, width, palette), 0.3)]
    far, near = stops(palette)[-1], stops(palette)[0] * 0.6
    for k, depth in enumerate((0.25, 0.5, 0.75, 1.0)):
        ridge = height * (0.3 + 0.5 * depth - 0.28 * fractal(rng, 8, width, cell=height / (1.2 + k))[4])
        y, _ = grid(height, width)
        cover = np.clip(y - ridge + 0.5, 0, 1)
        turf = fractal(rng, height, width, cell=4 + 12 * depth, stretch=1.5) - 0.5 + 0.6 * (y - ridge) / height
        base = far + (near - far) * (0.25 + 0.7 * depth)
        colour = np.clip(base * (1 + 1.4 * depth * turf[..., None]), 0, 255).astype(np.uint8)
        layers.append(layer(colour, 0.5 + 2.5 * depth**2, cover))
    return layers


def city(rng: np.random.Generator, height: int, width: int, palette: str) -> list[Layer]:
    layers = [layer(sky(rng, height, width, palette), 0.2)]
    lamps = (ramp("ffd98a fff3c8 b8dcff", rng.random(64)) * (0.45 + 0.55 * rng.random((64, 1)))).astype(np.uint8)
    for depth in (0.3, 0.6, 1.0):
        wall = stops(palette)[0] * (1.3 - 0.7 * depth) + stops(palette)[-1] * 0.45 * (1 - depth)
        grime = fractal(rng, height, width, cell=30, stretch=0.3)[..., None] - 0.5
        colour = np.clip(wall + 26 * grime, 0, 255).astype(np.uint8)
        cover = np.zeros((height, width), np.float32)
        left, pane = 0, max(2, int(height * 0.016 * (0.5 + depth)))
        while left < width:
            wide = int(height * (0.08 + 0.14 * rng.random()) * (0.5 + depth))
            top = int(height * (0.75 - 0.6 * rng.random() * (1.2 - 0.5 * depth)))
            cover[top:, left : left + wide] = 1
            for row in range(top + pane, height, 2 * pane):
                for column in range(left + pane, min(left + wide, width) - pane, 2 * pane):
                    if rng.random() < 0.42:
                        colour[row : row + pane, column : column + pane] = lamps[rng.integers(len(lamps))]
            left += wide + int(height * 0.05 * rng.random())
        layers.append(layer(colour, 0.4 + 3.2 * depth**2, cover))
    return layers


def bokeh(rng: np.random.Generator, height: int, width: int, palette: str) -> list[Layer]:
    layers = [layer(tinted(0.4 * fractal(rng, height, width, cell=height / 3), palette), 0.5)]
    for depth in (0.4, 0.7, 1.0):
        colour, cover = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
        for _ in range(int(26 * width / height / depth)):
            centre = (int(width * rng.random()), int(height * rng.random()))
            radius, strength = int(height * 0.075 * depth * (0.6 + 0.5 * rng.random())) + 2, 40 + 120 * rng.random()
            light = ramp(palette, 0.45 + 0.55 * rng.random(1))[0].tolist()
            cv2.circle(colour, centre, radius + 3, light, -1, cv2.LINE_AA)
            cv2.circle(cover, centre, radius, strength, -1, cv2.LINE_AA)
            cv2.circle(cover, centre, radius, min(255, 1.5 * strength), max(1, radius // 12), cv2.LINE_AA)
        layers.append(layer(colour, (1 if depth == 0.7 else -1) * (0.5 + 1.5 * depth), cover / 255))
    return layers


def water(rng: np.random.Generator, height: int, width: int, palette: str) -> list[Layer]:
    y, _ = grid(height, width)
    layers = [layer(sky(rng, height, width, palette, cloud=0.6), 1.0)]
    for k, speed in enumerate((-1.5, 2.0, -3.0)):
        swell = fractal(rng, height, width, cell=height / (9 - 2 * k), stretch=2.5)
        crest = np.clip(1 - np.abs(swell - 0.5) * (14 - 2 * k), 0, 1) ** 1.5
        tone = tinted(np.clip(0.75 + 0.25 * swell - 0.2 * (k == 0), 0, 1), palette + " ffffff")
        layers.append(layer(tone, speed, (0.2 + 0.5 * y / height) * crest + 0.12 * swell))
    return layers


def forest(rng: np.random.Generator, height: int, width: int, palette: str) -> list[Layer]:
    layers = [layer(sky(rng, height, width, palette, cloud=0.6), 0.3)]
    y, x = grid(height, width)
    far, near = stops(palette)[-1] * 0.75, stops(palette)[0] * 0.5
    for depth in (0.3, 0.6, 1.0):
        bark = fractal(rng, height, width, cell=height / 5, stretch=0.12)
        cover = np.zeros((height, width), np.float32)
        for centre in np.cumsum(height * (0.12 + 0.5 * rng.random(40)) * (0.4 + depth)):
            lean = centre + (rng.random() - 0.5) * 0.2 * (y - height) + 4 * np.sin(y / height * 5 + centre)
            thick = height * depth * (0.022 + 0.03 * rng.random()) * (0.8 + 0.5 * (y / height) ** 3)
            low, high = (max(0, int(v)) for v in (lean.min() - 2 * thick.max(), lean.max() + 2 * thick.max()))
            trunk = np.clip(thick - np.abs(x[:, low:high] - lean) + 0.5, 0, 1)
            cover[:, low:high] = np.maximum(cover[:, low:high], trunk)
        leaves = fractal(rng, height, width, cell=height / 8)
        crown = np.clip((leaves - 0.42 - 0.9 * (0.5 - np.abs(y / height - 0.45))) * 12, 0, 1)
        base = far + (near - far) * (0.3 + 0.7 * depth)
        colour = np.clip(base * (0.45 + 1.1 * np.where(crown > 0.5, leaves, bark)[..., None]), 0, 255).astype(np.uint8)
        layers.append(layer(colour, 0.5 + 3 * depth**2, np.maximum(cover, crown)))
    return layers


def clouds(rng: np.random.Generator, height: int, width: int, palette: str) -> list[Layer]:
    layers = [layer(sky(rng, height, width, palette, cloud=0.1), 0.2)]
    for k, speed in enumerate((1.0, 2.0, 3.5)):
        puff = fractal(rng, height, width, cell=height / (3.2 - 0.7 * k), stretch=1.6)
        step = max(1, height // 90)
        above_left = np.pad(puff, ((step, 0), (step, 0)), mode="edge")[:-step, :-step]
        lit = np.clip(0.75 + 4.8 * (puff - above_left) - 0.25 * puff, 0, 1)
        layers.append(layer(tinted(0.3 + 0.7 * lit, palette + " ffffff"), speed, np.clip((puff - 0.57) * 5, 0, 0.92)))
    return layers


def tiles(rng: np.random.Generator, height: int, width: int, palette: str) -> list[Layer]:
    side = height // 7
    y, x = grid(height, width)
    row = np.floor(y / side)
    column = np.floor((x + side * 0.9 * (row % 2)) / (1.8 * side))
    inside_x, inside_y = (x + side * 0.9 * (row % 2)) % (1.8 * side), y % side
    own = np.modf(np.sin(row * 12.9898 + column * 78.233 + rng.random()) * 43758.5453)[0]
    clay = 0.35 + 0.3 * own + 0.35 * fractal(rng, height, width, cell=side / 2)
    joint = np.minimum(np.minimum(inside_x, 1.8 * side - inside_x), np.minimum(inside_y, side - inside_y)) / side
    colour = tinted(clay * (0.25 + 0.75 * np.clip(joint * 16 - 0.4, 0, 1)) + 0.12 * bell((joint - 0.08) * 20), palette)
    shadow = np.clip((fractal(rng, height, width, cell=height / 3) - 0.45) * 4, 0, 0.55)
    return [layer(colour, 2.0), layer(np.full_like(colour, 8), -3.0, shadow)]


def aurora(rng: np.random.Generator, height: int, width: int, palette: str) -> list[Layer]:
    y, _ = grid(height, width)
    night = sky(rng, height, width, " ".join(palette.split()[:2]), cloud=0.3)
    stars = rng.integers(0, (height, width), (width // 3, 2))
    night[stars[:, 0], stars[:, 1]] = rng.integers(90, 255, (len(stars), 1))
    layers = [layer(night, 0.2)]
    for speed in (1.5, -2.0, 3.0):
        foot = height * (0.35 + 0.4 * fractal(rng, 8, width, cell=height / 2)[4])
        rays = fractal(rng, height, width, cell=height, stretch=0.04)
        fade = np.exp(-np.where(y < foot, (foot - y) / (0.28 * height), (y - foot) / (0.03 * height)))
        tone = tinted(0.4 + 1.2 * (foot - y) / height, palette)
        layers.append(layer(tone, speed, 0.85 * fade * (0.25 + 0.9 * rays)))
    ridge = height * (0.98 - 0.25 * fractal(rng, 8, width, cell=height / 3)[4])
    ground = tinted(0.3 * fractal(rng, height, width, cell=20), palette)
    return [*layers, layer(ground, 3.5, np.clip(y - ridge + 0.5, 0, 1))]


Backdrop = Callable[[np.random.Generator, int, int, str], list[Layer]]

BACKDROPS: Mapping[str, tuple[tuple[Backdrop, str], ...]] = {
    "train": (
        (hills, "24506e 6fa3c0 f0d9a8"),
        (city, "161a30 4a3a6a e08a6a"),
        (bokeh, "120c1c 5c2a3a ff9a4a ffe0a0"),
        (water, "06283a 0f5a72 4fb0b4"),
        (forest, "18301c 4f7a3c d8e4a0"),
        (clouds, "2a62a8 7fb4e0 dcecf6"),
        (tiles, "2a1c18 a4553c e0a07c"),
        (aurora, "050a1c 12304a 2ad08a a050e0"),
    ),
    "test": (
        (forest, "3a1c10 b0602a f6cf8a"),
        (water, "2a1838 8a4a6a f0a87a"),
        (tiles, "0e2a3c 3c86a4 e4e8d8"),
        (clouds, "4a2a5a d0707a ffd0a0"),
        (aurora, "0a0618 2a1444 f05090 40a0ff"),
        (hills, "3a2a4a b0607a ffc890"),
        (bokeh, "04141c 0c4a5a 40d0c0 e0fff0"),
        (city, "20343c 6a94a0 d8e4dc"),
    ),
}
