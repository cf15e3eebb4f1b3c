"""Train a method for a given time, and draw its samples."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from chimle.baselines.adversarial import AdversarialTrainer
from chimle.baselines.diffusion import DiffusionTrainer, sample_diffusion
from chimle.baselines.methods import Method, TrainerKind
from chimle.baselines.parameter_matching import count_parameters, tower_parameters
from chimle.data.batch import pair_conditioning
from chimle.data.dataset import Pair, image_key
from chimle.inference.sampling import sample_pairs
from chimle.metrics.seen_features import seen_features
from chimle.perceptual.distance import Distance
from chimle.settings.model_settings import ModelSettings
from chimle.tower.generator import Tower
from chimle.training.base_trainer import BaseTrainer
from chimle.training.execution import Execution
from chimle.training.imle_trainer import ImleTrainer
from chimle.training.timer import fair_clock


@dataclass(frozen=True)
class TrainedMethod:
    """A trained method.

    Attributes:
        method: which.
        settings: of its run.
        network: averaged weights: a tower, or the diffusion model's U-Net.
        seconds: training time by `fair_clock`, search included.
        steps: gradient steps done.
    """

    method: Method
    settings: ModelSettings
    network: nn.Module
    seconds: float
    steps: int

    @property
    def parameters(self) -> int:
        """Number of parameters that make an image."""
        return count_parameters(self.network)

    def trained_features(self, network: str) -> tuple[str, ...]:
        """Names of what the model was fitted to, where an LPIPS network of that name evaluates."""
        if self.method.trainer is TrainerKind.DIFFUSION:
            return ()
        filtered = self.settings.train.equaliser is not None
        return seen_features(self.settings.perceptual, network, filtered=filtered)

    def sample_pairs(
        self, pairs: Iterable[Pair], count: int, seed: int, batch_size: int = 16
    ) -> Iterator[tuple[Pair, np.ndarray]]:
        """Draw samples for the input of each pair; memory holds one pair's at a time.

        Args:
            pairs: of the method's resolution.
            count: S, samples of each input.
            seed: of the samples.
            batch_size: samples in one forward pass.

        Yields:
            Each pair with its samples (S, H, W, 3) uint8.
        """
        if isinstance(self.network, Tower):
            task = self.settings.definition
            return sample_pairs(self.network, task, pairs, count, seed=seed, batch_size=batch_size)
        return ((pair, self._diffused(pair, count, seed, batch_size)) for pair in pairs)

    def _diffused(self, pair: Pair, count: int, seed: int, batch_size: int) -> np.ndarray:
        """(S, H, W, 3) uint8 samples of the diffusion model for a pair's input."""
        task, tower = self.settings.definition, self.settings.tower
        levels, _ = pair_conditioning(task, tower, [pair])
        drawn = sample_diffusion(
            self.network,
            task,
            levels[-1].to(next(self.network.parameters()).device),
            [image_key(pair.id)],
            count,
            tower.resolution,
            seed=seed,
            batch_size=batch_size,
        )
        samples: np.ndarray = drawn[0]
        return samples


def train_method(
    method: Method,
    settings: ModelSettings,
    pairs: Sequence[Pair],
    distance: Distance,
    state_file: Path,
    device: torch.device,
    seconds: float,
) -> TrainedMethod:
    """Train a method until its time is up.

    Args:
        method: which.
        settings: result of `adapt`.
        pairs: of the training split.
        distance: that towers minimise, on `device`.
        state_file: training state; a killed run resumes from it.
        device: where it computes.
        seconds: training time by `fair_clock`.
    """
    trainer: BaseTrainer
    execution = Execution(state_file, device, seconds, fair_clock(device))
    match method.trainer:
        case TrainerKind.IMLE:
            trainer = ImleTrainer(settings, pairs, distance, execution)
        case TrainerKind.ADVERSARIAL:
            trainer = AdversarialTrainer(settings, pairs, distance, execution)
        case TrainerKind.DIFFUSION:
            trainer = DiffusionTrainer(settings, pairs, tower_parameters(settings), execution)
    trainer.run_rounds()
    spent, position = trainer.timer.spent, trainer.state.position
    steps = position.round * settings.train.steps_per_round + position.step
    return TrainedMethod(method, settings, trainer.finished(), spent, steps)
