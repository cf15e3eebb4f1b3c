"""Which tests are slow, the order of their files, and fixtures that several of them share."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import torch

from chimle.perceptual.lpips import Perceptual, load_perceptual
from chimle.settings.perceptual import PerceptualSettings
from tests.support.browsers import browser as browser
from tests.support.isolation import isolate
from tests.support.repositories import reference_repository

isolate()
# No test depends on how fast a machine is.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")

LONGEST = (
    "test_pipeline_flow.py",
    "test_on_demand_flows.py",
    "test_faults.py",
    "test_elsewhere.py",
    "test_stop.py",
    "test_unattended.py",
    "test_pipeline.py",
    "test_serve.py",
    "test_disk.py",
    "test_slots.py",
    "test_export.py",
)
"""Files that mostly wait. They start first, so that others use the processors meanwhile;
pytest-xdist keeps this order with --no-loadscope-reorder."""

SLOW_SECONDS = 1200
"""Limit of a slow test without one of its own. It may wait for what another process makes."""

SLOW_FIXTURES = {"api", "browser", "reference", "stack"}
"""Fixtures that start a server or a browser, or reproduce a whole project."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a slow fixture. Put the longest files first; keep the order of the others."""
    for item in items:
        if SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))

    def position(item: pytest.Item) -> int:
        name = item.path.name
        return LONGEST.index(name) if name in LONGEST else len(LONGEST)

    items.sort(key=position)


@pytest.fixture(scope="session")
def perceptual() -> Perceptual:
    """SqueezeNet's distance over fixed random features."""
    return load_perceptual(PerceptualSettings(backbone="squeeze", weights="random"))


@pytest.fixture(autouse=True)
def denormals() -> Iterator[None]:
    """Undo `flush_denormals`, since hypothesis refuses to run without denormals."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A tiny repository, committed after a serial `dvc repro`; tests copy it or compare with it.

    All workers share one: the first makes it, the others wait.
    """
    base = tmp_path_factory.getbasetemp()
    return reference_repository(base if worker_id == "master" else base.parent)
