"""Methods that are compared: the same time, data and size, and the settings of each."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from chimle.baselines.known_modes.mode_problem import (
    Layout,
    PixelDistance,
    known_pairs,
    known_settings,
)
from chimle.baselines.methods import METHODS, adapt, get_method
from chimle.baselines.parameter_matching import tower_parameters
from chimle.baselines.run_method import train_method
from chimle.data.batch import make_batch
from chimle.errors import UserError
from chimle.inference.sampling import stacked_samples
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import build_settings, load_settings
from chimle.tower.generator import LevelCode, Tower
from tests.support.helpers import PRESETS, ROOT

CPU = torch.device("cpu")


def settings_of(name: str) -> ModelSettings:
    return adapt(known_settings(), get_method(name), 3, 480)


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_trains_within_its_time_and_draws_samples(name: str, tmp_path: Path) -> None:
    if name == "diffusion":
        pytest.importorskip("diffusers")
    pairs = known_pairs(Layout.COARSE, 48, 0)
    settings, state = settings_of(name), tmp_path / "state.pt"
    trained = train_method(METHODS[name], settings, pairs, PixelDistance(), state, CPU, 0.5)
    assert trained.seconds >= 0.5
    assert trained.steps > 0
    samples = stacked_samples(trained.sample_pairs(pairs[:2], 3, seed=1))
    assert samples.shape == (2, 3, 16, 16, 3)
    assert samples.dtype == np.uint8
    assert np.array_equal(samples, stacked_samples(trained.sample_pairs(pairs[:2], 3, seed=1)))
    one_sample = (samples == samples[:, :1]).all()
    assert one_sample == (name == "regression")
    # Its time is up: begun again from its state it does not take another step.
    again = train_method(METHODS[name], settings, pairs, PixelDistance(), state, CPU, 0.5)
    assert again.steps == trained.steps
    assert np.array_equal(samples, stacked_samples(again.sample_pairs(pairs[:2], 3, seed=1)))


def test_an_unknown_method_is_a_sentence() -> None:
    with pytest.raises(UserError, match="unknown method 'gan': choose one of chimle, published"):
        get_method("gan")


@pytest.mark.parametrize("name", [name for name in METHODS if name != "chimle"])
def test_a_method_differs_from_chimle_in_what_it_declares(name: str) -> None:
    own, base = (settings_of(n).model_dump(mode="json") for n in (name, "chimle"))
    differing = {
        section: {key for key in own[section] if own[section][key] != base[section][key]}
        for section in own
        if isinstance(own[section], dict) and own[section] != base[section]
    }
    changes = json.loads(json.dumps(METHODS[name].changes))
    for section, fields in changes.items():
        assert {field: own[section][field] for field in fields} == fields
    declared = {
        section: {field for field, value in fields.items() if base[section][field] != value}
        for section, fields in changes.items()
    }
    if METHODS[name].widened:
        declared["tower"].add("mapping_width")
    if METHODS[name].visits:
        declared["train"].add("steps_per_round")
    assert differing == {section: fields for section, fields in declared.items() if fields}


def test_the_published_recipe_has_the_published_values_whatever_the_task_has() -> None:
    values = known_settings().model_dump(mode="json")
    values["train"] |= {
        "repeat_images": 2,
        "micro_batches": 2,
        "noise_strength": 1.5,
        "style_strength": 0.5,
    }
    values["train"] |= {"supervision": "finest", "codes": "none", "betas": [0.5, 0.99]}
    values["search"] |= {"again_below": 0.9, "too_near": 0.1, "near_tie": 0.01, "order": "whole"}
    task = build_settings(ModelSettings, values, "a test")
    own = adapt(task, get_method("published"), 0, 480)
    assert (own.search.again_below, own.search.too_near, own.search.near_tie) == (None, 0, 0)
    assert own.search.order == "hierarchical"
    train = own.train
    assert (train.repeat_images, train.micro_batches) == (1, 1)
    assert (train.noise_strength, train.style_strength) == (1, 1)
    assert (train.supervision, train.codes, train.betas) == ("every", "searched", (0.9, 0.999))


@pytest.mark.parametrize("name", list(METHODS))
@pytest.mark.parametrize("distance", ["lpips", "gradients"])
def test_every_method_minimises_the_distance_of_the_task(name: str, distance: str) -> None:
    values = known_settings().model_dump(mode="json")
    values["perceptual"] |= {"distance": distance, "backbone": "alex"}
    own = adapt(build_settings(ModelSettings, values, "a test"), METHODS[name], 0, 480).perceptual
    assert (own.distance, own.backbone) == (distance, "alex")
    assert "LPIPS" not in METHODS[name].meaning


def with_every_option() -> ModelSettings:
    """Settings in which every option is on that some methods have no use for."""
    values = known_settings().model_dump(mode="json")
    values["train"] |= {"repeat_images": 2, "micro_batches": 2, "level_weights": [1, 2]}
    values["train"] |= {
        "code_noise": 0.1,
        "noise_strength": 1.5,
        "style_strength": 0.5,
        "precision": "bf16",
    }
    values["search"] |= {"again_below": 0.9, "too_near": 0.1, "near_tie": 0.01}
    values["perceptual"] |= {"shift": 3, "turn": True}
    return build_settings(ModelSettings, values, "a test")


OTHER_STEPS = {
    "micro_batches": 1,
    "code_noise": 0,
    "noise_strength": 1,
    "style_strength": 1,
    "graph": False,
}
WHOLE = {"too_near": 0, "near_tie": 0}


@pytest.mark.parametrize(
    ("name", "without_use"),
    [
        ("cimle", {"search": WHOLE, "train": {"level_weights": None}}),
        ("no_supervision", {"train": {"level_weights": None}}),
        ("no_hierarchy", {"search": WHOLE}),
        ("regression", {"train": {"code_noise": 0, "noise_strength": 1, "style_strength": 1}}),
        ("cgan", {"train": OTHER_STEPS}),
        (
            "diffusion",
            {
                "perceptual": {"shift": 0, "turn": False},
                "train": {**OTHER_STEPS, "level_weights": None},
            },
        ),
    ],
)
def test_a_field_without_use_says_so(name: str, without_use: dict[str, dict[str, object]]) -> None:
    own = adapt(with_every_option(), get_method(name), 0, 480).model_dump(mode="json")
    for section, fields in without_use.items():
        assert {field: own[section][field] for field in fields} == fields


@pytest.mark.parametrize("name", list(METHODS))
def test_no_option_keeps_a_method_from_its_settings(name: str) -> None:
    assert adapt(with_every_option(), get_method(name), 1, 480).seed == 1


@pytest.mark.parametrize("pairs", [40, 96, 480])
def test_the_published_recipe_visits_an_image_25_times_per_round(pairs: int) -> None:
    """A split may have fewer images than a round takes of a larger one."""
    train = adapt(known_settings(), get_method("published"), 0, pairs).train
    assert train.steps_per_round == 25 * min(pairs, train.images_per_round)
    assert (train.batch_size, train.learning_rate, train.ema) == (1, 1e-4, 0)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_tower_without_mapping_networks_has_as_many_parameters(
    preset: str, tmp_path: Path
) -> None:
    (tmp_path / "presets").symlink_to(ROOT / "presets")
    params = {"preset": preset, "tasks": {"night_to_day": {}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    base = load_settings(ModelSettings, "night_to_day", tmp_path)
    own = adapt(base, get_method("no_mapping"), 0, 480)
    assert own.tower.mapping_depth == 1
    assert abs(tower_parameters(own) / tower_parameters(base) - 1) <= 0.01


def test_without_codes_a_tower_ignores_them_even_after_training(tmp_path: Path) -> None:
    pairs = known_pairs(Layout.FINE, 48, 0)
    state = tmp_path / "state.pt"
    trained = train_method(
        METHODS["regression"], settings_of("regression"), pairs, PixelDistance(), state, CPU, 0.3
    )
    tower = trained.network
    assert isinstance(tower, Tower)
    batch = make_batch(trained.settings.definition, trained.settings.tower, pairs[:2])
    first, second = (
        tower(
            batch.conditioning,
            [
                LevelCode(torch.randn(2, s) * scale, torch.randn(2, c, h, w) * scale)
                for s, c, h, w in tower.code_shapes()
            ],
        )[-1]
        for scale in (0.0, 3.0)
    )
    assert torch.equal(first, second)
