"""A conditional diffusion model of as many parameters, with diffusers' U-Net and scheduler.

Denoising diffusion (Ho et al., arXiv 2006.11239) with the cosine schedule (Nichol and Dhariwal,
arXiv 2102.09672) and velocity prediction (Salimans and Ho, arXiv 2202.00512); the conditioning
image enters as further channels. Sampling is DDIM (Song et al., arXiv 2010.02502) in few steps. A
colourization predicts what a tower predicts, chroma beside a given lightness.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chimle.baselines.parameter_matching import count_parameters
from chimle.data.batch import Batch
from chimle.data.dataset import Pair
from chimle.device import arithmetic
from chimle.errors import UserError
from chimle.images.colour import chroma_to_rgb, rgb_to_chroma
from chimle.images.pyramid import to_uint8
from chimle.perceptual.torchvision_compat import import_torchvision
from chimle.settings.model_settings import ModelSettings
from chimle.tasks import Task, Wiring
from chimle.training.base_trainer import BaseTrainer
from chimle.training.ema import WeightAverage
from chimle.training.execution import Execution
from chimle.training.training_state import Position, TrainingState

TIMES = 1000
"""Noise levels in training."""
SAMPLING_STEPS = 20
"""Network passes per sample."""
SHAPES = ((1, 2, 4), (1, 2, 3), (1, 2, 2), (1, 1, 2))
"""Channels of the U-Net's resolutions, fine to coarse, relative to the finest; which of them is
taken, the number of parameters decides."""
WIDEST = 1024
"""Channels of the finest resolution at most."""
GROUPS = 2
"""Of the group normalisation; widths are multiples of it."""
TOLERANCE = 0.1
"""Largest relative difference to the tower's number of parameters."""


def _library() -> Any:
    import_torchvision()
    try:
        import diffusers
    except ImportError:
        raise UserError(
            "the diffusion baseline needs diffusers: pip install 'chimle[diffusion]', or "
            "leave `diffusion` out of the methods"
        ) from None
    return diffusers


def build_unet(widths: Sequence[int], inputs: int, outputs: int) -> nn.Module:
    """A U-Net of three resolutions, fine to coarse, with attention at the coarsest."""
    unet: nn.Module = _library().UNet2DModel(
        in_channels=inputs,
        out_channels=outputs,
        layers_per_block=1,
        block_out_channels=tuple(widths),
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        norm_num_groups=GROUPS,
        attention_head_dim=None,  # One head, whatever the width.
    )
    return unet


def matched_unet(parameters: int, inputs: int, outputs: int) -> nn.Module:
    """The U-Net whose number of parameters is nearest to the given one.

    Raises:
        UserError: diffusers is not installed, or none comes within `TOLERANCE`.
    """

    @cache
    def size(widths: tuple[int, ...]) -> int:
        with torch.device("meta"):
            return count_parameters(build_unet(widths, inputs, outputs))

    def nearest_of(shape: tuple[int, ...]) -> tuple[int, ...]:
        """By bisection: more channels are more parameters."""
        steps = range(1, WIDEST // GROUPS + 1)
        sizes = [tuple(step * GROUPS * multiple for multiple in shape) for step in steps]
        place = bisect_left(sizes, parameters, key=size)
        return min(sizes[max(place - 1, 0) : place + 1], key=lambda w: abs(size(w) - parameters))

    widths = min(map(nearest_of, SHAPES), key=lambda w: abs(size(w) - parameters))
    if abs(size(widths) / parameters - 1) > TOLERANCE:
        raise UserError(
            f"no U-Net has about the tower's {parameters} parameters (next is {size(widths)}): "
            "leave `diffusion` out of the methods, or take a tower of another size"
        )
    return build_unet(widths, inputs, outputs)


def channels(task: Task) -> int:
    """Channels that are denoised: RGB, or the chroma of a colourization."""
    return 2 if task.wiring is Wiring.COLOURIZATION else 3


def _encoded(images: Tensor, task: Task) -> Tensor:
    """(B, 3, H, W) images in [0, 1] as what is denoised, in [-1, 1]."""
    if task.wiring is Wiring.COLOURIZATION:
        return rgb_to_chroma(images)
    return images * 2 - 1


def _decoded(denoised: Tensor, conditioning: Tensor, task: Task) -> Tensor:
    """The way back, to (B, 3, H, W) in [0, 1]."""
    if task.wiring is Wiring.COLOURIZATION:
        return chroma_to_rgb(conditioning, denoised.clamp(-1, 1))
    return (denoised + 1) / 2


def _grown(conditioning: Tensor, size: tuple[int, int]) -> Tensor:
    """A conditioning image at the image's size, in [0, 1]; the network sees it in [-1, 1]."""
    return F.interpolate(conditioning, size, mode="bicubic").clamp(0, 1)


def _schedule() -> Any:
    return _library().DDIMScheduler(
        num_train_timesteps=TIMES,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
    )


class DiffusionTrainer(BaseTrainer):
    """Rounds of denoising; a round's images and poses are those of every other method.

    Args:
        settings: of the CHIMLE run that it is compared with.
        pairs: of the training split.
        parameters: of the tower that it is compared with.
        execution: where and for how long it computes.
    """

    def __init__(
        self,
        settings: ModelSettings,
        pairs: Sequence[Pair],
        parameters: int,
        execution: Execution,
    ) -> None:
        task, train, device = settings.definition, settings.train, execution.device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            inputs = channels(task) + task.conditioning_channels
            network = matched_unet(parameters, inputs, channels(task)).to(device)
        optimizer = torch.optim.Adam(
            network.parameters(), train.learning_rate, betas=train.betas, fused=device.type != "mps"
        )
        state = TrainingState(network, WeightAverage(network, train.ema), optimizer, Position())
        super().__init__(settings, pairs, state, execution)
        self.schedule = _schedule()

    def columns(self) -> list[str]:
        """Names of the training curve's columns."""
        return ["step", "round", "loss", "velocity"]

    def prepare(self, batch: Batch, round_: int) -> None:
        """Nothing is searched."""

    def step(self, batch: Batch, members: np.ndarray, number: int) -> Tensor:
        """Predict the velocity at a random noise level per image."""
        task = self.settings.definition
        part = batch.select(members)
        generator = torch.Generator().manual_seed(self.settings.seed * 2**32 + number)
        clean = _encoded(part.targets[-1], task)
        noise = torch.randn(clean.shape, generator=generator).to(self.device)
        times = torch.randint(TIMES, (len(part),), generator=generator).to(self.device)
        noisy = self.schedule.add_noise(clean, noise, times)
        seen = _grown(part.conditioning[-1], (clean.shape[2], clean.shape[3])) * 2 - 1
        with arithmetic(self.device, self.settings.train.precision):
            predicted = self.state.network(torch.cat((noisy, seen), dim=1), times).sample
        loss = F.mse_loss(predicted.float(), self.schedule.get_velocity(clean, noise, times))
        self.state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        return loss.detach().unsqueeze(0)


def _first_noise(keys: Sequence[int], count: int, seed: int, shape: tuple[int, int, int]) -> Tensor:
    """(N*S, C, H, W) normals, each named by (seed, image, number of the sample)."""
    rows = []
    for key in keys:
        for number in range(count):
            name = hashlib.sha256(f"{seed}/{key}/{number}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(name[:8], "big") >> 1)
            rows.append(torch.randn(shape, generator=generator))
    return torch.stack(rows)


@torch.no_grad()
def sample_diffusion(
    network: nn.Module,
    task: Task,
    conditioning: Tensor,
    keys: Sequence[int],
    count: int,
    size: int,
    *,
    seed: int,
    batch_size: int,
) -> np.ndarray:
    """Draw S images for each of N inputs.

    Args:
        network: the U-Net.
        task: what it was trained for.
        conditioning: (N, C, h, w) in [0, 1], the finest.
        keys: N image keys.
        count: S.
        size: side of an image.
        seed: of the samples.
        batch_size: images made at once.

    Returns:
        (N, S, size, size, 3) uint8.
    """
    schedule = _schedule()
    schedule.set_timesteps(SAMPLING_STEPS)
    light = _grown(conditioning, (size, size)).repeat_interleave(count, dim=0)
    noise = _first_noise(keys, count, seed, (channels(task), size, size)).to(conditioning.device)
    made = []
    for start, given in zip(noise.split(batch_size), light.split(batch_size), strict=True):
        noisy = start
        for time in schedule.timesteps:
            predicted = network(torch.cat((noisy, given * 2 - 1), dim=1), time).sample
            noisy = schedule.step(predicted, time, noisy).prev_sample
        made.append(to_uint8(_decoded(noisy, given, task)))
    return np.concatenate(made).reshape(len(keys), count, size, size, 3)
