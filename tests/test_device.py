"""CHIMLE_DEVICE: a wrong name lists the right ones; memory that is used again."""

import platform
import resource
import subprocess
import sys

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


KEPT = """
import torch
from chimle.device import prepare_process
if {prepared}:
    prepare_process()
def resident():
    return int(open("/proc/self/statm").read().split()[1])
torch.ones(2**10)
before = resident()
torch.ones(2**24)
print(resident() - before)
"""
PAGES = 2**26 // resource.getpagesize()
"""Of the tensor that is made and freed, 64 MiB."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not the GNU C library")
def test_the_memory_of_freed_tensors_is_kept_to_be_used_again() -> None:
    kept = []
    for prepared in (False, True):
        command = [sys.executable, "-c", KEPT.format(prepared=prepared)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        kept.append(int(done.stdout))
    assert kept[0] < PAGES // 2 < kept[1]
