"""Random views: the same move for image and target, which loses no pixel of an unshifted one."""

import numpy as np
import pytest
import torch
from torch import Tensor

from chimle.data.augmentation import ORIENTATIONS, oriented
from chimle.perceptual.random_view import draw_view, viewed
from chimle.settings.perceptual import PerceptualSettings

IMAGES = torch.rand((2, 3, 6, 6), generator=torch.Generator().manual_seed(0))


def view(rows: int, columns: int, orientation: int) -> Tensor:
    return torch.tensor([rows, columns, orientation])


def as_augmented(images: Tensor, orientation: int) -> Tensor:
    """(B, 3, S, S) in an orientation of augmentation."""
    return torch.stack(
        [torch.tensor(oriented(i.permute(1, 2, 0).numpy(), orientation).copy()) for i in images]
    ).permute(0, 3, 1, 2)


@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
def test_orientations_are_those_of_augmentation(orientation: int) -> None:
    found = viewed(IMAGES, view(0, 0, orientation))
    assert torch.equal(found, as_augmented(IMAGES, orientation))


def test_the_eight_orientations_differ() -> None:
    found = {viewed(IMAGES, view(0, 0, n)).numpy().tobytes() for n in range(ORIENTATIONS)}
    assert len(found) == ORIENTATIONS


@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
def test_a_shifted_image_is_reflected_at_its_border(orientation: int) -> None:
    turned = as_augmented(IMAGES, orientation & 1).numpy()
    edges = ((0, 0), (0, 0), (2, 0), (1, 0))
    source = torch.from_numpy(np.pad(turned, edges, mode="reflect")[:, :, :6, :6])
    shifted = viewed(IMAGES, view(2, 1, orientation))
    assert torch.equal(shifted, as_augmented(source, orientation & 6))


def test_a_small_image_is_shifted_by_less_than_its_side() -> None:
    small = IMAGES[..., :2, :2]
    assert torch.isin(viewed(small, view(8, 8, 3)), small).all()


def test_views_are_named_by_seed_and_step() -> None:
    settings = PerceptualSettings(shift=8, turn=True)
    views = torch.stack([draw_view(settings, 0, step) for step in range(400)])
    assert torch.equal(views[7], draw_view(settings, 0, 7))
    assert not torch.equal(views, torch.stack([draw_view(settings, 1, n) for n in range(400)]))
    assert {*views[:, 2].tolist()} == {*range(ORIENTATIONS)}
    assert {*views[:, 0].tolist()} == {*range(9)}


def test_turning_leaves_the_shifts_as_they_are() -> None:
    shifts = [
        draw_view(PerceptualSettings(shift=8, turn=turn), 3, 5)[:2].tolist()
        for turn in (False, True)
    ]
    assert shifts[0] == shifts[1]
    assert draw_view(PerceptualSettings(shift=8), 3, 5)[2] == 0


def test_gradients_come_back_to_the_image() -> None:
    images = IMAGES.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(viewed(images, view(0, 0, 5)).sum(), images)
    assert torch.equal(gradient, torch.ones_like(IMAGES))
