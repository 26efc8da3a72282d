"""The numbers of a convention as tables print them: their order, their names and their units.

Published tables scale some numbers that the code does not scale; docs/metrics.md names the sources.
"""

from collections.abc import Mapping
from typing import NamedTuple

from dvm_hf.metrics.frames import REGIONS


class Column(NamedTuple):
    """A column of a table. label: its heading. factor: of the number that the convention gives. digits: decimals."""

    label: str
    region: str
    metric: str
    factor: float = 1.0
    digits: int = 2


PLAIN = {
    "sad": "SAD",
    "mad": "MAD",
    "mse": "MSE",
    "grad": "Grad",
    "conn": "Conn",
    "dtssd": "dtSSD",
    "messddt": "MESSDdt",
}
METRICS = {**PLAIN, "ssda": "SSDA", "messddt_fix": "MESSDdt (first power)"}
UNITS: dict[str, str] = {  # of the default convention
    "sad": "sum / 1000",
    "mad": "mean x 10^3",
    "mse": "mean x 10^3",
    "grad": "sum / 1000",
    "conn": "sum / 1000",
    "dtssd": "100 sqrt(mean)",
    "messddt": "mean x 10^3",
}


def _columns(region: str, *named: tuple[str, str, float]) -> tuple[Column, ...]:
    return tuple(Column(label, region, metric, factor) for label, metric, factor in named)


PAPERS: dict[str, tuple[Column, ...]] = {
    "dim": _columns("unknown", ("SAD", "sad", 1), ("MSE x 10^3", "mse", 1e3), ("Grad", "grad", 1), ("Conn", "conn", 1)),
    "vm108": _columns(
        "unknown",
        ("SSDA", "ssda", 1),
        ("dtSSD", "dtssd", 1),
        ("MESSDdt x 10^-3", "messddt", 1e-3),
        ("MSE x 10^3", "mse", 1e3),
        ("mSAD x 10^3", "mad", 1e3),
    ),
    "rvm-lr": _columns(
        "whole", ("MAD", "mad", 1), ("MSE", "mse", 1), ("Grad", "grad", 1), ("Conn", "conn", 1), ("dtSSD", "dtssd", 1)
    ),
    "rvm-hr": _columns(
        "whole", ('MAD ("SAD" in the paper)', "mad", 1), ("MSE", "mse", 1), ("Grad", "grad", 1), ("dtSSD", "dtssd", 1)
    ),
    "dvm": _columns(
        "unknown",
        ("SAD", "sad", 1),
        ("MSE", "mse", 1),
        ("Grad", "grad", 1),
        ("Conn", "conn", 1),
        ("SSDA", "ssda", 1),
        ("dtSSD", "dtssd", 1),
        ("MESSDdt", "messddt", 1),
    ),
    "gfm": _columns(
        "whole", ("SAD", "sad", 1), ("MSE", "mse", 1), ("MAD", "mad", 1), ("Grad", "grad", 1), ("Conn", "conn", 1)
    )
    + _columns("unknown", ("SAD unknown", "sad", 1), ("MSE unknown", "mse", 1), ("MAD unknown", "mad", 1))
    + _columns("foreground", ("SAD foreground", "sad", 1))
    + _columns("background", ("SAD background", "sad", 1)),
}


def value(column: Column, metrics: Mapping[str, Mapping[str, float]]) -> float:
    """Return the number of a column. Raises KeyError if it was not measured."""
    return column.factor * metrics[column.region][column.metric]


def regions(metrics: Mapping[str, Mapping[str, float]]) -> list[str]:
    return [region for region in REGIONS if region in metrics]
