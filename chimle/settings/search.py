"""Search for latent codes."""

from typing import Literal

from pydantic import Field, field_validator

from chimle.settings.settings_base import Settings


class SearchSettings(Settings):
    """Search for codes."""

    candidates: tuple[int, ...] = (16, 16, 8, 4)
    """Candidates per level, coarse first (published: 200, 200, 20, 10)."""
    too_near: float = Field(0.0, ge=0)
    """Candidates nearer to the target than this are rejected, unless all are, so that the codes of
    training are distributed more like those of sampling (RS-IMLE, Vashist and others, ECCV 2024;
    hierarchical search only). 0: none is."""
    near_tie: float = Field(0.0, ge=0, lt=1)
    """In bf16, candidates that are farther than the nearest one by at most this share of its
    distance are compared with it once more in fp32 (hierarchical search only). 0.01 makes the same
    choices as fp32, and better images by no measure. 0: none are."""
    again_below: float | None = Field(None, gt=0)
    """In a round that repeats its images (`train.repeat_images`), search again only for those whose
    image lies nearer to the target than this share of its distance when its codes were chosen; the
    others keep their codes (Adaptive IMLE, Aghabozorgi and others, ICML 2023). null: for all."""
    order: Literal["hierarchical", "whole"] = "hierarchical"
    """`hierarchical`: level by level, each candidate extends the chosen codes of lower levels;
    `whole`: of as many whole codes as there are candidates in all, the nearest (one-code IMLE;
    ablation)."""
    distance: Literal["exact", "projected"] = "exact"
    """`projected`: candidates are compared by random projections of the features, as in the
    published program (ablation). Losses are exact always."""
    projections: int = Field(1000, ge=16)
    """Dimensions of a projected comparison, over all layers (published: 1000). Their matrices take
    4 bytes a dimension and feature beside `memory`: 1.6 GB for VGG16's of 128 pixels."""
    memory: int | None = Field(None, ge=1, le=2**24)
    """MiB that candidates compared at once may hold, weights aside. null: 64 on a CPU, which is
    what its caches almost hold, and two fifths of a GPU's free memory."""

    @field_validator("candidates")
    @classmethod
    def _positive(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(v < 1 for v in value):
            raise ValueError("needs at least one candidate per level")
        return value
