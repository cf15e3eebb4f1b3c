"""What the tests of `chimle explore` do with its page in a browser."""

import base64
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import chimle
from tests.support.projects import noise_image

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
