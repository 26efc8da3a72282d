"""The definition of every number on a page of results; docs/metrics.md says more."""

import inspect

from dvm_hf.metrics.conventions import CONVENTIONS

NOTATION = (
    "p is the prediction, g the reference, both level / 255; e = p - g; R is a region of a frame; t is the number of a "
    "frame. Lower is better."
)
METRICS = {
    "sad": "sum over R of |e|",
    "mad": "mean over R of |e|",
    "mse": "mean over R of e^2",
    "grad": "sum over R of (A(p) - A(g))^2, with A the magnitude of two derivatives of a Gaussian with sigma 1.4",
    "conn": "sum over R of |phi(p) - phi(g)|, where phi measures how far a pixel is from being connected to the "
    "largest component of both mattes, in steps of 0.1",
    "dtssd": "root of the sum or mean over R of (e_t+1 - e_t)^2, for each pair of frames",
    "messddt": "sum or mean over R of |e_t(x)^2 - e_t+1(x + v(x))^2|, with v the foreground's motion, for each pair",
    "ssda": "root of the sum over R of e^2",
    "messddt_fix": "as MESSDdt, with |e| in place of e^2",
}
REGIONS = {
    "whole": "the complete frame",
    "unknown": "pixels where the trimap of the reference is 128",
    "foreground": "pixels where it is 255",
    "background": "pixels where it is 0",
}
FLOWS = {
    "affine": "the exact motion of an image foreground, from its poses",
    "dis": "DIS optical flow (OpenCV's medium preset) on the premultiplied foreground in grey",
    "dis-alpha": "DIS optical flow on the reference matte, because the foreground's colours are not known",
    "farneback-alpha": "Farneback's optical flow on the reference matte, with DVM's parameters",
    "none": "no motion: errors are compared at the same pixel",
    "stored": "fields that were passed with --flow-folder",
}

INSTANCES = (
    "An instance is a foreground of a clip with several, numbered from back to front. Its reference is the visible "
    "part of its alpha, and its regions are those of the published test trimap of that. The mean counts each "
    "instance once."
)
MATCHING = {
    "best": "Predictions were assigned to the instances of a clip with the least sum of absolute errors over all its "
    "frames.",
    "order": "Predictions were assigned to the instances of a clip in the order of their numbers.",
}


def convention_text(name: str) -> list[str]:
    """Return the paragraphs that define a convention; those of a list begin with "- "."""
    text = inspect.cleandoc(CONVENTIONS[name].__doc__ or name)
    paragraphs = []
    for block in text.replace("\n- ", "\n\n- ").split("\n\n"):
        paragraphs.append(" ".join(block.split()).replace("`", ""))
    return paragraphs
