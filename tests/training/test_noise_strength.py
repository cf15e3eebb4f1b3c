"""A finished model whose spatial noise is stronger than in training."""

from pathlib import Path

import pytest
import torch

from chimle.bundles.bundle import load_bundle, save_bundle
from chimle.bundles.start_weights import start_weights
from chimle.search.codes import draw
from chimle.tasks import Wiring
from chimle.tower.blocks import Convolution, materialised
from chimle.tower.generator import LevelCode
from tests.search.test_hierarchical import batch_for, small_tower
from tests.training.finished_run import finished_run


@pytest.mark.parametrize("wiring", list(Wiring))
@pytest.mark.parametrize("factor", [1.0, 1.5, 0.5])
@torch.no_grad()
def test_stronger_noise_is_noise_of_a_larger_deviation(wiring: Wiring, factor: float) -> None:
    tower, batch = small_tower(wiring), batch_for(small_tower(wiring), wiring)
    index = torch.zeros(len(batch), 1, dtype=torch.int64)
    codes = [
        draw(shape, batch.keys, index, level=level, seed=3)
        for level, shape in enumerate(tower.code_shapes())
    ]
    wider = [LevelCode(code.style, factor * code.noise) for code in codes]
    with materialised(tower):
        wanted = tower(batch.conditioning, wider)
        plain = tower(batch.conditioning, codes)
        tower.strengthen_noise(factor)
        found = tower(batch.conditioning, codes)
    for image, other, before in zip(found, wanted, plain, strict=True):
        torch.testing.assert_close(image, other, rtol=0, atol=1e-4)
        assert torch.equal(image, before) == (factor == 1)


def test_the_model_is_strengthened_and_the_state_is_not(tmp_path: Path) -> None:
    plain = finished_run(tmp_path / "plain", noise_strength=1.0).run().tower
    run = finished_run(tmp_path / "strong", noise_strength=1.5)
    strong = run.run().tower
    again = finished_run(tmp_path / "strong", noise_strength=1.5).run().tower
    kept = run.state.average.module.state_dict()
    plain_weights = plain.state_dict()
    assert all(torch.equal(kept[name], plain_weights[name]) for name in plain_weights)
    plain.strengthen_noise(1.5)
    for name, value in plain.state_dict().items():
        assert torch.equal(strong.state_dict()[name], value), name
        assert torch.equal(again.state_dict()[name], value), name


def test_training_goes_on_from_the_noise_that_training_had(tmp_path: Path) -> None:
    plain = finished_run(tmp_path / "plain", noise_strength=1.0).run().tower
    run = finished_run(tmp_path / "strong", noise_strength=1.5)
    strong = run.run().tower
    save_bundle(tmp_path / "model", strong, run.settings, {})
    strong.load_state_dict(start_weights(load_bundle(tmp_path / "model"), run.settings).state)
    for own, other in zip(strong.modules(), plain.modules(), strict=True):
        if isinstance(own, Convolution) and isinstance(other, Convolution):
            torch.testing.assert_close(own.weight(), other.weight(), rtol=1e-5, atol=1e-7)
