"""CHIMLE's training: rounds of hierarchical search and gradient steps (paper, algorithm 1)."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from chimle.bundles.start_weights import StartWeights
from chimle.data.batch import Batch
from chimle.data.dataset import Pair
from chimle.device import arithmetic, deterministic, free_bytes
from chimle.perceptual.distance import Distance, Features
from chimle.perceptual.random_view import draw_view, viewed
from chimle.search.adaptive import came_nearer
from chimle.search.codes import code_keys, codes_at
from chimle.search.hierarchical import Choice
from chimle.settings.model_settings import ModelSettings
from chimle.tower.generator import LevelCode, Tower
from chimle.training.base_trainer import BaseTrainer
from chimle.training.code_selection import (
    candidate_distance,
    candidates_compared,
    choose_codes,
    chunks_at_once,
    perturbed,
    zero_codes,
)
from chimle.training.equalisation import fit_equaliser
from chimle.training.execution import Execution
from chimle.training.initial_state import initial_state
from chimle.training.losses import level_losses, supervised_levels
from chimle.training.step_graph import StepGraph
from chimle.training.step_inputs import StepInputs, step_inputs

FEATURE_CACHE_BYTES = 2 * 2**30
"""Target features of a round are kept when they fit; else computed per step. Same numbers."""
FREE_SHARE = 0.25
"""Share of a GPU's free memory that they may take instead."""


def feature_cache_bytes(device: torch.device) -> int:
    """Bytes that a round's target features may take."""
    free = free_bytes(device)
    return FEATURE_CACHE_BYTES if free is None else int(FREE_SHARE * free)


@dataclass(frozen=True)
class Trained:
    """What a run leaves.

    Attributes:
        tower: averaged weights, for sampling.
        columns: names of the curve's columns.
        history: the training curve, a row every `LOG_EVERY` steps and for the last one.
    """

    tower: Tower
    columns: list[str]
    history: list[list[float]]


class ImleTrainer(BaseTrainer):
    """One run. `ImleTrainer(...).run()` trains from wherever the saved state stands."""

    def __init__(
        self,
        settings: ModelSettings,
        pairs: Sequence[Pair],
        perceptual: Distance,
        execution: Execution,
        start: StartWeights | None = None,
    ) -> None:
        """As `BaseTrainer`, with a distance on the run's device, and weights to start from."""
        super().__init__(
            settings, pairs, initial_state(settings, execution.device, start), execution
        )
        self.perceptual = perceptual.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.distance = candidate_distance(settings, self.perceptual)
        self.chunks: tuple[int, ...] | None = None
        self.inputs: StepInputs | None = None
        self.graph: StepGraph | None = None
        self.model = self.ranks.shared(self.tower, unused=settings.train.supervision != "every")

    @property
    def tower(self) -> Tower:
        """The tower that learns."""
        network = self.state.network
        assert isinstance(network, Tower)
        return network

    @property
    def recorded(self) -> bool:
        """Whether steps run as a CUDA graph: whole, alone on a GPU, nothing drawn by the host."""
        train = self.settings.train
        alone = self.ranks.count == 1 and self.device.type == "cuda"
        return alone and train.graph and train.micro_batches == 1 and not train.code_noise

    def run(self) -> Trained:
        """Train to the end; `UserError` when the loss stops being finite."""
        self.run_rounds()
        return Trained(self.finished(), self.columns(), self.state.position.history)

    def finished(self) -> Tower:
        """The averaged tower with the strengths of noise and styles, and its filter.

        The state keeps it as trained.
        """
        tower, train = copy.deepcopy(self.state.average.module), self.settings.train
        assert isinstance(tower, Tower)
        tower.scale_noise(train.noise_strength)
        tower.scale_styles(train.style_strength)
        if train.equaliser is not None:
            with deterministic(self.device, train.deterministic):
                fit_equaliser(tower, self.settings.definition, self.pairs, train.equaliser)
        return tower

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
        return arithmetic(self.device, self.settings.train.precision)

    def prepare(self, batch: Batch, round_: int) -> None:
        """Search the round's codes, unless that is done, and gather what its steps take."""
        if not self.state.position.searched:
            self._search(batch, round_)
            self.save()
        indices = self.state.position.indices
        assert indices is not None
        features = self._target_features(batch)
        self._take(step_inputs(batch, features, self._keys(batch), indices))

    def _keys(self, batch: Batch) -> Tensor:
        """(B, L, 2) int64, which name the codes that were chosen for a round's images."""
        rounds = self.state.position.rounds
        assert rounds is not None
        return code_keys(
            batch.keys,
            self.settings.tower.levels,
            seed=self.settings.seed,
            round_=rounds.tolist(),
            device=self.device,
        )

    def _take(self, inputs: StepInputs) -> None:
        """Make a round's inputs those of the steps."""
        self.inputs = inputs
        if not self.recorded:
            return
        if self.graph is not None and self.graph.fits(inputs):
            self.graph.refill(inputs)
            return
        size = min(self.settings.train.batch_size, len(inputs.keys))
        self.graph = StepGraph(self.losses, self.tower.parameters(), inputs, size)

    def step(self, batch: Batch, members: np.ndarray, number: int) -> Tensor:
        """Pull the images of the chosen codes towards the targets."""
        assert self.inputs is not None
        view = draw_view(self.settings.perceptual, self.settings.seed, number)
        if self.graph is not None:
            return self.graph(torch.from_numpy(members), view)
        view = view.to(self.device, non_blocking=True)
        self.state.optimizer.zero_grad(set_to_none=True)
        parts = np.split(members, max(1, self.settings.train.micro_batches // self.ranks.count))
        return torch.stack(
            [
                self._add_gradients(batch, part, view, number, len(parts), part is parts[-1])
                for part in parts
            ]
        ).mean(dim=0)

    def _add_gradients(
        self,
        batch: Batch,
        members: np.ndarray,
        view: Tensor,
        number: int,
        parts: int,
        last: bool,
    ) -> Tensor:
        """(n,) losses of one of a step's parts, its share of the gradients added to the others'."""
        assert self.inputs is not None
        rows = torch.from_numpy(members).to(self.device, non_blocking=True)
        keys = [batch.keys[row] for row in members]
        with self.ranks.added_up(self.model, last):
            per_level = self.losses(self.inputs.rows(rows), view, (keys, number))
            (per_level.sum() / parts).backward()
        return per_level.detach()

    def losses(
        self, inputs: StepInputs, view: Tensor, named: tuple[Sequence[int], int] | None = None
    ) -> Tensor:
        """(n,) losses of a step's images at the supervised levels, with a graph for gradients.

        Args:
            inputs: of the step's images.
            view: (3,) int64 of `draw_view`.
            named: image keys and number of the step, which name a perturbation of the codes.
        """
        settings, codes = self.settings, self._codes(inputs)
        if settings.train.code_noise and named is not None:
            codes = perturbed(codes, named[0], settings, named[1])
        with self.autocast():
            images = self.model(inputs.conditioning, codes, inputs.jpeg)
            return self._distances(images, inputs, view)

    def _distances(self, images: Sequence[Tensor], inputs: StepInputs, view: Tensor) -> Tensor:
        """(n,) weighted mean distances at the supervised levels, of images of every level."""
        settings, targets = self.settings, inputs.features
        if targets is None:
            images = [viewed(image, view) for image in images]
            with torch.no_grad():
                moved = [viewed(target, view) for target in inputs.targets]
                targets = tuple(self.perceptual.features(target) for target in moved)
        levels = supervised_levels(settings)
        return level_losses(images, self.perceptual, targets, levels, settings.train.level_weights)

    def _codes(self, inputs: StepInputs) -> list[LevelCode]:
        if self.settings.train.codes == "none":
            return zero_codes(self.tower, len(inputs.keys), self.device)
        return codes_at(self.tower.code_shapes(), inputs.keys, inputs.indices)

    def more_columns(self) -> list[float]:
        """The mean distance of the chosen codes' images when they were chosen, per level."""
        distances = self.state.position.distances
        assert distances is not None
        return distances.mean(dim=0).tolist()

    def _search(self, batch: Batch, round_: int) -> None:
        """Every rank its share of the images; all keep every choice."""
        settings, ranks = self.settings, self.ranks
        self.progress.searching(round_, len(batch))
        if self.chunks is None:
            self.chunks = chunks_at_once(settings, self.tower, self.perceptual, batch)
        self.tower.eval()
        with self.autocast():
            rows = self._rows_to_search(batch)
            part = batch.select(rows[ranks.shard(len(rows))].numpy())
            choice = choose_codes(settings, self.tower, self.distance, part, round_, self.chunks)
        self.tower.train()
        self.progress.searched(len(rows) * candidates_compared(settings))
        indices = ranks.gathered(choice.indices, len(rows))
        distances = ranks.gathered(choice.distances, len(rows))
        self.state.position.choose(rows, Choice(indices, distances))

    def _rows_to_search(self, batch: Batch) -> Tensor:
        """(R,) int64 on the CPU: the images of a round whose codes are to be searched."""
        position, count = self.state.position, len(batch)
        codes, share = self.settings.train.codes, self.settings.search.again_below
        if position.indices is None or position.distances is None:
            return torch.arange(count)
        if codes == "none" or share is None:
            return torch.arange(count)
        own = self.ranks.shard(count)
        nearer = came_nearer(
            self.tower,
            self.distance,
            batch.select(range(own.start, own.stop)),
            self._keys(batch)[own],
            Choice(position.indices[own], position.distances[own]),
            share,
            self.settings.train.batch_size,
        )
        return self.ranks.gathered(nearer.long(), count).cpu().nonzero().flatten()

    @torch.no_grad()
    def _target_features(self, batch: Batch) -> list[Features] | None:
        """Features of all of a round's targets per level; None if they move or would not fit."""
        if self.settings.perceptual.random_views:
            return None
        size, count = self.settings.train.batch_size, len(batch)
        own = self.ranks.shard(count)
        # The same on every rank, whose GPUs have other memory free: all take part, or none.
        allowed = self.ranks.least(feature_cache_bytes(self.device), self.device)
        with self.autocast():
            first = [self.perceptual.features(t[:1]) for t in batch.targets]
            needed = sum(f.numel() * f.element_size() for level in first for f in level)
            if needed * count > allowed:
                return None
            levels = [
                map(
                    torch.cat,
                    zip(*map(self.perceptual.features, t[own].split(size)), strict=True),
                )
                for t in batch.targets
            ]
        return [tuple(self.ranks.gathered(f, count) for f in level) for level in levels]
