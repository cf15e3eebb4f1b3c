"""Evenly spaced indices."""

import numpy as np


def evenly_spaced(count: int, most: int) -> list[int]:
    """At most `most` indices below `count`, evenly spaced from the first to the last."""
    return [int(index) for index in np.linspace(0, count - 1, min(most, count)).round()]
