"""Curves and samples in Weights & Biases; WANDB_MODE=offline keeps them on this machine."""

import os
from collections.abc import Mapping

import numpy as np

from chimle.loggers.logger import Run, flat, missing_extra


class WandbLogger:
    """Logs to one run of the project that WANDB_PROJECT names; a resumed training continues it."""

    def __init__(self, run: Run) -> None:
        try:
            import wandb
        except ImportError:
            missing_extra("wandb")
        self._wandb = wandb
        run.folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "chimle"),
            name=f"{run.task} {run.key}",
            id=f"{run.task}-{run.key}",
            resume="allow",
            dir=str(run.folder),
            config=flat(run.settings),
        )

    def curve(self, step: int, values: Mapping[str, float]) -> None:
        """One value per name."""
        self._run.log(dict(values), step=step)

    def samples(self, step: int, sheet: np.ndarray) -> None:
        """The sheet as an image."""
        self._run.log({"samples": self._wandb.Image(sheet)}, step=step)

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()
