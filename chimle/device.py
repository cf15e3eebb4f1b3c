"""Which device computes, in which arithmetic and layout in memory."""

import ctypes
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import Any, Literal, ParamSpec, TypeVar

import torch

from chimle.errors import UserError, first_line

Precision = Literal["fp32", "bf16"]
"""Arithmetic of convolutions and linear layers."""
Arguments = ParamSpec("Arguments")
Made = TypeVar("Made")

DEVICE_NAMES = r"cpu|cuda(:\d{1,3})?|mps"
"""Pattern of the values of CHIMLE_DEVICE."""


KEPT_BYTES = 2**27
"""Bytes of freed memory that a process keeps, and the largest block that it takes from them."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Names of two parameters of `mallopt` (malloc.h)."""


def flush_denormals() -> None:
    """Flush denormals, numbers below 1e-38, to zero in this thread and its children.

    Momenta of weights that no longer learn decay into that range, where a processor computes ten
    times slower: a training step took 18 seconds instead of 6.
    """
    torch.set_flush_denormal(True)


def keep_freed_memory() -> None:
    """Let glibc keep the memory of freed tensors for the next ones, up to `KEPT_BYTES`.

    By default it returns large blocks to the system, which has to fill their pages with zeros when
    the next tensor of that size asks for them: up to a quarter of the time of a small convolution.
    Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, KEPT_BYTES)


def prepare_process() -> None:
    """What every process that computes does first: `flush_denormals` and `keep_freed_memory`."""
    flush_denormals()
    keep_freed_memory()


def make_fp32_exact() -> None:
    """Compute fp32 convolutions and matrix products in fp32 on CUDA, not in TF32.

    PyTorch lets cuDNN round the inputs of fp32 convolutions to TF32's ten bits by default.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


@contextmanager
def deterministic(device: torch.device, wanted: bool = True) -> Iterator[None]:
    """Ask CUDA for the same bits from the same work; the CPU gives them anyhow.

    Set the environment variable CUBLAS_WORKSPACE_CONFIG before CUDA starts: `choose_device` does.
    """
    if device.type != "cuda" or not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    benchmark = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    # Filling new memory with NaN, to catch reads of what nothing wrote, would cost a launch each.
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010 - untyped
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.backends.cudnn.benchmark = benchmark


def device_identity(device: torch.device) -> str:
    """What the bits of a computation depend on beside its inputs: the device's kind and model.

    CPUs of one kind share the name `cpu`: fp32 sums may differ in the last places between models.
    """
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)} torch {torch.__version__}"
    return device.type


def free_bytes(device: torch.device) -> int | None:
    """Memory that a CUDA device has free; None for other devices."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None


def arithmetic(device: torch.device, precision: Precision) -> torch.autocast:
    """Compute in this arithmetic. Kernels are cast where they are made, and nothing is cached."""
    enabled = precision == "bf16"
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled, cache_enabled=False)


def compute_dtype(weight: torch.Tensor) -> torch.dtype:
    """The number type in which a convolution of this weight computes, under autocast or not."""
    kind = weight.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return weight.dtype


def nhwc(tensor: torch.Tensor) -> torch.Tensor:
    """The same (B, C, H, W) with channels last in memory, without a copy where they are already."""
    return tensor.contiguous(memory_format=torch.channels_last)


def cached_constants(make: Callable[Arguments, Made]) -> Callable[Arguments, Made]:
    """A function whose tensors follow from its arguments alone, made once and kept.

    They are ordinary tensors even where inference mode is on: what inference mode makes, no later
    backward pass may use.
    """
    return lru_cache(maxsize=64)(torch.inference_mode(mode=False)(make))  # type: ignore[return-value]


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Compute in the numbers' own precision, whatever autocast says."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()  # The meta device knows of none.


def choose_device() -> torch.device:
    """`CHIMLE_DEVICE` where set, else CUDA, Apple's MPS or the CPU, whichever is there first.

    Called before the first computation: it also flushes denormals, makes fp32 exact and lets the
    process keep the memory of freed tensors.

    Raises:
        UserError: the named device does not exist here.
    """
    prepare_process()
    make_fp32_exact()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it starts.
    name = os.environ.get("CHIMLE_DEVICE")
    if not name:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if not re.fullmatch(DEVICE_NAMES, name):
        raise UserError(f"CHIMLE_DEVICE={name} is no device: use cpu, cuda, cuda:0, .. or mps")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = first_line(error)
        raise UserError(
            f"CHIMLE_DEVICE={name} cannot be used here ({reason}): use {', '.join(_available())}"
        ) from None
    return device


def _available() -> list[str]:
    """Names of the devices of this machine."""
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]
