"""What a metric is called, what it says, where it comes from, and what its suffixes mean."""

import re
from dataclasses import dataclass
from enum import StrEnum

DO_NOTHING = "do_nothing_"
"""Prefix of the same metric for the input itself, shown as it is or enlarged."""
LOW, HIGH = "_low", "_high"
"""Suffixes of the ends of a metric's interval over test inputs."""
DEVIATION = "_deviation"
"""Suffix of the standard deviation of a set metric over the sets of one sample per input."""

_PARTS = {"features": r"(?:vgg|alex|squeeze)(?:_random)?", "count": r"\d+", "sigma": r"\d+_\d+"}
_PARTS["network"] = rf"(?:{_PARTS['features']}|inception)"


class Group(StrEnum):
    """What metrics of a kind speak about; also the order of a table."""

    NEAR = "Near the target"
    VARIED = "Varied"
    AGREES = "True to the input"
    SETS = "As a set, beside the set of targets"


@dataclass(frozen=True)
class Metric:
    """A declared metric.

    Attributes:
        template: its name, with `{features}` (an LPIPS backbone), `{network}` (that or Inception),
            `{count}` and `{sigma}` (as `0_15`) where they vary.
        group: what it speaks about.
        meaning: what it says, in a few words.
        formula: how it is computed; d is LPIPS, y* the target, y_1 .. y_S the answers to an input.
        source: paper, or the library whose value it is.
        lowest: lower end of its range; None: there is none.
        highest: upper end of its range; None: there is none.
        higher_is_better: which way is better.
        headline: whether it stands in the short file of a task.
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
        """Whether a name, without prefix and suffix, is one of this metric's."""
        pattern = re.sub(r"\{(\w+)\}", lambda part: _PARTS[part[1]], self.template)
        return re.fullmatch(pattern, name) is not None

    @property
    def span(self) -> str:
        """The range in words."""
        if self.lowest is None:
            return "any number" if self.highest is None else f"{self.highest:g} and below"
        if self.highest is None:
            return f"{self.lowest:g} and up"
        return f"{self.lowest:g} to {self.highest:g}"
