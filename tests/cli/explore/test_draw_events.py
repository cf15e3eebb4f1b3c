"""What a request of the page is sent."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import chimle
from chimle.cli.explore import draw_events as events
from chimle.cli.explore.sample_grid import grid_of
from chimle.images.decode import png_bytes
from chimle.inference.model import Model
from tests.support.projects import noise_image, tiny_bundle


def decoded(text: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("task", ["super_resolution", "colourization", "night_to_day"])
def test_the_input_that_was_sent_gives_the_same_samples_again(task: str, tmp_path: Path) -> None:
    model = chimle.load(tiny_bundle(tmp_path / "bundle", task))
    file, grid = tmp_path / "image.png", grid_of({"count": "2"}, 4)
    file.write_bytes(png_bytes(noise_image((50, 70))))
    first, *drawn, end = events.draw_events(model, events.DrawRequest(file, "a.png", True, grid))
    assert first["rows"] == [["00", "01"]]
    assert end == {"end": True}
    given = decoded(first["input"])
    np.testing.assert_array_equal(given, model.degraded(noise_image((50, 70))))

    again = tmp_path / "input.png"
    again.write_bytes(base64.b64decode(first["input"]))
    second = list(events.draw_events(model, events.DrawRequest(again, "a.png", False, grid)))
    assert second[0]["input"] == first["input"]
    assert second[1:-1] == drawn
    for event, sample in zip(drawn, model.sample(given, n=2), strict=True):
        np.testing.assert_array_equal(decoded(event["png"]), sample)


def test_large_images_are_reduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LARGEST_SIDE", 64)
    model = chimle.load(tiny_bundle(tmp_path / "bundle", "super_resolution"))
    assert events.fitted(noise_image((100, 200)), model, degrade=True).shape == (2, 4, 3)
    assert events.fitted(noise_image((100, 200)), model, degrade=False).shape == (2, 4, 3)


def test_a_full_memory_is_one_sentence(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(*_: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB.\nSee documentation")

    monkeypatch.setattr(Model, "draw", out_of_memory)
    file = tmp_path / "a.png"
    file.write_bytes(png_bytes(noise_image((8, 8))))
    request = events.DrawRequest(file, "street.png", True, grid_of({}, 4))
    *_, event = events.draw_events(chimle.load(bundle), request)
    assert event["error"] == (
        "street.png cannot be drawn (CUDA out of memory. Tried to allocate 20.00 GiB.): "
        "try a smaller image"
    )


def test_an_image_that_cannot_be_read_is_named_as_the_user_names_it(
    bundle: Path, tmp_path: Path
) -> None:
    file = tmp_path / "upload-1234.png"
    file.write_bytes(b"no image")
    request = events.DrawRequest(file, "notes.png", True, grid_of({}, 4))
    (event,) = events.draw_events(chimle.load(bundle), request)
    assert event["error"].startswith("notes.png is damaged or no image")
    assert str(tmp_path) not in event["error"]
