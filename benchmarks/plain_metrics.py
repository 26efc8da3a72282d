"""Metrics of mattes written plainly from their formulas in float64: the reference of the tests and of the benchmark.

Nothing of `dvm_hf.metrics` is used. Mattes are uint8 (H, W), masks bool (H, W); alpha is level / 255.
"""

import math

import numpy as np
from scipy import ndimage


def error(predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return predicted / 255.0 - reference / 255.0


def absolute(predicted: np.ndarray, reference: np.ndarray, mask: np.ndarray) -> float:
    return float(np.abs(error(predicted, reference))[mask].sum())


def squared(predicted: np.ndarray, reference: np.ndarray, mask: np.ndarray) -> float:
    return float((error(predicted, reference)[mask] ** 2).sum())


def derivative_kernel(sigma: float = 1.4) -> np.ndarray:
    """The 9 x 9 derivative of a Gaussian along x, divided by its L2 norm."""
    radius = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * 0.01)))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    kernel = -x * np.exp(-(x * x + y * y) / (2 * sigma * sigma))
    return kernel / np.sqrt((kernel**2).sum())


def magnitude(alpha: np.ndarray) -> np.ndarray:
    kernel = derivative_kernel()
    along_x, along_y = (ndimage.correlate(alpha, k, mode="nearest") for k in (kernel, kernel.T))
    return np.sqrt(along_x**2 + along_y**2)


def gradient(predicted: np.ndarray, reference: np.ndarray, mask: np.ndarray) -> float:
    difference = magnitude(predicted / 255.0) - magnitude(reference / 255.0)
    return float((difference[mask] ** 2).sum())


def connectivity(
    predicted: np.ndarray,
    reference: np.ndarray,
    mask: np.ndarray,
    *,
    by_columns: bool = False,
    float64_thresholds: bool = False,
    skips_empty: bool = False,
) -> float:
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
    return float(np.abs(phi_p - phi_g)[mask].sum())


def temporal(errors: tuple[np.ndarray, np.ndarray], mask: np.ndarray) -> float:
    return float(((errors[1] - errors[0])[mask] ** 2).sum())


def compensated(errors: tuple[np.ndarray, np.ndarray], mask: np.ndarray, flow: np.ndarray) -> tuple[float, int]:
    """Return sum |e0(x)^2 - e1(x + flow)^2|, and the number of valid pixels."""
    height, width = mask.shape
    y, x = np.mgrid[:height, :width] + 0.0
    x, y = x + flow[..., 0], y + flow[..., 1]
    valid = mask & (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    moved = ndimage.map_coordinates(errors[1], [y[valid], x[valid]], order=1)
    return float(np.abs(errors[0][valid] ** 2 - moved**2).sum()), int(valid.sum())
