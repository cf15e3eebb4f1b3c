"""The report in a real browser: it fits any window, and slider, strip and comparison work."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chimle.images.decode import write_png
from chimle.tasks import TASKS
from stages import report
from tests.report.test_report import METRICS, write_results
from tests.support.browsers import new_page
from tests.support.projects import write_project

pytestmark = pytest.mark.slow

WIDE = {
    "frechet_squeeze_random": 123456.0,
    "input_baseline_frechet_squeeze_random": 654321.0,
    "faithful_variance_squeeze_random_sigma_0_2": 1.234e-25,
    "faithful_variance_squeeze_random_sigma_0_2_low": 1.234e-26,
    "faithful_variance_squeeze_random_sigma_0_2_high": 1.234e-24,
}
"""Numbers that need the most room."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a report of all tasks, 128 pixels and ten samples of each input."""
    root: Path = tmp_path_factory.mktemp("report")
    write_project(root, {task: {} for task in TASKS})
    for task in TASKS:
        write_results(root, task, side=128, samples=10, metrics={**METRICS, **WIDE})
    write_png(root / "data" / "contact" / "colourization.png", np.zeros((40, 600, 3), np.uint8))
    report.main(root)
    return (root / "report" / "index.html").as_uri()


@pytest.fixture
def opened(browser: Any, address: str) -> Iterator[Callable[[int], Any]]:
    contexts, errors = [], []

    def open_page(width: int) -> Any:
        page = new_page(browser, viewport={"width": width, "height": 800})
        contexts.append(page.context)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 1920])
def test_it_fits_a_window_of_any_width(opened: Callable[[int], Any], width: int) -> None:
    page = opened(width)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width


def test_a_large_window_shows_images_as_large_as_they_are(opened: Callable[[int], Any]) -> None:
    trio = opened(1280).locator("#colourization .trio").first
    sides = [image.bounding_box()["width"] for image in trio.locator("img").all()]
    assert len(sides) == 3
    assert min(sides) >= 128


def test_a_contact_sheet_is_shown_whole(opened: Callable[[int], Any]) -> None:
    for width in (390, 1280):
        sheet = opened(width).locator("#colourization img.contact")
        sheet.scroll_into_view_if_needed()
        sheet.evaluate("image => image.decode()")  # It is loaded when it is seen.
        shown = sheet.bounding_box()
        assert shown["width"] <= 600
        assert shown["width"] / shown["height"] == pytest.approx(600 / 40, rel=0.05)


def test_charts_are_of_one_width_however_many_stand_in_a_row(
    opened: Callable[[int], Any],
) -> None:
    charts = opened(1280).locator("#colourization .charts svg").all()
    assert len(charts) >= 2
    assert len({round(chart.bounding_box()["width"]) for chart in charts}) == 1


def test_slider_strip_and_comparison(opened: Callable[[int], Any]) -> None:
    figure = opened(1280).locator("figure").first
    shown, thumbs = figure.locator(".shown img"), figure.locator(".strip img")
    label = figure.locator(".label")

    def source(image: Any) -> str:
        return str(image.get_attribute("src"))

    assert source(shown) == source(thumbs.nth(0))
    figure.locator("input").focus()
    figure.page.keyboard.press("ArrowRight")
    assert source(shown) == source(thumbs.nth(1))
    assert label.inner_text() == "sample 2 of 10"
    thumbs.nth(6).click()
    assert source(shown) == source(thumbs.nth(6))
    assert figure.locator("input").input_value() == "7"
    shown.hover()
    assert source(shown) == source(figure.locator(".target img"))
    assert label.inner_text() == "target"
    figure.locator("input").hover()
    assert source(shown) == source(thumbs.nth(6))


def test_samples_play_and_stop(opened: Callable[[int], Any]) -> None:
    section = opened(1280).locator("section").first
    labels = section.locator(".label")
    section.get_by_role("button", name="Play samples").click()
    section.locator(".label", has_text="sample 3 of 10").first.wait_for()
    assert len(set(labels.all_inner_texts())) == 1, "all inputs of a task step together"
    section.get_by_role("button", name="Stop").click()
    stopped = labels.first.inner_text()
    section.page.wait_for_timeout(1000)
    assert labels.first.inner_text() == stopped
