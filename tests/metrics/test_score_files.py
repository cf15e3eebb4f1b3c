"""The table of `chimle score` shows every name and number, however narrow the terminal is."""

import pytest
from rich.console import Console

from chimle.metrics.score_files import score_table

VALUES = {
    "lpips_squeeze_random_x2_best_of_2": (0.0098765, 0.0030218, 0.0210534),
    "faithful_variance_squeeze_random_sigma_0.15": (7.8432e-06, 2.0443e-06, 1.8241e-05),
    "frechet_squeeze_random_x2": (123456.7, 123000.1, 125000.9),
}


@pytest.mark.parametrize("width", [80, 110, 200])
def test_nothing_is_cut_off(width: int) -> None:
    metrics = {
        name + ending: value
        for name, values in VALUES.items()
        for ending, value in zip(("", "_low", "_high"), values, strict=True)
    }
    origin = {"n": 8, "samples_per_input": 2}
    console = Console(width=width)
    with console.capture() as printed:
        console.print(score_table({"metrics": metrics, "details": {}, "provenance": origin}))
    table = printed.get()
    assert "\N{HORIZONTAL ELLIPSIS}" not in table
    for values in VALUES.values():
        for value in values:
            assert f"{value:.4g}" in table
