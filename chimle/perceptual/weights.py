"""Where a perceptual backbone's ImageNet weights come from, and what they are.

In this order: an explicit file; torch's usual cache; the official download, kept in that cache.
Cached and downloaded files must match the SHA-256 that their official name announces.
"""

import hashlib
import io
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor

from chimle.errors import UserError, first_line
from chimle.io.files import write_bytes

Backbone = Literal["vgg", "alex", "squeeze"]
Origin = Literal["file", "cache", "download", "random"]

OFFICIAL: dict[str, str] = {
    "vgg": "https://download.pytorch.org/models/vgg16-397923af.pth",
    "alex": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    "squeeze": "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
}
"""Official files; what follows the last dash is the start of the file's SHA-256."""
TIMEOUT_SECONDS = 5.0
"""A download that does not answer for this long is given up."""
LARGEST_BYTES = 2**30
"""No backbone's file is larger."""


@dataclass(frozen=True)
class BackboneWeights:
    """Weights under torchvision's names (`features.N.weight`), fp32, and their origin."""

    state: dict[str, Tensor]
    origin: Origin
    sha256: str


def _parse(content: bytes, name: str) -> dict[str, Tensor]:
    """Tensors of a .safetensors or .pth file; nothing in it is ever executed."""
    try:
        if name.endswith(".safetensors"):
            state = load_safetensors(content)
        else:
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return {key: value.float() for key, value in state.items()}
    except Exception as error:  # noqa: BLE001 - a damaged file raises almost anything
        reason = first_line(error)
        raise UserError(f"{name} holds no readable weights ({reason})") from None


def _checked(content: bytes, name: str) -> str:
    """The content's SHA-256, which must begin as the official name says."""
    found = hashlib.sha256(content).hexdigest()
    announced = Path(name).stem.rsplit("-", 1)[-1]
    if not found.startswith(announced):
        raise UserError(
            f"{name} is damaged: its SHA-256 begins {found[:8]}, not {announced}: delete it"
        )
    return found


def cache_file(url: str) -> Path:
    """Where torch keeps a downloaded file."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name


def download(url: str) -> bytes:
    """One try with a short timeout; `UserError` says what went wrong."""
    try:
        # Ask for the name first: a resolver's own patience may be far longer than ours.
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
            content: bytes = answer.read(LARGEST_BYTES + 1)
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"{url} cannot be downloaded ({reason})") from None
    if len(content) > LARGEST_BYTES:
        raise UserError(f"{url} is larger than any backbone's weights")
    return content


def find_weights(backbone: Backbone, file: Path | None) -> BackboneWeights:
    """The backbone's ImageNet weights.

    Args:
        backbone: which network.
        file: an explicit file; where given, nothing else is tried.

    Raises:
        UserError: the file is missing or damaged, or no weights can be had.
    """
    if file is not None:
        if not file.is_file():
            raise UserError(f"`perceptual.weights`: {file} does not exist")
        content = file.read_bytes()
        return BackboneWeights(
            _parse(content, str(file)), "file", hashlib.sha256(content).hexdigest()
        )
    url = OFFICIAL[backbone]
    cached = cache_file(url)
    if cached.is_file():
        content = cached.read_bytes()
        sha256 = _checked(content, str(cached))
        return BackboneWeights(_parse(content, str(cached)), "cache", sha256)
    content = download(url)
    sha256 = _checked(content, url)
    write_bytes(cached, content)
    return BackboneWeights(_parse(content, url), "download", sha256)
