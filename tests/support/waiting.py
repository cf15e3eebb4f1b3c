"""Waiting for what other processes do, whatever time that takes them."""

import time
from collections.abc import Callable
from typing import Any

import psutil


def wait_until(true: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true value; the test fails if there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := true():
            return value
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds} seconds")


def is_alive(process: psutil.Process) -> bool:
    """Whether a process has not ended; one whose end its parent has not noticed has."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
