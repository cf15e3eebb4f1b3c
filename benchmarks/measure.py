"""What benchmarks share: times, peak memory, and the name of the machine."""

import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch


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


def interleaved(sides: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Median seconds of each side; sides take turns, after one turn that is not counted."""
    spent: list[list[float]] = [[] for _ in sides]
    for turn in range(repeats + 1):
        for side, run in enumerate(sides):
            started = time.perf_counter()
            run()
            if turn:
                spent[side].append(time.perf_counter() - started)
    return [statistics.median(times) for times in spent]


def peak_gib() -> float:
    """The most memory that this process has held, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
