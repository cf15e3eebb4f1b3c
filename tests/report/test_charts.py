"""Charts of the report: ticks and lines."""

import pytest

from chimle.report.charts import line_chart, ticks


@pytest.mark.parametrize("top", [0.0, 1e-4, 0.143, 1.0, 7.0, 220.0, 2e5])
def test_ticks_cover_the_range(top: float) -> None:
    values = ticks(top)
    assert values[0] == 0
    assert values[-1] >= top
    assert 2 <= len(values) <= 6


def test_chart_spans_its_box() -> None:
    drawn = line_chart("loss", [5, 10], {"level 1": [1.0, 0.0]}, width=100, height=50)
    assert drawn.lines[0].points == "50.0,0.0 100.0,50.0"
    assert drawn.y_ticks[0] == ("50.0", "0")
    assert drawn.x_ticks[-1] == ("100.0", "10")
