"""Runs are compared by a clock that other programs do not advance."""

import time

import torch

from chimle.training.timer import Stopwatch, fair_clock


def test_waiting_takes_no_processor_time() -> None:
    timer = Stopwatch(60, fair_clock(torch.device("cpu")))
    timer.resume(20)
    begun = time.monotonic()
    time.sleep(1)
    waited = timer.spent
    passed = time.monotonic() - begun
    sum(range(10**6))
    assert 20 <= waited < 20 + passed / 2
    assert timer.spent > waited


def test_on_a_gpu_waiting_counts() -> None:
    timer = Stopwatch(0.01, fair_clock(torch.device("cuda")))
    time.sleep(0.02)
    assert timer.spent >= 0.02
