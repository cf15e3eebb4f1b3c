"""The page of `chimle explore` in a real browser, by clicks, keys and touches."""

import base64
import io
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import chimle
from chimle.images.formats import image_extensions
from tests.support.command import run
from tests.support.helpers import ROOT
from tests.support.projects import noise_image
from tests.support.servers import free_port

DROP = """(zone, [text, name]) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name, {type: "image/png"}));
    for (const kind of ["dragenter", "dragover", "drop"])
        zone.dispatchEvent(new DragEvent(kind, {dataTransfer: data, bubbles: true}));
}"""
COLOUR = """(image) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    return [...context.getImageData(0, 0, canvas.width, canvas.height).data];
}"""


@pytest.fixture
def open_page(browser: Any, port: int) -> Iterator[Callable[..., Any]]:
    """Opens a page of another person; fails where one requests anything from another machine."""
    requested: list[str] = []
    errors: list[str] = []
    contexts = []

    def opened(width: int = 1200, height: int = 1000, **options: Any) -> Any:
        viewport = {"width": width, "height": height}
        context = browser.new_context(viewport=viewport, accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requested.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.goto(f"http://127.0.0.1:{port}")
        return page

    yield opened
    own = re.compile(rf"(blob:|data:|http://(127\.0\.0\.1|localhost):{port}/)")
    foreign = [url for url in requested if not own.match(url)]
    for context in contexts:
        context.close()
    assert not foreign, foreign
    # A full queue is a failed request for the browser, which it reports; the page says it, too.
    assert not [error for error in errors if "503" not in error], errors


@pytest.fixture
def page(open_page: Callable[..., Any]) -> Any:
    return open_page()


def drop(page: Any, content: bytes, name: str) -> None:
    """Drag a file onto the page."""
    page.locator("#drop").evaluate(DROP, [base64.b64encode(content).decode(), name])


def png(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(noise_image(size)).save(buffer, "PNG")
    return buffer.getvalue()


def captions(page: Any) -> list[str]:
    return list(page.locator("#samples .name").all_inner_texts())


def wait_for_text(page: Any, text: str, samples: int = 6) -> None:
    page.locator("#text", has_text=text).wait_for(timeout=120_000)
    page.locator("#stop").wait_for(state="hidden", timeout=120_000)
    assert page.locator("#samples .cell img").count() == samples


def screenshot(page: Any, name: str) -> None:
    """Save a screenshot in the folder that CHIMLE_SCREENSHOTS names."""
    if folder := os.environ.get("CHIMLE_SCREENSHOTS"):
        page.mouse.move(2, 2)
        page.wait_for_timeout(500)
        page.screenshot(path=str(Path(folder) / name), full_page=True)


def downloaded(page: Any) -> tuple[str, np.ndarray]:
    with page.expect_download() as waiting:
        page.locator("#download").click()
    with Image.open(waiting.value.path()) as image:
        return waiting.value.suggested_filename, np.asarray(image)


def shown(page: Any, selector: str) -> np.ndarray:
    """Pixels of an image element."""
    image = page.locator(selector)
    width, height = image.evaluate("(image) => [image.naturalWidth, image.naturalHeight]")
    return np.array(image.evaluate(COLOUR), np.uint8).reshape(height, width, 4)[..., :3]


def input_and_sample(bundle: Path, size: tuple[int, int], name: str) -> tuple[Any, Any]:
    """The input that is made of the dropped image of that size, and its sample of that name."""
    model = chimle.load(bundle)
    given = model.degraded(noise_image(size))
    return given, model.sample(given, names=[name])[0]


def assert_downloads(page: Any, bundle: Path, size: tuple[int, int], name: str) -> None:
    """The chosen sample is downloaded under its name, with the pixels of `Model.sample`."""
    file, found = downloaded(page)
    assert file == f"sample_{name}.png"
    np.testing.assert_array_equal(found, input_and_sample(bundle, size, name)[1])


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


def test_a_name_is_text_and_no_markup(page: Any) -> None:
    drop(page, b"no image", "<img src=x onerror=alert(1)>.png")
    page.locator("#error", has_text="<img src=x onerror=alert(1)>.png").wait_for(timeout=60_000)
    assert page.locator("#error img").count() == 0


def test_two_people_at_once(open_page: Callable[..., Any], bundle: Path) -> None:
    first, second = open_page(), open_page()
    first.locator("text=Map").first.click()
    for side in ("#columns", "#rows"):
        first.locator(side).fill("6")
    drop(first, png((300, 300)), "first.png")
    first.locator("#text", has_text="Drawing").wait_for(timeout=60_000)
    second.locator("#count").fill("2")
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
    first.locator("text=Map").first.click()
    for side in ("#columns", "#rows"):
        first.locator(side).fill("6")
    drop(first, png((300, 300)), "first.png")
    first.locator("#text", has_text="Drawing").wait_for(timeout=60_000)
    drop(second, png((20, 30)), "second.png")
    second.locator("#text", has_text="In the queue").wait_for(timeout=60_000)
    first.locator("#stop").click()
    assert first.locator("#text").inner_text().startswith("Stopped.")
    wait_for_text(second, "share nothing")
    assert first.locator("#samples .cell img").count() < 36


def test_a_full_queue_is_said_by_the_page(page: Any, port: int) -> None:
    address, large, small = f"http://127.0.0.1:{port}/samples", png((400, 400)), png((16, 16))
    with httpx.Client(timeout=60, trust_env=False) as client, ExitStack() as stack:
        for query, image in [("kind=map&columns=6&rows=6", large), *[("count=1", small)] * 8]:
            stack.enter_context(client.stream("POST", f"{address}?{query}", content=image))
        drop(page, small, "street.png")
        sentence = "8 requests are waiting already: try again in a minute."
        page.locator("#error", has_text=sentence).wait_for(timeout=60_000)
    page.locator("#draw").click()
    wait_for_text(page, "share nothing but the input")
    assert page.locator("#error").is_hidden()


def test_ctrl_c_ends_it_quietly(bundle: Path) -> None:
    pytest.importorskip("uvicorn", reason="the extra `explore` is absent")
    port = str(free_port())
    command = [sys.executable, "-W", "ignore", "-m", "chimle", "explore", "--port", port]
    with subprocess.Popen(
        [*command, "--model", str(bundle)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        assert (
            server.stdout.readline() == f"Open http://127.0.0.1:{port} in a browser; Ctrl-C ends.\n"
        )
        httpx.get(f"http://127.0.0.1:{port}", timeout=60, trust_env=False).raise_for_status()
        server.send_signal(signal.SIGINT)
        _, complaints = server.communicate(timeout=60)
    assert (server.returncode, complaints) == (0, "")


def test_a_taken_port_is_one_sentence(bundle: Path) -> None:
    pytest.importorskip("uvicorn", reason="the extra `explore` is absent")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("explore", "--model", bundle, "--port", port)
    assert done.returncode == 2, done.stderr
    assert f"port {port} cannot be used" in done.stderr, done.stderr


@pytest.mark.parametrize("package", ["uvicorn", "starlette"])
def test_without_the_extra_it_says_what_to_install(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    from chimle.cli.explore.serve_page import serve_page
    from chimle.errors import UserError

    loaded = [name for name in sys.modules if name.split(".")[0] == package]
    for name in [*loaded, "chimle.cli.explore.explore_app"]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"{package}: pip install 'chimle\[explore\]'"):
        serve_page(chimle.load(bundle), 1)


def test_every_kind_of_file_that_is_decoded_may_be_chosen(bundle: Path) -> None:
    pytest.importorskip("starlette", reason="the extra `explore` is absent")
    from chimle.cli.explore.explore_app import render_page

    found = re.search(r'accept="([^"]*)"', render_page(chimle.load(bundle)))
    assert found is not None
    assert set(found[1].split(",")) == {"image/*", *image_extensions()}
