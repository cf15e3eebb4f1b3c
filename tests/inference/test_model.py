"""A model in Python: any size, any type, samples by name."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import chimle
from chimle.data.dataset import Pair
from chimle.errors import UserError
from chimle.inference.sample_names import Name, blends, mixture_of, parse_name
from chimle.inference.sampling import sample_pairs
from chimle.tasks import TASKS
from tests.support.jpeg import jpeg_file, smooth
from tests.support.projects import noise_image, tiny_bundle

SIZES = [(32, 32), (45, 70), (1, 1), (9, 130)]


@pytest.mark.parametrize("task", TASKS)
def test_any_size_and_type(tmp_path: Path, task: str) -> None:
    model = chimle.load(tiny_bundle(tmp_path / "bundle", task))
    factor = TASKS[task].reduction
    for size in SIZES[:3] if factor > 1 else SIZES:
        array = noise_image(size)
        samples = model.sample(array, n=3, seed=4)
        assert [s.shape for s in samples] == [(size[0] * factor, size[1] * factor, 3)] * 3
        assert size == (1, 1) or not np.array_equal(samples[0], samples[1])
        as_image = model.sample(Image.fromarray(array), n=1, seed=4)[0]
        assert np.array_equal(np.asarray(as_image), samples[0])
        tensor = torch.from_numpy(array).permute(2, 0, 1) / 255
        assert torch.equal(
            (model.sample(tensor, n=1, seed=4)[0] * 255).round().to(torch.uint8),
            torch.from_numpy(samples[0]).permute(2, 0, 1),
        )


@pytest.mark.parametrize("task", TASKS)
def test_weights_that_overflow_draw_no_black_images(tmp_path: Path, task: str) -> None:
    path = tiny_bundle(tmp_path / "bundle", task)
    model = chimle.load(path)
    assert model.sample(noise_image((32, 32)), n=1)
    with torch.no_grad():
        for weights in model.bundle.tower.parameters():
            weights.mul_(1e30)
    named = f"the model {path} computes values that are no numbers"
    with pytest.raises(UserError, match=re.escape(named)):
        model.sample(noise_image((32, 32)), n=1)
    target = noise_image((8 * model.factor, 8 * model.factor))
    with pytest.raises(UserError, match=re.escape(named)):
        model.match(noise_image((8, 8)), target, candidates=[2, 1, 1, 1], weights="random")
    pairs = [Pair("a", model.degraded(noise_image((128, 128))), noise_image((128, 128)))]
    with pytest.raises(UserError, match=f"the model for {task} computes"):
        next(sample_pairs(model.bundle.tower, TASKS[task], pairs, 1))


def test_other_types_are_refused(tmp_path: Path) -> None:
    model = chimle.load(tiny_bundle(tmp_path / "bundle", "decompression"))
    odd_ones = (
        "a path",
        noise_image((4, 4)) / 255,
        torch.zeros(3, 4, 4, dtype=torch.uint8),
        torch.zeros(3, 4, 4).to_sparse(),
        torch.zeros(3, 4, 4, device="meta"),
    )
    for odd in odd_ones:
        with pytest.raises(TypeError, match="takes a PIL image"):
            model.sample(odd)  # type: ignore[type-var]
    for empty in (np.zeros((0, 4, 3), dtype=np.uint8), torch.zeros(3, 0, 4)):
        with pytest.raises(UserError, match="no pixels"):
            model.sample(empty)  # type: ignore[type-var]


@pytest.mark.parametrize("task", ["colourization", "decompression"])
def test_a_code_of_another_type_is_refused(tmp_path: Path, task: str) -> None:
    """By models of every task, so that a program is right or wrong with all of them."""
    model, image = chimle.load(tiny_bundle(tmp_path / "bundle", task)), noise_image((16, 16))
    for odd in ("", "photo.jpg", 1):
        with pytest.raises(TypeError, match="`code` is what"):
            model.sample(image, n=1, code=odd)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="`code` is what"):
            model.match(image, image, [1] * 4, weights="random", code=odd)  # type: ignore[arg-type]


def test_a_name_gives_the_same_sample_alone_and_among_others(tmp_path: Path) -> None:
    model = chimle.load(tiny_bundle(tmp_path / "bundle", "night_to_day"))
    image = noise_image((32, 40))
    samples = model.sample(image, n=6)
    alone = model.sample(image, n=1, first=5)[0]
    named = model.sample(image, names=["5.5.5.5", "3"])
    for mine, theirs in ((samples[5], alone), (samples[5], named[0]), (samples[3], named[1])):
        assert np.abs(mine.astype(int) - theirs).max() <= 1
    for one in ("3", model.name("3")):
        assert np.array_equal(model.sample(image, names=one)[0], named[1])
    assert str(parse_name("5.5.5.5", 4)) == "05"
    assert str(Name((1, 1, 2, 5))) == "1.1.2.5"
    for wrong in ("", "-1", "1.2", "a", "1.2.3.4.5", "1..2.3"):
        with pytest.raises(UserError, match="names no sample of this model"):
            model.sample(image, names=[wrong])


def test_samples_of_a_degraded_image_agree_with_its_jpeg_code(tmp_path: Path) -> None:
    """By the code of the degradation or of a file: arrays and tensors have no file of their own."""
    model = chimle.load(tiny_bundle(tmp_path / "bundle", "decompression"))
    target, file = smooth(1, 40, 48), tmp_path / "photo.jpg"
    given, degraded_code = model.degraded(target), model.degraded_code()
    assert degraded_code is not None
    quality = model.degradation.jpeg_quality
    file.write_bytes(jpeg_file(target, quality=quality))
    code = model.file_code(str(file), given)
    assert code is not None
    assert np.array_equal(code.tables, degraded_code.tables)
    name, other = model.name("3"), model.name("3.3.4.4")
    (wanted,) = model.draw(given, [mixture_of(name)], 2, code)
    assert not np.array_equal(model.sample(given, names=[name], seed=2)[0], wanted)
    for one in (code, degraded_code):
        assert np.array_equal(model.sample(given, names=[name], seed=2, code=one)[0], wanted)
    as_tensor = model.sample(torch.from_numpy(given).permute(2, 0, 1) / 255, 4, 2, code=code)[3]
    assert np.array_equal((as_tensor * 255).round().permute(1, 2, 0).numpy(), wanted)
    (varied,) = model.draw(given, [mixture_of(other)], 2, code)
    assert np.array_equal(model.vary(given, name, 2, n=1, seed=2, code=code)[0], varied)
    steps = model.draw(given, blends(name, other, 3), 2, code)
    for found, step in zip(model.blend(given, name, other, 3, 2, code), steps, strict=True):
        assert np.array_equal(found, step)


def spread(images: list[np.ndarray], base: np.ndarray) -> float:
    return float(np.mean([np.abs(p.astype(int) - base).mean() for p in images]))


def test_variations_keep_the_coarse_levels(tmp_path: Path) -> None:
    model = chimle.load(tiny_bundle(tmp_path / "bundle", "night_to_day"))
    array = noise_image((32, 32))
    base = model.sample(array, n=1, first=2)[0].astype(int)
    varied = {keep: spread(model.vary(array, "2", keep, n=6), base) for keep in (0, 3, 4)}
    assert varied[4] <= 1 / 255 < varied[3] < varied[0]
    assert model.variations("2", 3, 2) == [Name((2, 2, 2, 3)), Name((2, 2, 2, 4))]
    with pytest.raises(UserError, match="`keep_level` must be a whole number from 0 to 4"):
        model.vary(array, "2", 5)


def test_a_blend_goes_from_one_sample_to_the_other(tmp_path: Path) -> None:
    model = chimle.load(tiny_bundle(tmp_path / "bundle", "colourization"))
    array = noise_image((32, 32))
    steps = model.blend(array, "1", "4", n=5)
    ends = model.sample(array, names=["1", "4"])
    assert spread([steps[0]], ends[0]) <= 1 / 255
    assert spread([steps[-1]], ends[1]) <= 1 / 255
    away = [spread([step], ends[0]) for step in steps]
    assert away == sorted(away)
    assert away[1] > 0
    # Levels that both samples share stay as they are.
    shared = model.blend(array, "1", "1.1.1.4", n=3)
    assert spread([shared[1]], ends[0]) < spread([steps[2]], ends[0])


@pytest.mark.parametrize("task", ["super_resolution", "night_to_day"])
def test_a_match_is_nearer_than_sample_0(tmp_path: Path, task: str) -> None:
    model = chimle.load(tiny_bundle(tmp_path / "bundle", task))
    given = noise_image((2, 3) if task == "super_resolution" else (30, 41))
    # The target is a sample of the model: the search must find it.
    hidden = Name((3, 2, 1, 0))
    target = model.sample(given, names=[hidden])[0]
    found = model.match(given, target, candidates=[5, 4, 3, 2])
    # A coarse level is searched before the finer ones, and not again.
    assert found.distances[0] <= found.unsearched[0]
    assert found.features.endswith("_random")
    assert len(found.distances) == 4
    near = model.sample(given, names=[found.name])[0]
    assert near.shape == target.shape
    with pytest.raises(UserError, match="but samples of this input have"):
        model.match(given, target[:-1])
    with pytest.raises(UserError, match=r"`candidates`.* each of the model's 4 levels"):
        model.match(given, target, candidates=[5, 4])
    with pytest.raises(UserError, match=r"^`weights`: nowhere does not exist"):
        model.match(given, target, weights="nowhere")


def test_a_match_is_by_lpips_whatever_scales_training_compared(tmp_path: Path) -> None:
    """Its distances stand under the name of the features at scale 1."""
    model = chimle.load(tiny_bundle(tmp_path / "bundle", "night_to_day"))
    settings = model.bundle.settings
    perceptual = settings.perceptual.model_copy(update={"scales": (1, 2)})
    scaled = settings.model_copy(update={"perceptual": perceptual})
    other = replace(model, bundle=replace(model.bundle, settings=scaled))
    image = noise_image((48, 48))
    target = model.sample(image, names=["3"])[0]
    found = [one.match(image, target, candidates=[2, 2, 2, 2]) for one in (model, other)]
    assert found[0].features == found[1].features == "squeeze_random"
    assert found[0] == found[1]


def test_numbers_without_bound_are_one_sentence(tmp_path: Path) -> None:
    """Each argument of each method that takes numbers, far out of its bounds."""
    model = chimle.load(tiny_bundle(tmp_path / "bundle", "night_to_day"))
    image, far = noise_image((8, 8)), (-1, 2**63, 10**5000)
    calls: list[Callable[[], object]] = [
        lambda: model.sample(image, names=["9" * 5000]),
        lambda: model.sample(image, names=["2147483648"]),
        lambda: model.sample(image, names=["0"] * 10_001),
        lambda: model.sample(image, names=[Name((1, 2))]),
        lambda: model.sample(image, n=0),
        lambda: model.sample(image, n=2.5),  # type: ignore[arg-type]
        lambda: model.match(image, image, [4, 4, 4]),
        lambda: model.match(image, image, [4, 4, 4, 2.5]),  # type: ignore[list-item]
        lambda: model.match(image, image, []),
        *(partial(model.sample, image, n=one) for one in far),
        *(partial(model.sample, image, first=one) for one in far),
        *(partial(model.sample, image, n=1, seed=one) for one in far),
        *(partial(model.sample, image, names=[Name((one,) * 4)]) for one in far),
        *(partial(model.vary, image, "1", 2, n=one) for one in far),
        *(partial(model.variations, "1", 2, n=one) for one in far),
        *(partial(model.variations, "1", one) for one in (*far, 2.5)),  # type: ignore[arg-type]
        *(partial(model.blend, image, "0", "1", n=one) for one in far),
        *(partial(model.blend, image, "0", "1", n=1, seed=one) for one in far),
        *(partial(model.match, image, image, [one, 1, 1, 1]) for one in far),
        *(partial(model.match, image, image, [1, 1, 1, 1], seed=one) for one in far),
    ]
    for call in calls:
        with pytest.raises(UserError) as caught:
            call()
        assert 0 < len(str(caught.value)) < 200
        assert "\n" not in str(caught.value)
    with pytest.raises(TypeError, match="a sample's name is text"):
        model.sample(image, names=[7])  # type: ignore[list-item]
    assert len(model.sample(image, names="12")) == 1, "a name, not two"


def test_an_unknown_precision_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"`precision` is fp32 or bf16, not 'fp16'"):
        chimle.load(tiny_bundle(tmp_path / "bundle", "colourization"), "fp16")  # type: ignore[arg-type]
