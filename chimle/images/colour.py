"""sRGB and CIE Lab (D65, 2 degrees) as differentiable tensor functions.

Every function is finite, with finite gradients, for every input in range.
"""

import torch
from torch import Tensor

from chimle.device import without_autocast

_RGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_XYZ_TO_RGB = torch.linalg.inv(torch.tensor(_RGB_TO_XYZ)).tolist()
_WHITE = (0.95047, 1.0, 1.08883)
_CUBE_BELOW = 6.0 / 29.0
_SLOPE = 1.0 / (3.0 * _CUBE_BELOW**2)
CHROMA_RANGE = 127.0
"""Published scale of the chroma that a tower predicts."""
DARKEST = 0.01
"""Published lower bound of the lightness that premultiplied chroma is divided by."""
DARKEST_GRADIENT = 0.1
"""Lower bound of the same divisor in the gradient, which else grows a hundredfold in the dark."""


def _mix(image: Tensor, matrix: Tensor) -> Tensor:
    """Channels (B, 3, H, W) times a 3x3 matrix, in fp32 whatever autocast says."""
    with without_autocast(image.device):
        return torch.einsum("oc,bchw->bohw", matrix.to(image), image)


def _linear(rgb: Tensor) -> Tensor:
    """sRGB in [0, 1] to linear light."""
    curved = ((rgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(rgb > 0.04045, curved, rgb / 12.92)


def _gamma(linear: Tensor) -> Tensor:
    """Linear light to sRGB."""
    curved = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, curved, linear * 12.92)


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """(B, 3, H, W) sRGB in [0, 1] to Lab: L in [0, 100], a and b about -110 to 110."""
    xyz = _mix(_linear(rgb.float()), torch.tensor(_RGB_TO_XYZ))
    relative = xyz / torch.tensor(_WHITE, device=xyz.device).view(1, 3, 1, 1)
    cubic = relative.clamp_min(_CUBE_BELOW**3) ** (1 / 3)
    f = torch.where(relative > _CUBE_BELOW**3, cubic, _SLOPE * relative + 4.0 / 29.0)
    fx, fy, fz = f.split(1, dim=1)
    return torch.cat((116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)), dim=1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """(B, 3, H, W) Lab to sRGB, clamped to [0, 1] where Lab leaves the gamut."""
    lightness, a, b = lab.float().split(1, dim=1)
    fy = (lightness + 16) / 116
    f = torch.cat((fy + a / 500, fy, fy - b / 200), dim=1)
    relative = torch.where(f > _CUBE_BELOW, f**3, (f - 4.0 / 29.0) / _SLOPE).clamp_min(0)
    white = torch.tensor(_WHITE, device=f.device).view(1, 3, 1, 1)
    linear = _mix(relative * white, torch.tensor(_XYZ_TO_RGB))
    return _gamma(linear.clamp(0, 1)).clamp(0, 1)


def lightness(rgb: Tensor) -> Tensor:
    """(B, 3, H, W) sRGB in [0, 1] to Lab lightness L / 100, (B, 1, H, W) in [0, 1]."""
    return (rgb_to_lab(rgb)[:, :1] / 100).clamp(0, 1)


def chroma_to_rgb(light: Tensor, chroma: Tensor) -> Tensor:
    """Lightness and a tower's raw chroma to a picture, as published.

    With l = max(L / 100, 0.01): L = 100 l, a = 127 out_a / l, b = 127 out_b / l. The values are the
    published ones; the gradient divides by max(l, 0.1), so that dark pixels cannot drown the rest.

    Args:
        light: (B, 1, H, W) lightness in [0, 1].
        chroma: (B, 2, H, W) tanh output in [-1, 1], premultiplied by lightness.

    Returns:
        (B, 3, H, W) sRGB in [0, 1].
    """
    scale = light.float().clamp_min(DARKEST)
    raw = chroma.float()
    gentle = raw / scale.clamp_min(DARKEST_GRADIENT)
    ab = CHROMA_RANGE * (gentle + (raw / scale - gentle).detach())
    return lab_to_rgb(torch.cat((100 * scale, ab), dim=1))


def rgb_to_chroma(rgb: Tensor) -> Tensor:
    """(B, 3, H, W) sRGB in [0, 1] to the chroma (B, 2, H, W) that `chroma_to_rgb` makes it of."""
    lab = rgb_to_lab(rgb)
    scale = (lab[:, :1] / 100).clamp_min(DARKEST)
    return (lab[:, 1:] * scale / CHROMA_RANGE).clamp(-1, 1)
