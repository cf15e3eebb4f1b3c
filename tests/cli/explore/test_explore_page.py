"""The page of `chimle explore` in a real browser, by clicks, keys and touches."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.explore_page import (
    assert_downloads,
    captions,
    drop,
    input_and_sample,
    png,
    screenshot,
    shown,
    wait_for_text,
)
from tests.support.projects import noise_image


def test_from_drop_to_download(page: Any, bundle: Path) -> None:
    drop(page, png((48, 64)), "street.png")
    wait_for_text(page, "share nothing but the input")
    assert captions(page) == [f"{number:02}" for number in range(6)]
    assert page.locator("#input-text").inner_text() == "street.png: input of 64 × 48 pixels"
    screenshot(page, "dropped.png")

    page.locator("#samples .cell").nth(3).click()
    assert page.locator("#chosen-text").inner_text() == "Sample 03"
    page.locator("#vary").click()
    wait_for_text(page, "Variations of 03: they share its coarsest level")
    assert captions(page)[:3] == ["03", "3.4.4.4", "3.5.5.5"]
    screenshot(page, "varied.png")
    page.locator("#samples .cell").nth(2).click()
    page.locator("#vary").click()
    wait_for_text(page, "Variations of 3.5.5.5: they share its coarsest 2 levels")
    assert captions(page)[:2] == ["3.5.5.5", "3.5.6.6"]

    page.locator("#samples .cell").nth(1).click()
    assert_downloads(page, bundle, (48, 64), "3.5.6.6")

    page.locator("#back").click()
    wait_for_text(page, "Variations of 03")
    page.locator("#again").click()
    wait_for_text(page, "share nothing but the input")
    assert page.locator("#chosen-text").inner_text() == "Sample 03", "what was chosen there"
    assert page.locator("#back").is_disabled()


def test_the_number_of_samples_is_the_user_s(page: Any) -> None:
    page.locator("#count").fill("9")
    page.locator("#example").click()
    wait_for_text(page, "9 samples that share nothing", 9)
    page.locator("#count").fill("13")
    page.locator("#draw").click()
    assert page.locator("#count").evaluate("(field) => field.validity.rangeOverflow")
    assert len(captions(page)) == 9


def test_the_image_itself_is_the_input_where_it_is_not_to_be_degraded(page: Any) -> None:
    page.locator("#degrade").uncheck()
    drop(page, png((24, 32)), "night.png")
    wait_for_text(page, "share nothing but the input")
    np.testing.assert_array_equal(shown(page, "#input"), noise_image((24, 32)))
    page.locator("#degrade").check()
    wait_for_text(page, "share nothing but the input")
    assert not np.array_equal(shown(page, "#input"), noise_image((24, 32)))


def test_the_map_of_the_hierarchy(page: Any, bundle: Path) -> None:
    page.locator("text=Map").first.click()
    page.locator("#columns").fill("3")
    page.locator("#rows").fill("2")
    drop(page, png((40, 56)), "street.png")
    wait_for_text(page, "Across: coarse codes (level 1). Down: finer codes (levels 2 to 4).", 6)
    assert captions(page) == ["00", "01", "02", "0.1.1.1", "1.2.2.2", "2.3.3.3"]
    heads = page.locator("#samples .column").all_inner_texts()
    assert heads == ["Coarse 0", "Coarse 1", "Coarse 2"]
    tops = [page.locator(".cell").nth(n).bounding_box()["y"] for n in range(6)]
    assert len(set(tops[:3])) == len(set(tops[3:])) == 1
    assert tops[3] > tops[0]
    screenshot(page, "map.png")

    page.locator("#samples .cell").nth(4).click()
    assert_downloads(page, bundle, (40, 56), "1.2.2.2")
    page.locator("#map-from").click()
    wait_for_text(page, "All share the coarsest level of 1.2.2.2.", 6)
    assert captions(page) == ["1.2.2.2", "1.3.3.3", "1.4.4.4", "1.2.3.3", "1.3.4.4", "1.4.5.5"]
    page.locator("#keep").select_option("3")
    assert page.locator("#map-from").is_disabled()
    page.locator("#vary").click()
    wait_for_text(page, "These differ in the finest level only.")


def test_coarse_choices_of_a_map_may_be_of_several_levels(page: Any) -> None:
    page.locator("text=Map").first.click()
    page.locator("#split").select_option("3")
    page.locator("#columns").fill("2")
    page.locator("#rows").fill("3")
    drop(page, png((16, 16)), "street.png")
    wait_for_text(page, "Across: coarse codes (levels 1 to 3). Down: finer codes (level 4).", 6)
    assert captions(page) == ["00", "01", "0.0.0.1", "1.1.1.2", "0.0.0.2", "1.1.1.3"]


def left_edge_of_sample(page: Any) -> float:
    """Where the sample begins, as a share of the width."""
    box = page.locator("#compare").bounding_box()
    clip = page.locator("#before").evaluate("(image) => getComputedStyle(image).clipPath")
    line = page.locator("#compare").evaluate(
        "(box) => parseFloat(getComputedStyle(box, '::after').left) + 1"
    )
    assert clip.startswith("inset(0px calc(") or clip.startswith("inset(0px ")
    return float(line / box["width"])


def test_the_slider_compares_input_and_sample(page: Any, bundle: Path) -> None:
    drop(page, png((48, 64)), "street.png")
    wait_for_text(page, "share nothing but the input")
    page.locator("#samples .cell").nth(2).click()
    given, sample = input_and_sample(bundle, (48, 64), "2")
    np.testing.assert_array_equal(shown(page, "#before"), given)
    np.testing.assert_array_equal(shown(page, "#after"), sample)
    boxes = [page.locator(image).bounding_box() for image in ("#before", "#after")]
    assert boxes[0] == boxes[1]

    slider = page.get_by_role("slider")
    assert slider.get_attribute("type") == "range"
    assert slider.get_attribute("aria-label") == (
        "Compare: how much of the input is shown over the sample"
    )
    assert left_edge_of_sample(page) == pytest.approx(0.5, abs=0.01)
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "51 % input, 49 % sample"
    page.keyboard.press("End")
    assert left_edge_of_sample(page) > 0.95
    box = page.locator("#compare").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + 20)
    assert left_edge_of_sample(page) == pytest.approx(0.25, abs=0.03)


def test_the_slider_follows_a_finger(open_page: Callable[..., Any]) -> None:
    page = open_page(360, 740, has_touch=True, is_mobile=True)
    drop(page, png((48, 64)), "street.png")
    wait_for_text(page, "share nothing but the input")
    page.locator("#compare").scroll_into_view_if_needed()
    box = page.locator("#compare").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2)
    assert left_edge_of_sample(page) == pytest.approx(0.7, abs=0.05)


def test_by_keyboard_alone(page: Any) -> None:
    page.locator("#example").focus()
    page.keyboard.press("Enter")
    wait_for_text(page, "share nothing but the input")
    page.locator("#samples .cell").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    columns = page.locator("#samples").evaluate(
        "(grid) => getComputedStyle(grid).gridTemplateColumns.split(' ').length"
    )
    assert page.locator("#chosen-text").inner_text() == f"Sample {1 + columns:02}"
    pressed = page.locator("#samples [aria-pressed=true]")
    assert pressed.get_attribute("aria-label") == f"Sample {1 + columns:02}"
    page.locator("#vary").focus()
    page.keyboard.press("Enter")
    wait_for_text(page, f"Variations of {1 + columns:02}")
    page.locator("#back").focus()
    page.keyboard.press("Enter")
    wait_for_text(page, "share nothing but the input")


def test_every_control_has_a_name_and_is_reached_by_tab(page: Any) -> None:
    drop(page, png((24, 40)), "landscape.png")
    wait_for_text(page, "share nothing but the input")
    page.locator("#file").focus()
    reached = set()
    for _ in range(24):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    expected = {"example", "degrade", "count", "draw", "slider", "download", "keep", "vary"}
    assert expected <= reached
    for role in ("button", "slider", "spinbutton", "combobox", "checkbox", "radio", "link"):
        for control in page.get_by_role(role).all():
            named = page.get_by_role(role, name=re.compile(r"\w"))
            assert named.count() == page.get_by_role(role).count(), control


@pytest.mark.parametrize("kind", ["samples", "map"])
def test_on_a_narrow_window(open_page: Callable[..., Any], kind: str) -> None:
    page = open_page(360, 740)
    page.locator("text=Map" if kind == "map" else "text=Samples").first.click()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
    drop(page, png((24, 40)), "landscape-with-a-name-that-is-long-and-has-no-spaces.png")
    wait_for_text(page, "Across" if kind == "map" else "nothing", 16 if kind == "map" else 6)
    screenshot(page, f"narrow-{kind}.png")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
    page.locator("#samples .cell").nth(5).click()
    page.locator("#vary").click()
    wait_for_text(page, "Variations of")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 360


def test_a_file_that_is_no_image_is_named(page: Any) -> None:
    drop(page, b"no image", "notes.png")
    page.locator("#error", has_text="notes.png").wait_for(timeout=60_000)
    assert not captions(page)


def test_an_example_that_does_not_come_is_said(page: Any) -> None:
    page.route("**/example", lambda route: route.fulfill(status=503, body="Service Unavailable"))
    page.locator("#example").click()
    page.locator("#error", has_text="Service Unavailable").wait_for(timeout=60_000)
    assert not captions(page)


def test_a_name_is_text_and_no_markup(page: Any) -> None:
    drop(page, b"no image", "<img src=x onerror=alert(1)>.png")
    page.locator("#error", has_text="<img src=x onerror=alert(1)>.png").wait_for(timeout=60_000)
    assert page.locator("#error img").count() == 0
