"""Declaration of a metric: name, meaning, formula, source, range, direction."""

import re
from dataclasses import dataclass
from enum import StrEnum

INPUT_BASELINE = "input_baseline_"
"""Prefix of a metric of the input baseline: the input itself, enlarged where it is smaller."""
LOW, HIGH = "_low", "_high"
"""Suffixes of the ends of a metric's interval over test inputs."""
DEVIATION = "_deviation"
"""Suffix of the standard deviation of a set metric over the sets of one sample per input."""

FEATURES = r"(?:vgg|alex|squeeze)(?:_random)?"
"""Pattern of the names of an LPIPS network's features."""
_PARTS = {"features": FEATURES, "count": r"\d+", "sigma": r"\d+_\d+"}
_PARTS["network"] = rf"(?:{_PARTS['features']}|inception)"


class Group(StrEnum):
    """Kinds of metrics, in the order of a table."""

    AGREES = "Agreement with the input"
    NEAR = "Distance to the target"
    VARIED = "Diversity of samples"
    SETS = "Set of samples against set of targets"


@dataclass(frozen=True)
class Metric:
    """A declared metric.

    Attributes:
        template: its name, with `{features}` (an LPIPS backbone), `{network}` (that or Inception),
            `{count}` and `{sigma}` (as `0_15`) where they vary.
        group: its kind.
        meaning: what it measures, in a few words.
        formula: how it is computed; d is LPIPS, y* the target, y_1 .. y_S the samples of an input.
        source: paper, or the library whose value it is.
        lowest: lower end of its range; None: there is none.
        highest: upper end of its range; None: there is none.
        higher_is_better: its direction.
        headline: whether it is among the headline metrics of a task.
    """

    template: str
    group: Group
    meaning: str
    formula: str
    source: str
    lowest: float | None
    highest: float | None
    higher_is_better: bool
    headline: bool = False

    def matches(self, name: str) -> bool:
        """Whether this metric declares a name without prefix and suffix."""
        pattern = re.sub(r"\{(\w+)\}", lambda part: _PARTS[part[1]], self.template)
        return re.fullmatch(pattern, name) is not None

    @property
    def arrow(self) -> str:
        """Direction: ↑ if higher is better, else ↓."""
        return "↑" if self.higher_is_better else "↓"

    @property
    def span(self) -> str:
        """The range as text."""
        if self.lowest is None:
            return "any number" if self.highest is None else f"{self.highest:g} and below"
        if self.highest is None:
            return f"{self.lowest:g} and up"
        return f"{self.lowest:g} to {self.highest:g}"
