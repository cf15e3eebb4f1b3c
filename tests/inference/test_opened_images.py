"""An opened image that is turned and has a colour profile is, everywhere, what its file is."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import chimle
from chimle.api.train_images import SECTIONS
from chimle.images.decode import read_rgb
from chimle.inference.sample_files import SampleTask, sample_file
from chimle.inference.sample_request import SampleRequest
from tests.support.colour_profiles import exchanged_profile
from tests.support.jpeg import jpeg_file, smooth
from tests.support.projects import TINY, tiny_bundle


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """A file of 48x40 pixels that stands upright with 40x48."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg_file(smooth(1, 40, 48), exif=exif, icc_profile=exchanged_profile()))
    return path


@pytest.mark.parametrize("task", ["colourization", "decompression"])
def test_samples_are_those_of_the_file(tmp_path: Path, photograph: Path, task: str) -> None:
    model = chimle.load(tiny_bundle(tmp_path / "bundle", task))
    task_of_file = SampleTask(photograph, tmp_path / "out" / "photo")
    written = sample_file(model, task_of_file, SampleRequest(count=2, seed=3))["samples"]
    files = [read_rgb(Path(path)) for path in written.values()]
    rgb = read_rgb(photograph)
    with Image.open(photograph) as opened:
        drawn = [np.asarray(sample) for sample in model.sample(opened, n=2, seed=3)]
        np.testing.assert_array_equal(drawn, files)
        np.testing.assert_array_equal(model.degraded(opened), model.degraded(rgb))
        for image in (model.vary(opened, "0", 2, n=1), model.blend(opened, "0", "1", n=1)):
            assert image[0].size == (40, 48)
        found, wanted = (
            model.match(image, target, [2, 1, 1, 1], weights="random")
            for image, target in ((opened, opened), (rgb, rgb))
        )
    assert found == wanted


def test_scores_are_those_of_the_file(photograph: Path) -> None:
    rgb = read_rgb(photograph)
    with Image.open(photograph) as opened:
        found = chimle.score([[opened, rgb]], [opened], [opened], weights="random")
    assert found == chimle.score([[rgb, rgb]], [rgb], [rgb], weights="random")


def test_training_is_that_of_the_file(photograph: Path) -> None:
    settings = {name: TINY[name] for name in SECTIONS}
    rgb = read_rgb(photograph)
    with Image.open(photograph) as opened:
        found, wanted = (
            chimle.train([image], "colourization", settings, inputs=[image]).model.bundle
            for image in (opened, rgb)
        )
    assert found.provenance["pairs_sha256"] == wanted.provenance["pairs_sha256"]
