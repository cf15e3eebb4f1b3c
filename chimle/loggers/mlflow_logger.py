"""Curves and samples in MLflow, on the server that MLFLOW_TRACKING_URI names."""

import os
from collections.abc import Mapping

import numpy as np

from chimle.io.files import write_text
from chimle.loggers.logger import Run, flat, missing_extra


class MlflowLogger:
    """Logs to one run of MLflow's; a resumed training continues it."""

    def __init__(self, run: Run) -> None:
        try:
            import mlflow
        except ImportError:
            missing_extra("mlflow")
        self._mlflow = mlflow
        if "MLFLOW_EXPERIMENT_NAME" not in os.environ:
            mlflow.set_experiment("chimle")
        kept = run.folder / "mlflow_run"
        if kept.exists():
            mlflow.start_run(run_id=kept.read_text().strip())
            return
        started = mlflow.start_run(run_name=f"{run.task} {run.key}")
        write_text(kept, started.info.run_id + "\n")
        mlflow.log_params(flat(run.settings))

    def curve(self, step: int, values: Mapping[str, float]) -> None:
        """One metric per value."""
        self._mlflow.log_metrics(dict(values), step=step)

    def samples(self, step: int, sheet: np.ndarray) -> None:
        """The sheet as an image of the run."""
        self._mlflow.log_image(sheet, key="samples", step=step)

    def close(self) -> None:
        """End the run."""
        self._mlflow.end_run()
