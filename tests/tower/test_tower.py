"""The tower as a fold: shapes, prefixes, gradients, and the effect of style and noise."""

import copy
import subprocess
import sys

import pytest
import torch

from chimle.perceptual.lpips import load_perceptual
from chimle.search.codes import draw
from chimle.settings.perceptual import PerceptualSettings
from chimle.settings.tower import TowerSettings
from chimle.tasks import Wiring
from chimle.tower.generator import LevelCode, Tower
from chimle.tower.state import select_state

VISIBLE = 1 / 255
"""Mean absolute change of an image that counts as visible: one 8-bit step everywhere."""


def settings(levels: int = 3, **changes: object) -> TowerSettings:
    defaults = {
        "resolution": 8 * 2 ** (levels - 1),
        "widths": (16, 12, 8, 8)[:levels],
        "growth": (8, 6, 4, 4)[:levels],
        "style_size": 8,
        "mapping_width": 32,
        "mapping_depth": 8,
    }
    return TowerSettings.model_validate({**defaults, **changes})


def build(wiring: Wiring, tower_settings: TowerSettings) -> Tower:
    torch.manual_seed(0)
    return Tower(tower_settings, wiring)


def conditioning(tower: Tower, batch: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    channels = 1 if tower.wiring is Wiring.COLOURIZATION else 3
    sizes = tower.settings.output_sizes()
    if tower.wiring is Wiring.SUPER_RESOLUTION:
        sizes = tower.settings.working_sizes(tower.wiring)[:1]
    return [torch.rand(batch, channels, size, size, generator=generator) for size in sizes]


def codes(tower: Tower, batch: int, index: int = 0) -> list[LevelCode]:
    indices = torch.full((batch, 1), index)
    return [
        draw(shape, range(batch), indices, level=level, seed=2)
        for level, shape in enumerate(tower.code_shapes())
    ]


wirings = pytest.mark.parametrize("wiring", list(Wiring))


@wirings
@pytest.mark.parametrize("levels", [1, 2, 4])
def test_shapes_and_ranges(wiring: Wiring, levels: int) -> None:
    tower = build(wiring, settings(levels))
    images = tower(conditioning(tower, 2), codes(tower, 2))
    sizes = [(2, 3, size, size) for size in tower.settings.output_sizes()]
    assert [tuple(image.shape) for image in images] == sizes
    assert all(image.min() >= 0 and image.max() <= 1 for image in images)


@wirings
@torch.no_grad()
def test_steps_on_a_cached_prefix_equal_forward(wiring: Wiring) -> None:
    tower = build(wiring, settings())
    whole = tower(conditioning(tower, 2), codes(tower, 2))
    state = tower.begin(conditioning(tower, 2))
    for level, code in enumerate(codes(tower, 2)):
        _, other = tower.step(level, state, codes(tower, 2, index=9)[level])
        image, state = tower.step(level, state, code)
        assert other is not state
        torch.testing.assert_close(image, whole[level], rtol=0, atol=1e-6)


@wirings
@pytest.mark.parametrize("agreement", ["exact", "none"])
@torch.no_grad()
def test_candidates_of_one_prefix_equal_separate_rows(wiring: Wiring, agreement: str) -> None:
    tower = build(wiring, settings(agreement=agreement))
    # Chroma at the gamut's border is as exact as the search for that border in fp32, and published
    # colours are not bounded above.
    colours = wiring is Wiring.COLOURIZATION
    tolerance, relative = (1e-4, 1e-4 if agreement == "none" else 0) if colours else (3e-5, 0)
    inputs, count = conditioning(tower, 2), 3
    _, prefix = tower.step(0, tower.begin(inputs), codes(tower, 2)[0])
    indices = torch.arange(count).expand(2, -1)
    many = draw(tower.code_shapes()[1], range(2), indices, level=1, seed=2)
    images, state = tower.step(1, prefix, many)
    for row in range(2 * count):
        one = select_state(prefix, torch.tensor([row // count]))
        code = LevelCode(many.style[row : row + 1], many.noise[row : row + 1])
        image, _ = tower.step(1, one, code)
        torch.testing.assert_close(images[row : row + 1], image, rtol=relative, atol=tolerance)
    selected = select_state(state, torch.tensor([1, 5]))
    last, _ = tower.step(2, selected, codes(tower, 2)[2])
    assert last.shape == (2, 3, 32, 32)


@wirings
def test_gradients_reach_every_parameter(wiring: Wiring) -> None:
    tower = build(wiring, settings())
    images = tower(conditioning(tower, 2), codes(tower, 2))
    torch.stack([image.square().mean() for image in images]).sum().backward()
    without_gradient = [
        name for name, p in tower.named_parameters() if p.grad is None or not p.grad.abs().max() > 0
    ]
    assert without_gradient == []


@wirings
def test_a_deep_copy_gives_the_same_images(wiring: Wiring) -> None:
    tower = build(wiring, settings())
    copied = copy.deepcopy(tower)
    first, second = (t(conditioning(tower, 1), codes(tower, 1))[-1] for t in (tower, copied))
    assert torch.equal(first, second)


@torch.no_grad()
def image_changes(tower: Tower) -> dict[tuple[str, int], float]:
    """Mean absolute change of a level's image when one part of its code is replaced."""
    inputs, base = conditioning(tower, 4), codes(tower, 4)
    images = tower(inputs, base)
    changes = {}
    for level in range(tower.settings.levels):
        other = codes(tower, 4, index=7)[level]
        for part in ("style", "noise"):
            changed = list(base)
            changed[level] = base[level]._replace(**{part: getattr(other, part)})
            changed_image = tower(inputs, changed)[level]
            changes[part, level] = float((changed_image - images[level]).abs().mean())
    return changes


def train_a_little(tower: Tower, steps: int) -> None:
    """Regression steps on random codes, which teach the tower to ignore its codes."""
    perceptual = load_perceptual(PerceptualSettings(backbone="squeeze", weights="random"))
    optimizer = torch.optim.Adam(tower.parameters(), lr=1e-3)
    inputs = conditioning(tower, 4)
    targets = [torch.rand(4, 3, s, s) for s in tower.settings.output_sizes()]
    features = [perceptual.features(target) for target in targets]
    for step in range(steps):
        images = tower(inputs, codes(tower, 4, index=step % 4))
        pairs = zip(images, features, strict=True)
        loss = torch.stack([perceptual.distance(i, f).mean() for i, f in pairs]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@wirings
@pytest.mark.parametrize("agreement", ["exact", "none"])
def test_style_and_noise_change_images_before_and_after_training(
    wiring: Wiring, agreement: str
) -> None:
    tower = build(wiring, settings(agreement=agreement))
    # What the input determines of an image is no code's to change.
    determined = agreement == "exact" and wiring is Wiring.SUPER_RESOLUTION
    least = VISIBLE / 4 if determined else VISIBLE
    assert {name: change for name, change in image_changes(tower).items() if change < least} == {}
    train_a_little(tower, 20)
    assert {name: change for name, change in image_changes(tower).items() if change < least} == {}


def test_published_initialisation_makes_the_style_ineffective() -> None:
    tower = build(Wiring.GENERIC, settings(initialisation="published"))
    changes = image_changes(tower)
    assert all(changes["style", level] < 1e-6 for level in range(3))
    assert all(changes["noise", level] > VISIBLE for level in range(3))


SAMPLED_THEN_TRAINED = """
import torch
from chimle.images.jpeg import JpegIntervals
from chimle.perceptual.lpips import load_perceptual
from chimle.settings.perceptual import PerceptualSettings
from chimle.tasks import Wiring
from tests.tower.test_tower import build, codes, conditioning, settings
perceptual = load_perceptual(PerceptualSettings(weights="random"))
for wiring in Wiring:
    tower = build(wiring, settings())
    given, jpeg = conditioning(tower, 1), None
    if wiring is Wiring.GENERIC:
        jpeg = JpegIntervals(torch.full((1, 2, 8, 8), 20.0))
    with torch.autocast("cpu", torch.bfloat16):
        with torch.inference_mode():
            image = tower(given, codes(tower, 1), jpeg)[-1]
            perceptual(image, image)
        image = tower(given, codes(tower, 1), jpeg)[-1]
        perceptual.distance(image, perceptual.features(torch.zeros_like(image))).sum().backward()
    assert tower.level(0).input.bias.grad.isfinite().all()
"""


def test_a_process_that_sampled_in_inference_mode_still_trains() -> None:
    """What is kept of the first pass, such as matrices, serves a backward pass as well."""
    command = [sys.executable, "-W", "ignore", "-c", SAMPLED_THEN_TRAINED]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
