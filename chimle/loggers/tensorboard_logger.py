"""Curves and samples in TensorBoard: `tensorboard --logdir scratch/logs`."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from chimle.loggers.logger import Run, missing_extra


class TensorBoardLogger:
    """Writes event files into the run's folder."""

    def __init__(self, run: Run) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            missing_extra("tensorboard")
        self.run, self._make = run, SummaryWriter
        self._made: Any = None

    def _writer(self, step: int) -> Any:
        """Made at the first step: what a killed process wrote from there on is not shown."""
        if self._made is None:
            self._made = self._make(str(self.run.folder), purge_step=step)
            settings = json.dumps(self.run.settings, indent=1, sort_keys=True)
            self._made.add_text("settings", f"```\n{settings}\n```", step)
        return self._made

    def curve(self, step: int, values: Mapping[str, float]) -> None:
        """One scalar per value."""
        for name, value in values.items():
            self._writer(step).add_scalar(name, value, step)

    def samples(self, step: int, sheet: np.ndarray) -> None:
        """The sheet as an image; it is written to disk at once."""
        writer = self._writer(step)
        writer.add_image("samples", sheet, step, dataformats="HWC")
        writer.flush()

    def close(self) -> None:
        """Close the event file."""
        if self._made is not None:
            self._made.close()
