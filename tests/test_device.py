"""CHIMLE_DEVICE: a wrong name lists the right ones."""

import pytest

from chimle.device import choose_device
from chimle.errors import UserError


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "CPU ", "meta", "cpu:0:1", "\n"])
def test_a_name_that_is_no_device_lists_what_is_allowed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHIMLE_DEVICE", name)
    with pytest.raises(UserError, match=r"use cpu, cuda, cuda:0, \.\. or mps"):
        choose_device()


def test_a_device_that_is_not_there_lists_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHIMLE_DEVICE", "cuda:999")
    with pytest.raises(UserError, match=r"cannot be used here .*: use cpu"):
        choose_device()


def test_the_cpu_is_always_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHIMLE_DEVICE", "cpu")
    assert choose_device().type == "cpu"
