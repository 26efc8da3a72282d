"""The mattes on which the published code was run, drawn by integer formulas; see metrics/reference_values.json."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HEIGHT, WIDTH, FRAMES = 48, 64, 5
VALUES: dict[str, Any] = json.loads(
    (Path(__file__).parent / "metrics" / "reference_values.json").read_text(encoding="utf-8")
)
CASES = tuple(VALUES["sums"])


class Mattes(NamedTuple):
    """uint8 (T, H, W)."""

    predicted: np.ndarray
    reference: np.ndarray
    trimap: np.ndarray


def clip() -> Mattes:
    """A body that moves by (2, 0) px per frame, an islet and a hair; noise on soft pixels, a blob and a hole."""
    t, y, x = np.ogrid[:FRAMES, :HEIGHT, :WIDTH]
    body = disc(y, x, 20, 22 + 2 * t, radius=15, ramp=120)
    islet = disc(y, x, 36, 50 - t, radius=5, ramp=20)
    hair = np.where((x == 40 + 2 * t) & (y >= 2) & (y < 34), 51 * (y % 6), 0)
    reference = np.maximum(np.maximum(body, islet), hair)
    is_soft = (reference > 0) & (reference < 255)
    noise = (7 * x + 13 * y + 29 * t) % 41 - 20
    predicted = np.where(is_soft, np.clip(reference + noise, 0, 255), reference)
    blob = (y - 8) ** 2 + (x - 56) ** 2 <= 9
    hole = (y - 20) ** 2 + (x - 20 - 2 * t) ** 2 <= 4
    predicted = np.where(blob, 90, np.where(hole, 200, predicted))
    near = np.pad(is_soft, ((0, 0), (4, 4), (4, 4)))
    is_unknown = np.any([near[:, i : i + HEIGHT, j : j + WIDTH] for i in range(9) for j in range(9)], axis=0)
    trimap = np.where(is_unknown, 128, np.where(reference == 255, 255, 0))
    return Mattes(*(levels.astype(np.uint8) for levels in (predicted, reference, trimap)))


def disc(y: Any, x: Any, row: Any, column: Any, *, radius: int, ramp: int) -> np.ndarray:
    """Return a disc whose edge is soft, wider for a larger ramp."""
    return np.clip((radius**2 - (y - row) ** 2 - (x - column) ** 2) * 255 // ramp, 0, 255)


def case(name: str) -> Mattes:
    """Return a clip of one frame."""
    return Mattes(*(levels.astype(np.uint8)[None] for levels in _levels(name)))


def _levels(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first = Mattes(*(levels[0].astype(int) for levels in clip()))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    all_unknown = np.full((HEIGHT, WIDTH), 128)
    if name == "frame0":
        return first
    if name == "pred_all_zero":
        return np.zeros_like(first.reference), first.reference, first.trimap
    if name == "pred_80_percent":
        return first.reference * 204 // 255, first.reference, first.trimap
    if name == "equal_components":
        one = (y >= 6) & (y < 16) & (x >= 40) & (x < 50)
        other = (y >= 26) & (y < 36) & (x >= 6) & (x < 16)
        return 200 * one + 255 * other, 255 * one + 230 * other, all_unknown
    if name == "diagonal_contact":
        one = (y >= 8) & (y < 20) & (x >= 8) & (x < 20)
        other = (y >= 20) & (y < 28) & (x >= 20) & (x < 28)
        return 255 * one + 178 * other, 255 * one + 255 * other, all_unknown
    if name == "touches_border":
        ramp = (x - 20) * 12
        return np.clip(ramp + 24 * (y // 4 % 2), 0, 255), np.clip(ramp, 0, 255), all_unknown
    assert name == "large_foreground"
    reference = disc(y, x, 24, 32, radius=27, ramp=150)
    is_soft = (reference > 0) & (reference < 255)
    predicted = np.where(is_soft, np.clip(reference - 25 + (5 * x + 3 * y) % 31, 0, 255), reference)
    return predicted, reference, np.where(is_soft, 128, reference)


def flow() -> np.ndarray:
    """Return motion by (1.5, -0.25) px between all frames (T-1, H, W, 2), unknown in some places."""
    field = np.empty((FRAMES - 1, HEIGHT, WIDTH, 2))
    field[...] = 1.5, -0.25
    field[:, :, -2:] = field[:, :1] = field[:, 30:34, 10:20] = np.nan
    return field


def colours() -> tuple[np.ndarray, np.ndarray]:
    """Return predicted and reference foreground colours, uint8 (T, H, W, 3)."""
    t, y, x, c = np.ogrid[:FRAMES, :HEIGHT, :WIDTH, :3]
    reference = (3 * x + 5 * y + 11 * c + 2 * t) % 256
    predicted = np.clip(reference + (x * y + 7 * c) % 13 - 6, 0, 255)
    return predicted.astype(np.uint8), reference.astype(np.uint8)


def frames(number: int, *, length: int = FRAMES) -> Iterator[dict[str, np.ndarray]]:
    """Yield the frames of a clip, by the names of the arguments that measure them; clips differ by their number."""
    mattes = clip()
    for predicted, reference, trimap in zip(*(levels[:length] for levels in mattes), strict=True):
        yield {"predicted": np.roll(predicted, number, axis=1), "reference": reference, "trimap": trimap}
