"""What Git says of a failure, without the progress that it has printed before."""

import re
from collections.abc import Iterable

_PROGRESS = re.compile(
    r"(remote: )?(Enumerating|Counting|Compressing|Delta|Receiving|Resolving|Total|Unpacking"
    r"|Updating|Writing)\b.*\d.*"
)
"""A line of Git's progress."""


def without_progress(lines: Iterable[str]) -> str:
    """What remains of the lines that Git has printed, as one line."""
    told = (line for line in lines if not _PROGRESS.fullmatch(line))
    return " ".join(" ".join(told).split())
