"""The configurations on which the engine is measured, and both sides of a search and a training."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from benchmarks import reference as textbook
from benchmarks.reference import PUBLISHED, Savings
from chimle.data.batch import Batch
from chimle.perceptual.lpips import Distance, Perceptual, load_perceptual
from chimle.search.chunking import plan_chunks
from chimle.search.codes import codes_at
from chimle.search.hierarchical import search
from chimle.settings import PerceptualSettings, TowerSettings
from chimle.tasks import Wiring
from chimle.tower.generator import Tower

MEMORY = 64 * 2**20
"""Bytes that the engine's candidates may hold at once, as `search.memory` has it by default."""
SEED, ROUND = 0, 0


@dataclass(frozen=True)
class Setup:
    """One configuration at 128 pixels, four levels.

    Attributes:
        widths, growth, blocks: of the tower.
        candidates: per level.
        pictures: that are searched and trained on.
        batch: images in one of the engine's steps; the textbook's has one.
    """

    widths: tuple[int, ...]
    growth: tuple[int, ...]
    blocks: int
    candidates: tuple[int, ...]
    pictures: int
    batch: int
    resolution: int = 128


SETUPS = {
    "wide": Setup((128, 64, 64, 64), (256, 192, 128, 64), 1, (20, 20, 4, 2), 2, 2),
    "small": Setup((32, 16, 16, 16), (32, 24, 16, 8), 2, (40, 40, 10, 5), 4, 4),
}


@dataclass
class Bench:
    """A setup's tower, distance and pictures."""

    setup: Setup
    tower: Tower
    perceptual: Perceptual
    batch: Batch

    @cached_property
    def chunks(self) -> tuple[int, ...]:
        """Candidates at once per level; planned once per run."""
        return plan_chunks(self.tower, self.perceptual, self.batch.conditioning, MEMORY)

    @cached_property
    def projections(self) -> list[textbook.Projection]:
        """What the textbook judges by; made once per run."""
        return textbook.projections(self.perceptual, self.batch)

    def prepare(self) -> None:
        """Make what a run makes once, so that no search is charged with it."""
        _ = self.projections, self.chunks

    @classmethod
    def of(cls, setup: Setup) -> "Bench":
        """The same every time."""
        torch.manual_seed(0)
        sizes = TowerSettings(
            resolution=setup.resolution,
            widths=setup.widths,
            growth=setup.growth,
            blocks=setup.blocks,
        )
        tower = Tower(sizes, Wiring.GENERIC)
        perceptual = random_vgg("cpu")
        pictures = [
            torch.rand(setup.pictures, 3, size, size).mul(0.5).add(0.25)
            for size in sizes.output_sizes()
        ]
        keys = tuple(range(setup.pictures))
        return cls(setup, tower, perceptual, Batch(keys, tuple(pictures), tuple(pictures)))

    def to_channels_last(self) -> None:
        """Give weights the memory layout that convolutions are fastest in."""
        self.tower.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.perceptual.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def textbook_search(self, savings: Savings = PUBLISHED) -> torch.Tensor:
        """Indices (B, L)."""
        self.tower.eval()
        return textbook.search(
            self.tower,
            self.perceptual,
            self.batch,
            self.setup.candidates,
            [] if savings.exact else self.projections,
            seed=SEED,
            round_=ROUND,
            savings=savings,
        )

    def engine_search(self, autocast: bool = False) -> torch.Tensor:
        """Indices (B, L)."""
        self.tower.eval()
        with arithmetic(autocast):
            return self.searched(self.setup.candidates, self.perceptual)

    def searched(self, candidates: Sequence[int], distance: Distance) -> torch.Tensor:
        """Indices (B, L) of the engine's search."""
        choice = search(
            self.tower,
            distance,
            self.batch,
            candidates,
            seed=SEED,
            round_=ROUND,
            chunks=self.chunks,
        )
        return choice.indices

    @torch.no_grad()
    def distances(self, indices: torch.Tensor) -> torch.Tensor:
        """Exact distances (B, L), fp32, of the pictures of chosen codes (B, L)."""
        shapes = self.tower.code_shapes()
        codes = codes_at(shapes, self.batch.keys, indices, seed=SEED, round_=ROUND)
        images = self.tower(self.batch.conditioning, codes)
        pairs = zip(images, self.batch.targets, strict=True)
        return torch.stack([self.perceptual(image, target) for image, target in pairs], dim=1)

    def reached(self, indices: torch.Tensor) -> float:
        """Mean exact distance of the pictures of chosen codes at the finest level."""
        return float(self.distances(indices)[:, -1].mean())

    def training(
        self, savings: Savings, batch: int, fused: bool, autocast: bool
    ) -> Callable[[], None]:
        """A pass over all pictures in steps of `batch`, to be called again and again."""
        self.tower.train()
        optimizer = torch.optim.Adam(self.tower.parameters(), 1e-6, fused=fused)
        parts = [
            self.batch.select(range(start, start + batch))
            for start in range(0, len(self.batch), batch)
        ]
        shapes = self.tower.code_shapes()
        zeros = torch.zeros(batch, len(shapes), dtype=torch.int64)
        codes = [codes_at(shapes, part.keys, zeros, seed=SEED, round_=ROUND) for part in parts]
        with torch.no_grad(), arithmetic(autocast):
            cached = [[self.perceptual.features(t) for t in part.targets] for part in parts]

        def run() -> None:
            for part, code, known in zip(parts, codes, cached, strict=True):
                with arithmetic(autocast):
                    textbook.training_step(
                        self.tower, self.perceptual, part, code, optimizer, savings, known
                    )

        return run


def arithmetic(autocast: bool) -> torch.autocast:
    """bf16 where asked, else fp32."""
    return torch.autocast("cpu", torch.bfloat16, enabled=autocast)


def random_vgg(device: str) -> Perceptual:
    """VGG16's distance with fixed random weights: what it costs does not depend on them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_perceptual(PerceptualSettings(backbone="vgg", allow_random=True), device)
