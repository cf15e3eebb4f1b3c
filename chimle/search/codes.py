"""Latent codes that are named, not stored.

A code is a pure function of its name: (purpose, seed, round, image, level, index). The same name
gives the same code whatever the chunk size, the order of images or the number of workers, so a
chosen code is a single integer in a checkpoint. The generator is Philox4x32-10
(`chimle.search.philox`): its bits are equal on every device; the normals made of them agree to the
last places of `log`, `sin` and `cos`.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from chimle.search.philox import philox_words
from chimle.tower.generator import LevelCode

Purpose = Literal["search", "sample", "perturb"]
CodeShape = tuple[int, int, int, int]
"""(style_size, noise_channels, height, width) of a level."""

_MASK = 0xFFFFFFFF


def _key(purpose: Purpose, seed: int, round_: int, image: int, level: int) -> tuple[int, int]:
    """Two 32-bit key words from a name."""
    name = f"{purpose}/{seed}/{round_}/{image}/{level}".encode()
    word = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")
    return word & _MASK, word >> 32


def _normals(words: Tensor) -> Tensor:
    """Standard normals (..., 4) float32 from words (..., 4), by Box and Muller's transform."""
    uniform = ((words >> 8) + 1).to(torch.float32) * 2.0**-24
    radius = torch.sqrt(-2.0 * torch.log(uniform[..., 0::2]))
    angle = (2.0 * math.pi) * uniform[..., 1::2]
    return torch.cat((radius * torch.cos(angle), radius * torch.sin(angle)), dim=-1)


def code_keys(
    images: Sequence[int],
    levels: int,
    *,
    seed: int,
    round_: int | Sequence[int] = 0,
    purpose: Purpose = "search",
    device: torch.device | str = "cpu",
) -> Tensor:
    """The generator's keys that name the codes of B images: (B, L, 2) int64 words of 32 bits.

    Made once per round or image and kept on the device, so that drawing codes waits for nothing.

    Args:
        images: B image keys.
        levels: number of levels L.
        seed: seed of the run or of the samples.
        round_: training round, of all images or of each.
        purpose: keeps candidates and samples apart.
        device: where the codes come.
    """
    rounds = [round_] * len(images) if isinstance(round_, int) else round_
    words = [
        [_key(purpose, seed, own, image, level) for level in range(levels)]
        for image, own in zip(images, rounds, strict=True)
    ]
    return torch.tensor(words, dtype=torch.int64).reshape(-1, levels, 2).to(device)


class CodeStream(NamedTuple):
    """Streams of normals, each of which begins with a code.

    Attributes:
        keys: (B, 2) int64 key words of B images at one level (`code_keys`).
        indices: (B, K) int64 code indices, on the keys' device.
    """

    keys: Tensor
    indices: Tensor

    def normals(self, start: int, stop: int) -> Tensor:
        """Normals number `start` to `stop` of every code: (B*K, stop - start) float32."""
        first = start // 4
        blocks = torch.arange(first, (stop + 3) // 4, device=self.keys.device)
        flat = _normals(philox_words(self.keys, self.indices, blocks)).flatten(0, 1).flatten(1)
        return flat[:, start - 4 * first : stop - 4 * first]

    def noise_rows(self, shape: CodeShape, top: int, bottom: int) -> Tensor:
        """Some rows of the codes' noise: (B*K, noise_channels, bottom - top, width).

        The rows of all channels are drawn in one call.
        """
        style_size, channels, height, width = shape
        device = self.keys.device
        length = (bottom - top) * width
        starts = style_size + (torch.arange(channels, device=device) * height + top) * width
        # A channel's rows may start inside a block of four; one more block covers them anywhere.
        blocks = torch.arange((length + 3) // 4 + 1, device=device)
        drawn = (starts[:, None] // 4 + blocks).flatten()
        flat = _normals(philox_words(self.keys, self.indices, drawn))
        flat = flat.flatten(0, 1).unflatten(1, (channels, -1)).flatten(2)
        own = (starts % 4)[:, None] + torch.arange(length, device=device)
        rows: Tensor = flat.gather(2, own.expand(len(flat), -1, -1))
        noise: Tensor = rows.unflatten(2, (bottom - top, width))
        return noise


def draw_keyed(shape: CodeShape, keys: Tensor, indices: Tensor) -> LevelCode:
    """The codes of one level for several images and indices.

    Args:
        shape: (style_size, noise_channels, height, width) of the level.
        keys: (B, 2) int64 key words of B images at the level (`code_keys`).
        indices: (B, K) int64 code indices, on the same device.

    Returns:
        style (B*K, style_size) and noise (B*K, noise_channels, height, width), standard normal
        float32, the codes of an image contiguous. In the flat vector that the generator fills,
        the style comes first, then the noise as (channel, height, width), as published.
    """
    style_size, channels, height, width = shape
    length = style_size + channels * height * width
    flat = CodeStream(keys, indices).normals(0, length)
    style, noise = flat.split((style_size, length - style_size), dim=1)
    return LevelCode(style.contiguous(), noise.reshape(-1, channels, height, width))


def draw(
    shape: CodeShape,
    images: Sequence[int],
    indices: Tensor,
    *,
    level: int,
    seed: int,
    round_: int = 0,
    purpose: Purpose = "search",
) -> LevelCode:
    """`draw_keyed` for B image keys, level, seed, round and purpose (see `code_keys`)."""
    words = [_key(purpose, seed, round_, image, level) for image in images]
    return draw_keyed(shape, torch.tensor(words, device=indices.device), indices)


def codes_at(shapes: Sequence[CodeShape], keys: Tensor, choice: Tensor) -> list[LevelCode]:
    """The codes that a search chose, one entry per level.

    Args:
        shapes: per level.
        keys: (B, L, 2) int64 (`code_keys`).
        choice: (B, L) int64 indices.
    """
    return [
        draw_keyed(shape, keys[:, level], choice[:, level : level + 1])
        for level, shape in enumerate(shapes)
    ]
