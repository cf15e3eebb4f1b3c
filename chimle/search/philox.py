"""Philox4x32-10: random words that are a function of a counter and a key.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011. In integer tensor arithmetic
on every device; in one kernel of the same bits on a GPU (`chimle.search.philox_triton`), where
Triton works.
"""

import os
import shutil
import sysconfig
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]) -> Tensor:
    """Philox4x32-10 on broadcastable int64 tensors of 32-bit words; returns (..., 4) words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        # The 64-bit product wraps as a signed number, yet all its bits are right.
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            ((p1 >> 32) & _MASK) ^ c1 ^ k0,
            p1 & _MASK,
            ((p0 >> 32) & _MASK) ^ c3 ^ k1,
            p0 & _MASK,
        )
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return torch.stack(torch.broadcast_tensors(c0, c1, c2, c3), dim=-1)


def philox_words(keys: Tensor, indices: Tensor, blocks: Tensor) -> Tensor:
    """Random words of codes: the counter is (block, code index, 0, 0).

    Args:
        keys: (B, 2) int64 key words of 32 bits.
        indices: (B, K) int64 code indices below 2^32.
        blocks: (n,) int64 counter blocks below 2^32.

    Returns:
        (B, K, n, 4) int64 words of 32 bits, on the keys' device.
    """
    if kernel_works(keys.device):
        from chimle.search import philox_triton

        return philox_triton.philox_words(keys, indices, blocks)
    return _words_by_tensors(keys, indices, blocks)


@cache
def kernel_works(device: torch.device) -> bool:
    """Whether words are made by one kernel on a device, tried once per process."""
    return device.type == "cuda" and can_compile() and _kernel_agrees(device)


def can_compile() -> bool:
    """Whether Triton finds a C compiler and Python's headers to build a kernel's launcher with.

    Without the headers its compiler would write a page to the terminal.
    """
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    return compiler is not None and Path(sysconfig.get_path("include"), "Python.h").is_file()


def _kernel_agrees(device: torch.device) -> bool:
    """Whether the kernel runs and has the tensor arithmetic's bits.

    Triton may be absent or not know the device; whatever it fails with, the tensor arithmetic makes
    the same words.
    """
    words = torch.tensor([[_MASK, 1], [2, _MASK]], device=device)
    blocks = torch.arange(300, device=device)
    try:
        from chimle.search import philox_triton

        made = philox_triton.philox_words(words, words, blocks)
    except Exception:  # noqa: BLE001 - Triton, compilers and drivers have errors of their own
        return False
    return torch.equal(made, _words_by_tensors(words, words, blocks))


def _words_by_tensors(keys: Tensor, indices: Tensor, blocks: Tensor) -> Tensor:
    zero = torch.zeros((), dtype=torch.int64, device=blocks.device)
    key0, key1 = (keys[:, i].view(-1, 1, 1) for i in (0, 1))
    return philox((blocks, indices.unsqueeze(-1), zero, zero), (key0, key1))
