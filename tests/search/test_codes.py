"""Named codes: known bits, standard normal distribution, independence of batching."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chimle.search.codes import draw

SHAPE = (6, 2, 3, 5)


def test_normals_are_standard_and_independent() -> None:
    code = draw((1000, 1, 10, 10), [1, 2], torch.arange(50).expand(2, -1), level=0, seed=3)
    flat = torch.cat((code.style, code.noise.flatten(1)), dim=1)
    assert abs(flat.mean()) < 0.01
    assert abs(flat.std() - 1) < 0.01
    assert abs((flat**4).mean() - 3) < 0.1
    correlation = torch.corrcoef(flat)
    assert (correlation - torch.eye(100)).abs().max() < 0.2


@settings(max_examples=30)
@given(
    images=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=4, unique=True),
    count=st.integers(1, 7),
    split=st.integers(1, 6),
)
def test_a_code_depends_on_its_name_only(images: list[int], count: int, split: int) -> None:
    indices = torch.arange(count).expand(len(images), -1)
    whole = draw(SHAPE, images, indices, level=1, seed=5, round_=2)
    for row, image in enumerate(images):
        for part in indices[row].split(split):
            alone = draw(SHAPE, [image], part.unsqueeze(0), level=1, seed=5, round_=2)
            rows = row * count + part
            assert torch.equal(alone.style, whole.style[rows])
            assert torch.equal(alone.noise, whole.noise[rows])


def test_every_part_of_a_name_changes_the_code() -> None:
    index = torch.tensor([[4]])
    first = draw(SHAPE, [7], index, level=1, seed=5, round_=2).style
    others = [
        draw(SHAPE, [8], index, level=1, seed=5, round_=2),
        draw(SHAPE, [7], index + 1, level=1, seed=5, round_=2),
        draw(SHAPE, [7], index, level=0, seed=5, round_=2),
        draw(SHAPE, [7], index, level=1, seed=6, round_=2),
        draw(SHAPE, [7], index, level=1, seed=5, round_=3),
        draw(SHAPE, [7], index, level=1, seed=5, round_=2, purpose="sample"),
    ]
    assert all((other.style - first).abs().max() > 0.1 for other in others)
