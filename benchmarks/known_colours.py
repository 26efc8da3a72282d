"""Pictures whose foreground colour is known: drawn foregrounds F over drawn backgrounds B with drawn alphas.

Each picture is I = a F + (1 - a) B, rounded to the nearest level, so the error of an estimated F can be measured.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from dvm_hf.media.pixels import Pixels, Size

SIZE = Size(440, 680)
FINE = 4  # shapes are drawn at 4 x 4 samples per pixel


@dataclass(frozen=True)
class KnownColour:
    """A picture I (H, W, 3), its alpha (H, W), and the colours F and B (H, W, 3) that it is composed of."""

    name: str
    picture: Pixels
    alpha: Pixels
    foreground: Pixels
    background: Pixels

    @property
    def is_soft(self) -> np.ndarray:
        return (self.alpha > 0) & (self.alpha < 255)


def known_colours(scale: float = 1, *, density: float = 1) -> list[KnownColour]:
    """Draw all pictures, at 680 x 440 px times `scale`; what is soft lets through (1 - a)^density of the background."""
    size = Size(round(SIZE.height * scale), round(SIZE.width * scale))
    found = []
    for name, (foreground, background, alpha) in SCENES.items():
        rng = np.random.default_rng(list(name.encode()))
        layers = foreground(rng, size), background(rng, size), denser(alpha(rng, size), density)
        found.append(composed(name, *(np.clip(np.rint(layer), 0, 255).astype(np.uint8) for layer in layers)))
    return found


def denser(alpha: np.ndarray, density: float) -> np.ndarray:
    return 255 - 255 * (1 - np.clip(alpha, 0, 255) / 255) ** density


def composed(name: str, foreground: Pixels, background: Pixels, alpha: Pixels) -> KnownColour:
    a = alpha[..., None] / 255.0
    picture = np.rint(a * foreground + (1 - a) * background).astype(np.uint8)
    return KnownColour(name, picture, alpha, foreground, background)


def error(estimate: Pixels, scene: KnownColour) -> float:
    """Return the mean of |estimate - F| over the soft pixels, weighted by alpha, in levels."""
    difference = np.abs(estimate.astype(float) - scene.foreground).mean(axis=2)
    return float(np.average(difference[scene.is_soft], weights=scene.alpha[scene.is_soft]))


def recomposed_difference(estimate: Pixels, scene: KnownColour) -> np.ndarray:
    """Return |a * estimate + (1 - a) B - I| of the soft pixels, (n, 3), in levels."""
    a = scene.alpha[..., None] / 255.0
    return np.abs(a * estimate + (1 - a) * scene.background - scene.picture)[scene.is_soft]


def clouds(rng: np.random.Generator, size: Size, *, cells: tuple[int, int], octaves: int = 4) -> np.ndarray:
    """Return smooth noise of mean 0 and standard deviation 1 (H, W); `cells` is the size of its coarsest grid."""
    total = np.zeros(size)
    for octave in range(octaves):
        grid = rng.normal(size=(cells[0] * 2**octave + 1, cells[1] * 2**octave + 1))
        total += cv2.resize(grid, (size.width, size.height), interpolation=cv2.INTER_CUBIC) / 2**octave
    return (total - total.mean()) / total.std()


def coloured(values: np.ndarray, *colours: tuple[int, int, int]) -> np.ndarray:
    """Map noise -2 .. 2 to a series of colours, interpolated linearly: (H, W, 3)."""
    points = np.linspace(-2, 2, len(colours))
    return np.stack([np.interp(values, points, [colour[i] for colour in colours]) for i in range(3)], axis=-1)


def fur_colour(rng: np.random.Generator, size: Size) -> np.ndarray:
    return coloured(clouds(rng, size, cells=(6, 9), octaves=3), (70, 40, 20), (120, 80, 50), (170, 125, 85))


def hair_colour(rng: np.random.Generator, size: Size) -> np.ndarray:
    return coloured(clouds(rng, size, cells=(3, 12), octaves=3), (20, 14, 12), (50, 32, 26), (100, 66, 48))


def smoke_colour(rng: np.random.Generator, size: Size) -> np.ndarray:
    return coloured(clouds(rng, size, cells=(2, 3), octaves=2), (150, 152, 160), (205, 205, 205), (235, 230, 220))


def shirt_colour(rng: np.random.Generator, size: Size) -> np.ndarray:
    fabric = coloured(clouds(rng, size, cells=(5, 8), octaves=3), (150, 20, 30), (190, 40, 45), (220, 90, 60))
    fabric[:, np.arange(size.width) * 14 // size.width % 2 == 1] *= 0.85  # stripes
    return fabric


def veil_colour(rng: np.random.Generator, size: Size) -> np.ndarray:
    return coloured(clouds(rng, size, cells=(3, 4), octaves=3), (225, 190, 195), (240, 220, 222), (250, 245, 240))


def leaf_colour(rng: np.random.Generator, size: Size) -> np.ndarray:
    return coloured(clouds(rng, size, cells=(5, 8), octaves=4), (170, 110, 10), (205, 150, 20), (235, 200, 60))


def foliage(rng: np.random.Generator, size: Size) -> np.ndarray:
    return coloured(clouds(rng, size, cells=(6, 9), octaves=4), (15, 60, 15), (50, 120, 40), (120, 190, 90))


def sky(rng: np.random.Generator, size: Size) -> np.ndarray:
    return coloured(clouds(rng, size, cells=(2, 3), octaves=4), (120, 165, 220), (175, 205, 235), (235, 240, 245))


def night(rng: np.random.Generator, size: Size) -> np.ndarray:
    windows = rng.random((22, 34)) < 0.25
    lit = cv2.resize(windows.astype(np.float64), (size.width, size.height), interpolation=cv2.INTER_LINEAR)
    wall = coloured(clouds(rng, size, cells=(4, 6)), (10, 12, 30), (25, 28, 50), (45, 45, 70))
    return wall + lit[..., None] * np.array([120, 95, 30])


def cloth(rng: np.random.Generator, size: Size) -> np.ndarray:
    return coloured(clouds(rng, size, cells=(3, 5), octaves=3), (20, 140, 60), (35, 180, 80), (60, 205, 100))


def water(rng: np.random.Generator, size: Size) -> np.ndarray:
    return coloured(clouds(rng, size, cells=(16, 5), octaves=3), (10, 40, 90), (20, 70, 140), (70, 130, 190))


def strands(
    rng: np.random.Generator, size: Size, *, count: int, length: float, curl: float, body: tuple[float, float]
) -> np.ndarray:
    """Return the alpha of an ellipse with strands that start at its edge: drawn finely, then averaged."""
    height, width = size.height * FINE, size.width * FINE
    canvas = np.zeros((height, width), np.uint8)
    centre, axes = np.array([width / 2, height / 2]), np.array([width * body[0], height * body[1]])
    cv2.ellipse(canvas, tuple(int(v) for v in centre), tuple(int(v) for v in axes), 0, 0, 360, 255, -1)
    for _ in range(count):
        start = rng.uniform(0, 2 * np.pi)
        direction = start + rng.normal(0, 0.35)
        points = [centre + 0.97 * axes * [np.cos(start), np.sin(start)]]
        for _ in range(24):
            direction += rng.normal(0, curl)
            step = length * height / 24 * rng.uniform(0.6, 1.2)
            points.append(points[-1] + step * np.array([np.cos(direction), np.sin(direction)]))
        for index, (one, two) in enumerate(pairwise(np.rint(points).astype(int).tolist())):
            thickness = max(1, round(FINE * size.height / SIZE.height * 1.2 * (1 - index / 24)))
            cv2.line(canvas, one, two, 255, thickness)
    return cv2.resize(canvas, (size.width, size.height), interpolation=cv2.INTER_AREA).astype(float)


def fur(rng: np.random.Generator, size: Size) -> np.ndarray:
    return strands(rng, size, count=2500, length=0.10, curl=0.12, body=(0.3, 0.34))


def soft_fur(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Return fur whose body is not fully opaque, as in most published mattes."""
    shape = strands(rng, size, count=4000, length=0.16, curl=0.18, body=(0.28, 0.36))
    return np.minimum(shape, 249 + 4 * clouds(rng, size, cells=(5, 8), octaves=2))


def hair(rng: np.random.Generator, size: Size) -> np.ndarray:
    return strands(rng, size, count=450, length=0.35, curl=0.10, body=(0.2, 0.3))


def smoke(rng: np.random.Generator, size: Size) -> np.ndarray:
    column = np.abs(np.linspace(-1, 1, size.width)) * 1.6
    return 255 * np.clip(0.9 + 0.4 * clouds(rng, size, cells=(3, 4), octaves=5) - column, 0, 1)


def defocused(rng: np.random.Generator, size: Size) -> np.ndarray:
    shape = strands(rng, size, count=30, length=0.3, curl=0.05, body=(0.22, 0.36))
    return cv2.GaussianBlur(shape, (0, 0), 9 * size.height / SIZE.height)


def veil(rng: np.random.Generator, size: Size) -> np.ndarray:
    folds = 0.55 + 0.18 * clouds(rng, size, cells=(2, 7), octaves=3)
    rows, columns = np.ogrid[: size.height, : size.width]
    threads = 0.08 * (np.sin(rows * 1.3) + np.sin(columns * 1.3))
    inside = cv2.GaussianBlur(strands(rng, size, count=0, length=0, curl=0, body=(0.36, 0.42)), (0, 0), 2) / 255
    return 255 * np.clip(folds + threads, 0, 1) * inside


def blurred_leaves(rng: np.random.Generator, size: Size) -> np.ndarray:
    canvas = np.zeros(size, np.uint8)
    unit = size.height / SIZE.height
    for _ in range(60):
        centre = [int(rng.uniform(0.15, 0.85) * side) for side in (size.width, size.height)]
        axes = [int(unit * rng.uniform(12, 40)), int(unit * rng.uniform(6, 16))]
        cv2.ellipse(canvas, centre, axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
    return cv2.blur(canvas, (round(15 * unit), round(3 * unit))).astype(float)


Layer = Callable[[np.random.Generator, Size], np.ndarray]
SCENES: dict[str, tuple[Layer, Layer, Layer]] = {  # foreground, background, alpha
    "fur": (fur_colour, foliage, fur),
    "soft fur": (veil_colour, foliage, soft_fur),
    "hair": (hair_colour, sky, hair),
    "smoke": (smoke_colour, night, smoke),
    "defocused": (shirt_colour, cloth, defocused),
    "veil": (veil_colour, water, veil),
    "blurred leaves": (leaf_colour, water, blurred_leaves),
}
