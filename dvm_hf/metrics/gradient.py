"""Gradient error: squared differences between the gradient magnitudes of two mattes.

    Grad = sum_R (A(p) - A(g))^2,   A(a) = sqrt((a * Kx)^2 + (a * Ky)^2)

Kx and Ky are first derivatives of a Gaussian with sigma 1.4 (Rhemann et al., "A Perceptually Motivated Online Benchmark
for Image Matting", CVPR 2009). Alpha is level / 255.
"""

import math
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from dvm_hf.media.pixels import Box, Pixels
from dvm_hf.metrics.frames import Mask
from dvm_hf.metrics.region_sums import RegionSum

Kernel: TypeAlias = npt.NDArray[np.float64]
Magnitudes: TypeAlias = npt.NDArray[np.float64]

SIGMA = 1.4
CUT = 0.01  # the kernel ends where the Gaussian's density falls below this
GFM_RADIUS = 6  # scipy.ndimage.gaussian_filter: int(4 * SIGMA + 0.5)


def kernels() -> tuple[Kernel, Kernel]:
    """Return smoothing and derivative (9,). Their outer product, Kx, has the L2 norm 1, as in DIM's MATLAB code."""
    radius = math.ceil(SIGMA * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * SIGMA * CUT)))
    u = np.arange(-radius, radius + 1)
    smoothing = np.exp(-(u**2) / (2 * SIGMA**2)) / (SIGMA * math.sqrt(2 * math.pi))
    derivative = -u * smoothing / SIGMA**2
    return smoothing, derivative / np.sqrt((smoothing**2).sum() * (derivative**2).sum())


def gfm_kernels() -> tuple[Kernel, Kernel]:
    """Return smoothing, of sum 1, and derivative (13,), as scipy.ndimage.gaussian_filter has them."""
    u = np.arange(-GFM_RADIUS, GFM_RADIUS + 1)
    smoothing = np.exp(-(u**2) / (2 * SIGMA**2))
    smoothing /= smoothing.sum()
    return smoothing, -u * smoothing / SIGMA**2


STANDARD, GFM = kernels(), gfm_kernels()


def gradient(predicted: Pixels, reference: Pixels) -> RegionSum:
    """Return the gradient error of mattes (H, W); borders are replicated."""
    part = _changed(predicted, reference)
    return _difference(_magnitudes(predicted, part), _magnitudes(reference, part), part)


def stretched_gradient(predicted: Pixels, reference: Pixels) -> RegionSum:
    """Return the gradient error after each matte is stretched to [0, 1] by its own extremes (MATLAB's mat2gray).

    It does not see a prediction that is a multiple of the reference.
    """
    extents = _extent(predicted)[1], _extent(reference)[1]
    part = _changed(predicted, reference) if extents[0] == extents[1] else _all(reference)
    first, second = (255 / max(extent, 1) for extent in extents)
    return _difference(_magnitudes(predicted, part, scale=first), _magnitudes(reference, part, scale=second), part)


def maggie_gradient(predicted: Pixels, reference: Pixels) -> RegionSum:
    """Return the gradient error of MaGGIe: stretched, and padded with zeros.

    It adds 1e-6 to the divisor when it stretches. That is omitted, because it changes results by less than 1e-4.
    """

    def stretched(alpha: Pixels) -> Magnitudes:
        low, extent = _extent(alpha)
        above = alpha - np.uint8(low)
        return _magnitudes(above, _all(alpha), scale=255 / max(extent, 1), border=cv2.BORDER_CONSTANT)

    return _difference(stretched(predicted), stretched(reference), _all(reference))


def gfm_gradient(predicted: Pixels, reference: Pixels) -> RegionSum:
    """Return the gradient error of GFM, P3M and AIM, before they divide by 10: SciPy's filter, mirrored borders."""

    def mirrored(alpha: Pixels) -> Magnitudes:
        return _magnitudes(alpha, _all(alpha), GFM, border=cv2.BORDER_REFLECT)

    return _difference(mirrored(predicted), mirrored(reference), _all(reference))


def _magnitudes(
    alpha: Pixels,
    part: Box,
    kernels: tuple[Kernel, Kernel] = STANDARD,
    *,
    scale: float = 1.0,
    border: int = cv2.BORDER_REPLICATE,
) -> Magnitudes:
    """Return the gradient magnitudes of a part of a matte, in levels."""
    if part.is_empty:
        return np.zeros((0, 0))
    smoothing, derivative = kernels[0], kernels[1] * scale
    wide = part.grown(len(smoothing) // 2).intersection(_all(alpha))
    pixels = alpha[wide.within(_all(alpha))]
    along_x = cv2.sepFilter2D(pixels, cv2.CV_64F, derivative, smoothing, borderType=border)
    along_y = cv2.sepFilter2D(pixels, cv2.CV_64F, smoothing, derivative, borderType=border)
    squares: Magnitudes = np.multiply(along_x, along_x, out=along_x) + np.multiply(along_y, along_y, out=along_y)
    magnitudes: Magnitudes = np.sqrt(squares, out=squares)  # the last bit of cv2.magnitude depends on addresses
    return magnitudes[part.within(wide)]


def _difference(predicted: Magnitudes, reference: Magnitudes, part: Box) -> RegionSum:
    """Return the squared difference of two magnitudes, which is 0 outside of their part of the frame."""

    def difference(mask: Mask | None) -> float:
        if part.is_empty:
            return 0.0
        of_part = None if mask is None else mask[part.top : part.bottom, part.left : part.right]
        return cv2.norm(predicted, reference, cv2.NORM_L2SQR, of_part) / 255**2

    return difference


def _changed(predicted: Pixels, reference: Pixels) -> Box:
    """Return the box outside of which both mattes have the same gradients."""
    left, top, width, height = cv2.boundingRect(cv2.absdiff(predicted, reference))
    box = Box(top, left, top + height, left + width)
    return box if box.is_empty else box.grown(len(STANDARD[0]) // 2).intersection(_all(reference))


def _all(alpha: Pixels) -> Box:
    return Box(0, 0, *alpha.shape)


def _extent(alpha: Pixels) -> tuple[int, int]:
    """Return the lowest level of a matte, and its distance to the highest one."""
    low, high, _, _ = cv2.minMaxLoc(alpha)
    return int(low), int(high - low)
