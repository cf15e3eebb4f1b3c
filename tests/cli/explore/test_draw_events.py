"""What a request of the page is sent."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import chimle
from chimle.cli.explore import draw_events as events
from chimle.cli.explore.sample_grid import grid_of
from chimle.images.decode import png_bytes, read_rgb
from chimle.inference.model import Model
from chimle.inference.sample_files import SampleTask, sample_file
from chimle.inference.sample_request import SampleRequest
from chimle.tasks import TASKS
from tests.support.jpeg import jpeg_file, smooth
from tests.support.projects import noise_image, tiny_bundle


def decoded(text: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("degrade", [True, False])
@pytest.mark.parametrize("task", TASKS)
def test_samples_are_those_of_the_command_line(task: str, degrade: bool, tmp_path: Path) -> None:
    model = chimle.load(tiny_bundle(tmp_path / "bundle", task))
    file, grid = tmp_path / "image.jpg", grid_of({"count": "2"}, 4)
    file.write_bytes(jpeg_file(smooth(0, 50, 60), quality=5))
    first, *drawn, end = events.draw_events(model, events.DrawRequest(file, "a.jpg", degrade, grid))
    assert first["rows"] == [["00", "01"]]
    assert end == {"end": True}
    read = read_rgb(file)
    given = model.degraded(read) if degrade else read
    np.testing.assert_array_equal(decoded(first["input"]), given)

    expected = sample_file(
        model, SampleTask(file, tmp_path / "out" / "image"), SampleRequest(2, degrade=degrade)
    )
    for event in drawn:
        found = read_rgb(Path(expected["samples"][event["name"]]))
        np.testing.assert_array_equal(decoded(event["png"]), found)


def test_a_reduced_jpeg_file_is_no_jpeg_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LARGEST_SIDE", 32)
    model = chimle.load(tiny_bundle(tmp_path / "bundle", "decompression"))
    file = tmp_path / "image.jpg"
    file.write_bytes(jpeg_file(smooth(0, 64, 64), quality=5))
    request = events.DrawRequest(file, "a.jpg", False, grid_of({"count": "1"}, 4))
    first, drawn, _ = events.draw_events(model, request)
    given = decoded(first["input"])
    assert given.shape == (32, 32, 3)
    np.testing.assert_array_equal(decoded(drawn["png"]), model.sample(given, n=1)[0])


def test_large_images_are_reduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LARGEST_SIDE", 64)
    model = chimle.load(tiny_bundle(tmp_path / "bundle", "super_resolution"))
    assert events.fitted(noise_image((100, 200)), model, degrade=True).shape == (2, 4, 3)
    assert events.fitted(noise_image((100, 200)), model, degrade=False).shape == (2, 4, 3)


@pytest.mark.parametrize("method", ["degraded", "draw"])
def test_a_full_memory_is_one_sentence(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def out_of_memory(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB.\nSee documentation")

    monkeypatch.setattr(Model, method, out_of_memory)
    file = tmp_path / "a.png"
    file.write_bytes(png_bytes(noise_image((8, 8))))
    request = events.DrawRequest(file, "street.png", True, grid_of({}, 4))
    *_, event = events.draw_events(chimle.load(bundle), request)
    assert event["error"] == (
        "street.png cannot be drawn (CUDA out of memory. Tried to allocate 20.00 GiB.): "
        "try a smaller image"
    )


def test_a_model_that_computes_no_numbers_is_one_sentence(bundle: Path, tmp_path: Path) -> None:
    model, file = chimle.load(bundle), tmp_path / "a.png"
    file.write_bytes(png_bytes(noise_image((8, 8))))
    with torch.no_grad():
        for weights in model.bundle.tower.parameters():
            weights.mul_(1e30)
    first, event = events.draw_events(
        model, events.DrawRequest(file, "a.png", True, grid_of({}, 4))
    )
    assert "rows" in first
    assert event["error"].startswith(f"the model {bundle} computes values that are no numbers")


def test_an_image_that_cannot_be_read_is_named_as_the_user_names_it(
    bundle: Path, tmp_path: Path
) -> None:
    file = tmp_path / "upload-1234.png"
    file.write_bytes(b"no image")
    request = events.DrawRequest(file, "notes.png", True, grid_of({}, 4))
    (event,) = events.draw_events(chimle.load(bundle), request)
    assert event["error"].startswith("notes.png is damaged or no image")
    assert str(tmp_path) not in event["error"]
