"""Methods that are compared: the same time, data and size, and what each of them does alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from chimle.baselines.adversarial import AdversarialTrainer, Discriminator, mode_seeking
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
from chimle.images.colour import chroma_to_rgb, lightness, rgb_to_chroma
from chimle.perceptual.random_projection import RandomProjection
from chimle.search.codes import code_keys, codes_at
from chimle.search.flat import search_whole
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import build_settings, load_settings
from chimle.tasks import TASKS, Wiring
from chimle.tower.generator import LevelCode, Tower
from chimle.training.execution import Execution
from chimle.training.timer import Stopwatch
from tests.search.test_hierarchical import batch_for, small_tower
from tests.support.helpers import PRESETS, ROOT

CPU = torch.device("cpu")


def settings_of(name: str) -> ModelSettings:
    return adapt(known_settings(), get_method(name), 3)


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_trains_within_its_time_and_answers(name: str, tmp_path: Path) -> None:
    if name == "diffusion":
        pytest.importorskip("diffusers")
    pairs = known_pairs(Layout.COARSE, 48, 0)
    settings, state = settings_of(name), tmp_path / "state.pt"
    trained = train_method(METHODS[name], settings, pairs, PixelDistance(), state, CPU, 0.5)
    assert trained.seconds >= 0.5
    assert trained.steps > 0
    samples = trained.sample(pairs[:2], 3, seed=1)
    assert samples.shape == (2, 3, 16, 16, 3)
    assert samples.dtype == np.uint8
    assert np.array_equal(samples, trained.sample(pairs[:2], 3, seed=1))
    one_answer = (samples == samples[:, :1]).all()
    assert one_answer == (name == "regression")
    # Its time is up: begun again from its state it does not take another step.
    again = train_method(METHODS[name], settings, pairs, PixelDistance(), state, CPU, 0.5)
    assert again.steps == trained.steps
    assert np.array_equal(samples, again.sample(pairs[:2], 3, seed=1))


def test_methods_are_of_one_size() -> None:
    pytest.importorskip("diffusers")
    from chimle.baselines.diffusion import matched_unet

    for count in (tower_parameters(known_settings()), 300_000, 900_000):
        unet = matched_unet(count, 6, 3)
        assert abs(sum(p.numel() for p in unet.parameters()) / count - 1) <= 0.1


def test_a_tower_too_small_for_any_unet_is_a_sentence() -> None:
    pytest.importorskip("diffusers")
    from chimle.baselines.diffusion import matched_unet

    with pytest.raises(UserError, match="leave `diffusion` out"):
        matched_unet(2_000, 6, 3)


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


def test_the_published_recipe_has_none_of_the_options_that_came_after_it() -> None:
    values = known_settings().model_dump(mode="json")
    values["train"] |= {"repeat_images": 2, "micro_batches": 2, "noise_strength": 1.5}
    values["search"] |= {"again_below": 0.9, "too_near": 0.1, "near_tie": 0.01}
    task = build_settings(ModelSettings, values, "a test")
    own = adapt(task, get_method("published"), 0)
    assert (own.search.again_below, own.search.too_near, own.search.near_tie) == (None, 0, 0)
    train = own.train
    assert (train.repeat_images, train.micro_batches, train.noise_strength) == (1, 1, 1)


def with_every_option() -> ModelSettings:
    """Settings in which every option is on that some methods have no use for."""
    values = known_settings().model_dump(mode="json")
    values["train"] |= {"repeat_images": 2, "micro_batches": 2, "level_weights": [1, 2]}
    values["train"] |= {"code_noise": 0.1, "noise_strength": 1.5, "precision": "bf16"}
    values["search"] |= {"again_below": 0.9, "too_near": 0.1, "near_tie": 0.01}
    values["perceptual"] |= {"shift": 3, "turn": True}
    return build_settings(ModelSettings, values, "a test")


OTHER_STEPS = {"micro_batches": 1, "code_noise": 0, "noise_strength": 1, "graph": False}
WHOLE = {"too_near": 0, "near_tie": 0}


@pytest.mark.parametrize(
    ("name", "without_use"),
    [
        ("cimle", {"search": WHOLE, "train": {"level_weights": None}}),
        ("no_supervision", {"train": {"level_weights": None}}),
        ("no_hierarchy", {"search": WHOLE}),
        ("regression", {"train": {"code_noise": 0, "noise_strength": 1}}),
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
    own = adapt(with_every_option(), get_method(name), 0).model_dump(mode="json")
    for section, fields in without_use.items():
        assert {field: own[section][field] for field in fields} == fields


@pytest.mark.parametrize("name", list(METHODS))
def test_no_option_keeps_a_method_from_its_settings(name: str) -> None:
    assert adapt(with_every_option(), get_method(name), 1).seed == 1


def trained_against_a_discriminator(folder: Path, **changes: dict[str, object]) -> torch.Tensor:
    """The tower's weights after two steps."""
    values = settings_of("cgan").model_dump(mode="json")
    values["train"] |= {"rounds": 1, "steps_per_round": 2, "images_per_round": 12}
    for section, fields in changes.items():
        values[section] |= fields
    settings = build_settings(ModelSettings, values, "a test")
    folder.mkdir()
    execution = Execution(folder / "state.pt", CPU)
    pairs = known_pairs(Layout.COARSE, 12, 0)
    tower = AdversarialTrainer(settings, pairs, PixelDistance(), execution).run().tower
    return torch.cat([parameter.flatten() for parameter in tower.parameters()])


def test_the_conditional_gan_takes_views_and_weights_of_levels(tmp_path: Path) -> None:
    cases: list[dict[str, dict[str, object]]] = [
        {},
        {"train": {"level_weights": [1, 1]}},
        {"train": {"level_weights": [9, 1]}},
        {"perceptual": {"shift": 7}},
    ]
    found = [
        trained_against_a_discriminator(tmp_path / str(number), **changes)
        for number, changes in enumerate(cases)
    ]
    same = [torch.equal(found[0], other) for other in found]
    assert same == [True, True, False, False]


def test_the_published_recipe_visits_an_image_25_times_per_round() -> None:
    train = settings_of("published").train
    assert train.steps_per_round * train.batch_size == 25 * train.images_per_round
    assert (train.batch_size, train.learning_rate, train.ema) == (1, 1e-4, 0)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_tower_without_mapping_networks_has_as_many_parameters(
    preset: str, tmp_path: Path
) -> None:
    (tmp_path / "presets").symlink_to(ROOT / "presets")
    params = {"preset": preset, "tasks": {"night_to_day": {}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    base = load_settings(ModelSettings, "night_to_day", tmp_path)
    own = adapt(base, get_method("no_mapping"), 0)
    assert own.tower.mapping_depth == 1
    assert abs(tower_parameters(own) / tower_parameters(base) - 1) <= 0.01


@pytest.mark.parametrize("wiring", list(Wiring))
@torch.no_grad()
def test_whole_search_finds_the_nearest_of_whole_codes(wiring: Wiring) -> None:
    tower, distance = small_tower(wiring), PixelDistance()
    batch, levels = batch_for(tower, wiring), (1, 2)
    found = [
        search_whole(tower, distance, batch, 9, levels, seed=3, round_=1, chunk=chunk)
        for chunk in (4, 9, 36)
    ]
    sums = []
    for index in range(9):
        indices = torch.full((len(batch), 3), index)
        keys = code_keys(batch.keys, tower.settings.levels, seed=3, round_=1)
        codes = codes_at(tower.code_shapes(), keys, indices)
        images = tower(batch.conditioning, codes)
        each = [distance.distance(images[level], (batch.targets[level],)) for level in levels]
        sums.append(torch.stack(each).sum(dim=0))
    nearest = torch.stack(sums).argmin(dim=0)
    for choice in found:
        assert torch.equal(choice.indices, nearest.unsqueeze(1).expand(-1, 3))
        assert torch.allclose(choice.distances[:, 1:].sum(dim=1), torch.stack(sums).min(0).values)


def test_projections_keep_distances_on_average_and_are_fixed() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(40, 3, 8, 8, generator=generator)
    exact = PixelDistance()
    near = RandomProjection(exact, 400)
    target = images[:1]
    true = exact.distance(images, exact.features(target)) * 3  # Per pixel, not per number.
    found = near.distance(images, near.features(target))
    assert torch.allclose(
        found, RandomProjection(exact, 400).distance(images, near.features(target))
    )
    ratio = found[1:] / true[1:]
    assert abs(float(ratio.mean()) - 1) < 0.05
    assert float(ratio.std()) < 0.2
    assert float(found[0]) == pytest.approx(0, abs=1e-6)


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


def test_mode_seeking_prefers_images_that_differ() -> None:
    codes = [LevelCode(torch.randn(4, 3), torch.randn(4, 1, 2, 2))]
    numbers = torch.cat([codes[0].style, codes[0].noise.flatten(1)], dim=1)
    apart = (numbers[0::2] - numbers[1::2]).abs().mean(dim=1)
    images = torch.zeros(4, 3, 8, 8)
    images[1::2] = 0.5
    expected = (1 / (0.5 / apart + 1e-5)).mean()
    assert float(mode_seeking(images, codes)) == pytest.approx(float(expected), rel=1e-5)
    assert mode_seeking(images * 0.1, codes) > mode_seeking(images, codes)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_discriminator_scores_patches(channels: int) -> None:
    judge = Discriminator(channels)
    scores = judge(torch.rand(2, 3, 32, 32), torch.rand(2, channels, 4, 4))
    assert scores.shape == (2, 1, 4, 4)


def test_chroma_is_what_makes_the_image() -> None:
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    made = chroma_to_rgb(lightness(images), rgb_to_chroma(images))
    assert (made - images).abs().max() < 0.02
    assert TASKS["colourization"].wiring is Wiring.COLOURIZATION


def test_a_stopwatch_counts_over_processes() -> None:
    watch = Stopwatch(10.0)
    watch.resume(9.0)
    assert not watch.over
    assert 9.0 <= watch.spent < 9.9
    watch.resume(10.0)
    assert watch.over
    assert not Stopwatch().over
