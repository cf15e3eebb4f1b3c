"""Which samples a request of the page draws: plain ones, variations, or a map of the hierarchy."""

from collections.abc import Mapping
from dataclasses import dataclass

from chimle.errors import UserError
from chimle.inference.sample_names import Name, parse_name, plain, variations

MOST_SAMPLES_SHOWN = 12
"""Samples of one request."""
SAMPLES_SHOWN = 6
"""Samples of one request that names no number."""
LARGEST_MAP_SIDE = 6
"""Columns and rows of a map."""
MAP_SIDE = 4
"""Columns and rows of a map that names no number."""


@dataclass(frozen=True)
class SampleGrid:
    """Names of the samples that one request draws.

    Attributes:
        rows: of names, all of the same length.
        shared: coarse levels whose code all samples share.
        text: what they have in common, as a sentence.
    """

    rows: tuple[tuple[Name, ...], ...]
    shared: int
    text: str

    @property
    def names(self) -> tuple[Name, ...]:
        """The names row by row, in the order in which they are drawn."""
        return tuple(name for row in self.rows for name in row)


def samples_grid(levels: int, count: int) -> SampleGrid:
    """Samples that share no code."""
    number = "One sample" if count == 1 else f"{count} samples that share nothing but the input"
    return SampleGrid((tuple(plain(count, levels)),), 0, f"{number}.")


def variations_grid(base: Name, keep: int, count: int) -> SampleGrid:
    """A sample and its variations, which share its `keep` coarsest codes."""
    finest = " These differ in the finest level only." if keep == len(base.numbers) - 1 else ""
    text = f"Variations of {base}: they share its coarsest {_levels(keep)}.{finest}"
    return SampleGrid(((base, *variations(base, keep, count - 1)),), keep, text)


def map_grid(base: Name, keep: int, split: int, columns: int, rows: int) -> SampleGrid:
    """A map of the hierarchy: coarse choices across, fine ones down.

    Args:
        base: the sample at the top left.
        keep: coarsest levels whose code all cells share with `base`.
        split: coarsest levels whose code the cells of a column share.
        columns: number of coarse choices.
        rows: number of fine choices of each.
    """
    tops = (base, *variations(base, keep, columns - 1))
    down = [(top, *variations(top, split, rows - 1)) for top in tops]
    coarse, fine = _range(keep + 1, split), _range(split + 1, len(base.numbers))
    common = f" All share the coarsest {_levels(keep)} of {base}." if keep else ""
    text = f"Across: coarse codes ({coarse}). Down: finer codes ({fine}).{common}"
    return SampleGrid(tuple(zip(*down, strict=True)), keep, text)


def grid_of(query: Mapping[str, str], levels: int) -> SampleGrid:
    """The grid that a query string asks for; `UserError` where a value is out of bounds.

    `kind` is `samples` or `map`; `base` and `keep` continue from a sample.
    """
    kind, based = query.get("kind", "samples"), "base" in query
    base = parse_name(query.get("base", "0"), levels)
    keep = _number(query, "keep", 1, 1, levels - 1) if based else 0
    if kind == "map":
        split = _number(query, "split", min(keep + 1, levels - 1), keep + 1, levels - 1)
        columns, rows = (
            _number(query, side, MAP_SIDE, 1, LARGEST_MAP_SIDE) for side in ("columns", "rows")
        )
        return map_grid(base, keep, split, columns, rows)
    if kind != "samples":
        raise UserError("`kind` must be samples or map")
    count = _number(query, "count", SAMPLES_SHOWN, 1, MOST_SAMPLES_SHOWN)
    return variations_grid(base, keep, count) if based else samples_grid(levels, count)


def _range(first: int, last: int) -> str:
    return f"level {first}" if first == last else f"levels {first} to {last}"


def _levels(count: int) -> str:
    return "level" if count == 1 else f"{count} levels"


def _number(query: Mapping[str, str], field: str, default: int, lowest: int, largest: int) -> int:
    if lowest > largest:
        raise UserError(f"`{field}` has no value that fits: the model has too few levels")
    text = query.get(field, str(default))
    # Three digits: Python refuses to convert thousands of them.
    if not (text.isascii() and text.isdecimal() and len(text) <= 3):
        text = "-1"
    if not lowest <= (number := int(text)) <= largest:
        raise UserError(f"`{field}` must be a whole number from {lowest} to {largest}")
    return number
