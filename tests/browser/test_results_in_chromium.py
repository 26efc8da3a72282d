"""The page of `dvm evaluate` in a real Chromium: it fits a phone, its text is readable, the keyboard reaches it all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_checks import DESKTOP, PHONE, assert_quiet, assert_readable, resize
from PIL import Image
from reference_mattes import frames

from dvm_hf.evaluation.results import Results
from dvm_hf.evaluation.results_page import results_page
from dvm_hf.evaluation.worst_frames import WorstFrame
from dvm_hf.metrics import ClipEvaluator, ClipSums

LONG = "video_a_clip_with_a_name_that_is_much_longer_than_a_phone_is_wide_0000"


SHOWN = (
    *(".summary", ".about", ".opaque", ".transparent", ".legend .method-0", ".legend .method-1", "caption", "td"),
    *("summary span", ".picture span", ".terms dd", ".plot span", "footer"),
)


def sums(seed: int) -> ClipSums:
    evaluator = ClipEvaluator(flow="none")
    for frame in frames(seed, length=4):
        evaluator.update(**frame)
    return evaluator.sums()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = [
        Results("mine", "default", {"image_a_0000": sums(0), LONG: sums(1)}, (f"{LONG}: has no prediction",)),
        Results("a method with a long name", "default", {"image_a_0000": sums(2), LONG: sums(3)}),
    ]
    picture = Image.fromarray(np.full((90, 160), 128, np.uint8))
    worst = WorstFrame(LONG, 3, "unknown", 12.5, {"reference": picture, "prediction": picture, "error": picture})
    file = tmp_path_factory.mktemp("results") / "results.html"
    file.write_text(results_page(results, {"mine": [worst]}, reference="DVM"), encoding="utf-8")
    return file


def opened(driver: Any, file: Path, size: tuple[int, int]) -> None:
    resize(driver, size)
    driver.get_log("browser")  # empties it
    driver.get_log("performance")
    driver.get(file.as_uri())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_nothing_overflows_and_text_is_readable(
    chromium: Any, page_file: Path, size: tuple[int, int], scheme: str
) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    opened(chromium, page_file, size)
    chromium.execute_script("document.querySelectorAll('details').forEach(e => { e.open = true; })")
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= size[0]
    outside = chromium.execute_script(
        "return [...document.querySelectorAll('main *')].filter(e => !e.closest('table'))"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    assert outside == []
    assert_readable(chromium.execute_script, SHOWN, scheme)
    curves = chromium.execute_script(
        "return [...document.querySelectorAll('.curve')].map(e => getComputedStyle(e).stroke)"
    )
    assert len(set(curves)) == 2
    assert_quiet(chromium)


def test_the_keyboard_reaches_tables_and_clips_and_opens_these(chromium: Any, page_file: Path) -> None:
    opened(chromium, page_file, DESKTOP)
    wanted = chromium.execute_script("return document.querySelectorAll('a, summary').length")
    scrolled = "return [...document.querySelectorAll('.scroll')].filter(e => e.checkVisibility()).length"
    wanted += chromium.execute_script(scrolled)
    assert wanted == 1 + 1 + 4 + 2  # skip link, what was skipped, tables, clips
    walked = []
    for _ in range(wanted):
        chromium.switch_to.active_element.send_keys("\ue004")  # Tab
        place, is_visible, style = chromium.execute_script(
            "const e = document.activeElement;"
            "return [[...document.querySelectorAll('*')].indexOf(e), e.matches(':focus-visible'),"
            " getComputedStyle(e).outlineStyle]"
        )
        walked.append(place)
        assert is_visible
        assert style != "none"
    assert walked == sorted(set(walked))
    last = chromium.switch_to.active_element
    assert LONG in last.text
    last.send_keys("\n")
    assert chromium.execute_script("return document.querySelector('#clip-2').open")


def test_the_skip_link_leads_to_the_clips(chromium: Any, page_file: Path) -> None:
    opened(chromium, page_file, PHONE)
    chromium.execute_script("document.querySelector('.skip').focus()")
    chromium.switch_to.active_element.send_keys("\n")
    assert chromium.execute_script("return document.activeElement.id") == "clips"
