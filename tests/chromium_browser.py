"""Chromium for the tests of `browser`.

They need selenium (the extra "browser") and Debian's chromium and chromium-driver. Without them, the tests are skipped,
or fail if DVM_REQUIRE_BROWSER=1 is set.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync "
    "--disable-quic --disable-component-update --force-color-profile=srgb --force-prefers-reduced-motion"
).split()  # reduced motion: the page scrolls at once


def missing() -> str:
    """Return the missing requirements of these tests; empty if they can run."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed (the extra 'browser')"
    programs = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    return f"{' and '.join(programs)} not found (Debian: chromium, chromium-driver)" if programs else ""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium that logs its console and its network requests."""
    if missing():
        if os.environ.get("DVM_REQUIRE_BROWSER") == "1":
            pytest.fail(missing())
        pytest.skip(missing())
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory(prefix="dvm_hf_chromium_") as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        yield driver
        driver.quit()
