"""Typed, validated settings: the only reader of `params.yaml` and `presets/`.

A run's settings are a preset (`presets/<preset>.yaml`, one section per class below), what the
preset changes for the task (its `tasks.<task>`), and the task's own entries in `params.yaml`, laid
over each other field by field.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from chimle.errors import UserError
from chimle.tasks import Task, Wiring, get_task

MOST_LEVELS = 12
"""Levels of a tower; the finest image is then 2048 times the coarsest."""


class Settings(BaseModel):
    """Base: unknown fields are errors, values never change after construction."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SourceSettings(Settings):
    """Where a task's photographs come from."""

    kind: Literal["builtin", "folder"] = "builtin"
    """`builtin`: the colour photographs inside scikit-image; `folder`: a directory of yours."""
    path: str | None = None
    """`folder`: directory with the target photographs, relative to the project."""
    inputs: str | None = None
    """`folder`: directory with the matching inputs (same relative names but for the extension);
    absent: inputs are made by degrading the targets."""

    @model_validator(mode="after")
    def _folder_has_path(self) -> "SourceSettings":
        if self.kind == "folder" and not self.path:
            raise ValueError("a folder source needs `path`, the directory of target photographs")
        if self.kind == "builtin" and (self.path or self.inputs):
            raise ValueError("`path` and `inputs` belong to `kind: folder`")
        return self


class PairSettings(Settings):
    """How pairs are cut and degraded."""

    size: int = Field(64, ge=16)
    """Side of the square target, pixels. At least the tower's resolution; larger pairs are
    cropped at random in training."""
    validation: float = Field(0.1, ge=0, lt=1)
    """Share of groups (photographs or regions) held out for validation."""
    test: float = Field(0.2, gt=0, lt=1)
    """Share of groups held out for the test split."""
    limit: int | None = Field(None, ge=1)
    """At most this many pairs per split, chosen by hash; None: all."""
    jpeg_quality: int = Field(1, ge=1, le=100)
    """Decompression: Pillow's JPEG quality. 1 is the lowest."""
    night_exposure: float = Field(0.12, gt=0, le=1)
    """Night rendering: mean exposure relative to the day, linear light."""
    night_noise: float = Field(0.02, ge=0, le=1)
    """Night rendering: standard deviation of sensor noise, fraction of full scale."""

    @model_validator(mode="after")
    def _leaves_training(self) -> "PairSettings":
        if self.validation + self.test >= 1:
            raise ValueError("`validation` + `test` must stay below 1, or no training pair is left")
        return self


class TowerSettings(Settings):
    """Sizes of the Tower Implicit Model. Lists have one entry per level, coarse first."""

    resolution: int = Field(64, ge=8)
    """Side of the finest level's image, pixels."""
    widths: tuple[int, ...] = (32, 24, 16, 16)
    """Channels of the residual trunk per level (published: 128, 64, 64, 64)."""
    growth: tuple[int, ...] = (16, 16, 8, 8)
    """Channels added by each convolution of a dense block (published: 256, 192, 128, 64)."""
    blocks: int = Field(1, ge=1, le=64)
    """Residual-in-residual dense blocks per level (published: 6)."""
    style_size: int = Field(128, ge=1)
    """Normals in a level's style code (published: 128)."""
    noise_channels: int = Field(5, ge=1)
    """Channels of a level's spatial noise (published: 5)."""
    mapping_width: int = Field(512, ge=1)
    """Width of the mapping networks (published: 512)."""
    mapping_depth: int = Field(8, ge=2, le=64)
    """Linear layers of a mapping network, the embedding included (published: 8)."""
    initialisation: Literal["live", "published"] = "live"
    """`live`: the style code moves the picture from the start; `published`: Kaiming times 0.1,
    under which it does not (see docs/decisions.md)."""

    @field_validator("widths", "growth")
    @classmethod
    def _positive(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not 1 <= len(value) <= MOST_LEVELS or min(value) < 1:
            raise ValueError(f"needs 1 to {MOST_LEVELS} levels and positive channel counts")
        return value

    @model_validator(mode="after")
    def _one_entry_per_level(self) -> "TowerSettings":
        if len(self.widths) != len(self.growth):
            raise ValueError(
                f"`widths` has {len(self.widths)} levels but `growth` has {len(self.growth)}"
            )
        if self.resolution % 2 ** len(self.widths):
            raise ValueError(
                f"`resolution` {self.resolution} must be divisible by 2^{len(self.widths)}, "
                "once for every level"
            )
        return self

    @property
    def levels(self) -> int:
        """Number of levels L."""
        return len(self.widths)

    def output_sizes(self) -> tuple[int, ...]:
        """Side of every level's image, coarse first: resolution / 2^(L-1) .. resolution."""
        return tuple(self.resolution >> (self.levels - 1 - i) for i in range(self.levels))

    def working_sizes(self, wiring: Wiring) -> tuple[int, ...]:
        """Side at which every level's body and noise live.

        The output sizes, halved for super-resolution, whose levels enlarge before they draw.
        """
        halve = wiring is Wiring.SUPER_RESOLUTION
        return tuple(size >> int(halve) for size in self.output_sizes())


class PerceptualSettings(Settings):
    """The distance that search and training minimise, and that evaluation scores with."""

    backbone: Literal["vgg", "alex", "squeeze"] = "squeeze"
    """LPIPS backbone."""
    weights: str | None = None
    """File with the backbone's ImageNet weights (.safetensors or .pth); None: torch's usual
    cache, then the official download."""
    allow_random: bool = False
    """Fall back to fixed-seed random features when no weights can be had (demo only)."""


class SearchSettings(Settings):
    """Hierarchical search for codes."""

    candidates: tuple[int, ...] = (16, 16, 8, 4)
    """Candidates per level, coarse first (published: 200, 200, 20, 10)."""
    chunk: int = Field(64, ge=1)
    """Candidate pictures judged at once. Bounds memory, never changes the outcome."""

    @field_validator("candidates")
    @classmethod
    def _positive(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(v < 1 for v in value):
            raise ValueError("needs at least one candidate per level")
        return value


class TrainSettings(Settings):
    """Rounds of search and gradient steps."""

    rounds: int = Field(4, ge=1)
    """Rounds. Each picks images, searches their codes and trains on them."""
    images_per_round: int = Field(64, ge=1)
    """Images per round; the whole split when it has fewer (published: 400)."""
    steps_per_round: int = Field(100, ge=1)
    """Gradient steps per round (published: 10,000 of batch 1)."""
    batch_size: int = Field(8, ge=1)
    """Images per gradient step (published: 1)."""
    learning_rate: float = Field(1e-3, gt=0)
    """Adam's learning rate (published: 1e-4 at batch 1)."""
    mapping_rate: float = Field(0.1, gt=0)
    """Factor on the learning rate for the mapping networks (published: 0.01)."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Adam's momenta."""
    code_noise: float = Field(0.0, ge=0)
    """Standard deviation of the perturbation of chosen codes in a step (published: 0)."""
    ema: float = Field(0.99, ge=0, lt=1)
    """Decay per step of the averaged weights that sampling uses; 0: the last weights."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of the convolutions. Normalisation and distances stay in fp32."""
    checkpoint_seconds: float = Field(30.0, ge=0)
    """Seconds of work at most that a crash may lose."""
    augment: bool = True
    """Random flips and transposition, the same for input and target."""


class EvaluateSettings(Settings):
    """Samples and their scores."""

    samples: int = Field(10, ge=2)
    """Samples per test input."""
    batch_size: int = Field(16, ge=1)
    """Test inputs times samples at once; never changes a number beyond rounding."""
    gallery: int = Field(8, ge=1)
    """Test inputs shown in the report."""
    inception: str | None = None
    """File with the FID Inception weights for `fid` and `kid`; None: only the distances over
    the LPIPS backbone's features, under their own names."""


class RunSettings(Settings):
    """All settings of one task's run."""

    task: str
    """Name of the task."""
    preset: str
    """Name of the preset beneath."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Seed of splits, initialisation, codes and augmentation."""
    source: SourceSettings = SourceSettings()
    pair: PairSettings = PairSettings()
    tower: TowerSettings = TowerSettings()
    perceptual: PerceptualSettings = PerceptualSettings()
    search: SearchSettings = SearchSettings()
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()

    @model_validator(mode="after")
    def _sections_agree(self) -> "RunSettings":
        if len(self.search.candidates) != self.tower.levels:
            raise ValueError(
                f"`search.candidates` has {len(self.search.candidates)} entries "
                f"but the tower has {self.tower.levels} levels"
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
        if self.preset in ("small", "paper") and self.perceptual.allow_random:
            raise ValueError(f"preset {self.preset} never falls back to random features")
        return self

    @property
    def definition(self) -> Task:
        """The task's definition."""
        return get_task(self.task)


SECTIONS = ("source", "pair", "tower", "perceptual", "search", "train", "evaluate")


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping; `UserError` when the file is missing, malformed or no mapping."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = " ".join(str(error).split())
        raise UserError(f"{path} is not valid YAML: {place}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a mapping of names to values")
    return content


def _sentence(error: ValidationError, origin: str) -> str:
    """The first validation error as one sentence that names the field."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"{origin}: unknown parameter `{field}`: remove it or mend its spelling{more}"
    message = first["msg"].removeprefix("Value error, ")
    where = f"`{field}` = {first['input']!r}: " if field else ""
    return f"{origin}: {where}{message}{more}"


def build_settings(values: Mapping[str, Any], origin: str) -> RunSettings:
    """Validated settings from plain values; `UserError` names `origin` and the field."""
    try:
        return RunSettings.model_validate(values)
    except ValidationError as error:
        raise UserError(_sentence(error, origin)) from None


def load_settings(task: str, root: Path = Path()) -> RunSettings:
    """Settings of a task: its preset with its own entries in `params.yaml` on top.

    Args:
        task: name of a task.
        root: directory that holds `params.yaml` and `presets/`.

    Raises:
        UserError: a file is missing or malformed, or a field is unknown or out of range.
    """
    get_task(task)
    params = read_yaml(root / "params.yaml")
    unknown = set(params) - {"preset", "seed", "tasks"}
    if unknown:
        raise UserError(f"params.yaml: unknown parameter `{min(unknown)}`: remove it")
    preset_name = params.get("preset", "demo")
    known = sorted(path.stem for path in (root / "presets").glob("*.yaml"))
    if preset_name not in known:
        raise UserError(f"params.yaml: unknown preset '{preset_name}': choose {', '.join(known)}")
    tasks = params.get("tasks")
    if not isinstance(tasks, dict) or task not in tasks:
        raise UserError(f"params.yaml: `tasks` has no entry `{task}`: add one, `{{}}` will do")
    own = tasks[task] or {}
    if not isinstance(own, dict):
        raise UserError(f"params.yaml: `tasks.{task}` must be a mapping of sections")
    values: dict[str, Any] = {"task": task, "preset": preset_name, "seed": params.get("seed", 0)}
    preset_file = f"presets/{preset_name}.yaml"
    preset = read_yaml(root / preset_file)
    for_task = (preset.pop("tasks", None) or {}).get(task) or {}
    layers = (
        (preset_file, preset),
        (f"{preset_file}, tasks.{task}", for_task),
        (f"params.yaml, tasks.{task}", own),
    )
    for origin, layer in layers:
        for section, fields in layer.items():
            if section not in SECTIONS:
                raise UserError(f"{origin}: unknown section `{section}`: use {', '.join(SECTIONS)}")
            if not isinstance(fields, dict):
                raise UserError(f"{origin}: `{section}` must be a mapping of fields")
            values[section] = {**values.get(section, {}), **fields}
    return build_settings(values, f"params.yaml, task {task}")
