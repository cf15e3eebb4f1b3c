"""A finished model whose spatial noise or style codes are stronger or weaker than in training."""

from pathlib import Path

import pytest
import torch

from chimle.bundles.bundle import load_bundle, save_bundle
from chimle.bundles.start_weights import start_weights
from chimle.search.codes import draw
from chimle.tasks import Wiring
from chimle.tower.blocks import Convolution, materialised
from chimle.tower.generator import LevelCode, Tower
from tests.search.test_hierarchical import batch_for, small_tower
from tests.training.finished_run import finished_run

STRENGTHS = {"noise_strength": 1.5, "style_strength": 0.7}


def scaled(tower: Tower, noise: float, style: float) -> None:
    tower.scale_noise(noise)
    tower.scale_styles(style)


@pytest.mark.parametrize("wiring", list(Wiring))
@pytest.mark.parametrize(("noise", "style"), [(1.0, 1.0), (1.5, 1.0), (0.5, 1.0), (1.0, 0.7)])
@torch.no_grad()
def test_stronger_codes_are_codes_of_a_larger_deviation(
    wiring: Wiring, noise: float, style: float
) -> None:
    tower, batch = small_tower(wiring), batch_for(small_tower(wiring), wiring)
    index = torch.zeros(len(batch), 1, dtype=torch.int64)
    codes = [
        draw(shape, batch.keys, index, level=level, seed=3)
        for level, shape in enumerate(tower.code_shapes())
    ]
    wider = [LevelCode(style * code.style, noise * code.noise) for code in codes]
    with materialised(tower):
        wanted = tower(batch.conditioning, wider)
        plain = tower(batch.conditioning, codes)
        scaled(tower, noise, style)
        found = tower(batch.conditioning, codes)
    for image, other, before in zip(found, wanted, plain, strict=True):
        torch.testing.assert_close(image, other, rtol=0, atol=1e-4)
        assert torch.equal(image, before) == (noise == style == 1)


def test_the_model_has_the_strengths_and_the_state_has_not(tmp_path: Path) -> None:
    plain = finished_run(tmp_path / "plain").run().tower
    run = finished_run(tmp_path / "strong", **STRENGTHS)
    strong = run.run().tower
    again = finished_run(tmp_path / "strong", **STRENGTHS).run().tower
    kept = run.state.average.module.state_dict()
    plain_weights = plain.state_dict()
    assert all(torch.equal(kept[name], plain_weights[name]) for name in plain_weights)
    scaled(plain, *STRENGTHS.values())
    for name, value in plain.state_dict().items():
        assert torch.equal(strong.state_dict()[name], value), name
        assert torch.equal(again.state_dict()[name], value), name


def test_training_goes_on_from_the_weights_that_training_had(tmp_path: Path) -> None:
    plain = finished_run(tmp_path / "plain").run().tower
    run = finished_run(tmp_path / "strong", **STRENGTHS)
    strong = run.run().tower
    save_bundle(tmp_path / "model", strong, run.settings, {})
    strong.load_state_dict(start_weights(load_bundle(tmp_path / "model"), run.settings).state)
    for own, other in zip(strong.modules(), plain.modules(), strict=True):
        if isinstance(own, Convolution) and isinstance(other, Convolution):
            torch.testing.assert_close(own.weight(), other.weight(), rtol=1e-5, atol=1e-7)
        if isinstance(own, torch.nn.Linear) and isinstance(other, torch.nn.Linear):
            torch.testing.assert_close(own.weight, other.weight, rtol=1e-6, atol=0)
