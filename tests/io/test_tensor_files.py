"""A file that is no plain file of tensors: one sentence, which never advises to unpickle it."""

import io
import os
import pickle
import subprocess
import sys
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


def test_what_is_no_file_is_one_sentence(tmp_path: Path) -> None:
    """A pipe is not opened, which would wait for its writer for ever."""
    folder, pipe = tmp_path / "folder.pth", tmp_path / "pipe.pth"
    folder.mkdir()
    os.mkfifo(pipe)
    for path, reason in (
        (folder, "is a folder"),
        (pipe, "is no regular file"),
        (tmp_path / "none.pth", "does not exist"),
    ):
        with pytest.raises(UserError, match=f"{path.name} {reason}: name a file of tensors"):
            read_checkpoint(path)


@pytest.mark.parametrize("mapped", [True, False])
def test_tensors_are_read(tmp_path: Path, mapped: bool) -> None:
    path, numbers, others = tmp_path / "file.pth", torch.arange(6.0), [1, "x", None]
    torch.save({"a": numbers, "b": others}, path)
    found = read_tensors(path, "write it again", mapped)
    assert torch.equal(found["a"], numbers)
    assert found["b"] == others
    with pytest.raises(UserError, match="does not exist"):
        read_tensors(tmp_path / "none.pth", "write it again")


READ_WITH_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from chimle.errors import is_memory_full
from chimle.io.tensor_files import read_tensors
from chimle.perceptual.weights import find_weights

path = Path(sys.argv[1])
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 2**26, resource.RLIM_INFINITY))
for read in (lambda: read_tensors(path, "delete it"), lambda: find_weights("vgg", str(path), path)):
    try:
        read()
    except (MemoryError, RuntimeError) as error:
        assert is_memory_full(error), error
        print("memory is full")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells and limits its memory so")
def test_a_good_file_that_memory_cannot_hold_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    torch.save({"features.0.weight": torch.zeros(2**26, dtype=torch.float16)}, path)
    command = [sys.executable, "-c", READ_WITH_LITTLE_MEMORY, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.count("memory is full") == 2, done.stderr


def test_a_good_state_that_memory_cannot_hold_is_not_called_damaged(tmp_path: Path) -> None:
    class Full(torch.nn.Module):
        def load_state_dict(self, *_: object, **_named: object) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    network = torch.nn.Linear(1, 1)
    optimizer = torch.optim.Adam(network.parameters())
    state = TrainingState(network, WeightAverage(network, 0.9), optimizer, Position())
    state.others["more"] = Full()
    state.save(tmp_path / "state.pt")
    with pytest.raises(torch.OutOfMemoryError):
        state.restore(tmp_path / "state.pt", torch.device("cpu"))
