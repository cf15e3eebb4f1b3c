"""Setups of the engine benchmark, and both sides' search and training on them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from benchmarks import reference
from benchmarks.reference import PUBLISHED, Optimisations
from chimle.data.batch import Batch
from chimle.perceptual.distance import Distance, Features
from chimle.perceptual.lpips import Perceptual, load_perceptual
from chimle.search.chunking import plan_chunks
from chimle.search.codes import code_keys, codes_at
from chimle.search.hierarchical import search as hierarchical_search
from chimle.settings.perceptual import PerceptualSettings
from chimle.settings.tower import TowerSettings
from chimle.tasks import Wiring
from chimle.tower.generator import LevelCode, Tower
from chimle.training.losses import level_losses

MEMORY = 64 * 2**20
"""Bytes for the engine's candidates: the default of `search.memory`."""
SEED, ROUND = 0, 0


@dataclass(frozen=True)
class Setup:
    """A tower of four levels, its candidates and its images.

    Attributes:
        widths, growth, blocks: of the tower.
        candidates: per level.
        images: number of images to search and train on.
        batch: images per step of the engine; the reference's steps have one.
        resolution: of the finest level.
    """

    widths: tuple[int, ...]
    growth: tuple[int, ...]
    blocks: int
    candidates: tuple[int, ...]
    images: int
    batch: int
    resolution: int = 128


SETUPS = {
    "wide": Setup((128, 64, 64, 64), (256, 192, 128, 64), 1, (20, 20, 4, 2), 2, 2),
    "small": Setup((32, 16, 16, 16), (32, 24, 16, 8), 2, (40, 40, 10, 5), 4, 4),
}


@dataclass(frozen=True)
class Part:
    """The images of a step, their codes, and their targets' features per level."""

    batch: Batch
    codes: list[LevelCode]
    features: list[Features]


@dataclass
class Bench:
    """A setup's tower, distance and images."""

    setup: Setup
    tower: Tower
    perceptual: Perceptual
    batch: Batch

    @cached_property
    def chunks(self) -> tuple[int, ...]:
        """Candidates at once per level, planned once per run."""
        return plan_chunks(self.tower, self.perceptual, self.batch.conditioning, MEMORY)

    @cached_property
    def projections(self) -> list[reference.Projection]:
        """The reference's random projections, made once per run."""
        return reference.projections(self.perceptual, self.batch)

    def prepare(self) -> None:
        """Make the projections and the plan of chunks, which are not part of a search's time."""
        _ = self.projections, self.chunks

    @classmethod
    def of(cls, setup: Setup) -> "Bench":
        """A setup's tower, distance and images, the same at every call."""
        torch.manual_seed(0)
        sizes = TowerSettings(
            resolution=setup.resolution,
            widths=setup.widths,
            growth=setup.growth,
            blocks=setup.blocks,
        )
        tower = Tower(sizes, Wiring.GENERIC)
        perceptual = random_vgg("cpu")
        targets = [
            torch.rand(setup.images, 3, size, size).mul(0.5).add(0.25)
            for size in sizes.output_sizes()
        ]
        keys = tuple(range(setup.images))
        return cls(setup, tower, perceptual, Batch(keys, tuple(targets), tuple(targets)))

    def to_channels_last(self) -> None:
        """Convert the weights to channels_last."""
        self.tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.perceptual.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def reference_search(self, optimisations: Optimisations = PUBLISHED) -> torch.Tensor:
        """Indices (B, L)."""
        self.tower.eval()
        return reference.search(
            self.tower,
            self.perceptual,
            self.batch,
            self.setup.candidates,
            [] if optimisations.exact else self.projections,
            seed=SEED,
            round_=ROUND,
            optimisations=optimisations,
        )

    def engine_search(self, autocast: bool = False, near_tie: float = 0.0) -> torch.Tensor:
        """Indices (B, L)."""
        self.tower.eval()
        with arithmetic(autocast):
            return self.search(self.setup.candidates, self.perceptual, near_tie)

    def search(
        self, candidates: Sequence[int], distance: Distance, near_tie: float = 0.0
    ) -> torch.Tensor:
        """Indices (B, L) of the engine's search."""
        choice = hierarchical_search(
            self.tower,
            distance,
            self.batch,
            candidates,
            seed=SEED,
            round_=ROUND,
            chunks=self.chunks,
            near_tie=near_tie,
        )
        return choice.indices

    @torch.no_grad()
    def distances(self, indices: torch.Tensor) -> torch.Tensor:
        """Exact distances (B, L), fp32, of the images of chosen codes (B, L)."""
        shapes = self.tower.code_shapes()
        keys = code_keys(self.batch.keys, len(shapes), seed=SEED, round_=ROUND)
        codes = codes_at(shapes, keys, indices)
        images = self.tower(self.batch.conditioning, codes)
        pairs = zip(images, self.batch.targets, strict=True)
        return torch.stack([self.perceptual(image, target) for image, target in pairs], dim=1)

    def finest_distance(self, indices: torch.Tensor) -> float:
        """Mean exact distance of the images of chosen codes at the finest level."""
        return float(self.distances(indices)[:, -1].mean())

    def reference_training(
        self, optimisations: Optimisations, batch: int, fused: bool, autocast: bool
    ) -> Callable[[], None]:
        """A function that trains on all images once, in steps of `batch`, as published."""
        optimizer, parts = self._optimizer(fused), self._parts(batch, autocast)

        def run() -> None:
            for part in parts:
                with arithmetic(autocast):
                    reference.training_step(
                        self.tower,
                        self.perceptual,
                        part.batch,
                        part.codes,
                        optimizer,
                        optimisations,
                        part.features,
                    )

        return run

    def engine_training(self, autocast: bool) -> Callable[[], None]:
        """A function that trains on all images once, in the setup's steps, as the trainer does."""
        optimizer, parts = self._optimizer(True), self._parts(self.setup.batch, autocast)
        levels = range(self.tower.settings.levels)

        def run() -> None:
            for part in parts:
                optimizer.zero_grad(set_to_none=True)
                with arithmetic(autocast):
                    images = self.tower(part.batch.conditioning, part.codes)
                    losses = level_losses(images, self.perceptual, part.features, levels)
                losses.sum().backward()
                optimizer.step()

        return run

    def _optimizer(self, fused: bool) -> torch.optim.Adam:
        self.tower.train()
        return torch.optim.Adam(self.tower.parameters(), 1e-6, fused=fused)

    def _parts(self, batch: int, autocast: bool) -> list["Part"]:
        """The images in steps of `batch`."""
        shapes = self.tower.code_shapes()
        zeros = torch.zeros(batch, len(shapes), dtype=torch.int64)
        parts = []
        for start in range(0, len(self.batch), batch):
            images = self.batch.select(range(start, start + batch))
            keys = code_keys(images.keys, len(shapes), seed=SEED, round_=ROUND)
            with torch.no_grad(), arithmetic(autocast):
                features = [self.perceptual.features(target) for target in images.targets]
            parts.append(Part(images, codes_at(shapes, keys, zeros), features))
        return parts


def arithmetic(autocast: bool) -> torch.autocast:
    """bf16 if `autocast`, else fp32."""
    return torch.autocast("cpu", torch.bfloat16, enabled=autocast, cache_enabled=False)


def random_vgg(device: str) -> Perceptual:
    """VGG16's distance with fixed random weights, which do not change its cost."""
    return load_perceptual(PerceptualSettings(backbone="vgg", weights="random"), device)
