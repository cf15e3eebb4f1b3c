"""Which device computes."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from chimle.errors import UserError, first_line


def flush_denormals() -> None:
    """Let the CPU take numbers below 1e-38 for zero from now on, in this thread and its children.

    Momenta of weights that no longer learn decay into that range, where a processor computes ten
    times slower: a training step took 18 seconds instead of 6.
    """
    torch.set_flush_denormal(True)


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Compute in the numbers' own precision, whatever autocast says."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()  # The meta device knows of none.


def choose_device() -> torch.device:
    """`CHIMLE_DEVICE` where set, else CUDA, Apple's MPS or the CPU, whichever is there first.

    Called before the first computation, for it also quickens the CPU.

    Raises:
        UserError: the named device does not exist here.
    """
    flush_denormals()
    wanted = os.environ.get("CHIMLE_DEVICE")
    if not wanted:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = first_line(error)
        raise UserError(f"CHIMLE_DEVICE={wanted} cannot be used here: {reason}") from None
    return device
