"""All settings of one task's run, and what they must agree on."""

from typing import Any

from pydantic import Field, field_validator, model_validator

from chimle.settings.evaluate import EvaluateSettings
from chimle.settings.pair import PairSettings
from chimle.settings.perceptual import PerceptualSettings
from chimle.settings.search import SearchSettings
from chimle.settings.settings_base import Settings
from chimle.settings.source import BuiltinSource, Selection, SourceSettings
from chimle.settings.tower import TowerSettings
from chimle.settings.train import TrainSettings
from chimle.tasks import Degradation, Task, get_task


class RunSettings(Settings):
    """All settings of one task's run."""

    task: str
    """Name of the task."""
    preset: str
    """Name of the preset beneath."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of splits, initialisation, codes and augmentation."""
    source: SourceSettings = BuiltinSource()
    pair: PairSettings = PairSettings()
    tower: TowerSettings = TowerSettings()
    perceptual: PerceptualSettings = PerceptualSettings()
    search: SearchSettings = SearchSettings()
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()

    @field_validator("source", mode="before")
    @classmethod
    def _defaults(cls, value: Any) -> Any:
        """A null stands for an absent field; no kind is the built-in one."""
        if isinstance(value, dict):
            return {"kind": "builtin"} | {k: v for k, v in value.items() if v is not None}
        return value

    @model_validator(mode="after")
    def _sections_agree(self) -> "RunSettings":
        if len(self.search.candidates) != self.tower.levels:
            raise ValueError(
                f"`search.candidates` has {len(self.search.candidates)} entries "
                f"but the tower has {self.tower.levels} levels"
            )
        weights = self.train.level_weights
        supervised = self.tower.levels if self.train.supervision == "every" else 1
        if weights is not None and len(weights) != supervised:
            raise ValueError(
                f"`train.level_weights` has {len(weights)} entries "
                f"but {supervised} levels are supervised"
            )
        if self.pair.size < self.tower.resolution:
            raise ValueError(
                f"`pair.size` {self.pair.size} is smaller than "
                f"`tower.resolution` {self.tower.resolution}"
            )
        reduction = get_task(self.task).reduction
        if reduction > 1 and reduction != 2**self.tower.levels:
            raise ValueError(
                f"task {self.task} enlarges {reduction} times, which takes "
                f"{reduction.bit_length() - 1} tower levels, not {self.tower.levels}"
            )
        if self.pair.size % reduction:
            raise ValueError(f"`pair.size` {self.pair.size} must be divisible by {reduction}")
        self._time_lapse_agrees()
        if self.preset in ("small", "paper") and self.perceptual.allow_random:
            raise ValueError(f"preset {self.preset} never falls back to random features")
        return self

    def _time_lapse_agrees(self) -> None:
        if self.pair.timelapse is None:
            return
        if get_task(self.task).degradation is not Degradation.NIGHT:
            raise ValueError(f"`pair.timelapse` makes nights and days, which {self.task} has not")
        if isinstance(self.source, BuiltinSource):
            raise ValueError("`pair.timelapse` needs a `source` with a folder per camera")
        if isinstance(self.source, Selection) and (self.source.inputs or self.source.side_by_side):
            raise ValueError("`pair.timelapse` finds the inputs: remove those of `source`")

    @property
    def definition(self) -> Task:
        """The task's definition."""
        return get_task(self.task)
