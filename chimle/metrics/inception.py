"""Inception network of FID and KID, with the official weights only."""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from chimle.errors import UserError
from chimle.io.files import no_file_reason
from chimle.perceptual.torchvision_compat import import_torchvision
from chimle.perceptual.weights import Origin, official_file
from chimle.settings.perceptual import OFFICIAL_NAME

PARAMETER = "evaluate.inception"
"""What messages call the setting that names weights, unless a caller calls it otherwise."""
OFFICIAL_URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
"""The network of the published FID, converted from TensorFlow."""
OFFICIAL_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


@dataclass(frozen=True)
class Inception:
    """Inception v3 of 2015 as the FID uses it, by torch-fidelity.

    Attributes:
        network: the extractor.
        origin: where the weights came from.
        sha256: of their file.
    """

    network: nn.Module
    origin: Origin
    sha256: str

    @torch.no_grad()
    def features(self, images: np.ndarray, batch_size: int) -> np.ndarray:
        """(B, H, W, 3) uint8 to the last pooling's (B, 2048) float32."""
        device = next(self.network.parameters()).device
        batches = torch.from_numpy(images).permute(0, 3, 1, 2).split(batch_size)
        parts = [self.network(batch.to(device))[0].float().cpu() for batch in batches]
        return torch.cat(parts).numpy()


def _find(setting: str, root: Path, parameter: str) -> tuple[Path, Origin]:
    """The official file, in torch's cache or elsewhere; `UserError` where it is missing."""
    if setting == OFFICIAL_NAME:
        path, _ = official_file(OFFICIAL_URL, OFFICIAL_SHA256, parameter)
        return path, "official"
    file = root / setting
    if reason := no_file_reason(file):
        raise UserError(f"`{parameter}`: {file} {reason}: name a file or `{OFFICIAL_NAME}`")
    return file, "file"


def _verified(path: Path) -> bytes:
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != OFFICIAL_SHA256:
        raise UserError(
            f"{path} is not the official Inception file (its SHA-256 begins {found[:8]}, not "
            f"{OFFICIAL_SHA256[:8]}), so FID would be wrong: replace it"
        )
    return content


def load_inception(
    setting: str | None, device: str = "cpu", root: Path = Path(), parameter: str = PARAMETER
) -> Inception | None:
    """The FID network that a setting names.

    Args:
        setting: a file, `official`, or None for none.
        device: where it computes.
        root: directory that a relative file starts from.
        parameter: what a user calls the setting, for messages.

    Raises:
        UserError: the official weights are missing, or the file holds others.
    """
    if setting is None:
        return None
    path, origin = _find(setting, root, parameter)
    content = _verified(path)
    import_torchvision()
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # The extractor unpickles a file by name: write the verified bytes to one.
    with tempfile.NamedTemporaryFile(suffix=".pth") as file:
        file.write(content)
        file.flush()
        network = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=file.name
        )
    return Inception(network.eval().to(device), origin, OFFICIAL_SHA256)
