"""All settings of one task, and what the stages' settings must agree on."""

from pydantic import model_validator

from chimle.settings.evaluate import EvaluateStageSettings
from chimle.settings.model_settings import ModelSettings
from chimle.settings.pair import PairStageSettings
from chimle.settings.source import BuiltinSource, FetchStageSettings, Selection


class RunSettings(FetchStageSettings, PairStageSettings, ModelSettings, EvaluateStageSettings):
    """All settings of one task: those of every stage. Each stage reads only its own part."""

    @model_validator(mode="after")
    def _sections_agree(self) -> "RunSettings":
        if self.pair.size < self.tower.resolution:
            raise ValueError(
                f"`pair.size` {self.pair.size} is smaller than "
                f"`tower.resolution` {self.tower.resolution}"
            )
        if self.pair.timelapse is None:
            return self
        if isinstance(self.source, BuiltinSource):
            raise ValueError("`pair.timelapse` needs a `source` with a folder per camera")
        if isinstance(self.source, Selection) and (self.source.inputs or self.source.side_by_side):
            raise ValueError("`pair.timelapse` finds the inputs: remove those of `source`")
        return self
