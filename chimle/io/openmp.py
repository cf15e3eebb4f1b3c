"""How torch's threads wait for work, decided before torch is loaded."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

SPINS = 300_000
"""Turns of a waiting thread before it sleeps, 3 ms: what GNU's OpenMP does by default."""


def wait_actively() -> None:
    """Let threads of GNU's OpenMP wait for the next operation awake, for 3 ms at most.

    A training step of a small tower is thousands of short operations. By default a thread sleeps
    after each of them as soon as the process has more threads than cores, and waking it takes
    longer than the operation: two threads were slower than one. Whoever sets OMP_WAIT_POLICY or
    GOMP_SPINCOUNT decides otherwise. Other OpenMP libraries, whose threads would wait for ever, and
    a torch that is loaded already are left as they are.
    """
    if sys.platform != "linux" or "torch" in sys.modules:
        return
    if {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        return
    torch = find_spec("torch")
    if torch and torch.origin and any(Path(torch.origin).parent.glob("lib/libgomp*")):
        os.environ |= {"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": str(SPINS)}
