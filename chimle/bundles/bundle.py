"""Model bundles: weights (safetensors), settings and provenance (JSON) in a folder or zip file.

Loading runs no code from the bundle. Saving the same tower gives the same bytes: no time stamps.
"""

import hashlib
import json
import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from chimle.errors import UserError, first_line
from chimle.io.files import replaced_folder, write_bytes, write_text
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import build_settings
from chimle.settings.tower import TowerSettings
from chimle.tower.equaliser import no_equaliser
from chimle.tower.generator import Tower

FORMAT = 2
"""Version of the bundle's layout."""
KIND = "chimle-model-bundle"
UNLICENSED = "unknown"
"""License of a model without a stated license."""
WEIGHTS = "weights.safetensors"
DESCRIPTION = "bundle.json"
CARD = "README.md"
METRICS = "metrics.json"
SAMPLES = "samples.png"
FILES = frozenset({WEIGHTS, DESCRIPTION, CARD, METRICS, SAMPLES})
"""Files of a bundle; those of a packed one included."""
LARGEST_DESCRIPTION = 2**22
"""Bytes of the description that are read."""
LARGEST_WEIGHTS = 2**34
"""Bytes of the weights that are downloaded."""
_HEADER_BYTES = 2**10
"""Bytes of a tensor's name, shape and type in the file's header, at most."""
_MOST_UNPACKING = 10
"""Bytes that a byte of a compressed file gives, at most. Weights give hardly more than one."""
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)
"""What `zipfile` raises on damaged files."""
_SMALL_TOWER = 2**28
"""Parameters that a tower surely has memory for: 1 GiB."""


@dataclass(frozen=True)
class Bundle:
    """A loaded model: its tower in evaluation mode, settings, provenance and license."""

    tower: Tower
    settings: ModelSettings
    provenance: dict[str, Any]
    license: str = UNLICENSED
    degradation: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of the training inputs' degradation (`DegradationSettings`), as far as they are
    recorded."""


def save_bundle(
    folder: Path,
    tower: Tower,
    settings: ModelSettings,
    provenance: dict[str, Any],
    license_: str = UNLICENSED,
    degradation: Mapping[str, Any] | None = None,
) -> None:
    """Write a bundle; it replaces the bundle in `folder`, if there is one, when it is complete.

    Args:
        folder: where to; it is new, empty or holds a bundle alone.
        tower: the generator.
        settings: of the model.
        provenance: where the model comes from.
        license_: SPDX identifier of the model's license.
        degradation: as the pairs' manifest records it; None: the defaults.

    Raises:
        UserError: `folder` holds something else, which would be lost; or the weights are no finite
            numbers, of which `load_bundle` makes no tower.
    """
    _check_replaceable(folder)
    state = {name: value.contiguous().cpu() for name, value in tower.state_dict().items()}
    if strange := strange_weight(state):
        raise UserError(
            f"the weights `{strange}` have values that are no finite numbers: there is no model "
            f"to write to {folder}"
        )
    weights = save_safetensors(state)
    description = {
        "format": FORMAT,
        "kind": KIND,
        "license": license_,
        "settings": settings.model_dump(mode="json", include=set(ModelSettings.model_fields)),
        "degradation": dict(degradation or {}),
        "provenance": provenance,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    with replaced_folder(folder) as fresh:
        write_bytes(fresh / WEIGHTS, weights)
        write_text(fresh / DESCRIPTION, json.dumps(description, indent=1, sort_keys=True) + "\n")


def _check_replaceable(folder: Path) -> None:
    """`UserError` where a path holds anything but a bundle."""
    if not folder.is_dir():
        if folder.exists():
            raise UserError(f"{folder} is no folder: name another path")
        return
    if folder.samefile(Path.cwd()):
        raise UserError(f"{folder} is the working directory: name a folder in it")
    if foreign := sorted(path.name for path in folder.iterdir() if path.name not in FILES):
        raise UserError(
            f"{folder} holds {foreign[0]}, which is no file of a model bundle: name another folder"
        )


def read_member(bundle: Path, name: str, largest: int) -> bytes:
    """A file of a bundle, which is a folder or a zip file.

    Raises:
        UserError: the file does not exist, is damaged, or is larger than `largest` bytes.
    """
    address = f"{bundle}/{name}"
    try:
        if bundle.is_dir():
            content = _read_file(bundle / name, largest)
        else:
            _check_regular(bundle)
            with zipfile.ZipFile(bundle) as archive:
                content = _read_zipped(archive, name, largest)
    except (FileNotFoundError, KeyError):
        raise UserError(f"{address} does not exist: there is no model bundle") from None
    except OSError as error:
        if error.filename:
            raise
        raise UserError(f"{bundle} is damaged or no model bundle ({error})") from None
    except _ZIP_ERRORS as error:
        raise UserError(f"{bundle} is damaged or no model bundle ({first_line(error)})") from None
    if content is None:
        raise UserError(f"{address} is larger than {largest:,} bytes: this is no model bundle")
    return content


def _check_regular(path: Path) -> None:
    """`UserError` for a pipe, which opening would wait for, or a device, which may never end."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UserError(f"{path} is no regular file: there is no model bundle")


def _read_file(path: Path, largest: int) -> bytes | None:
    """A file's content; None where it is larger than that."""
    _check_regular(path)
    with path.open("rb") as stream:
        if os.fstat(stream.fileno()).st_size > largest:
            return None
        return stream.read()


def _read_zipped(archive: zipfile.ZipFile, name: str, largest: int) -> bytes | None:
    """A member of a zip file; None where it is larger than that.

    Raises:
        BadZipFile: it unpacks to far more than a bundle's file does, whatever its settings promise.
    """
    entry = archive.getinfo(name)
    if entry.file_size > largest:
        return None
    if entry.file_size > max(_MOST_UNPACKING * entry.compress_size, LARGEST_DESCRIPTION):
        raise zipfile.BadZipFile(
            f"{name} unpacks to {entry.file_size:,} bytes, far more than it has"
        )
    return archive.read(entry)


def read_description(bundle: Path) -> dict[str, Any]:
    """The description of a bundle; its settings are not checked here.

    Raises:
        UserError: the file is missing, damaged, of another project or of a later format.
    """
    path = f"{bundle}/{DESCRIPTION}"
    try:
        description = json.loads(read_member(bundle, DESCRIPTION, LARGEST_DESCRIPTION))
    except (ValueError, RecursionError):
        raise UserError(f"{path} is damaged: make or fetch the bundle again") from None
    if not isinstance(description, dict) or description.get("kind") != KIND:
        raise UserError(f"{path} describes no model bundle of this project")
    found = description.get("format")
    if found != FORMAT:
        older = isinstance(found, int) and found < FORMAT
        fix = "train or import the model again" if older else "update this program"
        raise UserError(f"{path} has format {found}, not {FORMAT}: {fix}")
    for name in ("settings", "degradation", "provenance"):
        if not isinstance(description.get(name), dict):
            raise UserError(f"{path} has no {name}: make or fetch the bundle again")
    return description


def _most_parameters(tower: TowerSettings) -> int:
    """An upper bound of a tower's parameters, without building it."""
    channels = 3 + tower.noise_channels + 2 * max(tower.widths) + 4 * max(tower.growth)
    # Per level: input, last, two of the way up, out; and 15 of each residual dense block.
    convolutions = (5 + 15 * tower.blocks) * (9 * channels + 2) * channels
    style = tower.style_size + tower.levels * tower.mapping_width + 1
    linear = tower.mapping_depth * tower.mapping_width + 2 * tower.blocks * max(tower.widths)
    return tower.levels * (convolutions + style * linear)


def _empty_tower(settings: ModelSettings) -> tuple[Tower, int]:
    """A tower whose weights are to be replaced, and the largest size of a file of them.

    A large tower has no memory for its weights. A small one has: torch imports its compiler, which
    takes seconds, to initialise weights that have no memory.
    """
    small = _most_parameters(settings.tower) <= _SMALL_TOWER
    with torch.device("cpu" if small else "meta"), torch.random.fork_rng(devices=[]):
        tower = Tower(settings.tower, settings.definition.wiring)
        if settings.train.equaliser is not None:
            tower.equaliser = no_equaliser(settings.tower.resolution)
    state = tower.state_dict().values()
    return tower, 4 * sum(value.numel() for value in state) + _HEADER_BYTES * len(state)


def strange_weight(state: Mapping[str, Tensor]) -> str | None:
    """The first weights that are no finite real numbers, which would draw black images."""
    for name, weights in state.items():
        if weights.is_complex() or not weights.float().isfinite().all():
            return name
    return None


def load_bundle(bundle: Path, device: str = "cpu") -> Bundle:
    """Read a bundle, a folder or a zip file.

    Raises:
        UserError: there is no bundle, it is damaged or of a later format, or its weights do not fit
            its settings.
    """
    description = read_description(bundle)
    settings = build_settings(ModelSettings, description["settings"], f"{bundle}/{DESCRIPTION}")
    path = f"{bundle}/{WEIGHTS}"
    try:
        tower, largest = _empty_tower(settings)
    except (RuntimeError, OverflowError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{bundle}/{DESCRIPTION} describes no possible tower ({reason})") from None
    content = read_member(bundle, WEIGHTS, largest)
    expected = description.get("weights_sha256")
    if expected is not None and hashlib.sha256(content).hexdigest() != expected:
        raise UserError(f"{path} is damaged: its SHA-256 is another: make or fetch it again")
    try:
        state: dict[str, Tensor] = load_safetensors(content)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - such as KeyError for a type that torch lacks
        raise UserError(
            f"{path} is damaged ({first_line(error)}): make or fetch it again"
        ) from None
    if strange := strange_weight(state):
        raise UserError(
            f"{path}: `{strange}` has values that are no finite real numbers: make it again"
        )
    try:
        tower.load_state_dict({k: v.float() for k, v in state.items()}, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} does not fit the bundle's settings ({reason})") from None
    tower.to(device).eval().requires_grad_(False)
    license_ = str(description.get("license", UNLICENSED))
    provenance, degradation = description["provenance"], description["degradation"]
    return Bundle(tower, settings, provenance, license_, degradation)
