"""Samples have names, and a name makes the sample again.

A sample is named by the number of its code at every level: `7` has code 7 at every level, `7.7.2.5`
takes the two finest levels from elsewhere. A blend weighs the codes of two samples.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chimle.errors import UserError
from chimle.search.codes import CodeShape, Stream


@dataclass(frozen=True)
class Name:
    """The numbers of a sample's codes, one per level, coarse first."""

    numbers: tuple[int, ...]

    def __str__(self) -> str:
        if len(set(self.numbers)) == 1:
            return f"{self.numbers[0]:02}"
        return ".".join(map(str, self.numbers))


@dataclass(frozen=True)
class CodeMixture:
    """A weighted sum of the codes of samples; weights have a sum of squares of 1."""

    parts: tuple[tuple[float, Name], ...]


def parse_name(text: str, levels: int) -> Name:
    """`7` or `7.7.2.5` as a name; `UserError` when it is none, or has other than `levels` parts."""
    parts = text.split(".")
    if not all(part.isdecimal() for part in parts) or len(parts) not in (1, levels):
        example = ".".join(str(number) for number in [7] * (levels - 1) + [2])
        raise UserError(
            f"'{text}' names no sample of this model: write a number, or one for each of its "
            f"{levels} levels, as {example}"
        )
    numbers = tuple(map(int, parts))
    return Name(numbers * levels if len(numbers) == 1 else numbers)


def plain(count: int, levels: int, first: int = 0) -> list[Name]:
    """Samples number `first` to `first + count - 1`."""
    return [Name((number,) * levels) for number in range(first, first + count)]


def variations(base: Name, keep: int, count: int) -> list[Name]:
    """`count` samples with the codes of `base` at the `keep` coarsest levels, others elsewhere."""
    first = max(base.numbers) + 1
    return [
        Name(base.numbers[:keep] + (number,) * (len(base.numbers) - keep))
        for number in range(first, first + count)
    ]


def recipe(name: Name) -> CodeMixture:
    """The sample itself."""
    return CodeMixture(((1.0, name),))


def blends(start: Name, end: Name, count: int) -> list[CodeMixture]:
    """`count` steps from one sample to another, both included, along the arc between their codes.

    Codes of different samples are independent normals, so cos and sin keep their variance; codes
    that the samples share stay what they are (see `Codes`).
    """
    angles = [0.5 * math.pi * i / max(count - 1, 1) for i in range(count)]
    return [CodeMixture(((math.cos(a), start), (math.sin(a), end))) for a in angles]


@dataclass(frozen=True)
class Codes:
    """The codes of N samples of one picture, made where they are needed.

    Attributes:
        recipes: N recipes.
        shapes: (style_size, noise_channels, height, width) per level.
        image: key of the picture.
        seed: seed of the samples.
        device: where codes come.
    """

    recipes: Sequence[CodeMixture]
    shapes: Sequence[CodeShape]
    image: int
    seed: int
    device: torch.device

    def _parts(self, mixture: CodeMixture, level: int) -> list[tuple[float, Stream]]:
        """Weights and streams; parts of one number at this level are one part of weight 1."""
        numbers = {name.numbers[level] for _, name in mixture.parts}
        parts = mixture.parts if len(numbers) > 1 else ((1.0, mixture.parts[0][1]),)
        return [
            (weight, self._stream(name.numbers[level], level)) for weight, name in parts if weight
        ]

    def _stream(self, number: int, level: int) -> Stream:
        index = torch.tensor([[number]], device=self.device)
        return Stream([self.image], index, level, self.seed, purpose="sample")

    def style(self, level: int) -> Tensor:
        """(N, style_size) style codes."""
        size = self.shapes[level][0]
        return self._weighed(level, lambda stream: stream.normals(0, size))

    def noise(self, level: int, top: int, bottom: int) -> Tensor:
        """(N, noise_channels, bottom - top, width): rows of the spatial noise."""
        shape = self.shapes[level]
        return self._weighed(level, lambda stream: stream.noise_rows(shape, top, bottom))

    def _weighed(self, level: int, take: Callable[[Stream], Tensor]) -> Tensor:
        rows = []
        for mixture in self.recipes:
            parts = [weight * take(stream) for weight, stream in self._parts(mixture, level)]
            rows.append(torch.stack(parts).sum(dim=0))
        return torch.cat(rows)
