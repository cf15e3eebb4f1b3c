"""What is done to the input is done to the target; a pose follows from its names alone."""

import hashlib
import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chimle.data import augmentation
from chimle.data.augmentation import augment, centre
from chimle.data.dataset import Pair
from chimle.images.degrade import jpeg
from chimle.images.jpeg import JpegCode, quality_tables
from chimle.images.pyramid import reduce
from chimle.tasks import TASKS, Task
from tests.support.helpers import ROOT

SAME_SIZE, ENLARGED = TASKS["colourization"], TASKS["super_resolution"]
DECOMPRESSION = TASKS["decompression"]
SEEDS, ROUNDS = st.integers(0, 2**31 - 1), st.integers(0, 10**6)


def colours(seed: int, side: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def enlarged_pair(seed: int, side: int = 96) -> Pair:
    """A pair whose input holds one pixel for every even cell of 16 x 16 pixels of its target."""
    small = colours(seed, side // 16)
    return Pair(f"p{seed}", small, small.repeat(16, 0).repeat(16, 1))


def alike(name: str, seed: int, side: int = 80) -> Pair:
    """A pair whose input is its target."""
    noise = colours(seed, side)
    return Pair(name, noise, noise)


def posed(pair: Pair, task: Task, seed: int = 0, round_: int = 0, turn: bool = True) -> Pair:
    return augment(pair, task, 64, seed=seed, round_=round_, turn=turn)


@settings(max_examples=60)
@given(seed=SEEDS, round_=ROUNDS, turn=st.booleans())
def test_input_and_target_are_posed_alike(seed: int, round_: int, turn: bool) -> None:
    """Exactly, at one size and at x16; were there text, it would be mirrored in both or in none."""
    one = posed(alike(f"n{seed}", seed), SAME_SIZE, seed, round_, turn)
    assert np.array_equal(one.input, one.target)
    assert one.target.shape == (64, 64, 3)
    large = posed(enlarged_pair(seed), ENLARGED, seed, round_, turn)
    assert large.input.shape == (4, 4, 3)
    assert large.target.shape == (64, 64, 3)
    assert np.array_equal(large.target, large.input.repeat(16, 0).repeat(16, 1))


@settings(max_examples=30)
@given(seed=SEEDS, round_=ROUNDS)
def test_a_posed_target_reduces_to_its_posed_input(seed: int, round_: int) -> None:
    """Up to rounding, with the real reduction, where no crop cuts its filter off."""
    target = colours(seed, 64)
    one = posed(Pair(f"r{seed}", reduce(target, (4, 4)), target), ENLARGED, seed, round_)
    again = reduce(one.target, (4, 4)).astype(int)
    assert np.abs(again - one.input).max() <= 2


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=2, max_size=6))
def test_order_does_not_matter(names: list[tuple[int, int]]) -> None:
    def target(name: tuple[int, int]) -> np.ndarray:
        return posed(alike(f"p{name[0]}", name[0]), SAME_SIZE, 5, name[1]).target

    ahead = {name: target(name) for name in names}
    back = {name: target(name) for name in names[::-1]}
    assert all(np.array_equal(ahead[name], back[name]) for name in names)


@pytest.mark.parametrize(
    ("resolution", "known"), [(64, True), (72, False), (88, False), (96, True)]
)
def test_a_crop_that_ends_within_blocks_has_no_tables(resolution: int, known: bool) -> None:
    """Blocks that are cut hold pixels that the crop lacks; a whole image has its own."""
    for side in (120, resolution):
        coded = jpeg(colours(3, side), 30)
        one = Pair("j", coded, coded, JpegCode(quality_tables(30)))
        for crop in (
            centre(one, DECOMPRESSION, resolution),
            augment(one, DECOMPRESSION, resolution, seed=1, round_=1, turn=False),
        ):
            assert crop.input.shape == (resolution, resolution, 3)
            assert (crop.jpeg is not None) == (known or side == resolution)


def test_the_tables_of_a_jpeg_turn_with_it() -> None:
    """Crops keep to the grid of blocks, and an image encoded again says the same of itself."""
    target = reduce(colours(3, 128), (96, 96))
    coded = jpeg(target, 30)
    tables = quality_tables(30) * (1 + np.arange(8))  # Made asymmetric, to see a transposition.
    one = Pair("j", coded, coded, JpegCode(tables))
    seen = Counter[bool]()
    for round_ in range(32):
        turned = posed(one, TASKS["decompression"], 1, round_)
        assert turned.jpeg is not None
        transposed = not np.array_equal(turned.jpeg.tables, tables)
        assert not transposed or np.array_equal(turned.jpeg.tables, tables.swapaxes(1, 2))
        seen[transposed] += 1
        places = [
            (top, left)
            for top in range(0, 33, 16)
            for left in range(0, 33, 16)
            for number in range(8)
            if bool(number & 1) == transposed
            and np.array_equal(
                augmentation.oriented(coded[top : top + 64, left : left + 64], number), turned.input
            )
        ]
        assert places
    assert min(seen.values()) > 5


def test_all_poses_of_a_square_come_equally_often() -> None:
    noise = alike("a", 2, 64)
    found = Counter(posed(noise, SAME_SIZE, 0, n).target.tobytes() for n in range(400))
    assert len(found) == 8
    assert min(found.values()) > 25


def test_rounds_seeds_and_images_differ() -> None:
    crops = {
        posed(alike(name, 1), SAME_SIZE, seed, round_).target.tobytes()
        for name in "ab"
        for seed in range(2)
        for round_ in range(5)
    }
    assert len(crops) == 20


def test_switched_off_only_crops_are_left() -> None:
    noise = alike("a", 3)
    windows = {
        noise.target[top : top + 64, left : left + 64].tobytes()
        for top in range(17)
        for left in range(17)
    }
    found = {posed(noise, SAME_SIZE, 0, n, turn=False).target.tobytes() for n in range(40)}
    assert len(found) > 30
    assert found <= windows


def fingerprints() -> list[str]:
    poses = (posed(alike(f"p{n}", n), SAME_SIZE, 7, n).target for n in range(6))
    return [hashlib.sha256(pose.tobytes()).hexdigest() for pose in poses]


_ELSEWHERE = """
import json, socket
def refuse(*args, **kwargs): raise AssertionError("no network when augmenting")
socket.create_connection = socket.getaddrinfo = refuse
from tests.data.test_augmentation import fingerprints
print(json.dumps(fingerprints()))
"""


def test_another_process_gives_the_same_without_the_network() -> None:
    command = [sys.executable, "-c", _ELSEWHERE]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == fingerprints()
