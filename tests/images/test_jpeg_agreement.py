"""Agreement with JPEG images: intervals, orientations, unknown tables, deblocking."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from chimle.data.batch import starting_images
from chimle.images import jpeg_agreement
from chimle.images.clamp import ClampTowards
from chimle.images.jpeg import (
    JpegCode,
    JpegIntervals,
    intervals_of,
    quality_tables,
    read_jpeg_code,
)
from chimle.images.jpeg_agreement import agree_with_jpeg, as_stored, deblocked, upright
from chimle.images.pyramid import to_tensor, to_uint8
from chimle.settings.tower import TowerSettings
from chimle.tower.consistency import agreeing
from tests.support.jpeg import decibels, decoded, jpeg_file, smooth


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
    image = Image.open(io.BytesIO(turned))
    code = read_jpeg_code(image)
    assert code is not None
    assert code.orientation == orientation
    rgb = np.asarray(ImageOps.exif_transpose(image.convert("RGB")))
    other = smooth(6, *rgb.shape[:2])
    agreed = agree_with_jpeg(to_tensor([other]), to_tensor([rgb]), intervals_of([code]))
    moved = agree_with_jpeg(agreed, to_tensor([rgb]), intervals_of([code]))
    assert float((moved - agreed).abs().max()) < 1e-3, "what agrees already does not move"
    assert agreed.shape[-2:] == rgb.shape[:2]


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


def crushed(quality: int, height: int = 64, width: int = 96) -> tuple[Tensor, JpegIntervals]:
    """A decoded JPEG image (1, 3, H, W) of a quality, and its quantisation."""
    content = jpeg_file(smooth(7, height, width), quality=quality)
    return to_tensor([decoded(content)]), intervals_of([JpegCode(quality_tables(quality))])


def border_jumps(images: Tensor) -> float:
    """Mean step of the luminance across borders of blocks, relative to all other steps."""
    steps = images.mean(dim=1).diff(dim=-1).abs().mean(dim=(0, 1))
    borders = torch.arange(len(steps)) % 8 == 7
    return float(steps[borders].mean() / steps[~borders].mean())


def test_deblocked_images_have_no_borders_of_blocks() -> None:
    ramp = np.linspace(40, 200, 96) + np.linspace(0, 40, 64)[:, None]
    rgb = np.repeat(ramp.astype(np.uint8)[..., None], 3, axis=2)
    inputs = to_tensor([decoded(jpeg_file(rgb, quality=1))])
    found = deblocked(inputs, intervals_of([JpegCode(quality_tables(1))]))
    assert border_jumps(inputs) > 100
    assert border_jumps(found) < 1.5


@pytest.mark.parametrize("quality", [1, 20, 60, 95])
def test_deblocked_images_agree_with_their_files(quality: int) -> None:
    """Nothing is left to move, and images that agree with them agree with the file."""
    inputs, jpeg = crushed(quality)
    start = deblocked(inputs, jpeg)
    torch.testing.assert_close(agree_with_jpeg(start, inputs, jpeg), start, atol=0.02, rtol=0)
    other = to_tensor([smooth(8, 64, 96)])
    torch.testing.assert_close(
        agree_with_jpeg(other, start, jpeg), agree_with_jpeg(other, inputs, jpeg), atol=2e-3, rtol=0
    )


def harsh(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    """(H, W, 3) uint8 with black, white and saturated patches, whose JPEG images overshoot."""
    generator = np.random.default_rng(seed)
    patches = generator.integers(0, 2, (height // 4, width // 4, 3)) * 255
    noise = generator.normal(0, 20, (height, width, 3))
    patches = patches.repeat(4, axis=0).repeat(4, axis=1)
    return (patches + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("quality", [1, 5, 20, 50])
@pytest.mark.parametrize("seed", range(3))
def test_deblocked_images_of_harsh_contrast_agree_with_their_files(quality: int, seed: int) -> None:
    jpeg = intervals_of([JpegCode(quality_tables(quality))])
    inputs = to_tensor([decoded(jpeg_file(harsh(seed), quality=quality))])
    start = deblocked(inputs, jpeg)
    assert not jpeg_agreement._disagreeing(start, inputs, jpeg).any()
    assert 0 <= float(start.min()) < float(start.max()) <= 1
    other = to_tensor([smooth(seed, *inputs.shape[-2:])])

    def agreed(given: Tensor) -> Tensor:
        return agreeing(lambda images: agree_with_jpeg(images, given, jpeg), other)

    np.testing.assert_array_equal(to_uint8(agreed(start)), to_uint8(agreed(inputs)))


def test_bands_of_deblocking_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, jpeg = crushed(3, height=100)
    whole = deblocked(inputs, jpeg)
    monkeypatch.setattr(jpeg_agreement, "DEBLOCKED_ROWS", 16)
    torch.testing.assert_close(deblocked(inputs, jpeg), whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deblocking_follows_the_orientation(orientation: int) -> None:
    inputs, jpeg = crushed(5, 40, 56)
    turned = upright(inputs, orientation)
    found = deblocked(turned, jpeg._replace(orientation=orientation))
    torch.testing.assert_close(as_stored(found, orientation), deblocked(inputs, jpeg))


def test_images_of_unknown_tables_are_not_deblocked() -> None:
    """In one batch with images whose tables are known."""
    inputs, jpeg = crushed(1)
    unknown = torch.full_like(jpeg.tables, 1e6)
    both = JpegIntervals(torch.cat((jpeg.tables, unknown)))
    found = deblocked(torch.cat((inputs, inputs)), both)
    torch.testing.assert_close(found[1:], inputs)
    torch.testing.assert_close(found[:1], deblocked(inputs, jpeg))


def test_only_towers_that_agree_start_from_deblocked_images() -> None:
    inputs, jpeg = crushed(1)
    rgb = list(to_uint8(inputs))
    plain = TowerSettings(agreement="none")
    assert torch.equal(starting_images(plain, rgb, jpeg), inputs)
    assert torch.equal(starting_images(TowerSettings(), rgb, None), inputs)
    assert torch.equal(starting_images(TowerSettings(), rgb, jpeg), deblocked(inputs, jpeg))
