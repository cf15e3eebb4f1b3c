"""Distances between sets of pictures, over features that were extracted once.

The arithmetic is torch-fidelity's. The names say which features: `fid` and `kid` only for
Inception's; over another network's features they are `frechet_<network>`, `kernel_<network>`.

Lower is better for distances (0 and up; the kernel distance may dip below 0), higher for
precision (share of samples near targets) and recall (share of targets near samples), in [0, 1].
"""

import numpy as np
import torch
from torch import Tensor

from chimle.torchvision_compat import import_torchvision

SUBSETS = 20
"""Random subsets that the kernel distance averages over."""
LARGEST_SUBSET = 1000
"""Pictures per subset; fewer where the sets are smaller."""
NEIGHBOUR = 3
"""Precision and recall: radius of a picture's surroundings, in neighbours."""
FEWEST = 2 + NEIGHBOUR
"""Smaller sets have no such numbers."""


def frechet(samples: Tensor, targets: Tensor) -> float:
    """Frechet distance of two Gaussians fitted to features (N, D) and (M, D).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Heusel et al., arXiv 1706.08500).
    """
    import_torchvision()
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    first, second = (fid_features_to_statistics(f.double().cpu()) for f in (samples, targets))
    result = fid_statistics_to_metric(first, second, verbose=False)
    return float(result["frechet_inception_distance"])


def kernel_distance(samples: Tensor, targets: Tensor) -> float:
    """Unbiased squared MMD with the cubic kernel (Binkowski et al., arXiv 1801.01401)."""
    import_torchvision()
    from torch_fidelity.metric_kid import kid_features_to_metric

    result = kid_features_to_metric(
        samples.double(),
        targets.double(),
        kid_subsets=SUBSETS,
        kid_subset_size=min(LARGEST_SUBSET, len(samples), len(targets)),
        verbose=False,
    )
    return float(result["kernel_inception_distance_mean"])


def precision_recall(samples: Tensor, targets: Tensor) -> tuple[float, float]:
    """Improved precision and recall (Kynkaanniemi et al., arXiv 1904.06991)."""
    import_torchvision()
    from torch_fidelity.metric_prc import prc_features_to_metric

    result = prc_features_to_metric(
        samples.float(), targets.float(), prc_neighborhood=NEIGHBOUR, verbose=False
    )
    return float(result["precision"]), float(result["recall"])


def set_metrics(samples: Tensor, targets: Tensor, names: tuple[str, str, str]) -> dict[str, float]:
    """All set metrics of S samples per input, each set of one sample per input on its own.

    Averaging over the S sets keeps N equal to the number of inputs, so that a model and the
    do-nothing answer, which has one picture per input, carry the same small-sample bias.

    Args:
        samples: (N, S, D) features.
        targets: (N, D) features.
        names: of the Frechet distance, the kernel distance, and what precision and recall end in.
    """
    if len(targets) < FEWEST:
        return {}
    frechet_name, kernel_name, suffix = names
    rows = []
    for column in samples.unbind(dim=1):
        precision, recall = precision_recall(column, targets)
        rows.append((frechet(column, targets), kernel_distance(column, targets), precision, recall))
    means = np.mean(rows, axis=0).tolist()
    keys = (frechet_name, kernel_name, f"precision_{suffix}", f"recall_{suffix}")
    return dict(zip(keys, means, strict=True))


def inception_features(pictures: np.ndarray, weights: str) -> Tensor:
    """(N, H, W, 3) uint8 to Inception's (N, 2048), by torch-fidelity's port of the FID network."""
    import_torchvision()
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    extractor = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=weights
    ).eval()
    batches = torch.from_numpy(pictures).permute(0, 3, 1, 2).split(32)
    with torch.no_grad():
        return torch.cat([extractor(batch)[0] for batch in batches])
