"""Rounds of search and gradient steps."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from chimle.settings.settings_base import Settings

Beta = Annotated[float, Field(ge=0, lt=1)]


class TrainSettings(Settings):
    """Rounds of search and gradient steps."""

    start: str = Field("scratch", min_length=1)
    """Weights that training starts from: `scratch`, the tower's initialisation; `pretrained`, the
    package's model of the task, `pretrained:TASK` that of another; or a bundle, a folder or zip
    file, to fine-tune it. The bundle's tower must have the sizes of `tower`."""
    rounds: int = Field(4, ge=1)
    """Rounds. Each picks images, searches their codes and trains on them."""
    images_per_round: int = Field(64, ge=1)
    """Images per round; the whole split when it has fewer (published: 400)."""
    seconds: float | None = Field(None, gt=0)
    """End after so many seconds of searches and steps instead of after `rounds`, and let the
    schedule follow the time. Such a run gives other bits each time."""
    repeat_images: int = Field(1, ge=1)
    """Rounds in a row that train on the same images in the same orientation, each with a search of
    its own (see `search.again_below`)."""
    steps_per_round: int = Field(100, ge=1)
    """Gradient steps per round (published: 10,000 of batch 1)."""
    batch_size: int = Field(8, ge=1)
    """Images per gradient step (published: 1)."""
    micro_batches: int = Field(1, ge=1)
    """Equal parts of a step's images that are computed one after another, their gradients averaged
    (gradient accumulation): less memory for the same step. Several processes share the parts. With
    2 parts, two processes give the same bits as one."""
    learning_rate: float = Field(1e-3, gt=0)
    """Adam's learning rate (published: 1e-4 at batch 1)."""
    schedule: Literal["constant", "cosine"] = "constant"
    """`cosine`: from `decay_start` on the learning rate falls to 0 along half a cosine."""
    decay_start: float = Field(0.0, ge=0, lt=1)
    """Share of the run after which a `cosine` schedule begins to fall."""
    warmup: int = Field(0, ge=0)
    """Steps over which the learning rate rises from 0."""
    mapping_rate: float = Field(0.1, gt=0)
    """Factor on the learning rate for the mapping networks (published: 0.01)."""
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """Adam's momenta."""
    codes: Literal["searched", "none"] = "searched"
    """`none`: nothing is searched and the tower ignores its codes: regression, one sample per
    input."""
    supervision: Literal["every", "finest"] = "every"
    """Levels whose images are compared with the target in a step (published: every)."""
    level_weights: tuple[Annotated[float, Field(ge=0)], ...] | None = None
    """Factors on the losses of the supervised levels, coarse first, not all 0; null: 1 each."""
    code_noise: float = Field(0.0, ge=0)
    """Standard deviation of the perturbation of chosen codes in a step (published: 0)."""
    ema: float = Field(0.99, ge=0, lt=1)
    """Decay per step of the averaged weights that sampling uses; 0: the last weights."""
    noise_strength: float = Field(1.0, gt=0)
    """Factor on the weights of the spatial noise in the finished model: as if it drew samples from
    normals of this standard deviation. A perceptual distance leaves fine contrast weaker than the
    targets have it, and above 1 it comes back; `python -m benchmarks.code_strength` shows what
    helps a model. 1: as trained."""
    style_strength: float = Field(1.0, gt=0)
    """Factor on the weights of the style codes in the finished model: as if they were normals of
    this standard deviation. A search chooses codes among several, so that training sees few of the
    rarest; below 1 samples are more plausible and less diverse (the truncation trick of BigGAN,
    arXiv 1809.11096). `python -m benchmarks.code_strength` shows what helps a model. 1: as
    trained."""
    equaliser: float | None = Field(None, ge=0, le=1)
    """Give the finished model a filter of its finest images that takes away what the power spectrum
    of its samples has more than that of the training targets, such as strokes along one diagonal,
    and adds this share, in decibels, of what it has less (`chimle.tower.equaliser`). The higher the
    share, the more contrast have details, and the farther is a single sample from its target;
    `python -m benchmarks.equaliser` shows what helps a model. null: no filter."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of convolutions and linear layers, the distance's backbone included. Normalisation
    and distances stay in fp32."""
    graph: bool = True
    """On a CUDA device, record a step's forward and backward pass once and launch it as a whole.
    Not done with several processes, `micro_batches` or `code_noise`."""
    deterministic: bool = True
    """On a CUDA device, use only algorithms that give the same bits each time, so that a resumed
    run is the same run."""
    checkpoint_seconds: float = Field(30.0, ge=0)
    """Seconds of steps between two states: so much work may a crash lose. It is more where a state
    takes over a twentieth of them to write; a search that is interrupted begins anew."""
    augment: bool = True
    """Random flips, transposition and quarter turns, the same for input and target. Switch it off
    where mirrored images would be wrong, as those of text."""

    @field_validator("level_weights")
    @classmethod
    def _trains_something(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and not any(value):
            raise ValueError("needs a weight above 0")
        return value
