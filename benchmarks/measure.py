"""Helpers of the benchmarks: timing, peak memory, operation counts, machine name."""

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
    """Name of the processor or accelerator, its cores, and torch's threads."""
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
    """Median seconds of each side; the sides alternate.

    Args:
        sides: functions to time.
        repeats: repetitions that are counted.
        warm: the sides have run before, so every repetition is counted.
    """
    times: list[list[float]] = [[] for _ in sides]
    for repetition in range(0 if warm else -1, repeats):
        for side, run in enumerate(sides):
            started = time.perf_counter()
            run()
            if repetition >= 0:
                times[side].append(time.perf_counter() - started)
    return [statistics.median(side_times) for side_times in times]


def operations(run: Callable[[], object]) -> float:
    """TFLOP of a computation, multiplications and additions each counted as one."""
    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops()) / 1e12


SIDE = 2048
"""Side of the square matrices whose product is timed."""
MATRIX_GFLOP = 2 * SIDE**3 / 1e9
"""Operations of that product, in GFLOP."""
PLANE = (8, 128, 64, 64)
"""Shape (B, C, H, W) of the input of the convolution that is timed."""
CONVOLUTION_GFLOP = 2 * 9 * 8 * 128 * 128 * 64 * 64 / 1e9
"""Operations of a 3x3 convolution of that input to as many channels, in GFLOP."""


def matrix_product(
    dtype: torch.dtype, side: int = SIDE, device: str = "cpu"
) -> Callable[[], object]:
    """A product of two square matrices."""
    first, second = torch.randn(2, side, side, device=device).to(dtype)
    return lambda: first @ second


def convolution(dtype: torch.dtype) -> Callable[[], object]:
    """A 3x3 convolution, channels last: the most frequent operation of towers and features."""
    last = torch.channels_last
    plane = torch.randn(PLANE).to(dtype, memory_format=last)
    weight = torch.randn(PLANE[1], PLANE[1], 3, 3).to(dtype, memory_format=last)
    return lambda: F.conv2d(plane, weight, padding=1)


def has_fast_bf16() -> bool:
    """Whether bf16 is faster than fp32 on this processor; otherwise it is emulated."""
    exact, low = (matrix_product(dtype, 512) for dtype in (torch.float32, torch.bfloat16))
    seconds = interleaved([exact, low], 3)
    return seconds[1] < seconds[0]


def peak_gib() -> float:
    """Peak memory of this process, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def added_gib(run: Callable[[], object]) -> float:
    """Peak memory that a computation adds to this process, GiB. Linux only."""
    Path("/proc/self/clear_refs").write_text("5")  # Resets VmHWM to the present size.
    before = _held_kib("VmRSS")
    run()
    return (_held_kib("VmHWM") - before) / 2**20


def _held_kib(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
