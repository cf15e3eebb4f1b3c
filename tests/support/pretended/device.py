"""A pretended CUDA device on a CPU build of PyTorch: it computes nothing and counts everything.

Importing this module compiles `device.cpp`, loads it into the process, and only then imports
torch: import it before anything else that imports torch. Under `MODE`, tensors have shapes, types
and layouts on any device, but no values. An operation on tensors of two devices raises; so does one
whose result's shape depends on values, for which the host would wait.
"""

import ctypes
import importlib.util
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CANNOT = 77
"""Exit code of a process in which the device cannot be had."""


def _give_up(reason: str) -> None:
    print(reason)
    sys.exit(CANNOT)


def _load() -> None:
    """Compile and load the device; end the process with `CANNOT` where that is not possible."""
    assert "torch" not in sys.modules, "the pretended device comes before torch"
    spec = importlib.util.find_spec("torch")
    assert spec is not None
    assert spec.submodule_search_locations
    torch_folder = Path(spec.submodule_search_locations[0])
    library = torch_folder / "lib" / "libtorch_cpu.so"
    if not library.exists():
        _give_up("this torch is no Linux build")
    if (torch_folder / "lib" / "libtorch_cuda.so").exists():
        _give_up("this torch was built with CUDA: it has a device of its own")
    built = Path(tempfile.mkdtemp()) / "device.so"
    include = torch_folder / "include"
    try:
        subprocess.run(
            [
                *("g++", "-std=c++20", "-O0", "-shared", "-fPIC"),
                *(f"-I{include}", f"-I{include}/torch/csrc/api/include"),
                *(
                    f"-I{sysconfig.get_path('include')}",
                    str(Path(__file__).with_name("device.cpp")),
                ),
                *("-o", str(built)),
            ],
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        _give_up("g++ is not installed")
    except subprocess.CalledProcessError as error:
        first = next((line for line in error.stderr.splitlines() if "error" in line), "no reason")
        _give_up(f"this version of torch does not fit the pretended device: {first}")
    ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
    ctypes.CDLL(str(built))


_load()

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.cuda.amp.common  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

DEVICE = torch.device("cuda", 0)
MEMORY = 80 * 2**30
"""Bytes that the device has, all of them free."""
VIEWS = {
    *("alias", "as_strided", "detach", "expand", "lift_fresh", "permute", "reshape", "select"),
    *("slice", "split", "split_with_sizes", "squeeze", "t", "transpose", "unbind", "unflatten"),
    *("unsqueeze", "view", "_unsafe_view", "_reshape_alias", "device", "is_pinned"),
    *("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"),
}
"""Operations that launch nothing."""


def _layout(tensor: Tensor) -> str:
    """The layout in which cuDNN takes an image or a kernel; slices of NHWC stay NHWC."""
    _, channels, rows, columns = tensor.stride()
    return "NHWC" if channels <= columns <= rows else "NCHW"


@dataclass(frozen=True)
class Found:
    """What a computation does on the device.

    Attributes:
        launches: operations that launch a kernel.
        waits: how often the host waits for the device, by reason and line.
        layouts: number of convolutions by layout of their image and their kernel.
        doubles: how often something is computed or kept in fp64 there, by line.
        step_waits: waits in every gradient step, where a training is counted.
    """

    launches: int
    waits: dict[str, int]
    layouts: dict[str, int]
    doubles: dict[str, int]
    step_waits: list[int]


class Count(TorchDispatchMode):
    """Counts what is computed on the device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.launches = 0
        self.waits: Counter[str] = Counter()
        self.layouts: Counter[str] = Counter()
        self.doubles: Counter[str] = Counter()
        self.step_waits: list[int] = []

    def found(self) -> Found:
        """The counts."""
        waits, layouts, doubles = map(dict, (self.waits, self.layouts, self.doubles))
        return Found(self.launches, waits, layouts, doubles, self.step_waits)

    def wait(self, reason: str) -> None:
        """Note that the host waited."""
        self.waits[f"{reason} at {_caller()}"] += 1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name.split("::")[1]
        if name == "_local_scalar_dense":
            return self._scalar(args[0])
        made = func(*args, **kwargs)
        outputs = [t for t in tree_leaves(made) if isinstance(t, Tensor)]
        if any(t.device.type == "cuda" and t.dtype == torch.float64 for t in outputs):
            self.doubles[_caller()] += 1
        if name in VIEWS:
            return made
        inputs = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        kinds = {t.device.type for t in outputs or inputs}
        if name in ("_to_copy", "copy_"):
            self._copied(inputs[-1].device.type, outputs[0].device.type, args, kwargs)
        if "cuda" in kinds:
            self.launches += 1
            if "convolution" in name:
                image, kernel = map(_layout, _operands(name, inputs))
                self.layouts[f"image {image}, kernel {kernel}"] += 1
        return made

    def _scalar(self, tensor: Tensor) -> float | int:
        """A value read: 0 from the device; 1 from the host, where an optimiser counts its steps."""
        if tensor.device.type == "cuda":
            self.wait("a value read")
        value = int(tensor.device.type == "cpu")
        return float(value) if tensor.dtype.is_floating_point else value

    def _copied(self, source: str, goal: str, args: Any, kwargs: dict[str, Any]) -> None:
        # A copy from ordinary memory of the host is staged; the host goes on unless told to wait.
        free = kwargs.get("non_blocking", False) or (len(args) > 2 and args[2] is True)
        if {source, goal} == {"cpu", "cuda"} and (goal == "cpu" or not free):
            self.wait(f"a copy from {source} to {goal}")


def _operands(name: str, inputs: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Image and kernel of a convolution or of its backward pass, whose first is the gradient."""
    first = 1 if "backward" in name else 0
    return inputs[first], inputs[first + 1]


def _caller() -> str:
    """The line of the project that is being run."""
    frame = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        for folder in ("chimle", "stages", "diffusers"):
            if folder in path.parts:
                return f"{path.name}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]
    return "elsewhere"


_counting: list[Count] = []


def _read(tensor: Tensor) -> np.ndarray:
    """Zeros in the place of a tensor's values."""
    if tensor.device.type == "cuda" and _counting:
        _counting[-1].wait("values read")
    return np.zeros(tensor.shape, str(tensor.dtype).removeprefix("torch."))


def _numpy(tensor: Tensor) -> np.ndarray:
    if tensor.device.type != "cpu":
        raise TypeError(f"a tensor on {tensor.device} is no array: move it to the CPU first")
    return _read(tensor)


def _copy(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
    """What `copy.deepcopy` makes of a tensor without values."""
    made = tensor.detach().clone()
    memo[id(tensor)] = made
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(made, tensor.requires_grad)
    return made


@contextmanager
def counted() -> Iterator[Count]:
    """Count what is computed."""
    count = Count()
    _counting.append(count)
    try:
        with count:
            yield count
    finally:
        _counting.pop()


MODE = FakeTensorMode(allow_non_fake_inputs=True)
"""Compute shapes instead of values. One for the process: the project keeps some constants."""


def without_values(module: nn.Module) -> nn.Module:
    """Replace a module's tensors by tensors without values, in place."""
    return _apply(module, MODE.from_tensor)


def _apply(self: nn.Module, change: Any, recurse: bool = True) -> nn.Module:
    """`nn.Module._apply`, which cannot change a parameter without values in place."""
    for part in self.modules() if recurse else [self]:
        for name, parameter in part._parameters.items():
            if parameter is not None:
                changed = change(parameter).detach()
                part._parameters[name] = nn.Parameter(changed, parameter.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = change(buffer)
    return self


def _patch() -> None:
    """Answer what torch asks of the driver, and read zeros from tensors without values."""
    cuda = torch.cuda
    cuda.amp.common.amp_definitely_not_available = lambda: False
    cuda.is_bf16_supported = lambda *_: True
    cuda.mem_get_info = lambda *_: (MEMORY, MEMORY)
    tensor: Any = FakeTensor
    tensor.tolist = lambda self: _read(self).tolist()
    tensor.numpy = _numpy
    tensor.__deepcopy__ = _copy
    module: Any = nn.Module
    module._apply = _apply


_patch()
