"""The conventions by name. `Default` is this package's; the others compute what published code computes."""

import numpy as np

from dvm_hf.errors import MetricsError
from dvm_hf.metrics.convention import Convention, Rule, Values, mean_colour, mean_of, ratio, rule
from dvm_hf.metrics.frames import REGIONS
from dvm_hf.metrics.published import DIM, DVM, GFM, VM108, MaGGIe, RVMHighResolution, RVMLowResolution


def sum_of(name: str) -> Rule:
    """sum / 1000; NaN where the region is empty"""

    def thousandths(sums: Values, pixels: Values) -> Values:
        return np.where(pixels > 0, sums / 1e3, np.nan)

    return rule(f"{name} pixels", thousandths)


class Default(Convention):
    """`default`: this package's convention, for the whole frame and the unknown, foreground and background regions.

    Of each frame: `sad`, `grad` and `conn` / 1000, `mad` and `mse` x 10^3. Of each pair of frames: `dtssd`, 100 times
    the root of the mean squared change of the error, over the pixels that are in the region in either frame; `messddt`
    x 10^3 for each valid pixel of the region in the first frame. If foreground colours are passed: `fgr_mad` and
    `fgr_mse` x 10^3 over the pixels of the region with g > 0.

    A clip's metric is the mean over the frames, or pairs, in which the region is not empty, and NaN if there are none.
    The mean over clips skips NaN.
    """

    name = "default"
    skips_undefined = True
    rules = {  # noqa: RUF012  conventions are constants
        region: {
            "sad": sum_of("absolute"),
            "mad": mean_of("absolute", 1e3),
            "mse": mean_of("squared", 1e3),
            "grad": sum_of("gradient"),
            "conn": sum_of("connectivity"),
            "dtssd": rule("temporal pair_pixels", lambda sums, pixels: 100 * np.sqrt(ratio(sums, pixels))),
            "messddt": rule("compensated compensated_pixels", lambda sums, pixels: 1e3 * ratio(sums, pixels)),
            "fgr_mad": mean_colour("colour_absolute"),
            "fgr_mse": mean_colour("colour_squared"),
        }
        for region in REGIONS
    }


CONVENTIONS: dict[str, Convention] = {
    convention.name: convention
    for convention in (Default(), DIM(), VM108(), RVMLowResolution(), RVMHighResolution(), DVM(), GFM(), MaGGIe())
}


def convention_named(name: str) -> Convention:
    """Return a convention. Raises MetricsError if there is none of this name."""
    if name not in CONVENTIONS:
        raise MetricsError(f"convention={name!r}: not a known convention; pass one of {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]
