"""The published algorithm in plain words: what the engine is measured against.

One picture at a time, fp32, every lower level and every way up computed again for every candidate,
the target's features computed again for every chunk and every step, nearness judged on dense random
projections, and autograd's anomaly detection switched on. The weights, the pictures and the names
of the candidates are the engine's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from chimle.codes import draw
from chimle.data.batch import Batch
from chimle.perceptual import Features, Perceptual
from chimle.tasks import Wiring
from chimle.tower.generator import FEATURE_SCALE, Level, LevelCode, Tower

PROJECTED = 1000
"""Dimensions that a picture's features are projected to, split over the layers (published)."""
CHUNK = 10
"""Candidates judged at once."""


def forward(tower: Tower, conditioning: Sequence[Tensor], codes: Sequence[LevelCode]) -> Tensor:
    """The picture (B, 3, h, w) of the last given level, from the first level upwards.

    The generic wiring alone: it is what the benchmark's configurations use.
    """
    assert tower.wiring is Wiring.GENERIC
    feature: Tensor | None = None
    styles: list[Tensor] = []
    drawn = conditioning[0]
    for level, picture, code in zip(tower.levels, conditioning, codes, strict=False):
        assert isinstance(level, Level)
        style = level.mapping(code.style, styles)
        parts = [picture, code.noise] + ([] if feature is None else [feature * FEATURE_SCALE])
        body = level.body(level.input(torch.cat(parts, dim=1)), style)
        drawn = (torch.tanh(level.out(body)) + 1) / 2
        feature = body if level.up is None else level.up(body)
        styles.append(style)
    return drawn


def lpips(perceptual: Perceptual, images: Tensor, targets: Tensor) -> Tensor:
    """Exact distances (B,) of two batches (B, 3, H, W), both sides' features computed."""
    mine, theirs = perceptual.features(images), perceptual.features(targets)
    return sum(
        (
            F.mse_loss(a, b, reduction="none").sum(dim=1).mean(dim=(1, 2))
            for a, b in zip(mine, theirs, strict=True)
        ),
        start=torch.zeros(len(images)),
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
    projected: Sequence[Projection] | None,
    *,
    seed: int,
    round_: int,
) -> Tensor:
    """The codes chosen for every image (B, L); exact distances where nothing is projected."""
    shapes = tower.code_shapes()
    rows = []
    for image in range(len(batch)):
        one = batch.select([image])
        kept: list[int] = []
        for level, count in enumerate(candidates):
            nearest, chosen = float("inf"), 0
            for chunk in _chunks(count):
                names = [torch.full((len(chunk),), index) for index in kept]
                names.append(torch.tensor(chunk))
                codes = [
                    draw(shapes[i], one.keys, name[None], level=i, seed=seed, round_=round_)
                    for i, name in enumerate(names)
                ]
                conditioning = [c.expand(len(chunk), -1, -1, -1) for c in one.conditioning]
                pictures = forward(tower, conditioning, codes)
                target = one.targets[level]
                if projected is None:
                    repeated = target.expand(len(chunk), -1, -1, -1)
                    distances = lpips(perceptual, pictures, repeated)
                else:
                    project = projected[level]
                    mine = project(perceptual.features(pictures))
                    distances = (mine - project(perceptual.features(target))).norm(dim=1)
                best = int(distances.argmin())
                if float(distances[best]) < nearest:
                    nearest, chosen = float(distances[best]), chunk[best]
            kept.append(chosen)
        rows.append(kept)
    return torch.tensor(rows)


def training_step(
    tower: Tower,
    perceptual: Perceptual,
    batch: Batch,
    codes: Sequence[LevelCode],
    optimizer: torch.optim.Optimizer,
) -> float:
    """One step on a batch: the sum over levels of LPIPS, with anomaly detection."""
    with torch.autograd.set_detect_anomaly(True):
        optimizer.zero_grad()
        images = tower(batch.conditioning, codes)
        losses = [
            lpips(perceptual, image, target).mean()
            for image, target in zip(images, batch.targets, strict=True)
        ]
        loss = torch.stack(losses).sum()
        loss.backward()
        optimizer.step()
    return float(loss.detach())
