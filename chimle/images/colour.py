"""sRGB and CIE Lab (D65, 2 degrees) as differentiable tensor functions.

Every function is finite, with finite gradients, for every input in range.
"""

from typing import Any

import torch
from torch import Tensor

from chimle.device import cached_constants, without_autocast

_RGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
RGB_TO_YCC = (
    (0.299, 0.587, 0.114),
    (-0.168735892, -0.331264108, 0.5),
    (0.5, -0.418687589, -0.081312411),
)
"""RGB to luminance and chrominance (JFIF)."""
_XYZ_TO_RGB = tuple(map(tuple, torch.linalg.inv(torch.tensor(_RGB_TO_XYZ)).tolist()))
_WHITE = (0.95047, 1.0, 1.08883)
_CUBE_BELOW = 6.0 / 29.0
_SLOPE = 1.0 / (3.0 * _CUBE_BELOW**2)
GAMUT_SLACK = 1e-4
"""Linear light by which a colour may exceed 1 and count as inside: the rounded white point puts
neutral colours that far off."""
ROUNDING = 1e-6
"""Linear light by which rounding may take a colour below 0."""
MOST_CHROMA = 140.0
"""No colour of sRGB has a larger chroma."""
CHROMA_RANGE = 127.0
"""Published scale of the chroma that a tower predicts."""
DARKEST = 0.01
"""Published lower bound of the lightness that premultiplied chroma is divided by."""
DARKEST_GRADIENT = 0.1
"""Lower bound of the same divisor in the gradient, which else grows a hundredfold in the dark."""


@cached_constants
def _constant(values: tuple[Any, ...], device: torch.device) -> Tensor:
    """Constants as a float32 tensor, copied to each device once."""
    return torch.tensor(values, dtype=torch.float32, device=device)


def _mix(image: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """Channels (B, 3, H, W) times a 3x3 matrix, in fp32 whatever autocast says."""
    with without_autocast(image.device):
        return torch.einsum("oc,bchw->bohw", _constant(matrix, image.device), image)


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
    xyz = _mix(_linear(rgb.float()), _RGB_TO_XYZ)
    relative = xyz / _constant(_WHITE, xyz.device).view(1, 3, 1, 1)
    cubic = relative.clamp_min(_CUBE_BELOW**3) ** (1 / 3)
    f = torch.where(relative > _CUBE_BELOW**3, cubic, _SLOPE * relative + 4.0 / 29.0)
    fx, fy, fz = f.split(1, dim=1)
    return torch.cat((116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)), dim=1)


def _uncompressed(f: Tensor) -> Tensor:
    """Lab's f to relative light: the cube, below `_CUBE_BELOW` its tangent."""
    cubed = f.clamp_min(_CUBE_BELOW)
    return torch.add(cubed * cubed * cubed, f - cubed, alpha=1 / _SLOPE)


def _lab_to_linear(lab: Tensor, lowest_z: float | None = None) -> Tensor:
    """(B, 3, H, W) Lab to linear light, outside [0, 1] where Lab leaves the gamut.

    Args:
        lab: Lab.
        lowest_z: lower bound of the transformed Z; None: none.
    """
    lightness, a, b = lab.float().split(1, dim=1)
    fy = (lightness + 16) / 116
    fz = fy - b / 200
    if lowest_z is not None:
        fz = fz.clamp_min(lowest_z)
    f = torch.cat((fy + a / 500, fy, fz), dim=1)
    return _mix(_uncompressed(f) * _constant(_WHITE, f.device).view(1, 3, 1, 1), _XYZ_TO_RGB)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """(B, 3, H, W) Lab to sRGB, clamped to [0, 1] where Lab leaves the gamut."""
    return _gamma(_lab_to_linear(lab).clamp(0, 1)).clamp(0, 1)


@torch.no_grad()
def chroma_share(lightness: Tensor, ab: Tensor, halvings: int) -> Tensor:
    """The largest share of a chroma that stays in the sRGB gamut at its lightness and hue.

    Args:
        lightness: (B, 1, H, W) Lab L in [0, 100].
        ab: (B, 2, H, W) Lab a and b.
        halvings: of the interval [0, 1] that the share is searched in, by bisection.

    Returns:
        (B, 1, H, W) in [0, 1]: 1 inside the gamut, else too small by a chroma of at most
        2^-halvings times `MOST_CHROMA`.
    """
    # Every level of every candidate passes here. Planes one at a time, and what no share changes
    # only once, take a third of the time that `_lab_to_linear` for each halving took.
    fy = (lightness + 16) / 116
    to_x, to_z = ab[:, :1] / 500, ab[:, 1:] / -200
    y = _uncompressed(fy)
    rows = [[w * white for w, white in zip(row, _WHITE, strict=True)] for row in _XYZ_TO_RGB]
    of_y = [row[1] * y for row in rows]

    def fits(share: Tensor) -> Tensor:
        x = _uncompressed(torch.addcmul(fy, share, to_x))
        z = _uncompressed(torch.addcmul(fy, share, to_z))
        r, g, b = (
            torch.add(torch.add(fixed, x, alpha=row[0]), z, alpha=row[2])
            for row, fixed in zip(rows, of_y, strict=True)
        )
        darkest = torch.minimum(torch.minimum(r, g), b)
        brightest = torch.maximum(torch.maximum(r, g), b)
        return (darkest >= -ROUNDING) & (brightest <= 1 + GAMUT_SLACK)

    chroma = torch.linalg.vector_norm(ab, dim=1, keepdim=True)
    whole = torch.ones_like(lightness)
    low, step = torch.zeros_like(lightness), (MOST_CHROMA / chroma.clamp_min(MOST_CHROMA)) / 2
    for _ in range(halvings):
        middle = low + step
        low = torch.where(fits(middle), middle, low)
        step = step / 2
    return torch.where(fits(whole), whole, low)


def lightness(rgb: Tensor) -> Tensor:
    """(B, 3, H, W) sRGB in [0, 1] to Lab lightness L / 100, (B, 1, H, W) in [0, 1]."""
    return (rgb_to_lab(rgb)[:, :1] / 100).clamp(0, 1)


def chroma_to_rgb(light: Tensor, chroma: Tensor) -> Tensor:
    """Lightness and a tower's raw chroma to an image, as published.

    With l = max(L / 100, 0.01): L = 100 l, a = 127 out_a / l, b = 127 out_b / l. The published
    conversion bounds Lab's transformed Z and linear light below at 0 and nothing above. The
    gradient divides by max(l, 0.1), so that dark pixels cannot dominate the others.

    Args:
        light: (B, 1, H, W) lightness in [0, 1].
        chroma: (B, 2, H, W) tanh output in [-1, 1], premultiplied by lightness.

    Returns:
        (B, 3, H, W) sRGB from 0 up; above 1 where Lab leaves the gamut.
    """
    scale = light.float().clamp_min(DARKEST)
    raw = chroma.float()
    gentle = raw / scale.clamp_min(DARKEST_GRADIENT)
    ab = CHROMA_RANGE * (gentle + (raw / scale - gentle).detach())
    linear = _lab_to_linear(torch.cat((100 * scale, ab), dim=1), lowest_z=0.0)
    return _gamma(linear.clamp_min(0))


def rgb_to_chroma(rgb: Tensor) -> Tensor:
    """(B, 3, H, W) sRGB in [0, 1] to the chroma (B, 2, H, W) that `chroma_to_rgb` makes it of."""
    lab = rgb_to_lab(rgb)
    scale = (lab[:, :1] / 100).clamp_min(DARKEST)
    return (lab[:, 1:] * scale / CHROMA_RANGE).clamp(-1, 1)
