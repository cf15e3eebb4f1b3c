"""LPIPS, exact, with features of the target computed once (Zhang et al., arXiv 1801.03924, v0.1).

Per layer: features divided by their norm over channels, squared difference weighted by the learnt
linear weights, mean over space; summed over layers. Backbone wrapper, scaling and linear weights
are the `lpips` package's own, and so are the values.
"""

import copy
import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from chimle.device import compute_dtype
from chimle.errors import UserError
from chimle.images.resample import enlarged
from chimle.perceptual.distance import Distance, Features
from chimle.perceptual.normalised_distance import normalised, normalised_distance
from chimle.perceptual.torchvision_compat import import_torchvision
from chimle.perceptual.weights import PARAMETER, Backbone, Origin, find_weights
from chimle.settings.perceptual import RANDOM_NAME, PerceptualSettings

SMALLEST_SIDE: dict[str, int] = {"vgg": 16, "alex": 32, "squeeze": 32}
"""Smaller images are enlarged bilinearly by a whole factor: a backbone reduces what it sees 8 to
16 times and has nothing left of them. Distances of one level are compared with each other only, so
the factor changes no choice; `vgg` takes 16 pixels, which the published levels never go below."""
RANDOM_SEED = 0
"""Seed of the features that stand in where no weights can be had."""
RANDOM_BIAS = 1.0
"""Standard deviation of their biases, with activations of about 1. Without biases (torchvision's
start) a ReLU network is homogeneous, its normalised features ignore an image's contrast, and a
tower trained on them loses it."""


@dataclass(frozen=True)
class PerceptualInfo:
    """What a distance was measured with; goes into every provenance."""

    backbone: Backbone
    origin: Origin
    sha256: str
    """Of the weights' file; of the tensors for random features."""

    @property
    def name(self) -> str:
        """Name in metrics: the backbone, `_random` behind it for random features."""
        return self.backbone + ("_random" if self.origin == "random" else "")


def feature_names(name: str, scales: Sequence[int]) -> tuple[str, ...]:
    """Names in metrics of a network's features at scales, as `squeeze` and `squeeze_x2`."""
    return tuple(name if scale == 1 else f"{name}_x{scale}" for scale in scales)


class Perceptual(Distance):
    """The distance, frozen. Build it with `load_perceptual`.

    Args:
        package: the `lpips` package's network.
        info: what it is made of.
        scales: whole factors by which images are enlarged (bilinear) before the backbone; the
            distance is the mean over them. (1,) is LPIPS itself. A strided backbone sees one phase
            of its first stride: at a larger scale it sees more of the finest detail.
    """

    def __init__(
        self, package: nn.Module, info: PerceptualInfo, scales: Sequence[int] = (1,)
    ) -> None:
        super().__init__()
        self.info, self.scales = info, tuple(scales)
        self.scaling: nn.Module = package.scaling_layer  # type: ignore[assignment]
        self.backbone: nn.Module = package.net  # type: ignore[assignment]
        self.smallest = SMALLEST_SIDE[info.backbone]
        for layer, linear in enumerate(package.lins):  # type: ignore[arg-type]
            weight = linear.model[-1].weight.detach()
            self.register_buffer(f"root_{layer}", weight.clamp_min(0).sqrt())
        self.layers = len(package.lins)  # type: ignore[arg-type]
        self._cast: dict[torch.dtype, nn.Module] = {}
        self.eval().requires_grad_(False)

    def at_scales(self, *scales: int) -> "Perceptual":
        """The same networks at other scales; they share their weights."""
        other = copy.copy(self)
        other.scales = scales
        return other

    def _roots(self) -> list[Tensor]:
        """Per layer the roots of the linear weights, (1, C, 1, 1)."""
        return [getattr(self, f"root_{layer}") for layer in range(self.layers)]

    def _factors(self, images: Tensor) -> list[int]:
        """By how much images are enlarged: per scale, but where it would be the same again."""
        least = -(-self.smallest // min(images.shape[-2:]))
        return sorted({max(scale, least) for scale in self.scales})

    def scales_of(self, images: Tensor) -> int:
        """How many scales `features` of (B, 3, H, W) are of; the distance is the mean over them."""
        return len(self._factors(images))

    def _cast_backbone(self) -> nn.Module:
        """The backbone in the arithmetic that autocast asks for: frozen weights are cast once."""
        weight = next(self.backbone.parameters())
        dtype = compute_dtype(weight)
        if dtype == weight.dtype:
            return self.backbone
        if dtype not in self._cast:
            with torch.inference_mode(mode=False):  # Else no backward pass may use them.
                self._cast[dtype] = copy.deepcopy(self.backbone).to(dtype)
        return self._cast[dtype]

    def _activations(self, images: Tensor, factor: int) -> list[Tensor]:
        """Raw activations of every layer for (B, 3, H, W) in [0, 1], enlarged by a factor."""
        if factor > 1:
            images = enlarged(images, factor)
        return list(self._cast_backbone()(self.scaling(images * 2 - 1)))

    def features(self, images: Tensor) -> Features:
        """(B, 3, H, W) in [0, 1] to comparable features per scale and layer, normalised in fp32.

        The distance of two images is the mean over scales of the sum over layers of the squared
        difference of their features, summed over channels and averaged over space.
        """
        factors = self._factors(images)
        parts = [self._comparable(self._activations(images, factor)) for factor in factors]
        return tuple(feature for part in parts for feature in part)

    def features_and_embedding(self, images: Tensor) -> tuple[Features, Tensor]:
        """(B, 3, H, W) in [0, 1] to `features` and, in the same pass, the deepest layer's mean.

        The spatial mean (B, D), fp32, is for distances between sets of images, which carry this
        backbone's name.
        """
        raws = self._activations(images, self._factors(images)[0])
        return self._comparable(raws), raws[-1].float().mean(dim=(2, 3))

    def _comparable(self, raws: list[Tensor]) -> Features:
        """Activations divided by their norms over channels, times the linear weights' roots."""
        return tuple(normalised(raw, root) for raw, root in zip(raws, self._roots(), strict=True))

    def distance(self, images: Tensor, target: Features) -> Tensor:
        """Distance of (B*K, 3, H, W) in [0, 1] to the features of B targets: (B*K,) fp32.

        Row i is compared with target i // K.
        """
        factors, roots = self._factors(images), self._roots()
        theirs = iter(target)
        distances = [
            normalised_distance(raw, root, next(theirs))
            for factor in factors
            for raw, root in zip(self._activations(images, factor), roots, strict=True)
        ]
        return torch.stack(distances).sum(dim=0) / len(factors)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """LPIPS of two batches (B, 3, H, W) in [0, 1]: (B,), from 0 up."""
        return self.distance(first, self.features(second))


def _randomise(network: nn.Module) -> None:
    """Fixed random convolutions that keep the activations' scale, with biases."""
    generator = torch.Generator().manual_seed(RANDOM_SEED)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            assert module.bias is not None
            nn.init.normal_(module.bias, std=RANDOM_BIAS, generator=generator)


def _state_hash(module: nn.Module) -> str:
    state = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        state.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return state.hexdigest()


def _load_backbone(network: nn.Module, state: dict[str, Tensor], origin: str) -> None:
    """Fill the package's `sliceN.<i>` modules from torchvision's `features.<i>` names."""
    renamed = {}
    for name in network.state_dict():
        key = "features." + name.split(".", 1)[1]
        if key not in state:
            raise UserError(f"{origin} lacks `{key}`: it is no file of this backbone's weights")
        renamed[name] = state[key]
    try:
        network.load_state_dict(renamed)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{origin} does not fit this backbone: {reason}") from None


def load_perceptual(
    settings: PerceptualSettings,
    device: str = "cpu",
    root: Path = Path(),
    parameter: str = PARAMETER,
) -> Perceptual:
    """The distance that the settings name.

    Args:
        settings: backbone and weights.
        device: where it computes.
        root: directory that a relative `settings.weights` starts from.
        parameter: what a user calls the setting of the weights, for messages.

    Raises:
        UserError: the weights are missing or damaged.
    """
    import_torchvision()
    import lpips

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision on the package's old keyword
        package = lpips.LPIPS(net=settings.backbone, pnet_rand=True, verbose=False)
    if settings.weights == RANDOM_NAME:
        _randomise(package.net)
        info = PerceptualInfo(settings.backbone, "random", _state_hash(package.net))
    else:
        weights = find_weights(settings.backbone, settings.weights, root, parameter)
        _load_backbone(package.net, weights.state, settings.weights)
        info = PerceptualInfo(settings.backbone, weights.origin, weights.sha256)
    return Perceptual(package, info, settings.scales).to(device)
