"""Inception: the official file or none."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from chimle.errors import UserError
from chimle.metrics import inception as inception_module
from chimle.metrics.evaluator import EvaluationConfig, evaluate
from chimle.metrics.inception import load_inception
from chimle.metrics.metric_table import measured_with
from chimle.metrics.prdc import FEWEST
from chimle.metrics.registry import split_headline
from chimle.perceptual import torch_cache
from chimle.perceptual.torchvision_compat import import_torchvision
from tests.support.predictions import noise_predictions


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the official file's form, with random weights."""
    import_torchvision()
    from torch_fidelity import feature_extractor_inceptionv3 as module

    class Saved(Exception):  # noqa: N818
        pass

    path = tmp_path_factory.mktemp("inception") / "stand-in.pth"
    state: dict[str, torch.Tensor] = {}
    original = module.torch.load
    try:
        module.torch.load = lambda *_, **__: state
        build = module.FeatureExtractorInceptionV3.load_state_dict
        module.FeatureExtractorInceptionV3.load_state_dict = lambda *_: None
        torch.manual_seed(0)
        network = module.FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path="none"
        )
    finally:
        module.torch.load = original
        module.FeatureExtractorInceptionV3.load_state_dict = build
    torch.save(network.state_dict(), path)
    return path


def test_fid_is_that_of_the_official_file_or_none(
    config: EvaluationConfig, stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_inception(None) is None
    with pytest.raises(UserError, match=r"nowhere\.pth does not exist"):
        load_inception("nowhere.pth", root=tmp_path)
    with pytest.raises(UserError, match=r"is a folder: name a file or `official`"):
        load_inception(str(tmp_path))
    with pytest.raises(UserError, match="is not the official Inception file"):
        load_inception(str(stand_in))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch_cache, "RETRIES", 0)
    monkeypatch.setattr(inception_module, "OFFICIAL_URL", "http://127.0.0.1:9/inception.pth")
    with pytest.raises(UserError, match=r"cannot be fetched.*evaluate\.inception"):
        load_inception("official")

    content = stand_in.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(inception_module, "OFFICIAL_SHA256", digest)
    cached = tmp_path / "hub" / "checkpoints" / "inception.pth"
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_bytes(content)
    found = load_inception("official")
    assert found is not None
    assert (found.origin, found.sha256) == ("official", digest)

    with_fid = replace(config, inception=found, records=tmp_path / "features")
    scores, baseline = evaluate(noise_predictions(FEWEST, 2), with_fid)
    assert scores.values["fid"] > 0
    assert "kid" in scores.values
    assert baseline is not None
    assert "precision_inception" in scores.values
    assert "frechet_squeeze_random" in scores.values
    assert "fid" in split_headline(scores.values)[0]
    assert measured_with(with_fid, scores)["inception"] == {"origin": "official", "sha256": digest}
    assert json.dumps(measured_with(with_fid, scores))
