"""Throughput of gradient steps: images per second between two readings, in words."""

from types import SimpleNamespace

import pytest
import torch

from chimle.training import throughput
from chimle.training.throughput import Throughput, usage_text


def test_images_per_second_between_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 4.0, 4.0, 5.0, 5.0])
    # Its own alone: threads of other tests read the clock, too.
    monkeypatch.setattr(throughput, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    counted = Throughput(torch.device("cpu"))
    counted.add(16)
    counted.add(16)
    assert counted.read() == {"images_per_second": 8.0}
    counted.add(3)
    assert counted.read() == {"images_per_second": 3.0}


def test_a_gpu_without_its_drivers_library_has_no_utilisation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[torch.device] = []

    def utilization(device: torch.device) -> int:
        asked.append(device)
        raise ModuleNotFoundError("pynvml")

    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 3 * 2**29)
    monkeypatch.setattr(torch.cuda, "utilization", utilization)
    counted = Throughput(torch.device("cuda"))
    assert [set(counted.read()) for _ in range(2)] == [{"images_per_second", "gpu_memory_gib"}] * 2
    assert len(asked) == 1
    monkeypatch.setattr(torch.cuda, "utilization", lambda _: 97)
    found = Throughput(torch.device("cuda")).read() | {"images_per_second": 123.4}
    assert usage_text(found) == "123 images/s, GPU 97 %, 1.5 GiB"
