"""Rounds that repeat their images search again only where it pays, and resume to the same bits."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chimle.baselines.known_modes.mode_problem import (
    Layout,
    PixelDistance,
    known_pairs,
    known_settings,
)
from chimle.data.batch import Batch
from chimle.errors import UserError
from chimle.search.codes import code_keys, codes_at
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import build_settings
from chimle.training.execution import Execution
from chimle.training.imle_trainer import ImleTrainer
from chimle.training.round_batches import RoundBatches, round_batch

IMAGES, ROUNDS = 7, 6


def settings_of(
    again_below: float | None = None, repeat: int = 3, codes: str = "searched"
) -> ModelSettings:
    values = known_settings().model_dump(mode="json")
    values["train"] |= {
        "rounds": ROUNDS,
        "images_per_round": IMAGES,
        "steps_per_round": 6,
        "batch_size": 4,
        "repeat_images": repeat,
        "codes": codes,
        "checkpoint_seconds": 0,
    }
    values["search"]["again_below"] = again_below
    return build_settings(ModelSettings, values, "a test")


class Recorder(ImleTrainer):
    """Records each round's images, codes and the rounds that they were chosen in.

    `stop`: interrupt the run in this round, after this step.
    """

    stop: tuple[int, int] | None = None

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.seen: dict[int, tuple[tuple[int, ...], torch.Tensor, torch.Tensor]] = {}

    def prepare(self, batch: Batch, round_: int) -> None:
        super().prepare(batch, round_)
        position = self.state.position
        assert position.indices is not None
        assert position.rounds is not None
        self.seen[round_] = (batch.keys, position.indices, position.rounds)

    def _step(self, batch: Batch, members: np.ndarray, step: int) -> None:
        super()._step(batch, members, step)
        if self.stop == (self.state.position.round, step):
            self.save()
            raise KeyboardInterrupt


def trainer(settings: ModelSettings, folder: Path) -> Recorder:
    pairs = known_pairs(Layout.COARSE, 20, 0)
    return Recorder(
        settings, pairs, PixelDistance(), Execution(folder / "state.pt", torch.device("cpu"))
    )


def weights(run: Recorder) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.tower.parameters()])


def test_images_change_every_third_round_and_codes_where_they_came_near(tmp_path: Path) -> None:
    run = trainer(settings_of(again_below=0.8), tmp_path)
    run.run()
    kept = searched = 0
    for round_, (keys, indices, rounds) in run.seen.items():
        if round_ % 3 == 0:
            assert round_ == 0 or keys != run.seen[round_ - 1][0]
            assert (rounds == round_).all()
            continue
        before = run.seen[round_ - 1]
        assert keys == before[0]
        old = rounds != round_
        assert torch.equal(rounds[old], before[2][old])
        assert torch.equal(indices[old], before[1][old])
        kept, searched = kept + int(old.sum()), searched + int((~old).sum())
    assert kept, "no image kept its codes"
    assert searched, "no image was searched again"


def test_a_step_trains_on_the_codes_of_the_round_that_chose_them(tmp_path: Path) -> None:
    run = trainer(settings_of(again_below=0.8), tmp_path)
    run.run()
    last = max(run.seen)
    keys, indices, rounds = run.seen[last]
    assert len(set(rounds.tolist())) > 1
    assert run.inputs is not None
    shapes = run.tower.code_shapes()
    own = codes_at(shapes, run.inputs.keys, indices)
    for row, (key, round_) in enumerate(zip(keys, rounds.tolist(), strict=True)):
        named = code_keys([key], len(shapes), seed=run.settings.seed, round_=round_)
        for code, single in zip(own, codes_at(shapes, named, indices[row : row + 1]), strict=True):
            assert torch.equal(code.style[row], single.style[0])
            assert torch.equal(code.noise[row], single.noise[0])


def test_a_bound_that_all_images_pass_searches_as_none_does(tmp_path: Path) -> None:
    every, plain = (
        trainer(settings_of(bound), tmp_path / str(bound)) for bound in (float(10**9), None)
    )
    for run in (every, plain):
        run.state_file.parent.mkdir()
        run.run()
    assert torch.equal(weights(every), weights(plain))


@pytest.mark.parametrize("stop", [(0, 3), (1, 0), (1, 5), (2, 2), (4, 3)])
def test_a_run_stopped_anywhere_resumes_to_the_same_bits(
    tmp_path: Path, stop: tuple[int, int]
) -> None:
    folders = [tmp_path / name for name in ("whole", "parts")]
    for folder in folders:
        folder.mkdir()
    settings = settings_of(again_below=0.8)
    whole = trainer(settings, folders[0])
    whole.run()
    first = trainer(settings, folders[1])
    first.stop = stop
    with pytest.raises(KeyboardInterrupt):
        first.run()
    second = trainer(settings, folders[1])
    second.run()
    assert torch.equal(weights(whole), weights(second))


def test_repeated_rounds_have_one_batch_and_the_next_is_another() -> None:
    settings, pairs = settings_of(), known_pairs(Layout.COARSE, 20, 0)
    batches = RoundBatches(settings, pairs, settings.train.rounds)
    made = [batches.get(round_) for round_ in (0, 1, 2, 3, 5)]
    batches.close()
    assert all(batch is made[0] for batch in made[:3])
    assert made[4].keys == made[3].keys != made[0].keys
    plain = round_batch(settings_of(repeat=1), pairs, 3)
    for got, wanted in zip(made[3].targets, plain.targets, strict=True):
        assert torch.equal(got, wanted)


def test_where_time_ends_a_run_a_batch_is_kept_in_any_round() -> None:
    settings = settings_of()
    batches = RoundBatches(settings, known_pairs(Layout.COARSE, 20, 0), None)
    made = [batches.get(round_) for round_ in range(ROUNDS, ROUNDS + 3)]
    batches.close()
    assert all(batch is made[0] for batch in made)


def test_a_bound_without_repeated_images_is_refused() -> None:
    with pytest.raises(UserError, match=r"search.again_below.*train.repeat_images"):
        settings_of(again_below=0.9, repeat=1)


def test_a_tower_without_codes_has_none_to_search_again(tmp_path: Path) -> None:
    run = trainer(settings_of(again_below=0.8, codes="none"), tmp_path)
    run.run()
    assert set(run.seen) == set(range(ROUNDS))


def test_what_a_round_did_not_choose_stays(tmp_path: Path) -> None:
    run = trainer(settings_of(again_below=1e-9), tmp_path)
    run.run()
    for round_, (_, _, rounds) in run.seen.items():
        assert (rounds == round_ - round_ % 3).all()
    fields = {f.name for f in dataclasses.fields(run.state.position)}
    assert {"indices", "distances", "rounds", "searched"} <= fields
