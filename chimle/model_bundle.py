"""A trained tower as a folder: weights (safetensors), settings and provenance (JSON).

Loading runs no code from the folder. Saving the same tower gives the same bytes: no time stamps.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from chimle.errors import UserError
from chimle.files import replaced_folder, write_bytes, write_text
from chimle.settings import RunSettings, build_settings
from chimle.tower.generator import Tower

FORMAT = 1
"""Version of the bundle's layout."""
WEIGHTS = "weights.safetensors"
DESCRIPTION = "bundle.json"


@dataclass(frozen=True)
class Bundle:
    """A loaded model: its tower in evaluation mode, settings, and where it comes from."""

    tower: Tower
    settings: RunSettings
    provenance: dict[str, Any]


def save_bundle(
    folder: Path, tower: Tower, settings: RunSettings, provenance: dict[str, Any]
) -> None:
    """Write a bundle; it takes the folder's place when it is whole."""
    state = {name: value.contiguous().cpu() for name, value in tower.state_dict().items()}
    description = {
        "format": FORMAT,
        "kind": "chimle-model-bundle",
        "settings": settings.model_dump(mode="json"),
        "provenance": provenance,
    }
    with replaced_folder(folder) as fresh:
        write_bytes(fresh / WEIGHTS, save_safetensors(state))
        write_text(fresh / DESCRIPTION, json.dumps(description, indent=1, sort_keys=True) + "\n")


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: this folder is no model bundle") from None
    except ValueError:
        raise UserError(f"{path} is damaged: make or fetch the bundle again") from None
    if not isinstance(description, dict) or description.get("kind") != "chimle-model-bundle":
        raise UserError(f"{path} describes no model bundle of this project")
    if description.get("format") != FORMAT:
        raise UserError(f"{path} has format {description.get('format')}: update this program")
    if not isinstance(description.get("settings"), dict):
        raise UserError(f"{path} has no settings: make or fetch the bundle again")
    return description


def load_bundle(folder: Path, device: str = "cpu") -> Bundle:
    """Read a bundle.

    Raises:
        UserError: the folder is no bundle, of a later format, damaged, or its weights do not fit
            its settings.
    """
    description = _read_description(folder / DESCRIPTION)
    settings = build_settings(description["settings"], str(folder / DESCRIPTION))
    path = folder / WEIGHTS
    try:
        state = load_safetensors(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: the bundle is not whole") from None
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}): make or fetch it again") from None
    tower = Tower(settings.tower, settings.definition.wiring)
    try:
        tower.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} does not fit the bundle's settings ({reason})") from None
    tower.to(device).eval().requires_grad_(False)
    return Bundle(tower, settings, description.get("provenance", {}))
