"""What networks say of one input's pictures: extracted once, kept by content, used by all metrics.

A record is a few vectors per input. Pictures go through a network input by input, so the order of
inputs can change nothing, and memory holds one input's features at a time.
"""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from chimle.images.pyramid import to_tensor
from chimle.io.files import write_bytes
from chimle.metrics.inception import Inception
from chimle.metrics.prediction import Prediction
from chimle.perceptual import lpips as perceptual_module
from chimle.perceptual.lpips import Features, Perceptual

Record = dict[str, np.ndarray]


def _sources(*modules: str) -> str:
    """SHA-256 over the code that makes records: other code makes other records."""
    state = hashlib.sha256()
    for name in modules:
        state.update(Path(name).read_bytes())
    return state.hexdigest()


def _key(case: Prediction, **network: str) -> str:
    text = json.dumps(network, sort_keys=True)
    state = hashlib.sha256(text.encode())
    for pictures in (case.answers, case.target):
        state.update(repr(pictures.shape).encode() + np.ascontiguousarray(pictures).tobytes())
    return state.hexdigest()


def _kept(folder: Path | None, key: str, compute: Callable[[], Record]) -> Record:
    """A record by its key: read, or computed and written, whole or not at all."""
    if folder is None:
        return compute()
    path = folder / key[:2] / f"{key}.npz"
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except FileNotFoundError:
        pass
    except (ValueError, EOFError, BadZipFile, KeyError):
        pass  # Damaged: it is only a copy of what can be computed again.
    record = compute()
    buffer = io.BytesIO()
    np.savez(buffer, **record)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())
    return record


def _extract(perceptual: Perceptual, images: Tensor, batch_size: int) -> tuple[Features, Tensor]:
    """Features per layer (B, C, h, w) and embeddings (B, D) of (B, 3, H, W) in [0, 1]."""
    device = next(perceptual.buffers()).device
    parts = [
        perceptual.features_and_embedding(part.to(device)) for part in images.split(batch_size)
    ]
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
    """LPIPS by place (B, H, W): the layers' maps enlarged bilinearly, as the package does it."""
    grown = [F.interpolate(part.unsqueeze(1), size, mode="bilinear") for part in parts]
    return torch.stack(grown).sum(dim=0).squeeze(1)


@torch.no_grad()
def _compute_lpips_features(case: Prediction, perceptual: Perceptual, batch_size: int) -> Record:
    count = len(case.answers)
    images = to_tensor([*case.answers, case.target])
    mean = images[:count].mean(dim=0, keepdim=True)
    features, embeddings = _extract(perceptual, torch.cat((images, mean)), batch_size)
    answers = tuple(layer[:count] for layer in features)
    target, middle = _row(features, count), _row(features, count + 1)
    rows = [_distances(answers, _row(features, number)) for number in range(count)]
    places = _spatial(_maps(answers, target), (images.shape[2], images.shape[3]))
    record = {
        "to_target": _distances(answers, target),
        "to_mean": _distances(answers, middle),
        "between": torch.stack(rows),
        "best": places.mean(dim=(1, 2)).min(),
        "best_by_place": places.min(dim=0).values.mean(),
        "own": embeddings[:count],
        "target": embeddings[count],
    }
    return {name: value.cpu().numpy() for name, value in record.items()}


def lpips_features(
    case: Prediction, perceptual: Perceptual, batch_size: int, folder: Path | None
) -> Record:
    """All that metrics want of an LPIPS network, in one pass over the pictures.

    Args:
        case: one input's answers and target.
        perceptual: the network.
        batch_size: pictures in it at once.
        folder: where records are kept; None: nowhere.

    Returns:
        float32: `to_target`, `to_mean` (S,), `between` (S, S): LPIPS; `best`, `best_by_place` ():
        least over samples of the mean over places, and the other way round; `own` (S, D), `target`
        (D,): embeddings.
    """
    info = perceptual.info
    code = _sources(__file__, perceptual_module.__file__)
    key = _key(case, network=info.backbone, origin=info.origin, weights=info.sha256, code=code)
    return _kept(folder, key, lambda: _compute_lpips_features(case, perceptual, batch_size))


def inception_features(
    case: Prediction, inception: Inception, batch_size: int, folder: Path | None
) -> Record:
    """Inception's features: `own` (S, 2048) and `target` (2048,) float32."""

    def compute() -> Record:
        features = inception.features(np.stack([*case.answers, case.target]), batch_size)
        return {"own": features[:-1], "target": features[-1]}

    code = _sources(__file__)
    key = _key(case, network="inception", weights=inception.sha256, code=code)
    return _kept(folder, key, compute)
