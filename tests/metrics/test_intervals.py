"""Bootstrap intervals are seeded, and cover what they estimate."""

import numpy as np
import pytest

from chimle.metrics.intervals import bootstrap


def test_bootstrap_is_seeded_and_as_wide_as_theory_says() -> None:
    rows = np.random.default_rng(0).normal(5, 2, (400, 1)) * np.array([1.0, 10.0])
    low, high = bootstrap(rows, 2000, 1)
    again = bootstrap(rows, 2000, 1)
    assert np.array_equal(low, again[0])
    assert np.array_equal(high, again[1])
    assert not np.array_equal(low, bootstrap(rows, 2000, 2)[0])
    assert (low < rows.mean(axis=0)).all()
    assert (rows.mean(axis=0) < high).all()
    width = 2 * 1.96 * rows.std(axis=0) / 400**0.5
    np.testing.assert_allclose(high - low, width, rtol=0.1)
    flat = bootstrap(np.full((5, 1), 3.0), 100, 0)
    assert float(flat[0][0]) == pytest.approx(3)
    assert float(flat[1][0]) == pytest.approx(3)


def test_bootstrap_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        low, high = bootstrap(generator.normal(0, 1, (40, 1)), 300, seed)
        hits += int(low[0] <= 0 <= high[0])
    assert 0.88 < hits / 200 < 0.99
