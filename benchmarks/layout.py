"""What layouts in memory cost on a CPU: the same numbers in a slower and a faster way.

    python -m benchmarks.layout [--repeats 20]

One thread, channels-last maps of 4 images of 16 channels and 128 pixels, milliseconds. Both ways
of a line alternate.
"""

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import interleaved, machine
from chimle.device import nhwc, prepare_process
from chimle.tower.blocks import spatial_moments

SHAPE = (4, 16, 128, 128)
Line = tuple[str, Callable[[], object], Callable[[], object]]


def lines(dtype: torch.dtype) -> list[Line]:
    """Name, slower way and faster way."""
    first, second = (nhwc(torch.randn(SHAPE)).to(dtype) for _ in range(2))
    part = first[:, : SHAPE[1] // 2]
    mixed = second.contiguous()

    def activated(features: Tensor) -> Tensor:
        return F.leaky_relu(features, 0.2)

    return [
        (
            "moments: var_mean, two passes",
            lambda: torch.var_mean(first.float(), dim=(2, 3), correction=0),
            lambda: spatial_moments(first.float()),
        ),
        (
            "activation: of a slice, of its copy",
            lambda: activated(part),
            lambda: activated(nhwc(part)),
        ),
        ("product: two layouts, one layout", lambda: first * mixed, lambda: first * second),
    ]


@torch.no_grad()
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    prepare_process()
    torch.set_num_threads(1)
    print(
        f"{machine()}\n\n| operation | | slower, ms | faster, ms | ratio |\n|---|---|---|---|---|"
    )
    for dtype in (torch.float32, torch.bfloat16):
        for name, slow, fast in lines(dtype):
            slower, faster = (1e3 * t for t in interleaved([slow, fast], repeats))
            kind = str(dtype).removeprefix("torch.")
            print(f"| {name} | {kind} | {slower:.3f} | {faster:.3f} | {slower / faster:.1f} |")


if __name__ == "__main__":
    main()
