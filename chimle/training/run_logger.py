"""Where a run's curve and weights are shown while it goes on: the interface (`chimle.loggers`)."""

from collections.abc import Mapping
from typing import Protocol

from torch import nn


class RunLogger(Protocol):
    """Sees a run and changes nothing of it: neither its bits nor the key of its state."""

    def curve(self, step: int, values: Mapping[str, float]) -> None:
        """A row of the training curve, by the names of its columns, with the step's throughput."""

    def round_done(self, step: int, network: nn.Module) -> None:
        """A round ended after that step; the averaged network, for samples."""


class NoLogger:
    """Shows nothing."""

    def curve(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def round_done(self, step: int, network: nn.Module) -> None:
        """Nothing."""
