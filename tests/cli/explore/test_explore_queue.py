"""Several people at the page of `chimle explore`: one is drawn for, the others see their place."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np

import chimle
from tests.support.explore_page import (
    captions,
    downloaded,
    drop,
    png,
    screenshot,
    wait_for_text,
)
from tests.support.projects import noise_image

VERY_LARGE = 800
"""Side of an image whose samples take so long that what others do comes before their end."""


def begin_large_map(page: Any, side: int) -> None:
    """Ask for 36 samples of a large image, and wait until they are being drawn."""
    page.locator("text=Map").first.click()
    for count in ("#columns", "#rows"):
        page.locator(count).fill("6")
    drop(page, png((side, side)), "first.png")
    page.locator("#text", has_text="Drawing").wait_for(timeout=60_000)


def test_two_people_at_once(open_page: Callable[..., Any], bundle: Path) -> None:
    first, second = open_page(), open_page()
    second.locator("#count").fill("2")
    begin_large_map(first, 400)
    drop(second, png((20, 30)), "second.png")
    waiting = second.locator("#text", has_text="In the queue: 1 request is before yours.")
    waiting.wait_for(timeout=60_000)
    screenshot(second, "waiting.png")
    wait_for_text(second, "2 samples", 2)
    wait_for_text(first, "Across", 36)
    assert captions(second) == ["00", "01"]
    model = chimle.load(bundle)
    given = model.degraded(noise_image((20, 30)))
    np.testing.assert_array_equal(downloaded(second)[1], model.sample(given, names=["0"])[0])


def test_who_stops_leaves_the_queue(open_page: Callable[..., Any]) -> None:
    first, second = open_page(), open_page()
    begin_large_map(first, VERY_LARGE)
    drop(second, png((20, 30)), "second.png")
    second.locator("#text", has_text="In the queue").wait_for(timeout=60_000)
    first.locator("#stop").click()
    assert first.locator("#text").inner_text().startswith("Stopped.")
    wait_for_text(second, "share nothing")
    assert first.locator("#samples .cell img").count() < 36


def test_a_full_queue_is_said_by_the_page(page: Any, port: int) -> None:
    address = f"http://127.0.0.1:{port}/samples"
    large, small = png((VERY_LARGE, VERY_LARGE)), png((16, 16))
    with httpx.Client(timeout=60, trust_env=False) as client, ExitStack() as stack:
        for query, image in [("kind=map&columns=6&rows=6", large), *[("count=1", small)] * 8]:
            stack.enter_context(client.stream("POST", f"{address}?{query}", content=image))
        drop(page, small, "street.png")
        sentence = "8 requests are waiting already: try again in a minute."
        page.locator("#error", has_text=sentence).wait_for(timeout=60_000)
    page.locator("#draw").click()
    wait_for_text(page, "share nothing but the input")
    assert page.locator("#error").is_hidden()
