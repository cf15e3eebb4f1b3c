"""Weights of perceptual backbones: official, fixed-seed random, or a file's.

Which of them is used is a parameter; none stands in for another. Official files lie in torch's
cache. What is missing there is downloaded, resumably, and must match the SHA-256 that its name
announces.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from safetensors.torch import load_file
from torch import Tensor

from chimle.errors import UserError, first_line, is_memory_full
from chimle.io.files import no_file_reason, sha256_of
from chimle.io.tensor_files import read_tensors
from chimle.perceptual.torch_cache import cached_download
from chimle.settings.perceptual import OFFICIAL_NAME, RANDOM_NAME

Backbone = Literal["vgg", "alex", "squeeze"]
Origin = Literal["official", "random", "file"]

PARAMETER = "perceptual.weights"
"""What messages call the setting that names weights, unless a caller calls it otherwise."""
OFFICIAL: dict[str, str] = {
    "vgg": "https://download.pytorch.org/models/vgg16-397923af.pth",
    "alex": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    "squeeze": "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
}
"""Official files; the part after the last dash is the start of the file's SHA-256."""


@dataclass(frozen=True)
class BackboneWeights:
    """Weights under torchvision's names (`features.N.weight`), fp32, and their origin."""

    state: dict[str, Tensor]
    origin: Origin
    sha256: str


def _parse(path: Path) -> dict[str, Tensor]:
    """Feature tensors of a .safetensors or .pth file; nothing in it is executed."""
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            # Only what is used is read: a classifier's layers are most of VGG's file.
            advice = "give a file of torchvision's weights"
            state = read_tensors(path, advice, mapped=zipfile.is_zipfile(path))
        return {k: v.float() for k, v in state.items() if k.startswith("features.")}
    except UserError:
        raise
    except Exception as error:  # A damaged file raises almost anything.
        if is_memory_full(error):
            raise
        raise UserError(f"{path} holds no readable weights ({first_line(error)})") from None


def _check(path: Path, announced: str) -> str:
    """SHA-256 of a file; `UserError` unless it starts as announced."""
    found = sha256_of(path)
    if not found.startswith(announced):
        raise UserError(
            f"{path} is damaged: its SHA-256 starts with {found[:8]}, not {announced[:8]}: "
            "delete it"
        )
    return found


def official_file(url: str, announced: str, parameter: str) -> tuple[Path, str]:
    """An official file of weights in torch's cache, downloaded if it is missing, and its SHA-256.

    Args:
        url: of the file.
        announced: SHA-256, or its start.
        parameter: what a user may set to a file instead.

    Raises:
        UserError: it cannot be downloaded, or is damaged.
    """
    path = cached_download(url, parameter)
    return path, _check(path, announced)


def find_weights(
    backbone: Backbone, setting: str, root: Path, parameter: str = PARAMETER
) -> BackboneWeights:
    """A backbone's ImageNet weights.

    Args:
        backbone: which network.
        setting: `official`, or a file.
        root: directory that a relative file starts from.
        parameter: what a user calls the setting, for messages.

    Raises:
        UserError: the file is missing or damaged, or official weights cannot be downloaded.
    """
    if setting == OFFICIAL_NAME:
        url = OFFICIAL[backbone]
        announced = Path(url).stem.rsplit("-", 1)[-1]
        path, sha256 = official_file(url, announced, parameter)
        return BackboneWeights(_parse(path), "official", sha256)
    file = root / setting
    if reason := no_file_reason(file):
        raise UserError(
            f"`{parameter}`: {file} {reason}: name a file, `{OFFICIAL_NAME}` or `{RANDOM_NAME}`"
        )
    return BackboneWeights(_parse(file), "file", sha256_of(file))
