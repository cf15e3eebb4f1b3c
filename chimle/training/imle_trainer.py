"""CHIMLE's training: rounds of hierarchical search and gradient steps (paper, algorithm 1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from chimle.data.batch import Batch
from chimle.data.dataset import Pair
from chimle.perceptual.lpips import Distance, Features
from chimle.settings import RunSettings
from chimle.tower.generator import Tower
from chimle.training.base_trainer import BaseTrainer
from chimle.training.code_selection import (
    candidate_distance,
    candidates_judged,
    choose_codes,
    chunks_at_once,
    step_codes,
)
from chimle.training.distributed import ALONE, Ranks
from chimle.training.ema import WeightAverage
from chimle.training.losses import level_losses, supervised_levels
from chimle.training.training_state import Position, TrainingState

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
    if settings.train.codes == "none":
        tower.ignore_codes()
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


class ImleTrainer(BaseTrainer):
    """One run. `Trainer(...).run()` trains from wherever the saved state stands."""

    def __init__(
        self,
        settings: RunSettings,
        pairs: Sequence[Pair],
        perceptual: Distance,
        state_file: Path,
        device: torch.device,
        seconds: float | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        """As `Rounds`, with a distance on `device`."""
        state = new_state(settings, device)
        super().__init__(settings, pairs, state, state_file, device, seconds, ranks)
        self.perceptual = perceptual.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.distance = candidate_distance(settings, self.perceptual)
        self.features: list[Features] | None = None
        self.chunks: tuple[int, ...] | None = None
        self.model = ranks.shared(self.tower, unused=settings.train.supervision != "every")

    @property
    def tower(self) -> Tower:
        """The tower that learns."""
        network = self.state.network
        assert isinstance(network, Tower)
        return network

    def run(self) -> Trained:
        """Train to the end; `UserError` when the loss stops being finite."""
        self.run_rounds()
        average = self.state.average.module
        assert isinstance(average, Tower)
        return Trained(average, self.columns(), self.state.position.history)

    def columns(self) -> list[str]:
        """Names of the training curve's columns."""
        settings = self.settings
        searched = settings.tower.levels if settings.train.codes == "searched" else 0
        return [
            "step",
            "round",
            "loss",
            *(f"loss_level_{level + 1}" for level in supervised_levels(settings)),
            *(f"search_distance_level_{level + 1}" for level in range(searched)),
        ]

    def autocast(self) -> torch.autocast:
        """The settings' arithmetic."""
        enabled = self.settings.train.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def prepare(self, batch: Batch, round_: int) -> None:
        """Search the round's codes, unless that is done, and the features of its targets."""
        if self.state.position.indices is None:
            self._search(batch, round_)
            self.save()
        self.features = self._target_features(batch)

    def step(self, part: Batch, members: Tensor, number: int) -> list[float]:
        """Pull the pictures of the chosen codes towards the targets."""
        settings, position = self.settings, self.state.position
        assert position.indices is not None
        indices = position.indices[members]
        codes = step_codes(
            settings, self.tower, part, indices, round_=position.round, number=number
        )
        with self.autocast():
            targets = self.targets(part, members)
            images = self.model(part.conditioning, codes)
            levels = supervised_levels(settings)
            per_level = level_losses(images, self.perceptual, targets, levels)
        self.state.optimizer.zero_grad(set_to_none=True)
        per_level.sum().backward()
        return per_level.detach().tolist()

    def more_columns(self) -> list[float]:
        """The mean distance of the chosen codes' pictures when they were chosen, per level."""
        distances = self.state.position.distances
        assert distances is not None
        return distances.mean(dim=0).tolist()

    def targets(self, part: Batch, members: Tensor) -> list[Features]:
        """Features of a step's targets per level: the round's, or computed now."""
        if self.features is not None:
            return [tuple(f[members] for f in level) for level in self.features]
        with torch.no_grad():
            return [self.perceptual.features(target) for target in part.targets]

    def _search(self, batch: Batch, round_: int) -> None:
        """Every rank its share of the images; all keep every choice."""
        settings, count = self.settings, len(batch)
        self.progress.searching(round_, count)
        if self.chunks is None:
            self.chunks = chunks_at_once(settings, self.tower, self.perceptual, batch)
        own = self.ranks.shard(count)
        part = batch.select(range(own.start, own.stop))
        self.tower.eval()
        with self.autocast():
            choice = choose_codes(settings, self.tower, self.distance, part, round_, self.chunks)
        self.tower.train()
        self.progress.searched(count * candidates_judged(settings))
        position = self.state.position
        position.indices = self.ranks.gathered(choice.indices, count)
        position.distances = self.ranks.gathered(choice.distances, count).cpu()

    @torch.no_grad()
    def _target_features(self, batch: Batch) -> list[Features] | None:
        """Features of all of a round's targets per level, or None if they would not fit."""
        size, count = self.settings.train.batch_size, len(batch)
        own = self.ranks.shard(count)
        with self.autocast():
            first = [self.perceptual.features(t[:1]) for t in batch.targets]
            needed = sum(f.numel() * f.element_size() for level in first for f in level)
            if needed * count > FEATURE_CACHE_BYTES:
                return None
            levels = [
                map(
                    torch.cat,
                    zip(*map(self.perceptual.features, t[own].split(size)), strict=True),
                )
                for t in batch.targets
            ]
        return [tuple(self.ranks.gathered(f, count) for f in level) for level in levels]
