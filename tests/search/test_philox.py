"""Random words: published vectors, and one kernel with the bits of the tensor arithmetic."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import torch

from chimle.search import philox as philox_module
from chimle.search.philox import kernel_works, philox, philox_words


def test_philox_equals_published_vectors() -> None:
    """The vectors published with Random123 for philox4x32-10."""

    def philox_words(counter: int, key: int) -> list[int]:
        four, two = (torch.full((n,), word) for n, word in ((4, counter), (2, key)))
        words: list[int] = philox((four[0], four[1], four[2], four[3]), (two[0], two[1])).tolist()
        return words

    full = 0xFFFFFFFF
    assert philox_words(0, 0) == [
        0x6627E8D5,
        0xE169C58D,
        0xBC57AC4C,
        0x9B00DBD8,
    ]
    assert philox_words(full, full) == [
        0x408F276D,
        0x41C83B0E,
        0xA20BC7C6,
        0x6D5451FD,
    ]


_KERNEL = """
import torch
from chimle.search.philox import philox_words
from chimle.search.philox_triton import philox_words as in_one_kernel

generator = torch.Generator().manual_seed(0)
for images, codes, blocks in ((1, 1, 1), (3, 2, 5), (2, 3, 300), (2, 5, 257), (2, 0, 4), (1, 2, 0)):
    shapes = ((images, 2), (images, codes), (blocks,))
    words = [torch.randint(0, 2**32, shape, generator=generator) for shape in shapes]
    # Not contiguous, as the keys of one level of several are.
    words[0] = torch.stack((words[0], words[0]), dim=1)[:, 1]
    assert torch.equal(in_one_kernel(*words), philox_words(*words)), shapes
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_the_kernel_has_the_bits_of_the_tensor_arithmetic() -> None:
    """By Triton's interpreter, which needs no GPU."""
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, "-c", _KERNEL], check=True, env=environment)


def _broken(*_: torch.Tensor) -> torch.Tensor:
    raise RuntimeError("no C compiler")


def _wrong(keys: torch.Tensor, indices: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
    return philox_words(keys, indices, blocks) ^ 1


@pytest.mark.parametrize(
    ("kernel", "agrees"), [(philox_words, True), (_broken, False), (_wrong, False)]
)
def test_a_kernel_that_fails_or_has_other_bits_is_not_used(
    kernel: Callable[..., torch.Tensor], agrees: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("chimle.search.philox_triton")
    monkeypatch.setattr(module, "philox_words", kernel, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.delattr("chimle.search.philox_triton", raising=False)
    assert philox_module._kernel_agrees(torch.device("cpu")) is agrees


def test_nothing_is_compiled_without_a_compiler_or_headers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "gcc").touch(mode=0o755)
    (tmp_path / "Python.h").touch()
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    assert philox_module.can_compile()
    (tmp_path / "Python.h").unlink()
    assert not philox_module.can_compile()
    (tmp_path / "Python.h").touch()
    (tmp_path / "gcc").unlink()
    assert not philox_module.can_compile()


def test_a_cpu_uses_the_tensor_arithmetic() -> None:
    assert not kernel_works(torch.device("cpu"))
