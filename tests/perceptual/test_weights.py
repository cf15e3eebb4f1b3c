"""Weights are those that the parameter names; official ones are downloaded, resumed and checked."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from chimle.errors import UserError
from chimle.io import download
from chimle.perceptual import torch_cache, weights
from chimle.perceptual.lpips import Perceptual, load_perceptual
from chimle.settings.perceptual import PerceptualSettings
from tests.support.misbehaving import Site, misbehaving_server


@pytest.fixture
def site() -> Iterator[Site]:
    with misbehaving_server() as running:
        yield running


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty torch cache, and no pauses between attempts."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(download, "FIRST_PAUSE", 0.0)
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file of SqueezeNet's form with a classifier, as the official one has."""
    network = load_perceptual(PerceptualSettings(weights="random")).backbone
    state = {f"features.{k.split('.', 1)[1]}": v for k, v in network.state_dict().items()}
    path = tmp_path_factory.mktemp("weights") / "weights.pth"
    torch.save(state | {"classifier.1.weight": torch.zeros(3)}, path)
    return path.read_bytes()


def official(
    monkeypatch: pytest.MonkeyPatch, address: str, content: bytes, name: str | None = None
) -> str:
    """Make a file at a server the official one; returns its name."""
    name = name or f"squeeze-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.setitem(weights.OFFICIAL, "squeeze", f"{address}/{name}")
    return name


def same(first: Perceptual, second: Perceptual) -> bool:
    images = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return torch.equal(first(*images), second(*images))


def test_official_weights_are_downloaded_once_and_resumed(
    site: Site,
    cache: Path,
    content: bytes,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = official(monkeypatch, site.address, content)
    site.put(f"/{name}", content, cuts=[len(content) // 2])
    first = load_perceptual(PerceptualSettings())
    assert first.info.origin == "official"
    assert first.info.sha256 == hashlib.sha256(content).hexdigest()
    assert [one.start for one in site.gets(f"/{name}")] == [None, len(content) // 2]
    assert (cache / name).read_bytes() == content
    assert same(first, load_perceptual(PerceptualSettings()))
    assert len(site.gets(f"/{name}")) == 2
    assert capsys.readouterr().out == ""


def test_an_interrupted_download_goes_on_in_the_next_run(
    site: Site, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = official(monkeypatch, site.address, content)
    site.put(f"/{name}", content, cuts=[len(content) // 2], statuses=[])
    monkeypatch.setattr(torch_cache, "RETRIES", 0)
    monkeypatch.setattr(download, "retry", lambda _name, _retries, act, _advanced: act())
    with pytest.raises(Exception, match=r"ended|broke"):
        load_perceptual(PerceptualSettings())
    assert load_perceptual(PerceptualSettings()).info.origin == "official"
    assert site.gets(f"/{name}")[-1].start == len(content) // 2


def test_nothing_stands_in_for_official_weights(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_cache, "RETRIES", 0)
    with pytest.raises(UserError, match=r"is unknown.*perceptual\.weights"):
        load_perceptual(PerceptualSettings())
    official(monkeypatch, site.address, b"", "squeeze-00000000.pth")
    with pytest.raises(UserError, match=r"404.*perceptual\.weights"):
        load_perceptual(PerceptualSettings())


@pytest.mark.parametrize("cached", [True, False])
def test_official_files_must_match_their_name(
    site: Site, cache: Path, content: bytes, cached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = official(monkeypatch, site.address, content)
    damaged = content[:-1] + b"x"
    if cached:
        cache.mkdir(parents=True)
        (cache / name).write_bytes(damaged)
    else:
        site.put(f"/{name}", damaged)
    with pytest.raises(UserError, match=r"is damaged.*delete it"):
        load_perceptual(PerceptualSettings())


def test_random_and_files_ask_no_server(
    site: Site, tmp_path: Path, cache: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    official(monkeypatch, site.address, content)
    (tmp_path / "own.pth").write_bytes(content)
    found = load_perceptual(PerceptualSettings(weights="own.pth"), root=tmp_path)
    assert found.info.origin == "file"
    assert found.info.name == "squeeze"
    random = load_perceptual(PerceptualSettings(weights="random"))
    assert random.info.name == "squeeze_random"
    assert same(found, random)
    assert site.requests == []
    assert not cache.exists()


def test_a_cached_official_file_does_not_replace_random_features(
    cache: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = official(monkeypatch, "http://127.0.0.1:9", content)
    cache.mkdir(parents=True)
    (cache / name).write_bytes(content)
    assert load_perceptual(PerceptualSettings(weights="random")).info.origin == "random"
    assert load_perceptual(PerceptualSettings()).info.origin == "official"


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"offical does not exist: name a file, `official` or"):
        load_perceptual(PerceptualSettings(weights="offical"), root=tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"folder is a folder: name a file, `official` or"):
        load_perceptual(PerceptualSettings(weights="folder"), root=tmp_path)
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(UserError, match=r"text\.safetensors holds no readable weights"):
        load_perceptual(PerceptualSettings(weights="text.safetensors"), root=tmp_path)
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth.*lacks"):
        load_perceptual(PerceptualSettings(weights="other.pth"), root=tmp_path)
