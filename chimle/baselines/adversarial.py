"""The same tower, trained against a discriminator: a conditional GAN with mode seeking.

Hinge loss on patches of the finest image (Isola et al., arXiv 1611.07004; Lim and Ye 2017),
spectral normalisation (Miyato et al., arXiv 1802.05957), the towers' own distance to the target in
place of pix2pix's L1, and MSGAN's regulariser (Mao et al., arXiv 1903.05628), by which two codes
of one input must make different images.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from chimle.data.batch import Batch
from chimle.data.dataset import Pair
from chimle.perceptual.distance import Distance
from chimle.perceptual.random_view import draw_view
from chimle.search.codes import draw
from chimle.settings.model_settings import ModelSettings
from chimle.tower.generator import LevelCode, Tower
from chimle.training.execution import Execution
from chimle.training.imle_trainer import ImleTrainer
from chimle.training.step_inputs import step_inputs

WIDTH = 32
"""Channels of the discriminator's first layer; doubled by each of the next two."""
RECONSTRUCTION = 1.0
"""Weight of the distance to the target, summed over levels."""
MODE_SEEKING = 1.0
"""Weight of the mode-seeking term (MSGAN: 1)."""
SMALLEST_DIFFERENCE = 1e-5
"""Added where two images' difference divides (MSGAN: 1e-5)."""
CODES = 2
"""Codes per input in a step, as mode seeking compares two."""


class Discriminator(nn.Module):
    """Scores patches of an image, given its conditioning image.

    Args:
        conditioning_channels: channels of a conditioning image.
    """

    def __init__(self, conditioning_channels: int) -> None:
        super().__init__()
        sizes = [3 + conditioning_channels, WIDTH, 2 * WIDTH, 4 * WIDTH]
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            layers += [spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, 1)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv2d(sizes[-1], 1, 3, padding=1)))

    def forward(self, images: Tensor, conditioning: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] and a conditioning image of any size to scores (B, 1, h, w)."""
        grown = F.interpolate(conditioning, images.shape[-2:], mode="bilinear")
        scores: Tensor = self.layers(torch.cat((images, grown), dim=1) * 2 - 1)
        return scores


def two_codes(tower: Tower, batch: Batch, seed: int, number: int) -> list[LevelCode]:
    """Two fresh codes per image of a step, the two of an image adjacent."""
    device = batch.targets[0].device
    indices = torch.arange(CODES, device=device).expand(len(batch), -1)
    return [
        draw(shape, batch.keys, indices, level=level, seed=seed, round_=number)
        for level, shape in enumerate(tower.code_shapes())
    ]


def mode_seeking(images: Tensor, codes: Sequence[LevelCode]) -> Tensor:
    """MSGAN: distance of two codes of an input over the distance of their images.

    Args:
        images: (B*2, 3, H, W), the two of an input adjacent.
        codes: theirs, per level.
    """
    numbers = torch.cat([part.flatten(1) for code in codes for part in code], dim=1)

    def distances(rows: Tensor) -> Tensor:
        first, second = rows.unflatten(0, (-1, CODES)).unbind(1)
        differences: Tensor = (first - second).abs().flatten(1)
        return differences.mean(dim=1)

    return (1 / (distances(images) / distances(numbers) + SMALLEST_DIFFERENCE)).mean()


class AdversarialTrainer(ImleTrainer):
    """`ImleTrainer` without a search, whose step is a discriminator's and then the tower's.

    The distance to the target sees random views and has weights of levels as everywhere; both the
    discriminator and mode seeking see the images as they are. The schedule of the learning rate is
    the tower's alone. A step is whole, with fresh codes, and never recorded: `train.micro_batches`,
    `train.code_noise` and `train.graph` are what `chimle.baselines.methods` declares.
    """

    def __init__(
        self,
        settings: ModelSettings,
        pairs: Sequence[Pair],
        perceptual: Distance,
        execution: Execution,
    ) -> None:
        super().__init__(settings, pairs, perceptual, execution)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            discriminator = Discriminator(settings.definition.conditioning_channels)
        self.discriminator = discriminator.to(self.device)
        train = settings.train
        self.discriminator_optimizer = torch.optim.Adam(
            self.discriminator.parameters(), train.learning_rate, betas=train.betas
        )
        self.state.others |= {
            "discriminator": self.discriminator,
            "discriminator_optimizer": self.discriminator_optimizer,
        }

    def columns(self) -> list[str]:
        """Names of the training curve's columns."""
        return ["step", "round", "loss", "adversarial", "reconstruction", "mode_seeking"]

    def more_columns(self) -> list[float]:
        """Nothing is searched."""
        return []

    def prepare(self, batch: Batch, round_: int) -> None:
        """The features of the round's targets."""
        del round_  # Nothing is searched.
        nothing = torch.zeros(len(batch), 0, dtype=torch.int64, device=self.device)
        self.inputs = step_inputs(batch, self._target_features(batch), nothing, nothing)

    def _discriminator_step(self, images: Tensor, part: Batch) -> None:
        """Hinge loss step on targets against images (B*2, 3, H, W)."""
        conditioning = part.conditioning[-1]
        with self.autocast():
            real = self.discriminator(part.targets[-1], conditioning)
            false = self.discriminator(
                images.detach(), conditioning.repeat_interleave(CODES, dim=0)
            )
            loss = F.relu(1 - real.float()).mean() + F.relu(1 + false.float()).mean()
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.discriminator_optimizer.step()

    def step(self, batch: Batch, members: np.ndarray, number: int) -> Tensor:
        """The discriminator's step, and the tower's gradient."""
        assert self.inputs is not None
        tower, part = self.tower, batch.select(members)
        inputs = self.inputs.rows(torch.from_numpy(members).to(self.device))
        codes = two_codes(tower, part, self.settings.seed, number)
        view = draw_view(self.settings.perceptual, self.settings.seed, number)
        view = view.to(self.device, non_blocking=True)
        with self.autocast():
            images = tower(part.conditioning, codes, part.jpeg)
        self._discriminator_step(images[-1], part)
        self.discriminator.requires_grad_(False)
        with self.autocast():
            seen = part.conditioning[-1].repeat_interleave(CODES, dim=0)
            adversarial = -self.discriminator(images[-1], seen).float().mean()
            distance = self._distances(images, inputs, view).sum()
        terms = [
            adversarial,
            RECONSTRUCTION * distance,
            MODE_SEEKING * mode_seeking(images[-1].float(), codes),
        ]
        self.state.optimizer.zero_grad(set_to_none=True)
        torch.stack(terms).sum().backward()
        self.discriminator.requires_grad_(True)
        return torch.stack(terms).detach()
