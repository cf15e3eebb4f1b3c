"""The page of `chimle explore` in a real browser, by clicks and keys."""

import base64
import io
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import chimle
from chimle.cli.explore_page import begin, build, page_text
from chimle.images.formats import image_extensions
from chimle.inference.sample_names import Name
from tests.support.command import run
from tests.support.helpers import ROOT
from tests.support.projects import noise_image, tiny_bundle
from tests.support.servers import free_port

DROP = """(zone, [text, name]) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name, {type: "image/png"}));
    for (const kind of ["dragenter", "dragover", "drop"])
        zone.dispatchEvent(new DragEvent(kind, {dataTransfer: data, bubbles: true}));
}"""


def test_history_goes_down_the_levels_and_back() -> None:
    start = begin(4)
    assert "nothing but the input" in page_text(start, 4)
    down = start.picked(3, 4)
    first, second, *_ = down.pages[-1].names
    assert first == Name((3, 3, 3, 3))
    assert second == Name((3, 4, 4, 4))
    further = down.picked(1, 4).picked(2, 4)
    assert further.pages[-1].shared == 3
    assert "finest level only" in page_text(further, 4)
    assert further.picked(1, 4).pages[-1].shared == 3, "the finest level always varies"
    assert further.back().back() == down
    assert down.back() == start
    assert start.back() == start
    assert start.picked(8, 4) == start


def listens_on(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("explored") / "bundle", "night_to_day")


@pytest.fixture(scope="module")
def port(bundle: Path) -> Iterator[int]:
    """The port of `chimle explore`, running."""
    pytest.importorskip("gradio", reason="the extra `explore` is absent")
    chosen = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "chimle", "explore"]
    options = ["--model", str(bundle), "--port", str(chosen)]
    # A closed proxy: the page is not looked for there.
    env = os.environ | dict.fromkeys(
        ("http_proxy", "HTTP_PROXY"), f"http://127.0.0.1:{free_port()}"
    )
    server = subprocess.Popen([*command, *options], cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            if listens_on(chosen) or server.poll() is not None:
                break
            time.sleep(0.2)
        assert server.poll() is None, "explore ended at its start"
        yield chosen
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture
def page(browser: Any, port: int) -> Iterator[Any]:
    """A fresh page; fails where it requests anything from another machine."""
    context = browser.new_context(viewport={"width": 1200, "height": 1000}, accept_downloads=True)
    page, requested = context.new_page(), []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(f"http://127.0.0.1:{port}")
    page.wait_for_selector("#drop button")
    yield page
    own = re.compile(rf"(blob:|data:|http://(127\.0\.0\.1|localhost):{port}/)")
    foreign = [url for url in requested if not own.match(url)]
    assert not foreign, foreign
    context.close()


def drop(page: Any, content: bytes, name: str) -> None:
    """Drag a file onto the page."""
    zone = page.locator("#drop button").first
    zone.evaluate(DROP, [base64.b64encode(content).decode(), name])


def png(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(noise_image(size)).save(buffer, "PNG")
    return buffer.getvalue()


def captions(page: Any) -> list[str]:
    return [
        text.split(": ")[1] for text in page.locator("#samples .caption-label").all_inner_texts()
    ]


def wait_for_text(page: Any, text: str) -> None:
    page.locator("#text", has_text=text).wait_for(timeout=60_000)
    page.wait_for_function("document.querySelectorAll('#samples .caption-label').length == 8")


def screenshot(page: Any, name: str) -> None:
    """Save a screenshot in the folder that CHIMLE_SCREENSHOTS names."""
    if folder := os.environ.get("CHIMLE_SCREENSHOTS"):
        page.mouse.move(2, 2)
        page.wait_for_timeout(1500)
        page.screenshot(path=str(Path(folder) / name), full_page=True)


def test_from_drop_to_download(page: Any, bundle: Path) -> None:
    drop(page, png((48, 64)), "street.png")
    wait_for_text(page, "share nothing but the input")
    assert captions(page) == [f"{number:02}" for number in range(8)]
    screenshot(page, "dropped.png")

    page.locator("#samples .thumbnail-item").nth(3).click()
    wait_for_text(page, "Variations of 03: they share its coarsest level")
    assert captions(page)[:3] == ["03", "3.4.4.4", "3.5.5.5"]
    screenshot(page, "picked.png")
    page.locator("#samples .thumbnail-item").nth(2).click()
    wait_for_text(page, "Variations of 3.5.5.5: they share its coarsest 2 levels")
    assert captions(page)[:2] == ["3.5.5.5", "3.5.6.6"]

    with page.expect_download() as waiting:
        page.locator("#files a").nth(1).click()
    name = waiting.value.suggested_filename
    assert name == "sample_3.5.6.6.png"
    with Image.open(waiting.value.path()) as image:
        found = np.asarray(image)
    model = chimle.load(bundle)
    given = model.degraded(noise_image((48, 64)))
    np.testing.assert_array_equal(found, model.sample(given, names=["3.5.6.6"])[0])

    page.locator("#back").click()
    wait_for_text(page, "Variations of 03")
    page.locator("#again").click()
    wait_for_text(page, "share nothing but the input")


def test_by_keyboard_alone(page: Any) -> None:
    drop(page, png((40, 24)), "portrait.png")
    wait_for_text(page, "share nothing but the input")
    page.locator("#numbers input").nth(4).focus()
    page.keyboard.press("Space")
    wait_for_text(page, "Variations of 04")
    page.locator("#back").focus()
    page.keyboard.press("Enter")
    wait_for_text(page, "share nothing but the input")


def test_on_a_narrow_window(page: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    drop(page, png((24, 40)), "landscape.png")
    wait_for_text(page, "share nothing but the input")
    screenshot(page, "narrow.png")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
    page.locator("#samples .thumbnail-item").nth(7).click()
    wait_for_text(page, "Variations of 07")


def test_a_file_that_is_no_image_is_named(page: Any) -> None:
    drop(page, b"no image", "notes.png")
    page.locator("#text", has_text="notes.png").wait_for(timeout=60_000)
    assert not captions(page)


def test_a_taken_port_is_one_sentence(bundle: Path) -> None:
    pytest.importorskip("gradio", reason="the extra `explore` is absent")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("explore", "--model", bundle, "--port", port)
    assert done.returncode == 2, done.stderr
    assert f"port {port} cannot be used" in done.stderr, done.stderr


def test_without_gradio_it_says_what_to_install(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from chimle.cli.explore_page import build
    from chimle.errors import UserError

    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UserError, match="pip install"):
        build(chimle.load(bundle), tmp_path)


def test_every_kind_of_file_that_is_decoded_may_be_dropped(bundle: Path, tmp_path: Path) -> None:
    gradio_client = pytest.importorskip("gradio_client")
    config = build(chimle.load(bundle), tmp_path).get_config_file()
    (drop_area,) = (c for c in config["components"] if c["props"].get("elem_id") == "drop")
    kinds = drop_area["props"]["file_types"]
    for name in (f"a{extension.upper()}" for extension in sorted(image_extensions())):
        assert gradio_client.utils.is_valid_file(name, kinds), name


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_only_its_own_page_is_answered(port: int, headers: dict[str, str], status: int) -> None:
    for path in ("/", "/config"):
        got = httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers, timeout=60)
        assert got.status_code == status
