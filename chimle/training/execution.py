"""Where a run is computed, by whom, for how long, and who watches."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from chimle.training.distributed import ALONE, Ranks
from chimle.training.run_logger import NoLogger, RunLogger
from chimle.training.timer import Clock


@dataclass(frozen=True)
class Execution:
    """What a run needs beside its data and settings. Unless time ends it, its result is the same.

    Attributes:
        state_file: where the run's state is kept; a killed run resumes from it.
        device: where it computes.
        seconds: end after so long, wherever the run stands. Such a run is no longer determined by
            its settings. None: end after all rounds.
        clock: what counts the seconds.
        ranks: the processes that train it.
        logger: shows the curve and samples while it goes on; of the first rank.
        kept: whether the state's file is still there after an error.
    """

    state_file: Path
    device: torch.device
    seconds: float | None = None
    clock: Clock = time.monotonic
    ranks: Ranks = ALONE
    logger: RunLogger = field(default_factory=NoLogger)
    kept: bool = True
