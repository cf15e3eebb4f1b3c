"""All settings that a trained model depends on, and what they must agree on."""

from pydantic import model_validator

from chimle.settings.perceptual import RANDOM_NAME, PerceptualSettings
from chimle.settings.search import SearchSettings
from chimle.settings.settings_base import SeededSettings
from chimle.settings.tower import TowerSettings
from chimle.settings.train import TrainSettings
from chimle.tasks import Wiring


class ModelSettings(SeededSettings):
    """All settings that a trained model depends on, beside its pairs."""

    preset: str
    """Name of the preset."""
    tower: TowerSettings = TowerSettings()
    """Sizes of the generator."""
    perceptual: PerceptualSettings = PerceptualSettings()
    """The distance that search and training minimise."""
    search: SearchSettings = SearchSettings()
    """Search for codes."""
    train: TrainSettings = TrainSettings()
    """Rounds of search and gradient steps."""

    @model_validator(mode="after")
    def _model_agrees(self) -> "ModelSettings":
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
        if self.search.again_below is not None and self.train.repeat_images == 1:
            raise ValueError(
                "`search.again_below` is for rounds that repeat their images: set "
                "`train.repeat_images` to at least 2"
            )
        if self.train.equaliser is not None and self.definition.wiring is Wiring.COLOURIZATION:
            raise ValueError(
                "`train.equaliser` is for images whose lightness a model makes; in colourization "
                "it is the input's: leave it null"
            )
        reduction = self.definition.reduction
        if reduction > 1 and reduction != 2**self.tower.levels:
            raise ValueError(
                f"task {self.task} enlarges {reduction} times, which takes "
                f"{reduction.bit_length() - 1} tower levels, not {self.tower.levels}"
            )
        if self.preset in ("small", "large", "paper") and self.perceptual.weights == RANDOM_NAME:
            raise ValueError(f"preset {self.preset} never uses random features")
        return self
