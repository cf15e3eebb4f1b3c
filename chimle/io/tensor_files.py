"""Files of tensors that `torch.save` wrote, read without running anything in them."""

import pickle
from pathlib import Path
from typing import Any

import torch

from chimle.errors import UserError, first_line, is_memory_full
from chimle.io.files import no_file_reason


def read_tensors(path: Path, advice: str, mapped: bool = False) -> Any:
    """What a file holds: tensors on the CPU, in lists and mappings of plain values.

    Args:
        path: the file.
        advice: what a user is to do where it cannot be read.
        mapped: read each tensor when it is used; the file is a zip archive, as `torch.save` writes.

    Raises:
        UserError: it is no file, is damaged, or holds more than tensors and would run code.
    """
    if reason := no_file_reason(path):
        raise UserError(f"{path} {reason}: name a file of tensors")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except OSError:
        raise
    except Exception as error:  # Torch raises almost anything on damaged files.
        if is_memory_full(error):
            raise
        # Torch's own message advises to run whatever code the file holds.
        if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):
            reason = "holds more than tensors, or none at all, and is not unpickled"
        else:
            reason = f"is damaged or no file of tensors ({first_line(error)})"
        raise UserError(f"{path} {reason}: {advice}") from None
