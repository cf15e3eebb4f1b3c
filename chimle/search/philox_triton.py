"""Philox4x32-10 in one Triton kernel.

`chimle.search.philox` chooses it where it works: the tensor arithmetic of that module takes some
hundred launches and as many passes over memory. Triton comes with PyTorch's CUDA builds, and needs
a C compiler where it runs.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_SIZE = 256
"""Counter blocks of one program."""


@triton.jit
def _philox_kernel(words, seeds, indices, blocks, total, length, codes, size: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * size + tl.arange(0, size)
    inside = at < total
    code = at // length
    seed = tl.load(seeds + code // codes, mask=inside, other=0)
    index = tl.load(indices + code, mask=inside, other=0).to(tl.uint32)
    block = tl.load(blocks + at % length, mask=inside, other=0).to(tl.uint32)
    zero = tl.zeros([size], tl.uint32)
    w0, w1, w2, w3 = tl.philox(seed, block, index, zero, zero)
    tl.store(words + 4 * at, w0.to(tl.int64), mask=inside)
    tl.store(words + 4 * at + 1, w1.to(tl.int64), mask=inside)
    tl.store(words + 4 * at + 2, w2.to(tl.int64), mask=inside)
    tl.store(words + 4 * at + 3, w3.to(tl.int64), mask=inside)


def philox_words(keys: Tensor, indices: Tensor, blocks: Tensor) -> Tensor:
    """`chimle.search.philox.philox_words` in one launch."""
    (images, codes), length = indices.shape, len(blocks)
    words = torch.empty(images, codes, length, 4, dtype=torch.int64, device=keys.device)
    total = images * codes * length
    if total:
        # The product of the high word wraps as a signed number, yet all its bits are right.
        seeds = keys[:, 0] + (keys[:, 1] << 32)
        grid = (triton.cdiv(total, _SIZE),)
        args = (seeds, indices.contiguous(), blocks.contiguous(), total, length, codes)
        # Triton launches on the current device, not on its arguments'.
        with torch.cuda.device_of(words):
            _philox_kernel[grid](words, *args, size=_SIZE)
    return words
