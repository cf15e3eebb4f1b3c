"""The published algorithm in plain words: what the engine is measured against.

One picture at a time, fp32, every lower level and every way up computed again for every candidate,
the target's features computed again for every chunk and every step, nearness judged on dense random
projections, and autograd's anomaly detection switched on. The weights, the pictures and the names
of the candidates are the engine's. `Savings` switches single steps of the engine on, to see what
each gives alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from chimle.data.batch import Batch
from chimle.perceptual.lpips import Features, Perceptual
from chimle.search.codes import draw
from chimle.tasks import Wiring
from chimle.tower.generator import FEATURE_SCALE, Level, LevelCode, Tower

PROJECTED = 1000
"""Dimensions that a picture's features are projected to, split over the layers (published)."""
CHUNK = 10
"""Candidates judged at once."""


def forward(
    tower: Tower,
    conditioning: Sequence[Tensor],
    codes: Sequence[LevelCode],
    needless: bool = True,
) -> Tensor:
    """The picture (B, 3, h, w) of the last given level, from the first level upwards.

    The generic wiring alone: it is what the benchmark's configurations use.

    Args:
        tower: the generator.
        conditioning: per level (B, C, h, w).
        codes: of the levels to run.
        needless: run the last one's way up, too, whose result nobody reads.
    """
    assert tower.wiring is Wiring.GENERIC
    feature: Tensor | None = None
    styles: list[Tensor] = []
    drawn = conditioning[0]
    for number, (picture, code) in enumerate(zip(conditioning, codes, strict=False)):
        level = tower.levels[number]
        assert isinstance(level, Level)
        style = level.mapping(code.style, styles)
        parts = [picture, code.noise] + ([] if feature is None else [feature * FEATURE_SCALE])
        body = level.body(level.input(torch.cat(parts, dim=1)), style)
        drawn = (torch.tanh(level.out(body)) + 1) / 2
        if level.up is not None and (needless or number + 1 < len(codes)):
            feature = level.up(body)
        styles.append(style)
    return drawn


@dataclass(frozen=True)
class Savings:
    """Steps from the published algorithm towards the engine.

    Attributes:
        prefix: lower levels are computed once per image and level, not per candidate.
        target_once: the target's features are computed once per image and level, and the searched
            level's way up, which nobody reads, is not run.
        exact: exact distances as the candidates come, in place of projections.
        no_anomaly: autograd's anomaly detection is off.
        cached_targets: a step takes its targets' features from before.
    """

    prefix: bool = False
    target_once: bool = False
    exact: bool = False
    no_anomaly: bool = False
    cached_targets: bool = False


PUBLISHED = Savings()
"""None of them."""


def lpips(mine: Features, theirs: Features) -> Tensor:
    """Exact distances (B,) of the features of B pictures to those of B targets, or of one."""
    return sum(
        (
            F.mse_loss(a, b.expand_as(a), reduction="none").sum(dim=1).mean(dim=(1, 2))
            for a, b in zip(mine, theirs, strict=True)
        ),
        start=torch.zeros(len(mine[0])),
    )


@dataclass(frozen=True)
class Projection:
    """Dense random matrices, one per layer of features: (C*h*w, 1000 / layers)."""

    matrices: tuple[Tensor, ...]

    @classmethod
    def for_features(cls, features: Features, seed: int = 0) -> "Projection":
        generator = torch.Generator().manual_seed(seed)
        width = PROJECTED // len(features)
        return cls(
            tuple(
                F.normalize(torch.randn((f[0].numel(), width), generator=generator), dim=1)
                for f in features
            )
        )

    def __call__(self, features: Features) -> Tensor:
        """Features of B pictures to (B, 1000)."""
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
    savings: Savings = PUBLISHED,
) -> Tensor:
    """The codes chosen for every image (B, L); `projected` is not used where `savings.exact`."""
    shapes = tower.code_shapes()
    rows = []
    for image in range(len(batch)):
        one = batch.select([image])
        kept: list[int] = []
        prefix = tower.begin(one.conditioning)

        def codes_of(chunk: list[int], kept: list[int] = kept, one: Batch = one) -> list[LevelCode]:
            names = [torch.full((len(chunk),), index) for index in kept] + [torch.tensor(chunk)]
            return [
                draw(shapes[i], one.keys, name[None], level=i, seed=seed, round_=round_)
                for i, name in enumerate(names)
            ]

        for level, count in enumerate(candidates):
            nearest, chosen = float("inf"), 0
            seen: Features | None = None
            for chunk in _chunks(count):
                codes = codes_of(chunk)
                if savings.prefix:
                    pictures, _ = tower.step(level, prefix, codes[-1])
                else:
                    conditioning = [c.expand(len(chunk), -1, -1, -1) for c in one.conditioning]
                    pictures = forward(tower, conditioning, codes, not savings.target_once)
                if seen is None or not savings.target_once:
                    seen = perceptual.features(one.targets[level])
                mine = perceptual.features(pictures)
                if savings.exact:
                    distances = lpips(mine, seen)
                else:
                    project = projected[level]
                    distances = (project(mine) - project(seen)).norm(dim=1)
                best = int(distances.argmin())
                if float(distances[best]) < nearest:
                    nearest, chosen = float(distances[best]), chunk[best]
            if savings.prefix:
                _, prefix = tower.step(level, prefix, codes_of([chosen])[-1])
            kept.append(chosen)
        rows.append(kept)
    return torch.tensor(rows)


def training_step(
    tower: Tower,
    perceptual: Perceptual,
    batch: Batch,
    codes: Sequence[LevelCode],
    optimizer: torch.optim.Optimizer,
    savings: Savings = PUBLISHED,
    cached: Sequence[Features] | None = None,
) -> float:
    """One step on a batch: the sum over levels of LPIPS.

    Args:
        tower: what learns.
        perceptual: the distance.
        batch: B images.
        codes: theirs, one entry per level.
        optimizer: of the tower's parameters.
        savings: what is done otherwise than published.
        cached: the targets' features per level, for `savings.cached_targets`.
    """
    with torch.autograd.set_detect_anomaly(not savings.no_anomaly):
        optimizer.zero_grad()
        images = tower(batch.conditioning, codes)
        targets = cached if savings.cached_targets and cached is not None else None
        losses = []
        for level, image in enumerate(images):
            theirs = targets[level] if targets else perceptual.features(batch.targets[level])
            losses.append(lpips(perceptual.features(image), theirs).mean())
        loss = torch.stack(losses).sum()
        loss.backward()
        optimizer.step()
    return float(loss.detach())
