"""The training loop: rounds of hierarchical search and gradient steps (paper, algorithm 1).

A run is a pure function of pairs, settings, code and seed. Killed anywhere, it continues from its
last state to the same bits on the same kind of device.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from chimle.codes import chosen, draw
from chimle.data.batch import Batch
from chimle.data.dataset import Pair
from chimle.errors import UserError
from chimle.perceptual import Perceptual
from chimle.search import search
from chimle.settings import RunSettings
from chimle.tower.generator import LevelCode, Tower
from chimle.training.ema import WeightAverage
from chimle.training.progress import Progress
from chimle.training.rounds import round_batch, step_members
from chimle.training.state import Position, TrainingState

LOG_EVERY = 10
"""Gradient steps between rows of the training curve."""
FEATURE_CACHE_BYTES = 2 * 2**30
"""Target features of a round are kept when they fit; else computed per step. Same numbers."""


@dataclass(frozen=True)
class Trained:
    """What a run leaves.

    Attributes:
        tower: averaged weights, for sampling.
        columns: names of the curve's columns.
        history: the training curve, a row every `LOG_EVERY` steps.
    """

    tower: Tower
    columns: list[str]
    history: list[list[float]]


def new_state(settings: RunSettings, device: torch.device) -> TrainingState:
    """A run's beginning; the weights follow from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        tower = Tower(settings.tower, settings.definition.wiring)
    tower.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    train = settings.train
    optimizer = torch.optim.Adam(
        [
            {"params": list(tower.other_parameters()), "lr": train.learning_rate},
            {
                "params": list(tower.mapping_parameters()),
                "lr": train.learning_rate * train.mapping_rate,
            },
        ],
        betas=train.betas,
        fused=device.type != "mps",
    )
    return TrainingState(tower, WeightAverage(tower, train.ema), optimizer, Position())


def curve_columns(levels: int) -> list[str]:
    """Names of the training curve's columns."""
    return [
        "step",
        "round",
        "loss",
        *(f"loss_level_{level + 1}" for level in range(levels)),
        *(f"search_distance_level_{level + 1}" for level in range(levels)),
    ]


def level_losses(
    tower: Tower,
    perceptual: Perceptual,
    batch: Batch,
    codes: Sequence[LevelCode],
    targets: Sequence[tuple[Tensor, ...]],
) -> Tensor:
    """(L,) mean distance of every level's picture to its target: intermediate supervision."""
    images = tower(batch.conditioning, codes)
    return torch.stack(
        [perceptual.distance(i, t).mean() for i, t in zip(images, targets, strict=True)]
    )


def _perturb(
    codes: Sequence[LevelCode], batch: Batch, settings: RunSettings, step: int
) -> list[LevelCode]:
    """The chosen codes with a little fresh noise, named by the run's step."""
    zero = torch.zeros((len(batch), 1), dtype=torch.int64, device=codes[0].style.device)
    moved = []
    for level, code in enumerate(codes):
        shape = (code.style.shape[1], *code.noise.shape[1:])
        noise = draw(
            shape,
            batch.keys,
            zero,
            level=level,
            seed=settings.seed,
            round_=step,
            purpose="perturb",
        )
        size = settings.train.code_noise
        moved.append(LevelCode(code.style + size * noise.style, code.noise + size * noise.noise))
    return moved


class Trainer:
    """One run. `Trainer(...).run()` trains from wherever the saved state stands."""

    def __init__(
        self,
        settings: RunSettings,
        pairs: Sequence[Pair],
        perceptual: Perceptual,
        state_file: Path,
        device: torch.device,
    ) -> None:
        self.settings, self.pairs, self.device = settings, pairs, device
        self.perceptual = perceptual.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.state_file = state_file
        self.state = new_state(settings, device)
        train = settings.train
        self.progress = Progress(settings.task, train.rounds, train.steps_per_round)
        self.saved = time.monotonic()

    def run(self) -> Trained:
        """Train to the end; `UserError` when the loss stops being finite."""
        if self.state_file.exists():
            self.state.restore(self.state_file, self.device)
            self.progress.resumed(self.state.position.round, self.state.position.step)
        try:
            while self.state.position.round < self.settings.train.rounds:
                self._round()
        finally:
            self.progress.close()
        tower = self.state.average.module
        assert isinstance(tower, Tower)
        return Trained(
            tower, curve_columns(self.settings.tower.levels), self.state.position.history
        )

    def _save(self) -> None:
        self.state.save(self.state_file)
        self.saved = time.monotonic()

    def _autocast(self) -> torch.autocast:
        enabled = self.settings.train.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def _search(self, batch: Batch, round_: int) -> None:
        candidates = self.settings.search.candidates
        tower = self.state.tower
        self.progress.searching(round_, len(batch))
        tower.eval()
        with self._autocast():
            choice = search(
                tower,  # type: ignore[arg-type]
                self.perceptual,
                batch,
                candidates,
                seed=self.settings.seed,
                round_=round_,
                chunk=self.settings.search.chunk,
            )
        tower.train()
        self.progress.searched(len(batch) * sum(candidates))
        self.state.position.indices = choice.indices
        self.state.position.distances = choice.distances.cpu()

    @torch.no_grad()
    def _target_features(self, batch: Batch) -> list[tuple[Tensor, ...]] | None:
        """Features of all of a round's targets per level, or None if they would not fit."""
        size = self.settings.train.batch_size
        with self._autocast():
            first = [self.perceptual.features(t[:1]) for t in batch.targets]
            needed = sum(f.numel() * f.element_size() for level in first for f in level)
            if needed * len(batch) > FEATURE_CACHE_BYTES:
                return None
            return [
                tuple(
                    map(torch.cat, zip(*map(self.perceptual.features, t.split(size)), strict=True))
                )
                for t in batch.targets
            ]

    def _round(self) -> None:
        position, settings = self.state.position, self.settings
        round_ = position.round
        batch = round_batch(settings, self.pairs, round_).to(self.device)
        if position.indices is None:
            self._search(batch, round_)
            self._save()
        features = self._target_features(batch)
        losses: list[float] = []
        for step, members in enumerate(step_members(settings, len(batch), round_)):
            if step < position.step:
                continue
            losses = self._step(batch, features, torch.from_numpy(members).to(self.device), step)
            if time.monotonic() - self.saved > settings.train.checkpoint_seconds:
                self._save()
        if losses:
            self.progress.round_done(round_, losses)
        self.state.position = Position(round=round_ + 1, history=position.history)
        self._save()

    def _step(
        self,
        batch: Batch,
        features: list[tuple[Tensor, ...]] | None,
        members: Tensor,
        step: int,
    ) -> list[float]:
        """One gradient step; returns the losses per level."""
        settings, position, tower = self.settings, self.state.position, self.state.tower
        assert isinstance(tower, Tower) and position.indices is not None
        number = position.round * settings.train.steps_per_round + step + 1
        part = batch.select(members)
        codes = chosen(
            tower.code_shapes(),
            part.keys,
            position.indices[members],
            seed=settings.seed,
            round_=position.round,
        )
        if settings.train.code_noise:
            codes = _perturb(codes, part, settings, number)
        with self._autocast():
            if features is None:
                with torch.no_grad():
                    targets = [self.perceptual.features(target) for target in part.targets]
            else:
                targets = [tuple(f[members] for f in level) for level in features]
            per_level = level_losses(tower, self.perceptual, part, codes, targets)
        loss = per_level.sum()
        self.state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        losses = per_level.detach().tolist()
        if not all(map(math.isfinite, losses)):
            raise UserError(
                f"task {settings.task}: the loss became {sum(losses)} in round "
                f"{position.round + 1}, step {step + 1}: lower `train.learning_rate`; the last "
                f"good state is kept in {self.state_file}"
            )
        self.state.optimizer.step()
        self.state.average.update(tower, number)
        position.step = step + 1
        self._log(number, losses)
        return losses

    def _log(self, number: int, losses: list[float]) -> None:
        position = self.state.position
        if number % LOG_EVERY and position.step != self.settings.train.steps_per_round:
            return
        assert position.distances is not None
        found = position.distances.mean(dim=0).tolist()
        row = [float(number), float(position.round + 1), sum(losses), *losses, *found]
        position.history.append(row)
        self.progress.stepped(position.round, position.step, losses)
