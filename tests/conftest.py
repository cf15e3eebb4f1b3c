"""In which order test files begin, and what several of them compare their results with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from chimle.perceptual.lpips import Perceptual, load_perceptual
from chimle.settings import PerceptualSettings
from tests.support.repositories import reference_repository

LONGEST = (
    "test_pipeline_flow.py",
    "test_faults.py",
    "test_elsewhere.py",
    "test_stop.py",
    "test_pipeline.py",
)
"""Mostly they wait. They begin first, so that the others use the processors meanwhile; pytest-xdist
keeps this order with --no-loadscope-reorder."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the others as they were found."""

    def place(item: pytest.Item) -> int:
        name = item.path.name
        return LONGEST.index(name) if name in LONGEST else len(LONGEST)

    items.sort(key=place)


@pytest.fixture(scope="session")
def perceptual() -> Perceptual:
    """SqueezeNet's distance over fixed random features."""
    with pytest.warns(UserWarning, match="random"):
        return load_perceptual(PerceptualSettings(backbone="squeeze", allow_random=True))


@pytest.fixture(autouse=True)
def denormals() -> Iterator[None]:
    """Undo what `quicken_cpu` did to this process: hypothesis refuses to work without denormals."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A tiny repository after a serial `dvc repro`, committed: to copy or compare, not to change.

    All workers share one: whoever comes first makes it, the others wait.
    """
    base = tmp_path_factory.getbasetemp()
    return reference_repository(base if worker_id == "master" else base.parent)
