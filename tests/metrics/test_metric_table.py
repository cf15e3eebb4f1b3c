"""Rows of a table of metrics: order, direction and meaning."""

from chimle.metrics.metric_table import metric_rows


def test_rows_compare_in_the_better_direction() -> None:
    values = {
        "psnr": 2.0,
        "input_baseline_psnr": 1.0,
        "fid": 2.0,
        "input_baseline_fid": 1.0,
        "new": 1.0,
    }
    rows = {row.name: row for row in metric_rows(values)}
    assert list(rows) == ["psnr", "fid", "new"]
    assert [row.verdict for row in rows.values()] == ["better", "worse", ""]
    assert rows["fid"].of_sets
    assert not rows["psnr"].of_sets


def test_best_of_and_mean_have_different_meanings() -> None:
    nearest, mean = metric_rows({"lpips_vgg_best_of_10": 0.1, "lpips_vgg": 0.2})
    assert "nearest" in nearest.meaning
    assert "mean" in mean.meaning
