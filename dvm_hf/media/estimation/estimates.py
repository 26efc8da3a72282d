"""The foreground colour of a picture whose soft pixels still contain its original background."""

import functools
import logging
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import xxhash

from dvm_hf.media.estimation.box_fusion import EDITION, fused_foreground
from dvm_hf.media.estimation.estimate_cache import ESTIMATES, EstimateCache
from dvm_hf.media.estimation.multilevel import is_installed, library_versions, multilevel_foreground
from dvm_hf.media.pixels import Pixels

logger = logging.getLogger(__name__)
ESTIMATION = "colour estimation"  # name of the method among the versions of a build
SLOW = 10.0  # seconds of estimation in a process, after which it is logged; then after each tenfold time


class EstimationMethod(NamedTuple):
    """A method, its version, and its function of picture (H, W, 3) and alpha (H, W)."""

    name: str
    version: str
    foreground: Callable[[Pixels, Pixels], Pixels]

    def __str__(self) -> str:
        return f"{self.name} ({self.version})"


def estimation_method() -> EstimationMethod:
    """Return the method in use: pymatting's multilevel estimate if it is installed, otherwise box fusion."""
    if is_installed():
        return EstimationMethod("multilevel", library_versions(), multilevel_foreground)
    return EstimationMethod("box-fusion", f"edition {EDITION}", fused_foreground)


def method_key() -> str:
    """Return the method with all versions that can change a level, for provenance and for keys of caches."""
    return f"{estimation_method()}; opencv {cv2.__version__}, numpy {np.__version__}, {platform.machine()}"


def estimated(colour: Pixels, alpha: Pixels, *, cache: EstimateCache | None = None) -> Pixels:
    """Return the foreground colour (H, W, 3) of a picture (H, W, 3) with the alpha (H, W), all uint8.

    The colours of opaque pixels are those of the picture. The estimate continues where alpha is 0, so that a later
    resize blends no background into the edge. Values are the same with a cache and without. If alpha has only one of
    the levels 0 and 255, the picture is returned: there is nothing to estimate, or nothing to estimate from.

    cache: default: the folder of `ESTIMATES`.
    """
    if alpha.min() == 255 or alpha.max() == 0:
        return colour.copy()
    cache = cache or _default_cache(ESTIMATES.folder)
    method, key = estimation_method(), estimate_key(colour, alpha)
    found = None if cache is None else cache.get(key)
    if found is not None and found.shape == colour.shape:
        return found
    start = time.monotonic()
    if alpha.size == 1:  # pymatting would divide by the logarithm of the longer side
        method = method._replace(foreground=fused_foreground)
    result = method.foreground(colour, alpha)
    np.copyto(result, colour, where=(alpha == 255)[..., None])
    _Spent.add(time.monotonic() - start)
    if cache is not None:
        cache.put(key, result)
    return result


def estimate_key(colour: Pixels, alpha: Pixels) -> str:
    """Return the key of an estimate: a hash of both arrays, their shape, and `method_key`."""
    digest = xxhash.xxh3_128(f"{method_key()} {colour.shape} {alpha.shape}".encode())
    for part in (colour, alpha):
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


@functools.lru_cache(maxsize=4)
def _default_cache(folder: Path | None) -> EstimateCache | None:
    return None if folder is None else EstimateCache(folder)


class _Spent:
    """The time that this process has spent on estimates."""

    pictures = 0
    seconds = 0.0
    notice = SLOW

    @classmethod
    def add(cls, seconds: float) -> None:
        cls.pictures, cls.seconds = cls.pictures + 1, cls.seconds + seconds
        if cls.seconds >= cls.notice:
            cls.notice *= 10
            logger.warning(
                "foreground colours are estimated (%d pictures in %.0f s so far); later runs read them from %s",
                cls.pictures,
                cls.seconds,
                ESTIMATES.folder or "no cache",
            )
