"""A file that is no plain file of tensors: one sentence, which never advises to unpickle it."""

import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chimle.bundles.parity import compare
from chimle.bundles.published_checkpoints import read_checkpoint
from chimle.errors import UserError
from chimle.io.tensor_files import read_tensors
from chimle.perceptual.weights import find_weights
from chimle.settings.tower import TowerSettings
from chimle.tasks import Wiring
from chimle.tower.generator import Tower
from chimle.training.ema import WeightAverage
from chimle.training.training_state import Position, TrainingState
from tests.support.helpers import Evil


def cut(path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(999)}, path)
    path.write_bytes(path.read_bytes()[:900])


def legacy_tar(path: Path) -> None:
    """The form of torch before 0.1.10."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("storages", "tensors", "pickle"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())


def with_code(path: Path) -> None:
    torch.save({"features.0.weight": Evil(path.with_name("mark"))}, path)


def bare_code(path: Path) -> None:
    path.write_bytes(pickle.dumps(Evil(path.with_name("mark")), protocol=2))


FILES: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("no tensors\n"),
    "empty": lambda path: path.write_bytes(b""),
    "cut": cut,
    "legacy tar": legacy_tar,
    "code in a zip file": with_code,
    "code": bare_code,
}


def compared(path: Path) -> None:
    settings = TowerSettings(resolution=8, widths=(4,), growth=(4,))
    compare(Tower(settings, Wiring.GENERIC), path)


def restored(path: Path) -> None:
    network = torch.nn.Linear(1, 1)
    optimizer = torch.optim.Adam(network.parameters())
    state = TrainingState(network, WeightAverage(network, 0.9), optimizer, Position())
    state.restore(path, torch.device("cpu"))


READERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "checkpoint": (read_checkpoint, "save the generator's state dict alone"),
    "recording": (compared, "record it again"),
    "weights": (lambda path: find_weights("vgg", str(path), Path()), "torchvision's weights"),
    "training state": (restored, "delete it to train anew"),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("reader", READERS)
def test_a_file_of_more_than_tensors_is_one_sentence(
    tmp_path: Path, kind: str, reader: str
) -> None:
    path = tmp_path / "file.pth"
    FILES[kind](path)
    read, advice = READERS[reader]
    with pytest.raises(UserError, match=advice) as caught:
        read(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path} ")
    assert "\n" not in sentence
    assert "weights_only" not in sentence
    assert "trust" not in sentence
    assert [one.name for one in tmp_path.iterdir()] == ["file.pth"], "no code ran"


@pytest.mark.parametrize("mapped", [True, False])
def test_tensors_are_read(tmp_path: Path, mapped: bool) -> None:
    path, numbers, others = tmp_path / "file.pth", torch.arange(6.0), [1, "x", None]
    torch.save({"a": numbers, "b": others}, path)
    found = read_tensors(path, "write it again", mapped)
    assert torch.equal(found["a"], numbers)
    assert found["b"] == others
    with pytest.raises(UserError, match="does not exist"):
        read_tensors(tmp_path / "none.pth", "write it again")
