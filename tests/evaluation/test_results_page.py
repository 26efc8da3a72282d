"""The page of results, read back: numbers, curves, pictures, definitions, and names that are malicious."""

import math

import numpy as np
import pytest
from page_reader import PageReader
from PIL import Image
from reference_mattes import frames

from dvm_hf.evaluation.paper_tables import PAPERS
from dvm_hf.evaluation.results import Results
from dvm_hf.evaluation.results_page import results_page
from dvm_hf.evaluation.results_table import in_words, number, tables
from dvm_hf.evaluation.worst_frames import WorstFrame, error_map, frame_errors
from dvm_hf.metrics import CONVENTIONS, ClipEvaluator, ClipSums

pytestmark = pytest.mark.one_lane

MALICIOUS = "</style><img src=x onerror=alert(1)>"


def sums(seed: int, *, convention: str = "default", flow: str | None = "dis-alpha") -> ClipSums:
    evaluator = ClipEvaluator(convention, flow=flow)
    for frame in frames(seed, length=4):
        evaluator.update(**frame)
    return evaluator.sums()


@pytest.fixture(scope="module")
def two() -> list[Results]:
    return [
        Results("one", "default", {"a": sums(0), MALICIOUS: sums(1)}, ("b: has no prediction",)),
        Results("two", "default", {"a": sums(2)}),
    ]


@pytest.fixture(scope="module")
def read(two: list[Results]) -> PageReader:
    grey = Image.fromarray(np.zeros((30, 40), np.uint8))
    worst = {"one": [WorstFrame(MALICIOUS, 3, "unknown", 12.5, {"reference": grey, "error": grey.convert("RGB")})]}
    return PageReader(results_page(two, worst, reference=MALICIOUS))


def test_the_tables_have_the_numbers_of_each_method(read: PageReader, two: list[Results]) -> None:
    means = [element for element in read.all("table") if element.text.startswith("Mean over the clips")]
    assert len(means) == 4
    for table, region in zip(means, ("whole", "unknown", "foreground", "background"), strict=True):
        rows = [element for element in table.inside if element.tag == "tr"][1:]
        for row, result in zip(rows, two, strict=True):
            values = [value for name, value in result.means.metrics()[region].items() if not name.startswith("fgr")]
            assert [element.text for element in row.inside if element.tag == "td"] == [*map(number, values)]


def test_only_lower_numbers_are_marked(read: PageReader, two: list[Results]) -> None:
    table = next(element for element in read.all("table") if element.text.startswith("Mean over the clips"))
    one, other = (result.means.metrics()["whole"] for result in two)
    marked = [element.text for element in table.inside if element.attributes.get("class") == "best"]
    pairs = [(value, other[name]) for name, value in one.items() if not name.startswith("fgr")]
    assert sorted(marked) == sorted(number(min(a, b)) for a, b in pairs if a != b)


def test_each_metric_has_a_curve_for_each_method(read: PageReader) -> None:
    clips = read.all("details", id="clip-1") + read.all("details", id="clip-2")
    curves = [[e.attributes["class"] for e in clip.inside if e.tag == "polyline"] for clip in clips]
    assert curves[0].count("curve curve-0") == 7
    assert curves[0].count("curve curve-1") == 7
    assert curves[1] == ["curve curve-0"] * 7  # the other method does not have this clip


def test_every_number_is_defined(read: PageReader) -> None:
    text = " ".join(read.one("main").text.split())
    for words in ("sum over R of |e|", "Convention: default", "dis-alpha", "x 10^3", "pixels where the trimap", "SAD"):
        assert words in text
    assert "farneback" not in text


def test_what_was_skipped_is_listed(read: PageReader) -> None:
    assert "b: has no prediction" in read.one("main").text


def test_names_are_text_and_nothing_is_loaded(read: PageReader) -> None:
    assert not read.all("script")
    assert {(image.attributes["src"] or "")[:10] for image in read.all("img")} == {"data:image"}
    assert MALICIOUS in read.one("h1").text
    policy = next(element for element in read.all("meta") if "http-equiv" in element.attributes)
    assert "default-src 'none'" in str(policy.attributes["content"])
    assert "script-src" not in str(policy.attributes["content"])


@pytest.mark.parametrize("name", CONVENTIONS)
def test_every_convention_has_a_table_and_a_page(name: str) -> None:
    result = Results("one", name, {"a": sums(0, convention=name)})
    table = next(tables([result], per_clip=False))
    assert all(math.isfinite(value) for _, numbers in table.rows for value in numbers)
    metrics = result.means.metrics()
    if name in PAPERS:
        expected = [column.factor * metrics[column.region][column.metric] for column in PAPERS[name]]
        assert list(table.rows[0][1]) == expected
        assert {(c.region, c.metric) for c in PAPERS[name]} <= {(r, m) for r in metrics for m in metrics[r]}
    assert table.headings[0] in in_words(table)
    assert f"Convention: {name}" in PageReader(results_page([result], {}, reference="DVM")).one("main").text


def test_an_error_map_shows_the_sign_and_the_root_of_the_error() -> None:
    predicted = np.array([[0, 255, 0, 64]], np.uint8)
    reference = np.array([[0, 0, 255, 0]], np.uint8)
    found = error_map(predicted, reference)
    half = np.sqrt(64 / 255) * np.array([255, 140, 40])
    expected = np.array([[[0, 0, 0], [255, 140, 40], [70, 150, 255], half]])
    assert np.abs(found - expected).max() <= 0.5


def test_errors_of_frames_are_means_over_the_unknown_region() -> None:
    expected = []
    for frame in frames(0, length=4):
        error = np.abs(frame["predicted"].astype(float) - frame["reference"]) / 255
        expected.append(1000 * error[frame["trimap"] == 128].mean())
    assert frame_errors(sums(0)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0.000"), (12.3456, "12.35"), (0.0123456, "0.01235"), (1234.5, "1234"), (1e-5, "1.000e-05"), (math.nan, "-")],
)
def test_numbers_have_four_digits(value: float, text: str) -> None:
    assert number(value) == text
