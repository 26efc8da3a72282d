"""CPU time of each metric on a 1080p frame, with the package and with plain NumPy and SciPy code; see docs/metrics.md.

    python benchmarks/metrics.py [--rounds N] [--size 1920x1080]

Both run in this process, alternating, on one thread, and sum over four regions. Numbers are medians of CPU time.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import plain_metrics
from scipy import ndimage

from dvm_hf.metrics import FLOWS, AffineFlow, ClipEvaluator
from dvm_hf.metrics.frames import REGIONS, Frame, masks
from dvm_hf.metrics.primitives import FRAME_PRIMITIVES, PAIR_PRIMITIVES, Pair

FRAMES = 4
METRICS = {  # metric: its primitives
    "SAD, MAD": ("absolute",),
    "MSE": ("squared",),
    "Grad": ("gradient",),
    "Conn": ("connectivity",),
    "dtSSD": ("temporal", "pair_pixels"),
    "MESSDdt": ("compensated", "compensated_pixels"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", default="1920x1080")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    cv2.setNumThreads(1)
    for kind in ("soft", "noisy"):
        clip = Clip(*mattes(height, width, is_noisy=kind == "noisy"))
        print(f"{arguments.size}, {kind}: {clip.description}")
        for metric, primitives in METRICS.items():
            timed = {"package": partial(clip.package, primitives), "plain": partial(clip.plain, metric)}
            show(metric, timed, arguments.rounds)
        show("all, with a known flow", {"package": clip.update, "plain": clip.all_plain}, arguments.rounds)
        for name in ("affine", *(name for name in FLOWS if name != "dis")):
            show(f"flow {name}", {"package": partial(clip.flow, name)}, arguments.rounds)


def show(name: str, timed: dict[str, Callable[[], object]], rounds: int) -> None:
    """Print the median times in ms, and their ratio."""
    times: dict[str, list[float]] = {key: [] for key in timed}
    for _ in range(rounds):
        for key, function in timed.items():
            start = time.process_time()
            function()
            times[key].append(1000 * (time.process_time() - start))
    medians = {key: statistics.median(found) for key, found in times.items()}
    ratio = f"  ratio {medians['package'] / medians['plain']:.2f}" if "plain" in medians else ""
    print(f"  {name:24}" + "  ".join(f"{key} {median:7.1f} ms" for key, median in medians.items()) + ratio)


def mattes(height: int, width: int, *, is_noisy: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a large soft shape with hair that moves; the prediction has errors on soft pixels or, if noisy, on all."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width] * (1080 / height)
    wobble = ndimage.gaussian_filter(rng.normal(0, 1, (height, width)), 12 * height / 1080, mode="wrap")
    found = []
    for t in range(FRAMES):
        column = x - 940 - 3 * t
        body = 255 * (420 - np.hypot(y - 560, 0.8 * column) - 40 * wobble / wobble.std()) / 30
        hair = np.where((np.floor(column) % 17 < 3) & (abs(column) < 420) & (y > 40) & (y < 300), y % 255, 0)
        reference = np.clip(np.maximum(body, hair), 0, 255).round()
        is_soft = (reference > 0) & (reference < 255)
        noise = ndimage.gaussian_filter(rng.normal(0, 60, reference.shape), 1.5)
        predicted = np.clip((reference + noise * (is_soft | is_noisy)).round(), 0, 255)
        trimap = np.where(ndimage.maximum_filter(is_soft, 21), 128, reference)
        found.append((predicted, reference, trimap))
    predicted, reference, trimap = (np.array(levels, np.uint8) for levels in zip(*found, strict=True))
    return predicted, reference, trimap


class Clip:
    """The second frame of a clip, and its pair with the first one."""

    def __init__(self, predicted: np.ndarray, reference: np.ndarray, trimap: np.ndarray) -> None:
        self.arrays = predicted, reference, trimap
        _, height, width = reference.shape
        self.motion = AffineFlow([[height / 2, width / 2 + 3 * t * height / 1080, 0, 1] for t in range(FRAMES)])
        self.field = self.motion.between(*self.frames())
        self.evaluator = ClipEvaluator(flow=AffineFlow([self.motion.motion[0]] * 1000))
        self.update()

    @property
    def description(self) -> str:
        predicted, reference, trimap = self.arrays
        return f"{(trimap == 128).mean():.0%} of the pixels are unknown, {(predicted != reference).mean():.0%} differ"

    def frames(self) -> tuple[Frame, Frame]:
        """Return frames without cached errors."""
        first, second = (
            Frame(t, p, g, trimap, masks(g, trimap, REGIONS))
            for t, p, g, trimap in zip(range(2), *(levels[:2] for levels in self.arrays), strict=True)
        )
        return first, second

    def package(self, primitives: tuple[str, ...]) -> None:
        first, second = self.frames()
        pair = Pair(first, second, self.field, second)
        for name in primitives:
            measured = FRAME_PRIMITIVES[name](second) if name in FRAME_PRIMITIVES else None
            for region in REGIONS:
                if measured:
                    measured(second.masks[region])
                else:
                    PAIR_PRIMITIVES[name](pair, region)

    def plain(self, metric: str) -> None:
        predicted, reference, trimap = (levels[:2] for levels in self.arrays)
        if metric in ("dtSSD", "MESSDdt"):
            errors = tuple(plain_metrics.error(predicted[t], reference[t]) for t in range(2))
            is_temporal = metric == "dtSSD"
            found = plain_metrics.temporal(errors) if is_temporal else plain_metrics.compensated(errors, self.field)
        else:
            found = getattr(plain_metrics, METRICS[metric][0])(predicted[1], reference[1])
        for level in (128, 255, 0):
            np.nansum(found[trimap[1] == level])
        np.nansum(found)

    def update(self) -> None:
        predicted, reference, trimap = (levels[1] for levels in self.arrays)
        self.evaluator.update(predicted, reference, trimap=trimap)

    def all_plain(self) -> None:
        for metric in METRICS:
            self.plain(metric)

    def flow(self, name: str) -> None:
        (self.motion if name == "affine" else FLOWS[name]).between(*self.frames())


if __name__ == "__main__":
    main()
