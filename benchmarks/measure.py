"""What benchmarks share: times, peak memory, and the name of the machine."""

import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode


def machine() -> str:
    """Processor or accelerator, and how much of it torch uses."""
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        models = [
            line.split(":", 1)[1].strip()
            for line in information.read_text().splitlines()
            if line.startswith("model name")
        ]
        name = models[0] if models else name
    threads = torch.get_num_threads()
    return f"{name}, {os.cpu_count()} cores, {threads} threads, torch {torch.__version__}"


def interleaved(
    sides: Sequence[Callable[[], object]], repeats: int, warm: bool = False
) -> list[float]:
    """Median seconds of each side; sides take turns.

    Args:
        sides: what is timed.
        repeats: turns that are counted.
        warm: the sides have run before: no turn goes uncounted.
    """
    spent: list[list[float]] = [[] for _ in sides]
    for turn in range(0 if warm else -1, repeats):
        for side, run in enumerate(sides):
            started = time.perf_counter()
            run()
            if turn >= 0:
                spent[side].append(time.perf_counter() - started)
    return [statistics.median(times) for times in spent]


def operations(run: Callable[[], object]) -> float:
    """TFLOP of a computation, multiplications and additions each counted as one."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 1e12


SIDE = 2048
"""Of the matrices whose product is measured."""
MATRIX_GFLOP = 2 * SIDE**3 / 1e9
"""Of that product."""
PLANE = (8, 128, 64, 64)
"""Images, channels and size of a convolution that keeps this processor busy."""
CONVOLUTION_GFLOP = 2 * 9 * 8 * 128 * 128 * 64 * 64 / 1e9
"""Of its 3x3 convolution to as many channels."""


def matrix_product(
    number: torch.dtype, side: int = SIDE, device: str = "cpu"
) -> Callable[[], object]:
    """A product of two square matrices."""
    first, second = torch.randn(2, side, side, device=device).to(number)
    return lambda: first @ second


def convolution_of(number: torch.dtype) -> Callable[[], object]:
    """A 3x3 convolution, channels last: what towers and features mostly do."""
    last = torch.channels_last
    plane = torch.randn(PLANE).to(number, memory_format=last)
    weight = torch.randn(PLANE[1], PLANE[1], 3, 3).to(number, memory_format=last)
    return lambda: F.conv2d(plane, weight, padding=1)


def quick_bf16() -> bool:
    """Whether this processor multiplies in bf16 faster than in fp32; else it emulates it."""
    exact, low = (matrix_product(number, 512) for number in (torch.float32, torch.bfloat16))
    seconds = interleaved([exact, low], 3)
    return seconds[1] < seconds[0]


def peak_gib() -> float:
    """The most memory that this process has held, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def added_gib(run: Callable[[], object]) -> float:
    """The most memory that a computation adds to what this process holds, GiB. Linux alone."""
    Path("/proc/self/clear_refs").write_text("5")  # The peak is the present again.
    before = _held_kib("VmRSS")
    run()
    return (_held_kib("VmHWM") - before) / 2**20


def _held_kib(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
