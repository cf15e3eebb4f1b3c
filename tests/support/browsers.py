"""A headless browser for tests of pages."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""Programs that can stand in for playwright's own download."""


SECONDS = 120
"""Limit of a wait for a page, which a busy machine may need."""


def new_page(browser: Any, **options: Any) -> Any:
    """A page with cookies and storage of its own, whose waits end after `SECONDS`."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(SECONDS * 1000)
    return page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is absent")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    with playwright.sync_playwright() as driver:
        try:
            started = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except playwright.Error:
            pytest.skip("no Chromium: install one, or run `playwright install chromium`")
        yield started
        started.close()
