"""Estimate the foreground colour with pymatting's multilevel method (the extra `estimate`)."""

import functools
import importlib
import importlib.metadata
import importlib.util
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, Timer
from typing import Any

import numpy as np

from dvm_hf.environment import EnvironmentFault
from dvm_hf.media.pixels import Pixels

logger = logging.getLogger(__name__)
GRADIENT_WEIGHT = 0.1  # smaller errors than with pymatting's 1.0 on each picture of benchmarks/estimate.py
SLOW_IMPORT = 3.0  # seconds; without compilation, the import takes about one


class _OneCaller:
    """numba's `workqueue` ends the process if two threads call it at once."""

    lock = Lock()


def _unlock() -> None:
    _OneCaller.lock = Lock()


if hasattr(os, "register_at_fork"):  # a thread of the parent may hold the lock
    os.register_at_fork(after_in_child=_unlock)


def is_installed() -> bool:
    """Return whether pymatting can be found, without importing it."""
    return importlib.util.find_spec("pymatting") is not None


def library_versions() -> str:
    """Return the versions of pymatting and numba."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("pymatting", "numba"))


def multilevel_foreground(picture: Pixels, alpha: Pixels) -> Pixels:
    """Estimate the foreground colour (H, W, 3) of a picture (H, W, 3) from its alpha (H, W), rounded to nearest.

    The picture must have more than one pixel. Raises EnvironmentFault if pymatting cannot be used. Memory: about 80
    bytes per pixel.
    """
    with _OneCaller.lock:
        estimate = _estimator()(
            picture.astype(np.float32) / 255, alpha.astype(np.float32) / 255, gradient_weight=GRADIENT_WEIGHT
        )
    estimate *= 255
    rounded: Pixels = np.rint(estimate, out=estimate).astype(np.uint8)
    return rounded


@functools.cache
def _estimator() -> Callable[..., Any]:
    try:
        with _threads_that_can_fork(), _notice_of_compilation():
            module = importlib.import_module("pymatting.foreground.estimate_foreground_ml")
    except Exception as error:  # numba raises SystemError, AttributeError and others for versions that do not fit
        raise EnvironmentFault(
            f"pymatting cannot be imported ({type(error).__name__}: {error}), but estimates foreground colours. Run: "
            'pip install --force-reinstall "pymatting>=1.1.13" numba, or uninstall pymatting to use the estimate that '
            "needs no library"
        ) from error
    found: Callable[..., Any] = module.estimate_foreground_ml
    return found


@contextmanager
def _threads_that_can_fork() -> Iterator[None]:
    """Select numba's thread pool `workqueue` unless the user chose one: after a fork, the default one ends the child.

    numba reads the setting when it starts its threads, which the import of pymatting does.
    """
    config: Any = importlib.import_module("numba.core.config")
    before = config.THREADING_LAYER
    if before == "default":
        config.THREADING_LAYER = "workqueue"
    try:
        yield
    finally:
        config.THREADING_LAYER = before


@contextmanager
def _notice_of_compilation() -> Iterator[None]:
    """Log that numba compiles pymatting, if the import takes long."""
    text = "numba compiles pymatting, which takes about half a minute; the result is kept for later processes"
    timer = Timer(SLOW_IMPORT, logger.warning, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
