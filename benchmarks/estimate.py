"""Measure estimates of the foreground colour on synthetic pictures with known colours: python benchmarks/estimate.py.

Prints the numbers of docs/foreground-colour.md: mean errors in levels over the soft pixels, weighted by alpha, and the
CPU time per megapixel.
"""

import time
from collections.abc import Callable

import numpy as np
from known_colours import KnownColour, error, known_colours, recomposed_difference
from published_fusion import blur_fusion

from dvm_hf.media.estimation.box_fusion import fused_foreground
from dvm_hf.media.estimation.multilevel import is_installed, multilevel_foreground
from dvm_hf.media.pixels import Pixels

METHODS: dict[str, Callable[[Pixels, Pixels], Pixels]] = {
    "no estimate (I)": lambda picture, alpha: picture,
    "published blur fusion": blur_fusion,
    "box fusion": fused_foreground,
    **({"multilevel (pymatting)": multilevel_foreground} if is_installed() else {}),
}


def main() -> None:
    for density in (1, 8):
        scenes = known_colours(density=density)
        print(f"\nerror of the estimate, density {density:<2}", *(f"{scene.name:>14}" for scene in scenes), "  ms/MP")
        for name, method in METHODS.items():
            print_errors(name, method, scenes)
    print("\n|a F + (1 - a) B - I| of box fusion, density 1: mean, 99th percentile, maximum")
    for scene in known_colours():
        found = recomposed_difference(fused_foreground(scene.picture, scene.alpha), scene)
        print(f"{scene.name:16}{found.mean():6.2f}{np.percentile(found, 99):8.1f}{found.max():8.1f}")


def print_errors(name: str, method: Callable[[Pixels, Pixels], Pixels], scenes: list[KnownColour]) -> None:
    method(scenes[0].picture, scenes[0].alpha)  # imports and compiles
    start = time.process_time()
    estimates = [method(scene.picture, scene.alpha) for scene in scenes]
    seconds = (time.process_time() - start) / sum(scene.alpha.size for scene in scenes) * 1e6
    errors = (f"{error(found, scene):14.2f}" for found, scene in zip(estimates, scenes, strict=True))
    print(f"{name:37}", *errors, f"{1000 * seconds:7.0f}")


if __name__ == "__main__":
    main()
