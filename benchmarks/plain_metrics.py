"""Metrics of mattes written plainly from their formulas in float64: the reference of the tests and of the benchmark.

Nothing of `dvm_hf.metrics` is used. Mattes are uint8 (H, W); alpha is level / 255. Each function returns a map (H, W),
whose sum over a region is the primitive.
"""

import math

import numpy as np
from scipy import ndimage


def error(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return predicted / 255.0 - reference / 255.0


def absolute(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return np.abs(error(predicted, reference))


def squared(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return error(predicted, reference) ** 2


def kernels(sigma: float = 1.4) -> tuple[np.ndarray, np.ndarray]:
    """Return smoothing and derivative (9,), whose outer product has the L2 norm 1."""
    radius = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * 0.01)))
    x = np.arange(-radius, radius + 1)
    smoothing = np.exp(-(x * x) / (2 * sigma * sigma))
    derivative = -x * smoothing
    return smoothing / np.linalg.norm(smoothing), derivative / np.linalg.norm(derivative)


def magnitude(alpha: np.ndarray) -> np.ndarray:
    smoothing, derivative = kernels()
    squares = np.zeros(alpha.shape)
    for along_y, along_x in ((smoothing, derivative), (derivative, smoothing)):
        rows = ndimage.correlate1d(alpha, along_y, axis=0, mode="nearest")
        squares += ndimage.correlate1d(rows, along_x, axis=1, mode="nearest") ** 2
    return np.sqrt(squares)


def gradient(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return (magnitude(predicted / 255.0) - magnitude(reference / 255.0)) ** 2


def connectivity(
    predicted: np.ndarray,
    reference: np.ndarray,
    *,
    by_columns: bool = False,
    float64_thresholds: bool = False,
    skips_empty: bool = False,
) -> np.ndarray:
    p, g = predicted / 255.0, reference / 255.0
    l_map = np.full(p.shape, -1.0)
    for k in range(1, 11):
        level = 0.1 * k if float64_thresholds else k / 10
        reached = (p >= level) & (g >= level)
        if skips_empty and not reached.any():
            continue
        work = reached.T if by_columns else reached
        labels, number = ndimage.label(work)
        omega = np.zeros(work.shape, bool)
        if number:
            omega = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
        if by_columns:
            omega = omega.T
        l_map[(l_map == -1) & ~omega] = (k - 1) / 10
    l_map[l_map == -1] = 1
    phi_p, phi_g = (1 - (a - l_map) * (a - l_map >= 0.15) for a in (p, g))
    return np.abs(phi_p - phi_g)


def temporal(errors: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return (errors[1] - errors[0]) ** 2


def compensated(errors: tuple[np.ndarray, np.ndarray], flow: np.ndarray) -> np.ndarray:
    """Return |e0(x)^2 - e1(x + flow)^2|, and NaN where the motion is unknown or leaves the frame."""
    height, width = errors[0].shape
    y, x = np.mgrid[:height, :width] + 0.0
    x, y = x + flow[..., 0], y + flow[..., 1]
    valid = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    moved = ndimage.map_coordinates(errors[1], [y[valid], x[valid]], order=1)
    found = np.full((height, width), np.nan)
    found[valid] = np.abs(errors[0][valid] ** 2 - moved**2)
    return found
