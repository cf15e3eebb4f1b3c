"""Typed, validated settings of the flows: the content of `flows.yaml`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chimle.errors import UserError
from chimle.settings.reading import parse_yaml, sentence

FILE = "flows.yaml"


Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SlotSettings(_Section):
    """GPU slots: the trainings that run at once on all machines of one Prefect server."""

    limit: str = Field("chimle-gpu", min_length=1)
    """Name of the server's global concurrency limit; `make server-setup` creates it."""
    lease_seconds: int = Field(60, ge=60)
    """After this time the slot of a dead holder is free again. Prefect requires at least 60."""


class RetrySettings(_Section):
    """Retries after a transient failure: network, S3 5xx, a busy lock, a killed process.

    Bad input and bad parameters are not retried.
    """

    delays_seconds: list[Seconds] = Field([10, 60, 300], max_length=50)
    """Pause before each retry of a step; as many retries as there are pauses."""
    stall_seconds: float = Field(7200, gt=0)
    """A training that prints no line and writes no state for this time is ended and retried."""
    restarts: int = Field(3, ge=0)
    """How often a run whose process died is started again."""


class GateSettings(_Section):
    """The gate: a model that is worse than the base revision's, or cannot be compared, is not
    published."""

    metric: str = Field("lpips_*_best_of_*", min_length=1)
    """The deciding metric of `metrics/TASK.json`: a name or a pattern that one name matches."""
    higher_is_better: bool = False
    """Direction of that metric."""
    tolerance: float = Field(0.1, ge=0)
    """Largest loss that passes, relative to the absolute value at the base revision."""


class ImageSettings(_Section):
    """Images in a run's summary."""

    rows: int = Field(3, ge=0)
    """Test inputs per task."""
    samples: int = Field(4, ge=1)
    """Samples per input."""


class SweepSettings(_Section):
    """Grids of parameters."""

    most_points: int = Field(32, ge=1)
    """Largest grid that a sweep accepts."""


class NotificationSettings(_Section):
    """Notifications; the address is in the environment variable `CHIMLE_NOTIFY`."""

    events: list[Literal["failed", "not published", "late", "crashed"]] = [
        "failed",
        "not published",
        "late",
        "crashed",
    ]
    """What is told; nothing without an address."""


class FlowSettings(_Section):
    """All of `flows.yaml`."""

    slots: SlotSettings = SlotSettings()
    """GPU slots."""
    retry: RetrySettings = RetrySettings()
    """Retries of steps, restarts of runs."""
    gate: GateSettings = GateSettings()
    """Which models are published."""
    images: ImageSettings = ImageSettings()
    """Images in a summary."""
    notifications: NotificationSettings = NotificationSettings()
    """What is told by e-mail, Slack or a webhook."""
    sweep: SweepSettings = SweepSettings()
    """Size of a sweep."""


def load_flow_settings(root: Path) -> FlowSettings:
    """`flows.yaml` of a project.

    Raises:
        UserError: the file is missing, no YAML, or a field is unknown or out of range.
    """
    path = root / FILE
    if not path.exists():
        raise UserError(f"{path} is missing: restore it from Git")
    content = parse_yaml(path)
    if not isinstance(content, dict | None):
        raise UserError(f"{path} must hold a mapping of names to values")
    try:
        return FlowSettings.model_validate(content or {})
    except ValidationError as error:
        raise UserError(sentence(error, str(path))) from None
