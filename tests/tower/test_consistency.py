"""Agreement with the input: exact, differentiable, the same in bands and inside the tower."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from chimle.images.colour import lightness
from chimle.images.jpeg import JpegIntervals, intervals_of, quality_tables, read_jpeg_code
from chimle.images.pyramid import reduce, to_tensor, to_uint8
from chimle.tower.consistency import (
    ClampTowards,
    agree_with_jpeg,
    agree_with_lightness,
    agree_with_reduction,
    agreeing,
    reduction_matrix,
)


def smooth(seed: int, height: int, width: int) -> np.ndarray:
    """A random image with some detail, away from the ends of the range."""
    generator = np.random.default_rng(seed)
    small = generator.integers(60, 196, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    large = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    noise = generator.integers(-10, 11, (height, width, 3))
    return (np.asarray(large).astype(int) + noise).clip(0, 255).astype(np.uint8)


def decibels(first: np.ndarray, second: np.ndarray) -> float:
    error = float(((first.astype(float) - second) ** 2).mean())
    return 100.0 if error == 0 else 10 * float(np.log10(255**2 / error))


def jpeg_file(rgb: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format="JPEG", **options)
    return buffer.getvalue()


def decoded(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


@pytest.mark.parametrize(("size", "reduced"), [(64, 4), (48, 3), (128, 8), (35, 7), (32, 32)])
def test_the_matrix_is_pillows_reduction(size: int, reduced: int) -> None:
    identity = Image.fromarray(np.eye(size, dtype=np.float32))
    theirs = np.asarray(identity.resize((size, reduced), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(reduction_matrix(size, reduced).numpy(), theirs, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.sampled_from([2, 4, 16]), st.integers(0, 99))
def test_a_reduced_image_is_the_input(height: int, width: int, factor: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.rand(2, 3, height, width, generator=generator)
    images = torch.rand(6, 3, factor * height, factor * width, generator=generator)
    agreed = agree_with_reduction(images, inputs).double()
    rows, columns = (reduction_matrix(factor * side, side) for side in (height, width))
    found = rows @ agreed @ columns.T
    assert float((found - inputs.repeat_interleave(3, 0)).abs().max()) < 1e-5
    again = agree_with_reduction(agreed.float(), inputs)
    assert float((again - agreed).abs().max()) < 1e-5, "what agrees already does not move"


def test_rounded_to_8_bits_a_reduced_image_is_the_input() -> None:
    target, other = smooth(1, 64, 96), smooth(2, 64, 96)
    given_ = reduce(target, (4, 6))
    agreed = agreeing(lambda x: agree_with_reduction(x, to_tensor([given_])), to_tensor([other]))
    assert decibels(reduce(to_uint8(agreed)[0], (4, 6)), given_) > 50


def test_lightness_is_the_inputs_and_black_stays_black() -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    light = lightness(to_tensor([np.repeat(grey, 8, axis=0)]))
    chroma = torch.rand(1, 2, 8, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    rgb = agree_with_lightness(light, chroma.requires_grad_())
    (gradient,) = torch.autograd.grad(rgb.sum(), chroma)
    assert gradient.isfinite().all()
    assert float(gradient[..., 128:].abs().mean()) > 0.01, "chroma outside the gamut still learns"
    rounded = lightness(to_tensor(list(to_uint8(rgb))))
    assert float((rgb - rgb.clamp(0, 1)).abs().max()) == 0
    assert float((rounded - light).abs().mean()) * 100 <= 0.15
    assert float(rounded[..., 0].max()) * 100 < 1


@pytest.mark.parametrize("quality", [1, 10, 50, 90])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_coefficients_lie_in_their_intervals(quality: int, subsampling: int) -> None:
    """Compressed again, an image near the original gives the file's image."""
    target = smooth(3, 48, 80)
    options = {"quality": quality, "subsampling": subsampling}
    content = jpeg_file(target, **options)
    code = read_jpeg_code(Image.open(io.BytesIO(content)))
    assert code is not None
    inputs = decoded(content)
    noise = np.random.default_rng(4).normal(0, 12, target.shape)
    other = (target + noise).clip(0, 255).astype(np.uint8)
    jpeg = intervals_of([code])
    agreed = agreeing(lambda x: agree_with_jpeg(x, to_tensor([inputs]), jpeg), to_tensor([other]))
    again = decoded(jpeg_file(to_uint8(agreed)[0], **options))
    without = decoded(jpeg_file(other, **options))
    # Compressed once more, the file's own image may change, too: its chrominance was rounded.
    itself = decibels(decoded(jpeg_file(inputs, **options)), inputs)
    assert decibels(again, inputs) > min(45, itself - 1)
    assert decibels(again, inputs) > decibels(without, inputs)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_blocks_are_found_in_every_orientation(orientation: int) -> None:
    """An upright image agrees as the stored one does."""
    stored = decoded(jpeg_file(smooth(5, 48, 64), quality=20))
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = jpeg_file(stored, quality=20, exif=exif)
    from PIL import ImageOps

    image = Image.open(io.BytesIO(turned))
    code = read_jpeg_code(image)
    assert code is not None
    assert code.orientation == orientation
    upright = np.asarray(ImageOps.exif_transpose(image.convert("RGB")))
    other = smooth(6, *upright.shape[:2])
    agreed = agree_with_jpeg(to_tensor([other]), to_tensor([upright]), intervals_of([code]))
    moved = agree_with_jpeg(agreed, to_tensor([upright]), intervals_of([code]))
    assert float((moved - agreed).abs().max()) < 1e-3, "what agrees already does not move"
    assert agreed.shape[-2:] == upright.shape[:2]


def test_unknown_tables_restrict_nothing() -> None:
    images = torch.rand(2, 3, 16, 16)
    jpeg = JpegIntervals(torch.full((2, 2, 8, 8), 1e6))
    moved = agree_with_jpeg(images, torch.rand(2, 3, 16, 16), jpeg)
    torch.testing.assert_close(moved, images, atol=1e-4, rtol=0)


def test_candidates_share_their_inputs_intervals() -> None:
    generator = torch.Generator().manual_seed(2)
    inputs = torch.rand(2, 3, 32, 32, generator=generator)
    images = torch.rand(6, 3, 32, 32, generator=generator)
    jpeg = JpegIntervals(torch.from_numpy(np.stack([quality_tables(5), quality_tables(60)])))
    together = agree_with_jpeg(images, inputs, jpeg)
    for row in range(6):
        alone = agree_with_jpeg(
            images[row : row + 1], inputs[row // 3 :][:1], jpeg.rows(slice(row // 3, row // 3 + 1))
        )
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=0)


def test_a_clamp_passes_only_gradients_that_lead_inside() -> None:
    values = torch.tensor([-1.0, -1.0, 0.5, 2.0, 2.0], requires_grad=True)
    gradient: Tensor = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0])
    clamped = ClampTowards.apply(values, 0.0, 1.0)  # type: ignore[no-untyped-call]
    assert clamped.tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    (found,) = torch.autograd.grad(clamped, values, gradient)
    assert found.tolist() == [0.0, -1.0, 1.0, 1.0, 0.0]
