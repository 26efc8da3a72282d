"""What the tests of pages in Chromium share: sizes of windows, colours, and checks of requests and messages."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

PHONE, DESKTOP = (360, 740), (1280, 900)  # px, width x height


def resize(driver: Any, size: tuple[int, int]) -> None:
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def assert_quiet(driver: Any) -> None:
    assert driver.get_log("browser") == []
    asked = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    addresses = {
        event["params"]["request"]["url"].split(",")[0].split("?")[0]
        for event in asked
        if event["method"] == "Network.requestWillBeSent"
    }
    assert {address.split(":")[0] for address in addresses} <= {"file", "data"}
    assert sum(address.startswith("file:") for address in addresses) == 1  # the page itself


def luminance(colour: str) -> float:
    """Return the WCAG 2 relative luminance of "rgb(r, g, b)"."""
    levels = np.array([float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(ink: str, paper: str) -> float:
    lighter, darker = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def assert_readable(run: Callable[..., Any], selectors: Sequence[str], scheme: str) -> None:
    """Fail unless the text of elements has a contrast of at least 4.5 and the page is light or dark, as the scheme.

    run: executes a script with arguments.
    """
    colours = run(
        "return arguments[0].map(q => {"
        " let e = document.querySelector(q), ink = getComputedStyle(e).color, paper;"
        " while ((paper = getComputedStyle(e).backgroundColor) === 'rgba(0, 0, 0, 0)') e = e.parentElement;"
        " return [q, ink, paper]; })",
        ["body", *selectors],
    )
    for selector, ink, paper in colours:
        assert contrast(ink, paper) >= 4.5, f"{selector}: {ink} on {paper}"
    lightness = luminance(colours[0][2])
    assert lightness > 0.8 if scheme == "light" else lightness < 0.1
