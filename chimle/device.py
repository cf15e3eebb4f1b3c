"""Which device computes."""

import os

import torch

from chimle.errors import UserError


def choose_device() -> torch.device:
    """`CHIMLE_DEVICE` where set, else CUDA, Apple's MPS or the CPU, whichever is there first.

    Raises:
        UserError: the named device does not exist here.
    """
    wanted = os.environ.get("CHIMLE_DEVICE")
    if not wanted:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"CHIMLE_DEVICE={wanted} cannot be used here: {reason}") from None
    return device
