"""The preview page in a real Chromium: opened from a file, stepped, compared, used by keyboard and on a phone.

The canvas is compared with the embedded frames as Pillow decodes them, and with the equations of the layers. The
tests need selenium (the extra "browser") and Debian's chromium and chromium-driver. Without them, the tests are
skipped, or fail if DVM_REQUIRE_BROWSER=1 is set.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_checks import DESKTOP, PHONE, assert_quiet, assert_readable, resize
from page_reader import PageReader

from dvm_hf.preview.html_page import page
from dvm_hf.preview.samples import samples

PATIENCE = 30  # s
LAYERS = ("frames", "alpha", "trimap", "foreground", "background", "checkerboard", "unknown", "difference")


@pytest.fixture(scope="session")
def page_file(drawn_sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of an image clip, a video clip and a clip with a malicious name, four frames each."""
    found = samples(str(drawn_sources), clips=2, frames=4, config="test")
    found[1].facts["clip_id"] = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>"
    file = tmp_path_factory.mktemp("page") / "a page.html"
    file.write_text(page(found, source="DVM"), encoding="utf-8")
    return file


class Shown:
    """The page in an open window of a given size."""

    def __init__(self, driver: Any, file: Path, size: tuple[int, int]) -> None:
        resize(driver, size)
        driver.get_log("browser")  # empties it
        driver.get_log("performance")
        driver.get(file.as_uri())
        self.driver, self.reader = driver, PageReader(file.read_text(encoding="utf-8"))
        self.stage = self.part(0, ".stage")
        self.until_drawn("0 frames alpha 50")

    def part(self, clip: int, selector: str) -> Any:
        return self.driver.find_element("css selector", f"#clip-{clip + 1} {selector}")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def until(self, holds: Callable[[], Any]) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, PATIENCE, poll_frequency=0.02).until(lambda _: holds())

    def drawn(self, clip: int = 0) -> str:
        """Return what the canvas shows: frame, left layer, right layer, share of the left one."""
        return self.part(clip, "canvas").get_attribute("data-drawn") or ""

    def until_drawn(self, state: str, clip: int = 0) -> None:
        self.run("arguments[0].scrollIntoView()", self.part(clip, ".stage"))
        self.until(lambda: self.drawn(clip) == state)

    def pixels(self, clip: int = 0) -> np.ndarray:
        """(H, W, 3) of the canvas."""
        width, height, data = self.run(
            "const c = arguments[0], copy = new OffscreenCanvas(c.width, c.height).getContext('2d');"
            "copy.drawImage(c, 0, 0);"  # the page's own canvas is never read, and Chromium warns of one that is
            "return [c.width, c.height, Array.from(copy.getImageData(0, 0, c.width, c.height).data)]",
            self.part(clip, "canvas"),
        )
        rgba = np.array(data, np.uint8).reshape(height, width, 4)
        assert (rgba[..., 3] == 255).all()
        return rgba[..., :3].astype(int)

    def layer(self, name: str, index: int, clip: int = 0) -> np.ndarray:
        return self.reader.layer(clip, name, index).astype(int)

    def press(self, *keys: str) -> None:
        self.stage.send_keys(*keys)

    def choose(self, selector: str, value: str) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self.part(0, selector)).select_by_value(value)


@pytest.fixture
def shown(chromium: Any, page_file: Path) -> Iterator[Shown]:
    """The page on a desktop; after the test, the console must be empty and there must be no network request."""
    opened = Shown(chromium, page_file, DESKTOP)
    yield opened
    assert_quiet(chromium)


def expected(shown: Shown, name: str, index: int) -> np.ndarray:
    """Return a layer by its definition, from the embedded frames decoded by Pillow."""
    composite = shown.layer("frames", index)
    if name == "checkerboard":
        alpha = shown.layer("alpha", index) / 255
        rows, columns = np.indices(alpha.shape[:2])
        square = np.where((rows // 8 + columns // 8) % 2 == 0, 153, 204)[..., None]
        return np.round(alpha * shown.layer("foreground", index) + (1 - alpha) * square).astype(int)
    if name == "unknown":
        is_unknown = shown.layer("trimap", index) == 128
        return np.where(is_unknown, np.round((composite + np.array([255, 48, 96])) / 2), composite).astype(int)
    if name == "difference":
        other = shown.layer("frames", index - 1 if index else 1)
        return np.clip(4 * np.abs(composite - other), 0, 255)
    return shown.layer(name, index)


def tolerance(name: str) -> int:
    """Return how many levels Chromium's WebP decoder may differ from Pillow's; four times that for a difference."""
    return {"alpha": 0, "trimap": 0, "difference": 16}.get(name, 2)


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_is_drawn_by_its_definition(shown: Shown, name: str) -> None:
    shown.choose(".right-layer", "")
    for index in (0, 2):
        shown.press("\ue011", "\ue014" * index)  # Home, then right
        shown.choose(".left-layer", name)
        shown.until_drawn(f"{index} {name}  50")
        wanted = expected(shown, name, index)
        assert wanted.std() > 1, "an even picture shows nothing"
        assert np.abs(shown.pixels() - wanted).max() <= tolerance(name)


def test_keys_step_through_the_frames_and_wrap_around(shown: Shown) -> None:
    right, left, home, end = "\ue014", "\ue012", "\ue011", "\ue010"
    for key, index in ((right, 1), (right, 2), (left, 1), (end, 3), (right, 0), (left, 3), (home, 0)):
        shown.press(key)
        shown.until_drawn(f"{index} frames alpha 50")
        assert shown.part(0, ".count").text == f"{index + 1} / 4"
        assert shown.part(0, ".scrubber").get_property("value") == str(index)
        assert f"frame {index + 1} of 4" in shown.part(0, "canvas").get_attribute("aria-label")


def test_keys_of_the_player_do_not_scroll_the_page(shown: Shown) -> None:
    shown.run("arguments[0].focus(); scrollTo(0, 200)", shown.stage)
    for key in (" ", "\ue010", "\ue011", "\ue014"):
        shown.run("arguments[0].focus({preventScroll: true})", shown.stage)
        before = shown.run("return [scrollX, scrollY]")
        shown.driver.switch_to.active_element.send_keys(key)
        assert shown.run("return [scrollX, scrollY]") == before


def test_a_frame_that_loads_late_does_not_replace_a_later_one(shown: Shown) -> None:
    shown.run(
        """
        const canvas = arguments[0], real = HTMLImageElement.prototype.decode;
        window.drawn = [];
        new MutationObserver((changes) => changes.forEach(() => window.drawn.push(canvas.dataset.drawn.split(" ")[0])))
          .observe(canvas, { attributeFilter: ["data-drawn"] });
        window.held = [];
        HTMLImageElement.prototype.decode = function () {
          return new Promise((go) => window.held.push(go)).then(() => real.call(this));
        };
        window.release = () => { HTMLImageElement.prototype.decode = real; window.held.forEach((go) => go()); };
        """,
        shown.part(0, "canvas"),
    )
    shown.press("\ue010")  # the last frame: no change
    shown.press("\ue011")  # the first one: there already
    shown.until(lambda: shown.run("return window.drawn") == ["0"])
    shown.run("window.release()")
    shown.press("\ue010")
    shown.until_drawn("3 frames alpha 50")
    assert shown.run("return window.drawn") == ["0", "3"]


def test_buttons_and_scrubber_step_too(shown: Shown) -> None:
    shown.part(0, ".next").click()
    shown.until_drawn("1 frames alpha 50")
    shown.part(0, ".previous").click()
    shown.until_drawn("0 frames alpha 50")
    shown.part(0, ".scrubber").send_keys("\ue014\ue014")
    shown.until_drawn("2 frames alpha 50")


def test_the_divider_splits_the_picture_at_its_position(shown: Shown) -> None:
    composite, alpha = shown.layer("frames", 0), shown.layer("alpha", 0)
    width = composite.shape[1]
    split = shown.part(0, ".split")
    for keys, share in (("", 50), ("\ue010", 100), ("\ue011", 0), ("\ue014" * 25, 25)):
        split.send_keys(keys)
        shown.until_drawn(f"0 frames alpha {share}")
        at = int(share / 100 * width + 0.5)
        seen = shown.pixels()
        assert np.abs(seen[:, :at] - composite[:, :at]).max(initial=0) <= 2
        assert np.array_equal(seen[:, at:], alpha[:, at:])
    assert np.abs(composite - alpha).mean() > 20, "the layers must differ for this to say anything"


def test_the_divider_follows_the_pointer_and_its_keys(shown: Shown) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    width = shown.stage.size["width"]
    ActionChains(shown.driver).move_to_element_with_offset(shown.stage, round(width * 0.2), 0).click().perform()
    shown.until_drawn("0 frames alpha 70")
    shown.press("[[")
    shown.until_drawn("0 frames alpha 60")
    shown.press("]")
    shown.until_drawn("0 frames alpha 65")
    line = shown.run("return arguments[0].getBoundingClientRect()", shown.part(0, ".divider"))
    box = shown.run("return arguments[0].getBoundingClientRect()", shown.stage)
    assert (line["x"] + 1 - box["x"]) / box["width"] == pytest.approx(0.65, abs=0.01)


def test_keys_select_compare_and_swap_layers(shown: Shown) -> None:
    for number, name in enumerate(LAYERS, start=1):
        shown.press(str(number))
        shown.until_drawn(f"0 {name} alpha 50")
    shown.press("c")
    shown.until_drawn("0 difference trimap 50")
    shown.press("x")
    shown.until_drawn("0 trimap difference 50")
    assert shown.part(0, ".left-layer").get_property("value") == "trimap"
    shown.press("c")
    shown.until_drawn("0 trimap  50")  # after the last layer: none
    assert not shown.part(0, ".split").is_enabled()
    assert not shown.part(0, ".divider").is_displayed()
    shown.press("x", "c")
    shown.until_drawn("0 trimap frames 50")


def test_playback_continues_until_paused(shown: Shown) -> None:
    seen = set()

    def has_seen_all() -> bool:
        seen.add(shown.drawn().split()[0])
        return seen == {"0", "1", "2", "3"}

    shown.press(" ")
    assert shown.part(0, ".play").get_attribute("aria-label") == "Pause"
    shown.until(has_seen_all)
    shown.press("k")
    assert shown.part(0, ".play").get_attribute("aria-label") == "Play"
    shown.part(0, ".play").click()
    assert shown.part(0, ".play").get_attribute("aria-label") == "Pause"
    shown.press("\ue011")  # continues from the first frame; a step stops it
    shown.press("\ue014")
    assert shown.part(0, ".play").get_attribute("aria-label") == "Play"


def test_the_plots_mark_the_frame_that_is_shown(shown: Shown) -> None:
    curve = shown.part(0, ".plots .curve").get_attribute("points").split()
    shown.press("\ue014\ue014")
    shown.until_drawn("2 frames alpha 50")
    marks = [mark.get_attribute("x1") for mark in shown.driver.find_elements("css selector", "#clip-1 .now")]
    assert len(marks) == 5  # row, column, angle, zoom, unknown area
    assert {round(float(x), 1) for x in marks} == {float(curve[2].split(",")[0])}


def test_a_malicious_name_is_not_executed(shown: Shown) -> None:
    shown.until_drawn("0 frames alpha 50", clip=1)
    assert shown.driver.title == "Preview of DVM"
    assert "<img src=x onerror=alert(1)>" in shown.part(1, "h3").text
    assert shown.run("return document.querySelectorAll('img[src=x]').length") == 0
    assert np.abs(shown.pixels(1)[:, :10] - shown.layer("frames", 0, 1)[:, :10]).max() <= 2


def test_the_policy_blocks_injected_scripts_and_requests(chromium: Any, page_file: Path) -> None:
    shown = Shown(chromium, page_file, DESKTOP)
    shown.run(
        "document.body.insertAdjacentHTML('beforeend', '<img class=got-in src=\"http://127.0.0.1:9/x.png\">');"
        "const s = document.createElement('script'); s.textContent = 'window.gotIn = 1'; document.body.append(s);"
    )
    shown.until(lambda: shown.run("return document.querySelector('.got-in').complete"))
    assert shown.run("return window.gotIn || 0") == 0
    messages = " ".join(entry["message"] for entry in chromium.get_log("browser"))
    assert "script-src" in messages
    assert "img-src" in messages


def test_the_keyboard_alone_reaches_every_control_in_order(shown: Shown) -> None:
    shown.run("document.activeElement.blur(); scrollTo(0, 0)")
    wanted = shown.run(
        "return [...document.querySelectorAll('a, summary, [tabindex=\"0\"], button, select, input')].length"
    )
    assert wanted == 1 + 2 + 1 + 2 * 8  # skip link, cards, keys; stage, 3 buttons, 2 ranges and 2 selects each
    walked = []
    for _ in range(wanted):
        shown.driver.switch_to.active_element.send_keys("\ue004")  # Tab
        style = shown.run(
            "const e = document.activeElement; const s = getComputedStyle(e); const b = e.getBoundingClientRect();"
            "return [[...document.querySelectorAll('*')].indexOf(e), e.matches(':focus-visible'), s.outlineStyle,"
            " parseFloat(s.outlineWidth), b.top < innerHeight && b.bottom > 0 && b.left >= 0 && b.right <= innerWidth]"
        )
        walked.append(style[0])
        assert style[1] is True
        assert style[2] != "none"
        assert style[3] >= 2
        assert style[4] is True, f"the focus is out of sight: {shown.driver.switch_to.active_element.tag_name}"
    assert walked == sorted(set(walked))


def test_native_controls_keep_their_keys(shown: Shown) -> None:
    shown.part(0, ".next").send_keys(" ")  # presses the button once, and does not play
    shown.until_drawn("1 frames alpha 50")
    assert shown.part(0, ".play").get_attribute("aria-label") == "Play"
    shown.part(0, ".split").send_keys("\ue014")
    shown.until_drawn("1 frames alpha 51")
    shown.part(0, ".left-layer").send_keys("tri")  # types into the list
    shown.until_drawn("1 trimap alpha 51")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, (768, 1024), DESKTOP])
def test_nothing_overflows_and_text_is_readable(
    chromium: Any, page_file: Path, size: tuple[int, int], scheme: str
) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    shown = Shown(chromium, page_file, size)
    shown.run("document.querySelector('.keys').open = true")
    shown.until_drawn("0 frames alpha 50", clip=1)
    assert shown.run("return document.documentElement.scrollWidth") <= size[0]
    outside = shown.run(
        "return [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert outside == []
    assert_readable(shown.run, (".summary", ".facts dt", ".plot p", "td", ".play"), scheme)
    if size == PHONE:
        heights = shown.run("return [...document.querySelectorAll('button, select')].map(e => e.offsetHeight)")
        assert min(heights) >= 40  # px: a finger's
    assert_quiet(chromium)
