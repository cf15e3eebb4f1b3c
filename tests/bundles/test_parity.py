"""Outputs of a tower equal recorded outputs of the published implementation."""

import torch

from chimle.settings.tower import TowerSettings
from chimle.tasks import Wiring
from chimle.tower.generator import LevelCode, Tower
from chimle.tower.published_names import load_published, our_name
from tests.support.helpers import SHARED, needs_shared


@needs_shared("parity/tim_generic.pt")
@torch.no_grad()
def test_generic_tower_reproduces_recorded_outputs() -> None:
    recorded = torch.load(SHARED / "parity" / "tim_generic.pt", weights_only=True)
    config = recorded["config"]
    settings = TowerSettings(
        resolution=32,
        widths=config["num_residual_channels"],
        growth=config["num_dense_channels"],
        blocks=config["num_blocks"],
        style_size=config["map_nc"],
        noise_channels=config["code_nc"],
        mapping_width=config["latent_nc"],
    )
    tower = Tower(settings, Wiring.GENERIC).eval()
    load_published(tower, recorded["state_dict"])
    codes = []
    for flat, image in zip(recorded["codes"], recorded["inputs"], strict=True):
        style, noise = flat.split((config["map_nc"], flat.shape[1] - config["map_nc"]), dim=1)
        shape = (len(flat), config["code_nc"], *image.shape[2:])
        codes.append(LevelCode(style, noise.reshape(shape)))
    images = tower(recorded["inputs"], codes)
    for mine, theirs in zip(images, recorded["outputs"], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)


def test_published_names_cover_every_parameter() -> None:
    assert our_name("level_1_map_0.0.weight") == "levels.0.mapping.embedding.weight"
    assert our_name("level_4_map.12.bias") == "levels.3.mapping.layers.6.bias"
    name = "level_2_style.sub.5.RDB3.conv1.0.weight_v"
    expected = "levels.1.body.blocks.5.dense.2.convolutions.0.weight_v"
    assert our_name(name) == expected
    assert our_name("level_4_up.2.bias") == "levels.3.up.second.bias"
    assert our_name("discriminator.0.weight") is None
