"""Plots: positions of curves and bars, and their labels."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from dvm_hf.pages.svg_plots import EDGE, HEIGHT, WIDTH, bar_plot, line_plot

pytestmark = pytest.mark.one_lane


def points(plot: str) -> np.ndarray:
    """(N, 2): x and y of the curve."""
    curve = ElementTree.fromstring(plot).find(".//polyline")
    assert curve is not None
    return np.array([[float(number) for number in point.split(",")] for point in curve.attrib["points"].split()])


def test_the_curve_spans_its_area_with_high_values_on_top() -> None:
    curve = points(line_plot([2.0, 4.0, 3.0], name="row", unit=" px", decimals=1))
    assert curve[:, 0] == pytest.approx([EDGE, WIDTH / 2, WIDTH - EDGE], abs=0.1)
    assert curve[:, 1] == pytest.approx([HEIGHT - EDGE, EDGE, HEIGHT / 2], abs=0.1)


def test_the_marker_moves_from_the_first_point_to_the_last() -> None:
    plot = line_plot([5.0, 1.0, 8.0, 2.0], name="row", unit="", decimals=0)
    mark = ElementTree.fromstring(plot).find(".//line[@class='now']")
    assert mark is not None
    where = float(mark.attrib["data-from"]) + np.arange(4) * float(mark.attrib["data-step"])
    assert where == pytest.approx(points(plot)[:, 0], abs=0.1)


def test_the_range_is_written_and_accessible() -> None:
    plot = line_plot([-1.25, 3.0], name="angle", unit=" degrees", decimals=2)
    assert ">\N{MINUS SIGN}1.25 to 3.00 degrees<" in plot
    assert "angle over 2 frames: \N{MINUS SIGN}1.25 to 3.00 degrees; from \N{MINUS SIGN}1.25 to 3.00" in plot


@pytest.mark.parametrize("values", [[2.0, 2.0, 2.0], [2.0], [2.0, 2.000001]])
def test_values_equal_after_rounding_are_a_horizontal_line(values: list[float]) -> None:
    plot = line_plot(values, name="zoom", unit="", decimals=3)
    curve = points(plot)
    assert set(curve[:, 1]) == {HEIGHT / 2}
    assert (curve[0, 0], curve[-1, 0]) == (EDGE, WIDTH - EDGE)
    assert "2.000, constant" in plot


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_non_finite_values_are_not_drawn(value: float) -> None:
    plot = line_plot([1.0, value], name="row", unit="", decimals=1)
    assert "not finite numbers" in plot
    assert "polyline" not in plot


def test_bar_heights_are_square_roots_of_counts() -> None:
    plot = bar_plot([1, 0, 1600, 400], name="alpha", ends=("1", "9"), unit="pixels", caption="seven <pixels>")
    assert "highest 1,600 pixels, root scale" in plot
    root = ElementTree.fromstring(plot)
    bars = [{key: float(bar.attrib[key]) for key in ("x", "y", "width", "height")} for bar in root.iter("rect")]
    assert [bar["height"] / bars[1]["height"] for bar in bars] == pytest.approx([0.025, 1, 0.5], abs=0.001)
    assert [bar["y"] + bar["height"] for bar in bars] == pytest.approx([2 * HEIGHT] * 3)
    assert [bar["x"] // (WIDTH / 4) for bar in bars] == [0, 2, 3]
    words = "".join(root.itertext())
    assert all(word in words for word in ("alpha", "1", "9", "seven <pixels>"))


def test_names_are_escaped() -> None:
    for plot in (
        line_plot([1.0, 2.0], name="<b>&", unit='"<i>', decimals=0),
        line_plot([float("nan")], name="<b>&", unit="", decimals=0),
        bar_plot([1], name="<b>&", ends=('"<i>', "<u>"), unit="<u>", caption='"><s>'),
    ):
        root = ElementTree.fromstring(plot)  # raises an error if it is not well-formed
        assert {e.tag for e in root.iter()} <= {
            "figure",
            "figcaption",
            "b",
            "span",
            "svg",
            "line",
            "polyline",
            "rect",
            "p",
        }
        assert len(list(root.iter("b"))) <= 1  # the one with the name
        assert "<b>&" in "".join(root.itertext())
