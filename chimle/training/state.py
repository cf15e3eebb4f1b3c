"""Everything that a run needs to continue as if it had never stopped, in one small file.

Codes, crops, flips, orders and candidates are all named by (seed, round, image, ...), so the state
is weights, optimiser, average, position and the integers that the current round's search chose.
"""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from chimle.errors import UserError
from chimle.files import write_bytes
from chimle.training.ema import WeightAverage


@dataclass
class Position:
    """Where a run stands."""

    round: int = 0
    """Rounds completed."""
    step: int = 0
    """Gradient steps done in the current round."""
    indices: Tensor | None = None
    """(N, L) int64 codes chosen for the current round's images; None: not searched yet."""
    distances: Tensor | None = None
    """(N, L) float32 distances of those codes when they were chosen."""
    history: list[list[float]] = field(default_factory=list)
    """Rows of the training curve so far."""


@dataclass
class TrainingState:
    """The parts of a run that change."""

    tower: nn.Module
    average: WeightAverage
    optimizer: torch.optim.Optimizer
    position: Position

    def save(self, path: Path) -> None:
        """Write atomically."""
        buffer = io.BytesIO()
        torch.save(
            {
                "tower": self.tower.state_dict(),
                "average": self.average.module.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "position": vars(self.position),
            },
            buffer,
        )
        write_bytes(path, buffer.getvalue())

    def restore(self, path: Path, device: torch.device) -> None:
        """Continue from `path`; `UserError` if it cannot be read."""
        try:
            # To the CPU first: `load_state_dict` moves each part to where it belongs.
            saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            self.tower.load_state_dict(saved["tower"])
            self.average.module.load_state_dict(saved["average"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.position = Position(**saved["position"])
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(
                f"{path} is no readable training state ({reason}): delete it to train anew"
            ) from None
        if self.position.indices is not None:
            self.position.indices = self.position.indices.to(device)
