"""Features of one input's images: extracted once, cached by content, shared by all metrics.

A record is a few vectors per input. Images go through a network input by input, so the order of
inputs can change nothing, and memory holds one input's features at a time.
"""

import hashlib
import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from chimle.images.pyramid import to_tensor
from chimle.io.files import write_bytes
from chimle.metrics.inception import Inception
from chimle.metrics.prediction import Prediction
from chimle.perceptual.distance import Features
from chimle.perceptual.lpips import Perceptual
from chimle.provenance import code_version

Record = dict[str, np.ndarray]

SCALE = 2
"""Factor of the second scale. A strided backbone sees one phase of its stride only; it sees more
phases of enlarged images."""
_DIGEST = hashlib.sha256().digest_size
"""Bytes of the SHA-256 that a record's file begins with: damaged anywhere, it is made again."""


@cache
def _code() -> str:
    """SHA-256 over all that records are computed by: changed code makes new ones."""
    return code_version(Path(__file__))


def _key(prediction: Prediction, **network: str) -> str:
    text = json.dumps(network | {"code": _code()}, sort_keys=True)
    state = hashlib.sha256(text.encode())
    for images in (prediction.samples, prediction.target):
        state.update(repr(images.shape).encode() + np.ascontiguousarray(images).tobytes())
    return state.hexdigest()


def _perceptual_key(prediction: Prediction, perceptual: Perceptual, scale: str) -> str:
    info = perceptual.info
    network = {"network": info.backbone, "origin": info.origin, "weights": info.sha256}
    return _key(prediction, **network, scale=scale)


def _stored(path: Path) -> Record | None:
    """The record in a file; None where there is none, or a damaged one."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    digest, packed = content[:_DIGEST], content[_DIGEST:]
    if hashlib.sha256(packed).digest() != digest:
        return None
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        return dict(arrays)


def _cached(folder: Path | None, key: str, compute: Callable[[], Record]) -> Record:
    """The record of a key: read from the cache, or computed and written atomically."""
    if folder is None:
        return compute()
    path = folder / key[:2] / f"{key}.record"
    stored = _stored(path)
    if stored is not None:
        return stored
    record = compute()
    buffer = io.BytesIO()
    np.savez(buffer, **record)  # type: ignore[arg-type]
    packed = buffer.getvalue()
    write_bytes(path, hashlib.sha256(packed).digest() + packed)
    return record


def _extract(perceptual: Perceptual, images: Tensor, batch_size: int) -> tuple[Features, Tensor]:
    """Features per layer (B, C, h, w) and embeddings (B, D) of (B, 3, H, W) in [0, 1]."""
    device = next(perceptual.buffers()).device
    network = perceptual.at_scales(1)  # Records and metrics name the scale by themselves.
    parts = [network.features_and_embedding(part.to(device)) for part in images.split(batch_size)]
    layers = zip(*(features for features, _ in parts), strict=True)
    return tuple(torch.cat(layer) for layer in layers), torch.cat([own for _, own in parts])


def _maps(first: Features, second: Features) -> list[Tensor]:
    """Squared differences per layer, summed over channels: (B, h, w), B of the larger side."""
    return [(a - b).square().sum(dim=1) for a, b in zip(first, second, strict=True)]


def _distances(first: Features, second: Features) -> Tensor:
    """LPIPS (B,)."""
    return torch.stack([part.mean(dim=(1, 2)) for part in _maps(first, second)]).sum(dim=0)


def _row(features: Features, number: int) -> Features:
    return tuple(layer[number : number + 1] for layer in features)


def _spatial(parts: list[Tensor], size: tuple[int, int]) -> Tensor:
    """Spatial LPIPS (B, H, W): the layers' maps enlarged bilinearly, as the package does it."""
    grown = [F.interpolate(part.unsqueeze(1), size, mode="bilinear") for part in parts]
    return torch.stack(grown).sum(dim=0).squeeze(1)


@torch.no_grad()
def _compute_lpips_features(
    prediction: Prediction, perceptual: Perceptual, batch_size: int
) -> Record:
    count = len(prediction.samples)
    images = to_tensor([*prediction.samples, prediction.target])
    mean = images[:count].mean(dim=0, keepdim=True)
    features, embeddings = _extract(perceptual, torch.cat((images, mean)), batch_size)
    samples = tuple(layer[:count] for layer in features)
    target, middle = _row(features, count), _row(features, count + 1)
    rows = [_distances(samples, _row(features, number)) for number in range(count)]
    maps = _spatial(_maps(samples, target), (images.shape[2], images.shape[3]))
    record = {
        "to_target": _distances(samples, target),
        "to_mean": _distances(samples, middle),
        "between": torch.stack(rows),
        "best": maps.mean(dim=(1, 2)).min(),
        "best_per_pixel": maps.min(dim=0).values.mean(),
        "own": embeddings[:count],
        "target": embeddings[count],
    }
    return {name: value.cpu().numpy() for name, value in record.items()}


def lpips_features(
    prediction: Prediction, perceptual: Perceptual, batch_size: int, folder: Path | None
) -> Record:
    """Distances and embeddings of an LPIPS network, in one pass over the images.

    Args:
        prediction: one input's samples and target.
        perceptual: the network.
        batch_size: images in it at once.
        folder: of the cache; None: records are not kept.

    Returns:
        float32: `to_target`, `to_mean` (S,), `between` (S, S): LPIPS; `best`, `best_per_pixel` ():
        least over samples of the mean over pixels, and mean of the least; `own` (S, D), `target`
        (D,): embeddings.
    """
    key = _perceptual_key(prediction, perceptual, "x1")
    return _cached(folder, key, lambda: _compute_lpips_features(prediction, perceptual, batch_size))


def enlarged_features(
    prediction: Prediction, perceptual: Perceptual, batch_size: int, folder: Path | None
) -> Record:
    """LPIPS to the target and embeddings of images that are enlarged before the backbone.

    Args:
        prediction: one input's samples and target.
        perceptual: the network.
        batch_size: images in it at once.
        folder: of the cache; None: records are not kept.

    Returns:
        float32: `to_target` (S,), `own` (S, D), `target` (D,), by images of `SCALE` times the size,
        enlarged bilinearly.
    """

    @torch.no_grad()
    def compute() -> Record:
        images = to_tensor([*prediction.samples, prediction.target])
        enlarged = F.interpolate(images, scale_factor=SCALE, mode="bilinear")
        features, embeddings = _extract(perceptual, enlarged, max(1, batch_size // SCALE**2))
        samples = tuple(layer[:-1] for layer in features)
        distances = _distances(samples, _row(features, len(images) - 1))
        record = {"to_target": distances, "own": embeddings[:-1], "target": embeddings[-1]}
        return {name: value.cpu().numpy() for name, value in record.items()}

    return _cached(folder, _perceptual_key(prediction, perceptual, f"x{SCALE}"), compute)


def inception_features(
    prediction: Prediction, inception: Inception, batch_size: int, folder: Path | None
) -> Record:
    """Inception's features: `own` (S, 2048) and `target` (2048,) float32."""

    def compute() -> Record:
        features = inception.features(
            np.stack([*prediction.samples, prediction.target]), batch_size
        )
        return {"own": features[:-1], "target": features[-1]}

    key = _key(prediction, network="inception", weights=inception.sha256)
    return _cached(folder, key, compute)
