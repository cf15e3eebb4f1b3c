"""Export of a tower as ONNX or as an exported torch program, compared with the tower.

The exported graph takes `image_1 .. image_L` (the RGB input at every level's size, coarse first;
super-resolution: only `image_1`), `style_1 .. style_L` and `noise_1 .. noise_L` (standard
normals), and gives `image`, all float32, images (B, 3, H, W) in [0, 1].
"""

import copy
import hashlib
import io
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from chimle.bundles.bundle import Bundle
from chimle.errors import UserError
from chimle.images.colour import lightness
from chimle.io.files import write_bytes
from chimle.tasks import Wiring
from chimle.tower.blocks import keep_kernels
from chimle.tower.generator import LevelCode, Tower

TOLERANCE = 1e-4
"""Largest difference allowed between outputs of the file and of the tower."""
OPSET = 18


class Exported(nn.Module):
    """A tower from plain tensors to the finest image, with its weight normalisation applied.

    It is on the CPU, as its inputs are, wherever the tower is.
    """

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        self.tower = copy.deepcopy(tower).cpu().requires_grad_(False)
        keep_kernels(self.tower)

    def forward(self, images: list[Tensor], styles: list[Tensor], noises: list[Tensor]) -> Tensor:
        """Per level (B, 3, h, w) in [0, 1], (B, style_size), (B, noise_channels, h, w)."""
        if self.tower.wiring is Wiring.COLOURIZATION:
            images = [lightness(image) for image in images]
        codes = [LevelCode(style, noise) for style, noise in zip(styles, noises, strict=True)]
        output: Tensor = self.tower(images, codes)[-1]
        return output


LARGEST_SIDE = 16_384
"""Side of an exported graph's input, at most."""


def parse_size(text: str | None) -> tuple[int, int] | None:
    """`HEIGHTxWIDTH` as numbers; `UserError` for any other text."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and len(part) <= 9 for part in parts):
        raise UserError(f"`--size` {text[:40]}: write HEIGHTxWIDTH, as 256x384")
    height, width = map(int, parts)
    if not (1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE):
        raise UserError(f"`--size` {text}: sides are from 1 to {LARGEST_SIDE:,} pixels")
    return height, width


def example(bundle: Bundle, size: tuple[int, int], batch: int, seed: int = 0) -> list[list[Tensor]]:
    """Random arguments of `Exported.forward`: images, styles and noises, a list per kind.

    Args:
        bundle: the model.
        size: (height, width) of the finest input.
        batch: B.
        seed: of the numbers.

    Returns:
        Images (B, 3, h, w) in [0, 1], coarse first; (B, style_size) and (B, noise_channels, h, w),
        standard normals, per level.

    Raises:
        UserError: the levels do not divide `size`.
    """
    tower = bundle.tower
    levels, generator = tower.settings.levels, torch.Generator().manual_seed(seed)
    shifts = [0] if tower.wiring is Wiring.SUPER_RESOLUTION else list(range(levels - 1, -1, -1))
    if any(side % 2 ** shifts[0] for side in size):
        raise UserError(
            f"`--size` {size[0]}x{size[1]}: this model takes multiples of {2 ** shifts[0]}"
        )
    height, width = size
    images = [torch.rand((batch, 3, height >> s, width >> s), generator=generator) for s in shifts]
    shapes = tower.code_shapes_for(images)
    styles = [torch.randn((batch, s[0]), generator=generator) for s in shapes]
    noises = [torch.randn((batch, *s[1:]), generator=generator) for s in shapes]
    return [images, styles, noises]


def input_names(tower: Tower) -> list[str]:
    """Names of the graph's inputs, in the order of its arguments."""
    levels = range(1, tower.settings.levels + 1)
    images = [1] if tower.wiring is Wiring.SUPER_RESOLUTION else levels
    parts = (("image", images), ("style", levels), ("noise", levels))
    return [f"{name}_{level}" for name, numbers in parts for level in numbers]


def _dynamic(inputs: list[list[Tensor]], any_size: bool) -> Any:
    """Dynamic dimensions of the arguments."""
    auto = torch.export.Dim.DYNAMIC
    sides = {2: auto, 3: auto} if any_size else {}

    def shape(tensor: Tensor) -> dict[int, Any]:
        return {0: auto, **(sides if tensor.ndim == 4 else {})}

    return tuple([shape(tensor) for tensor in group] for group in inputs)


def _onnx_of(module: Exported, inputs: list[list[Tensor]], any_size: bool) -> bytes:
    """The content of an ONNX file."""
    try:
        import onnxruntime  # noqa: F401 - checks the file once it is made, which takes long
        import onnxscript  # noqa: F401
    except ImportError:
        raise UserError(
            "export to ONNX needs onnx, onnxscript and onnxruntime: pip install 'chimle[export]'"
        ) from None
    program = torch.onnx.export(
        module,
        tuple(inputs),
        input_names=input_names(module.tower),
        output_names=["image"],
        opset_version=OPSET,
        dynamo=True,
        dynamic_shapes=_dynamic(inputs, any_size),
        verbose=False,
    )
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content


def _run_onnx(content: bytes, names: list[str], inputs: list[list[Tensor]]) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    flat = [tensor.numpy() for group in inputs for tensor in group]
    return torch.from_numpy(session.run(["image"], dict(zip(names, flat, strict=True)))[0])


def _check_outputs(found: Tensor, expected: Tensor, file: Path) -> float:
    difference = float((found - expected).abs().max())
    if not difference <= TOLERANCE:
        raise UserError(
            f"{file} was not written: its outputs differ from the tower's by {difference:.1e}, "
            f"more than {TOLERANCE:.0e}"
        )
    return difference


@torch.no_grad()
def export(
    bundle: Bundle, out: Path, format_: str, size: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Write a tower as ONNX or as an exported torch program.

    Args:
        bundle: the model.
        out: file to write; written only if its outputs equal the tower's.
        format_: `onnx` or `torch`.
        size: (height, width) of the input for a graph of fixed size; None: any size, which
            agreement with a super-resolution input excludes: its matrices are made for a size. The
            graph takes any batch size.

    Returns:
        Plain values about the file.

    Raises:
        UserError: `out` exists, a package is missing, `size` does not fit, or the outputs differ.
    """
    if os.path.lexists(out):
        raise UserError(f"{out} exists already: name another file or remove it")
    sizes = bundle.settings.tower
    chained = bundle.tower.wiring is Wiring.SUPER_RESOLUTION
    if size is None and chained and sizes.agreement == "exact":
        raise UserError(
            "a super-resolution model that agrees with its input is exported for one size: give "
            "`--size HEIGHTxWIDTH` of the input"
        )
    module = Exported(bundle.tower).eval()
    unit = 2 ** (sizes.levels - 1)
    inputs = example(bundle, size or (4 * unit, 6 * unit), batch=2)
    # Not the batch size that is traced, nor the image size where the graph takes any.
    others = example(bundle, size or (6 * unit, 5 * unit), batch=3, seed=1)
    module(*inputs)  # Constants are made outside the trace.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        if format_ == "onnx":
            content = _onnx_of(module, inputs, size is None)
            found = _run_onnx(content, input_names(bundle.tower), others)
        else:
            program = torch.export.export(
                module, tuple(inputs), dynamic_shapes=_dynamic(inputs, size is None), strict=False
            )
            # In memory: torch ends the process where it cannot write a file.
            buffer = io.BytesIO()
            torch.export.save(program, buffer)
            content = buffer.getvalue()
            found = torch.export.load(buffer).module()(*others)
        difference = _check_outputs(found, module(*others), out)
    write_bytes(out, content)
    return {
        "what": f"{format_} graph",
        "file": str(out),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "inputs": input_names(bundle.tower),
        "size": f"{size[0]}x{size[1]}" if size else "any",
        "largest_difference_to_the_tower": f"{difference:.1e}",
    }
