"""Names of samples: a name, the seed and the image determine the sample.

A name holds the number of the sample's code at every level: `7` has code 7 at every level,
`7.7.2.5` has other codes at the two finest levels. A blend is a weighted sum of two samples' codes.
"""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import SupportsIndex

import torch
from torch import Tensor

from chimle.errors import UserError
from chimle.search.codes import CodeShape, CodeStream, code_keys

MOST_SAMPLES = 10_000
"""Samples of an image in one request."""
LARGEST_NUMBER = 2**31 - 1 - MOST_SAMPLES
"""Largest number of a sample in a request; variations have the numbers above it."""
LARGEST_SEED = 2**63 - 1


def whole(field: str, value: SupportsIndex, lowest: int, largest: int) -> int:
    """`value` as an int; `UserError` unless it is a whole number in these bounds.

    Args:
        field: what it is, for the message.
        value: from a user.
        lowest: smallest value allowed.
        largest: largest value allowed.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = lowest - 1
    if not lowest <= number <= largest:
        raise UserError(f"`{field}` must be a whole number from {lowest} to {largest:,}")
    return number


@dataclass(frozen=True)
class Name:
    """Numbers of a sample's codes, one per level, coarse first."""

    numbers: tuple[int, ...]

    def __str__(self) -> str:
        if len(set(self.numbers)) == 1:
            return f"{self.numbers[0]:02}"
        return ".".join(map(str, self.numbers))


@dataclass(frozen=True)
class CodeMixture:
    """A weighted sum of samples' codes; the squares of the weights sum to 1."""

    parts: tuple[tuple[float, Name], ...]


def parse_name(text: str, levels: int) -> Name:
    """`7` or `7.7.2.5` as a name; `UserError` unless it has one part or `levels` parts.

    A number larger than `LARGEST_NUMBER` is an error, too.
    """
    parts = text.split(".")
    if not all(part.isdecimal() for part in parts) or len(parts) not in (1, levels):
        example = ".".join(str(number) for number in [7] * (levels - 1) + [2])
        raise UserError(
            f"'{text[:40]}' names no sample of this model: write a number, or one for each of its "
            f"{levels} levels, as {example}"
        )
    longest = len(str(LARGEST_NUMBER))
    if any(len(part) > longest or int(part) > LARGEST_NUMBER for part in parts):
        raise UserError(f"'{text[:40]}' names no sample: numbers end at {LARGEST_NUMBER:,}")
    numbers = tuple(map(int, parts))
    return Name(numbers * levels if len(numbers) == 1 else numbers)


def plain(count: int, levels: int, first: int = 0) -> list[Name]:
    """Names of samples `first` to `first + count - 1`: one number for every level."""
    return [Name((number,) * levels) for number in range(first, first + count)]


def variations(base: Name, keep: int, count: int) -> list[Name]:
    """`count` names that share the codes of `base` at the `keep` coarsest levels only."""
    first = max(base.numbers) + 1
    return [
        Name(base.numbers[:keep] + (number,) * (len(base.numbers) - keep))
        for number in range(first, first + count)
    ]


def mixture_of(name: Name) -> CodeMixture:
    """The mixture of one sample: its own codes with weight 1."""
    return CodeMixture(((1.0, name),))


def blends(start: Name, end: Name, count: int) -> list[CodeMixture]:
    """`count` mixtures along the arc from one sample's codes to another's, both included.

    Codes of different samples are independent normals, so weights cos and sin preserve the
    variance; a code that both samples share is unchanged (see `Codes`).
    """
    angles = [0.5 * math.pi * i / max(count - 1, 1) for i in range(count)]
    return [CodeMixture(((math.cos(a), start), (math.sin(a), end))) for a in angles]


@dataclass(frozen=True)
class Codes:
    """Codes of N samples of one image, drawn when they are needed.

    Attributes:
        mixtures: one per sample.
        shapes: (style_size, noise_channels, height, width) per level.
        image: key of the image.
        seed: seed of the samples.
        device: of the codes.
    """

    mixtures: Sequence[CodeMixture]
    shapes: Sequence[CodeShape]
    image: int
    seed: int
    device: torch.device

    @cached_property
    def _keys(self) -> Tensor:
        """(L, 1, 2) key words of the image's codes."""
        words = code_keys(
            [self.image], len(self.shapes), seed=self.seed, purpose="sample", device=self.device
        )
        return words.transpose(0, 1)

    def _parts(self, mixture: CodeMixture, level: int) -> list[tuple[float, int]]:
        """Weights and code numbers; a code that all parts share at this level has weight 1."""
        parts = [(weight, name.numbers[level]) for weight, name in mixture.parts if weight]
        numbers = {number for _, number in parts}
        return parts if len(numbers) > 1 else [(1.0, parts[0][1])]

    def style(self, level: int) -> Tensor:
        """(N, style_size) style codes."""
        size = self.shapes[level][0]
        return self._weighted(level, lambda stream: stream.normals(0, size))

    def noise(self, level: int, top: int, bottom: int) -> Tensor:
        """(N, noise_channels, bottom - top, width): rows of the spatial noise."""
        shape = self.shapes[level]
        return self._weighted(level, lambda stream: stream.noise_rows(shape, top, bottom))

    def _weighted(self, level: int, take: Callable[[CodeStream], Tensor]) -> Tensor:
        """All samples' codes in one draw, then each mixture's sum."""
        parts = [self._parts(mixture, level) for mixture in self.mixtures]
        numbers = [number for part in parts for _, number in part]
        indices = torch.tensor([numbers], device=self.device)
        codes = take(CodeStream(self._keys[level], indices))
        if len(numbers) == len(parts):
            return codes
        own = codes.split([len(part) for part in parts])
        weighted = [
            sum(weight * row for (weight, _), row in zip(part, rows, strict=True))
            for part, rows in zip(parts, own, strict=True)
        ]
        return torch.stack(weighted)
