"""A table says of each measure whether the model was fitted to it."""

from chimle.metrics.metric_table import metric_rows
from chimle.metrics.seen_features import seen_features
from chimle.settings.perceptual import PerceptualSettings


def bases(filtered: bool) -> dict[str, str]:
    names = ("lpips_squeeze", "lpips_squeeze_x2", "spectrum", "spectrum_excess", "psnr")
    seen = seen_features(PerceptualSettings(), "squeeze", filtered=filtered)
    return {row.name: row.basis for row in metric_rows(dict.fromkeys(names, 1.0), seen)}


def test_a_filter_is_fitted_to_the_spectrum() -> None:
    plain, filtered = bases(filtered=False), bases(filtered=True)
    assert plain["spectrum"] == plain["spectrum_excess"] == plain["psnr"] == "no network"
    assert filtered["spectrum"] == "no network, a filter is fitted to it"
    assert filtered["spectrum_excess"] == filtered["spectrum"]
    same = ("lpips_squeeze", "lpips_squeeze_x2", "psnr")
    assert [filtered[name] for name in same] == [plain[name] for name in same]
    assert plain["lpips_squeeze"] == "squeeze, trained on"
    assert plain["lpips_squeeze_x2"] == "squeeze_x2, not trained on"
