"""The published algorithm without optimisations: the reference of the engine benchmark.

It searches one image at a time in fp32, recomputes every lower level and every upsampling for every
candidate and the target's features for every chunk and every step, measures distances on dense
random projections, and has autograd's anomaly detection switched on. Weights, images and candidates
are the engine's. `Optimisations` switches single optimisations on, to measure each alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chimle.data.batch import Batch
from chimle.perceptual.distance import Features
from chimle.perceptual.lpips import Perceptual
from chimle.search.codes import draw
from chimle.tasks import Wiring
from chimle.tower.blocks import (
    NORM_EPSILON,
    RESIDUAL_SCALE,
    Convolution,
    DenseBlock,
    ResidualDenseBlocks,
    StyleModulation,
    activate,
)
from chimle.tower.generator import LevelCode, Tower
from chimle.tower.level import FEATURE_SCALE, Level

PROJECTED = 1000
"""Dimensions that an image's features are projected to, split over the layers (published)."""
CHUNK = 10
"""Candidates evaluated at once."""


def convolve(convolution: nn.Module, features: Tensor) -> Tensor:
    """A convolution of channels-first maps whose weight is normalised at every call."""
    assert isinstance(convolution, Convolution)
    return F.conv2d(features, convolution.weight(), convolution.bias, padding=1)


def dense_block(block: nn.Module, features: Tensor) -> Tensor:
    """Five convolutions, each of the concatenation of all before it."""
    assert isinstance(block, DenseBlock)
    *growing, last = block.convolutions
    grown = [features]
    for convolution in growing:
        grown.append(activate(convolve(convolution, torch.cat(grown, dim=1))))
    return features + RESIDUAL_SCALE * convolve(last, torch.cat(grown, dim=1))


def body(level: Level, features: Tensor, style: Tensor) -> Tensor:
    """Residual dense blocks, each followed by instance normalisation and style modulation."""
    inner = features
    for block, modulation in zip(level.body.blocks, level.body.styles, strict=True):
        assert isinstance(block, ResidualDenseBlocks)
        assert isinstance(modulation, StyleModulation)
        start = inner
        for dense in block.dense:
            inner = dense_block(dense, inner)
        normed = F.instance_norm(start + RESIDUAL_SCALE * inner, eps=NORM_EPSILON)
        scale, shift = modulation.affine(style)[..., None, None].chunk(2, dim=1)
        inner = (1 + scale) * normed + shift
    return features + convolve(level.body.last, inner)


def up(level: Level, features: Tensor) -> Tensor:
    """Upsampling to the next level."""
    assert level.up is not None
    enlarged = F.interpolate(features, scale_factor=2, mode="nearest")
    return activate(convolve(level.up.second, activate(convolve(level.up.first, enlarged))))


def forward(
    tower: Tower,
    conditioning: Sequence[Tensor],
    codes: Sequence[LevelCode],
    unused_upsampling: bool = True,
) -> list[Tensor]:
    """The images (B, 3, h, w) of the given levels, from the first one upwards.

    Supports the generic wiring only, which all setups use.

    Args:
        tower: the generator.
        conditioning: per level (B, C, h, w).
        codes: of the levels to run.
        unused_upsampling: also run the last level's upsampling, whose result is not used.
    """
    assert tower.wiring is Wiring.GENERIC
    feature: Tensor | None = None
    styles: list[Tensor] = []
    images = []
    for number, (image, code) in enumerate(zip(conditioning, codes, strict=False)):
        level = tower.level(number)
        style = level.mapping(code.style, styles)
        parts = [image, code.noise] + ([] if feature is None else [feature * FEATURE_SCALE])
        styled = body(level, convolve(level.input, torch.cat(parts, dim=1)), style)
        images.append((torch.tanh(convolve(level.out, styled)) + 1) / 2)
        if level.up is not None and (unused_upsampling or number + 1 < len(codes)):
            feature = up(level, styled)
        styles.append(style)
    return images


@dataclass(frozen=True)
class Optimisations:
    """The engine's optimisations of the published algorithm.

    Attributes:
        prefix: lower levels are computed once per image and level, not per candidate.
        target_once: the target's features are computed once per image and level, and the searched
            level's upsampling, whose result is not used, is not run.
        exact: exact distances, candidate by candidate, instead of projections.
        no_anomaly: autograd's anomaly detection is off.
        cached_targets: a step takes its targets' features from a cache.
    """

    prefix: bool = False
    target_once: bool = False
    exact: bool = False
    no_anomaly: bool = False
    cached_targets: bool = False


PUBLISHED = Optimisations()
"""No optimisation."""


def lpips(features: Features, targets: Features) -> Tensor:
    """Exact LPIPS (B,) between the features of B images and of B targets, or of one."""
    return sum(
        (
            F.mse_loss(a, b.expand_as(a), reduction="none").sum(dim=1).mean(dim=(1, 2))
            for a, b in zip(features, targets, strict=True)
        ),
        start=torch.zeros(len(features[0])),
    )


@dataclass(frozen=True)
class Projection:
    """Dense random matrices, one per layer of features: (C*h*w, 1000 / layers)."""

    matrices: tuple[Tensor, ...]

    @classmethod
    def for_features(cls, features: Features, seed: int = 0) -> "Projection":
        """Random matrices for features of these shapes."""
        generator = torch.Generator().manual_seed(seed)
        width = PROJECTED // len(features)
        return cls(
            tuple(
                F.normalize(torch.randn((f[0].numel(), width), generator=generator), dim=1)
                for f in features
            )
        )

    def __call__(self, features: Features) -> Tensor:
        """Features of B images to (B, 1000)."""
        parts = [
            f.flatten(1) @ matrix / (f.shape[2] * f.shape[3]) ** 0.5
            for f, matrix in zip(features, self.matrices, strict=True)
        ]
        return torch.cat(parts, dim=1)


def projections(perceptual: Perceptual, batch: Batch) -> list[Projection]:
    """The matrices of every level, made once before a search."""
    with torch.no_grad():
        return [Projection.for_features(perceptual.features(t[:1])) for t in batch.targets]


def _chunks(count: int) -> Iterator[list[int]]:
    return (list(range(start, min(start + CHUNK, count))) for start in range(0, count, CHUNK))


@torch.no_grad()
def search(
    tower: Tower,
    perceptual: Perceptual,
    batch: Batch,
    candidates: Sequence[int],
    projected: Sequence[Projection],
    *,
    seed: int,
    round_: int,
    optimisations: Optimisations = PUBLISHED,
) -> Tensor:
    """Indices (B, L) of the chosen codes; `projected` is not used with `optimisations.exact`."""
    shapes = tower.code_shapes()
    rows = []
    for image in range(len(batch)):
        one = batch.select([image])
        prefix_indices: list[int] = []
        prefix = tower.begin(one.conditioning)

        def codes_of(
            chunk: list[int], prefix_indices: list[int] = prefix_indices, one: Batch = one
        ) -> list[LevelCode]:
            names = [torch.full((len(chunk),), index) for index in prefix_indices] + [
                torch.tensor(chunk)
            ]
            return [
                draw(shapes[i], one.keys, name[None], level=i, seed=seed, round_=round_)
                for i, name in enumerate(names)
            ]

        for level, count in enumerate(candidates):
            nearest, choice = float("inf"), 0
            target_features: Features | None = None
            for chunk in _chunks(count):
                codes = codes_of(chunk)
                if optimisations.prefix:
                    images, _ = tower.step(level, prefix, codes[-1])
                else:
                    conditioning = [c.expand(len(chunk), -1, -1, -1) for c in one.conditioning]
                    images = forward(tower, conditioning, codes, not optimisations.target_once)[-1]
                if target_features is None or not optimisations.target_once:
                    target_features = perceptual.features(one.targets[level])
                features = perceptual.features(images)
                if optimisations.exact:
                    distances = lpips(features, target_features)
                else:
                    project = projected[level]
                    distances = (project(features) - project(target_features)).norm(dim=1)
                best = int(distances.argmin())
                if float(distances[best]) < nearest:
                    nearest, choice = float(distances[best]), chunk[best]
            if optimisations.prefix:
                _, prefix = tower.step(level, prefix, codes_of([choice])[-1])
            prefix_indices.append(choice)
        rows.append(prefix_indices)
    return torch.tensor(rows)


def training_step(
    tower: Tower,
    perceptual: Perceptual,
    batch: Batch,
    codes: Sequence[LevelCode],
    optimizer: torch.optim.Optimizer,
    optimisations: Optimisations = PUBLISHED,
    cached: Sequence[Features] | None = None,
) -> float:
    """One step on a batch: the sum over levels of LPIPS.

    Args:
        tower: the generator that is trained.
        perceptual: the distance.
        batch: B images.
        codes: the images' codes, one entry per level.
        optimizer: of the tower's parameters.
        optimisations: deviations from the published step.
        cached: the targets' features per level, for `optimisations.cached_targets`.
    """
    with torch.autograd.set_detect_anomaly(not optimisations.no_anomaly):
        optimizer.zero_grad()
        images = forward(tower, batch.conditioning, codes)
        targets = cached if optimisations.cached_targets and cached is not None else None
        losses = []
        for level, image in enumerate(images):
            target = targets[level] if targets else perceptual.features(batch.targets[level])
            losses.append(lpips(perceptual.features(image), target).mean())
        loss = torch.stack(losses).sum()
        loss.backward()
        optimizer.step()
    return float(loss.detach())
