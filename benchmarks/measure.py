"""What benchmarks share: times, peak memory, and the name of the machine."""

import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
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
