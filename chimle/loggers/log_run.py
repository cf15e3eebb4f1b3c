"""The loggers of a run, by name, behind the interface that training knows."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import nn

from chimle.errors import UserError, first_line
from chimle.loggers.dvclive_logger import DvcliveLogger
from chimle.loggers.logger import Logger, Run
from chimle.loggers.mlflow_logger import MlflowLogger
from chimle.loggers.preview import Preview
from chimle.loggers.tensorboard_logger import TensorBoardLogger
from chimle.loggers.wandb_logger import WandbLogger
from chimle.tower.generator import Tower
from chimle.training.run_logger import NoLogger, RunLogger

LOGGERS: dict[str, Callable[[Run], Logger]] = {
    "tensorboard": TensorBoardLogger,
    "mlflow": MlflowLogger,
    "wandb": WandbLogger,
    "dvclive": DvcliveLogger,
}
"""By name, which is that of the extra, too."""
VARIABLE = "CHIMLE_LOGGERS"


def chosen_loggers() -> list[str]:
    """The names in the environment variable CHIMLE_LOGGERS, separated by commas.

    Raises:
        UserError: there is no logger of a name.
    """
    names = [name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
    unknown = [name for name in names if name not in LOGGERS]
    if unknown:
        raise UserError(f"{VARIABLE}: unknown logger '{unknown[0]}': use {', '.join(LOGGERS)}")
    return list(dict.fromkeys(names))


class LoggedRun:
    """Passes a run's curve and samples on to its loggers.

    A logger that fails is named and left out from then on, and so are samples that cannot be drawn:
    training continues.

    Args:
        loggers: by name.
        preview: draws the samples; None: none are drawn.
    """

    def __init__(self, loggers: Mapping[str, Logger], preview: Preview | None = None) -> None:
        self.loggers, self.preview = dict(loggers), preview

    def curve(self, step: int, values: Mapping[str, float]) -> None:
        """A row of the training curve."""
        named = {name: value for name, value in values.items() if name not in ("step", "round")}
        self._each(lambda logger: logger.curve(step, named))

    def round_done(self, step: int, network: nn.Module) -> None:
        """Samples of the averaged tower."""
        if self.loggers and self.preview is not None and isinstance(network, Tower):
            try:
                sheet = self.preview.sheet(network)
            except Exception as error:  # noqa: BLE001 - such as a device's memory that is full
                self.preview = None
                _say(f"no samples are shown from here on ({first_line(error)})")
                return
            self._each(lambda logger: logger.samples(step, sheet))

    def close(self) -> None:
        """Close all."""
        self._each(lambda logger: logger.close())

    def _each(self, run: Callable[[Logger], None]) -> None:
        for name, logger in list(self.loggers.items()):
            try:
                run(logger)
            except Exception as error:  # noqa: BLE001 - a service's errors are its own
                del self.loggers[name]
                _say(f"logger {name} failed and is left out from here on ({first_line(error)})")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def log_run(names: Sequence[str], run: Run, preview: Callable[[], Preview]) -> Iterator[RunLogger]:
    """The loggers of those names for a run, as one; without a name it shows nothing.

    Raises:
        UserError: the package of a logger is not installed.
    """
    if not names:
        yield NoLogger()
        return
    logged = LoggedRun({name: LOGGERS[name](run) for name in names}, preview())
    try:
        yield logged
    finally:
        logged.close()
