"""Published conventions, with the faults of their code. Each docstring names the faults and their effect.

The commit after a name is that of the repository whose code was run to obtain the tests' reference values.
"""

import numpy as np

from dvm_hf.metrics.convention import Convention, Rule, Values, mean_colour, mean_of, of_pairs, ratio, rule, scaled
from dvm_hf.metrics.flow import FarnebackFlow
from dvm_hf.metrics.frames import REGIONS


class DIM(Convention):
    """`dim`: the MATLAB code of "Deep Image Matting" (Composition-1k), as in GCA-Matting 5a999be.

    Unknown region: SAD, Grad and Conn / 1000; MSE is a mean, which papers print x 10^3. Mean over all images.

    - Grad first stretches both mattes to [0, 1], each by its own extremes. So it does not see a prediction that is too
      transparent: 0.8 times the reference has a Grad of 0.0135 where it has 58.5 without stretching (before / 1000).
    - Of equally large components, Conn takes the first by columns; all other code takes the first by rows.
    - An empty unknown region makes the MSE, and its mean over all images, NaN.
    """

    name = "dim"
    mean = "frames"
    needs_trimap = True
    rules = {  # noqa: RUF012  conventions are constants
        "unknown": {
            "sad": scaled("absolute", 1e-3),
            "mse": mean_of("squared"),
            "grad": scaled("gradient_stretched", 1e-3),
            "conn": scaled("connectivity_dim", 1e-3),
        }
    }


def zero_last(values: Values) -> Values:
    """Return the values of pairs, and a zero for the last frame of the clip."""
    return np.append(of_pairs(values), 0)


class VM108(Convention):
    """`vm108`: VideoMatting108, calc_metric.py of TCVOM f5fa07a.

    Unknown region, nothing scaled: `mad` (printed as "mSAD") and MSE are means; SSDA and dtSSD are roots of sums, dtSSD
    over the region of the first frame; MESSDdt is a sum along a stored flow, and `messddt_fix` is that of the first
    power. The table in its README multiplies `mad` and MSE by 10^3, and MESSDdt by 10^-3. Mean over the frames of a
    clip, then over clips.

    - The last frame has no pair, but counts as one with an error of 0: dtSSD and MESSDdt are (T - 1) / T of their
      means.
    - An empty unknown region makes the clip's mean NaN.
    - Its script never evaluates the clip that is last in its list. This package evaluates all clips that you pass.
    """

    name = "vm108"
    needs_trimap = True
    rules = {  # noqa: RUF012
        "unknown": {
            "mad": mean_of("absolute"),
            "mse": mean_of("squared"),
            "ssda": rule("squared", np.sqrt),
            "dtssd": rule("temporal_first", lambda sums: zero_last(np.sqrt(sums))),
            "messddt": rule("compensated", zero_last),
            "messddt_fix": rule("compensated_first_power", zero_last),
        }
    }


def first_zero(values: Values) -> Values:
    """Return zero for the first frame of the clip, and the values of pairs."""
    return np.append(0, of_pairs(values))


class RVMHighResolution(Convention):
    """`rvm-hr`: evaluate_hr.py of RobustVideoMatting 53d74c6; also of MatAnyone e5ddc53 and MatAnyone2 e337012.

    Whole frame: MAD (RVM's paper prints "SAD") and MSE x 10^3, Grad / 1000, dtSSD = 100 sqrt(mean). If foreground
    colours are passed: `fgr_mse` x 10^3 over the pixels with g > 0. Mean over the clips for each frame's index, then
    over the indices.

    - The first frame has no pair, but counts as one with a dtSSD of 0: (T - 1) / T of the mean over pairs.
    - The table has as many columns as the first clip has frames, and at most 700: later frames of longer clips are
      dropped. If clips differ in length, frames late in long clips weigh more.
    """

    name = "rvm-hr"
    mean = "columns"
    rules = {  # noqa: RUF012
        "whole": {
            "mad": mean_of("absolute", 1e3),
            "mse": mean_of("squared", 1e3),
            "grad": scaled("gradient", 1e-3),
            "dtssd": rule("temporal pair_pixels", lambda sums, pixels: first_zero(100 * np.sqrt(sums / pixels))),
            "fgr_mse": mean_colour("colour_squared"),
        }
    }


class RVMLowResolution(Convention):
    """`rvm-lr`: evaluate_lr.py of RobustVideoMatting 53d74c6; also of MatAnyone e5ddc53 and MatAnyone2 e337012.

    As `rvm-hr`, with the same faults; also Conn / 1000, and `fgr_mad` x 10^3.

    - Grad has the same name as in `rvm-hr`, but stretches both mattes as in `dim`.
    """

    name = "rvm-lr"
    mean = "columns"
    rules = {  # noqa: RUF012
        "whole": {
            **RVMHighResolution.rules["whole"],
            "grad": scaled("gradient_stretched", 1e-3),
            "conn": scaled("connectivity", 1e-3),
            "fgr_mad": mean_colour("colour_absolute"),
        }
    }


class DVM(Convention):
    """`dvm`: evaluation/metric.py of DVM c045693.

    Unknown region, or 0 < g < 1 without a trimap: SAD / 1000; Grad, Conn and MESSDdt are sums; SSDA and dtSSD are roots
    of sums, dtSSD over the region of the first frame. Mean over all frames, or pairs, of all clips.

    - MSE divides by n + 1 pixels, so an empty region has an error of 0.
    - MESSDdt estimates Farneback's flow on the reference matte, rounds it to px, and samples the errors at its target
      with x and y exchanged; and always those of the clip's second frame. The result, 1.6 on the tests' clip, is above
      that without any motion (1.4), while the correct one is 0.4. It uses its own flow whatever you pass.
    """

    name = "dvm"
    mean = "frames"
    soft_is_unknown = True
    own_flow = FarnebackFlow()
    rules = {  # noqa: RUF012
        "unknown": {
            "sad": scaled("absolute", 1e-3),
            "mse": rule("squared pixels", lambda sums, pixels: sums / (pixels + 1)),
            "grad": scaled("gradient", 1),
            "conn": scaled("connectivity", 1),
            "ssda": rule("squared", np.sqrt),
            "dtssd": rule("temporal_first", lambda sums: of_pairs(np.sqrt(sums))),
            "messddt": rule("swapped", of_pairs),
        }
    }


class GFM(Convention):
    """`gfm`: core/evaluate.py of GFM 4b15ee0; also of AIM 48e3dc8 and P3M 9f9390f (AM-2k, AIM-500, P3M-500).

    Whole image: SAD and Conn / 1000, MAD and MSE. Foreground, background: SAD / 1000. Unknown: SAD / 1000, MAD and MSE
    of a prediction to which the trimap is copied elsewhere; a reference that differs from the trimap there adds to the
    error. Mean over all images.

    - Grad uses SciPy's Gaussian (13 x 13, mirrored borders, not normalised) and / 10: 4 to 6 % above Grad / 1000.
    - Conn's float64 thresholds move one level from 153 to 154: 0.1 % on real mattes.
    - Conn skips thresholds that no pixel reaches, so a prediction of zeros has a Conn of 0.
    """

    name = "gfm"
    mean = "frames"
    rules = {  # noqa: RUF012
        "whole": {
            "sad": scaled("absolute", 1e-3),
            "mad": mean_of("absolute"),
            "mse": mean_of("squared"),
            "grad": scaled("gradient_gfm", 0.1),
            "conn": scaled("connectivity_gfm", 1e-3),
        },
        "unknown": {
            "sad": rule("absolute known_absolute", lambda inside, outside: (inside + outside) / 1e3),
            "mad": rule("absolute known_absolute pixels", lambda inside, outside, n: ratio(inside + outside, n)),
            "mse": rule("squared known_squared pixels", lambda inside, outside, n: ratio(inside + outside, n)),
        },
        "foreground": {"sad": scaled("absolute", 1e-3)},
        "background": {"sad": scaled("absolute", 1e-3)},
    }


def of_clip(values: Values) -> Values:
    """Return the sum of values as the only value of a clip; nothing if there are none."""
    return values.sum(keepdims=True) if values.size else values


def maggie_mean(name: str) -> Rule:
    """1e10 * sum / frame's pixels / region's pixels"""
    return rule(f"{name} frame_pixels pixels", lambda sums, whole, pixels: 1e10 * sums / whole / (pixels + 1e-6))


def maggie_messddt(sums: Values, pixels: Values) -> Values:
    is_pair = ~np.isnan(sums[1:])  # sums of frames t+1, over regions of frames t
    return 1e4 * of_clip(sums[1:][is_pair]) / of_clip(pixels[:-1][is_pair] + 1)


class MaGGIe(Convention):
    """`maggie`: metric.py of MaGGIe 62344dd, for one instance.

    Each region: SAD, Grad and Conn / 1000, MAD and MSE. Mean over all frames; of dtSSD and MESSDdt over clips.

    - MAD and MSE are means over the frame, divided by the region's pixels once more, x 10^10. So they depend on the
      size of the frame: at 1080p MAD is 4823 times the mean error. Do not compare them between sizes.
    - Grad stretches as in `dim`, here by the extremes of the frame, and pads with zeros: a matte that touches the
      border of the frame has an edge there.
    - dtSSD is 0.1 times the root of the sum over all frames of a clip, so it grows with the clip's length.
    - MESSDdt is that of `dvm`, x 10^4 over the sum of n + 1 of all pairs.
    - Its test script first sets levels of the prediction up to 1 to 0, and from 254 to 255. Do so to reproduce it.
    """

    name = "maggie"
    mean = "frames"
    own_flow = FarnebackFlow()
    rules = {  # noqa: RUF012
        region: {
            "sad": scaled("absolute", 1e-3),
            "mad": maggie_mean("absolute"),
            "mse": maggie_mean("squared"),
            "grad": scaled("gradient_maggie", 1e-3),
            "conn": scaled("connectivity", 1e-3),
            "dtssd": rule("temporal_first", lambda sums: 0.1 * np.sqrt(of_clip(of_pairs(sums)))),
            "messddt": rule("swapped pixels", maggie_messddt),
        }
        for region in REGIONS
    }
