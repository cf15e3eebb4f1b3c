"""A Prefect server in the tests' own process."""

from collections.abc import Iterator

import pytest
from prefect.testing.utilities import prefect_test_harness

from tests.support.stack import FAST


@pytest.fixture(scope="module")
def api() -> Iterator[None]:
    """Prefect's ephemeral API."""
    with pytest.MonkeyPatch.context() as patch:
        for key, value in FAST.items():
            patch.setenv(key, value)
        with prefect_test_harness(server_startup_timeout=300):
            yield
