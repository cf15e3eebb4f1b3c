"""Everything that a run needs to continue as if it had never stopped, in one small file.

Codes, crops, flips, orders and candidates are all named by (seed, round, image, ...), so the state
is weights, optimiser, average, position and the integers that the current round's search chose.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from chimle.errors import UserError, first_line, is_memory_full
from chimle.io.files import replaced_file
from chimle.io.tensor_files import read_tensors
from chimle.search.hierarchical import Choice
from chimle.training.ema import WeightAverage


@dataclass
class Position:
    """Where a run stands."""

    round: int = 0
    """Rounds completed."""
    step: int = 0
    """Gradient steps done in the current round."""
    searched: bool = False
    """Whether the current round's search is done."""
    indices: Tensor | None = None
    """(N, L) int64 codes chosen for the current round's images; None: never searched."""
    distances: Tensor | None = None
    """(N, L) float32 distances of those codes when they were chosen, on the CPU."""
    rounds: Tensor | None = None
    """(N,) int64 rounds in which they were chosen, on the CPU."""
    history: list[list[float]] = field(default_factory=list)
    """Rows of the training curve so far."""
    seconds: float = 0.0
    """Time spent, where a run is limited by time; else 0."""

    def next_round(self, same_images: bool) -> "Position":
        """The beginning of the next round; its images keep the codes they have."""
        begun = Position(self.round + 1, history=self.history, seconds=self.seconds)
        if same_images:
            begun.indices, begun.distances = self.indices, self.distances
            begun.rounds = self.rounds
        return begun

    def choose(self, rows: Tensor, choice: Choice) -> None:
        """Keep the codes that this round's search chose for some of its images.

        Args:
            rows: (R,) int64 on the CPU, the images; all where none was searched before.
            choice: their codes.
        """
        distances = choice.distances.cpu()
        if self.indices is None or self.distances is None or self.rounds is None:
            self.indices, self.distances = choice.indices, distances
            self.rounds = torch.full((len(rows),), self.round)
        else:
            self.indices = self.indices.index_copy(0, rows.to(self.indices.device), choice.indices)
            self.distances = self.distances.index_copy(0, rows, distances)
            self.rounds = self.rounds.index_fill(0, rows, self.round)
        self.searched = True


@dataclass
class TrainingState:
    """The parts of a run that change."""

    network: nn.Module
    """What learns, and in the end makes images."""
    average: WeightAverage
    optimizer: torch.optim.Optimizer
    position: Position
    others: dict[str, nn.Module | torch.optim.Optimizer] = field(default_factory=dict)
    """Whatever else learns beside it, by name."""

    def _parts(self) -> dict[str, Any]:
        return {
            "network": self.network,
            "average": self.average.module,
            "optimizer": self.optimizer,
            **self.others,
        }

    def save(self, path: Path) -> None:
        """Write atomically, streamed to the file."""
        saved = {name: part.state_dict() for name, part in self._parts().items()}
        with replaced_file(path) as fresh:
            torch.save({**saved, "position": vars(self.position)}, fresh)

    def restore(self, path: Path, device: torch.device) -> None:
        """Continue from `path`; `UserError` if it cannot be read."""
        # To the CPU first: `load_state_dict` moves each part to where it belongs.
        saved: dict[str, Any] = read_tensors(path, "delete it to train anew")
        try:
            for name, part in self._parts().items():
                part.load_state_dict(saved[name])
            self.position = Position(**saved["position"])
        except Exception as error:  # A damaged file raises almost anything.
            if is_memory_full(error):
                raise  # The file is good, and must not be deleted.
            reason = first_line(error)
            raise UserError(
                f"{path} is no readable training state ({reason}): delete it to train anew"
            ) from None
        if self.position.indices is not None:
            self.position.indices = self.position.indices.to(device)
