"""The documentation as a site: no broken link, in reading order, without a request elsewhere."""

import functools
import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.browsers import new_page
from tests.support.helpers import ROOT

READING_ORDER = (
    "Start",
    "Your data",
    "Training",
    "Scheduling",
    "Comparing",
    "Python",
    "Decisions",
    "Results",
)

PAGES = ("settings", "reference")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a broken link is an error."""
    pytest.importorskip("mkdocs", reason="mkdocs is absent")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Address of a server of the site."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            """Print nothing."""

    handler = functools.partial(Handler, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_pages_follow_the_reading_order(site: Path) -> None:
    text = (site / "index.html").read_text()
    navigation = text[text.index("md-nav--primary") :]
    places = [re.search(rf">\s*{title}\s*<", navigation) for title in READING_ORDER]
    starts = [place.start() for place in places if place]
    assert len(starts) == len(READING_ORDER)
    assert starts == sorted(starts)


def test_docstrings_of_fields_and_methods_are_shown(site: Path) -> None:
    settings, reference = ((site / f"{name}/index.html").read_text() for name in PAGES)
    assert 'id="chimle.settings.train.TrainSettings.learning_rate"' in settings
    assert "Adam's learning rate" in settings
    assert 'id="chimle.inference.model.Model.sample"' in reference
    assert "Draw samples of an input image" in reference


def test_the_notebook_links_to_pages(site: Path) -> None:
    links = re.findall(r'href="([^"#:]+)"', (site / "tour" / "index.html").read_text())
    assert {"../howto-train/", "../results/"} <= set(links)
    missing = [link for link in links if not (site / "tour" / link).exists()]
    assert missing == []


def test_hooks_and_what_python_makes_of_them_stay_out(site: Path) -> None:
    assert [path.name for path in site.rglob("*.py*")] == ["without_torch.py"]


@pytest.mark.slow
def test_every_page_opens_and_asks_no_other_server(site: Path, address: str, browser: Any) -> None:
    page = new_page(browser)
    asked: list[str] = []
    statuses: dict[str, int] = {}
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda got: statuses.__setitem__(got.url, got.status))
    for path in sorted(site.rglob("index.html")):
        page.goto(f"{address}/{path.parent.relative_to(site)}/", wait_until="load")
        assert page.locator("h1").count() == 1, path
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert {url: status for url, status in statuses.items() if status >= 400} == {}
    page.close()


@pytest.mark.slow
def test_tables_fit_a_desktop_and_pages_a_telephone(site: Path, address: str, browser: Any) -> None:
    page = new_page(browser)
    for width, wide in ((1280, ".md-typeset__scrollwrap"), (390, "body")):
        page.set_viewport_size({"width": width, "height": 800})
        for path in sorted(site.rglob("index.html")):
            page.goto(f"{address}/{path.parent.relative_to(site)}/", wait_until="load")
            if width > 1000 and path.read_text().count("<table>"):
                page.locator(wide).first.wait_for()
            cut = page.locator(wide).evaluate_all(
                "all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent)"
            )
            assert cut == [], path
    page.close()


@pytest.mark.slow
def test_a_field_is_found_by_the_search(address: str, browser: Any) -> None:
    page = new_page(browser)
    page.goto(address)
    field = page.locator("input.md-search__input")
    field.click()  # The search is loaded when its field is entered.
    field.press_sequentially("checkpoint_seconds")
    page.locator(".md-search-result__link", has_text="Settings").first.wait_for()
    page.close()
