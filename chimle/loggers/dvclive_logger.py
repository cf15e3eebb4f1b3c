"""Curves and samples in the files of DVCLive, without a DVC experiment of its own."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from chimle.loggers.logger import Run, missing_extra


class DvcliveLogger:
    """Writes `dvclive/` in the run's folder; a resumed training continues its files."""

    def __init__(self, run: Run) -> None:
        try:
            from dvclive.live import Live
        except ImportError:
            missing_extra("dvclive")
        folder = run.folder / "dvclive"
        self._live: Any = Live(
            str(folder), resume=folder.exists(), report=None, save_dvc_exp=False, dvcyaml=None
        )

    def curve(self, step: int, values: Mapping[str, float]) -> None:
        """One metric per value."""
        self._live.step = step
        for name, value in values.items():
            self._live.log_metric(name, value)
        self._live.make_summary()

    def samples(self, step: int, sheet: np.ndarray) -> None:
        """The latest sheet as an image."""
        self._live.step = step
        self._live.log_image("samples.png", sheet)

    def close(self) -> None:
        """Write the summary."""
        self._live.end()
