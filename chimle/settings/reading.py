"""From `params.yaml` and `presets/` to validated settings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from chimle.errors import UserError, first_line
from chimle.settings.settings_base import Settings, TaskSettings
from chimle.settings.shown_values import cut, named, shown, without_secrets
from chimle.tasks import get_task

Kind = TypeVar("Kind", bound=Settings)
TaskKind = TypeVar("TaskKind", bound=TaskSettings)

PRESET_SECTIONS = ("pair", "tower", "perceptual", "search", "train", "evaluate")
"""Sections of a preset."""
SECTIONS = ("source", *PRESET_SECTIONS)
"""Sections of a task in `params.yaml`."""


class SettingsLoader(yaml.SafeLoader):
    """A loader that refuses a key given twice, as DVC does; YAML's own takes the last one.

    An integer that Python refuses to convert stays text, which validation refuses by the name of
    its field.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    problem = f"`{key.value}` is given twice: remove one"
                    raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_integer(self, node: yaml.ScalarNode) -> int | str:
        """An integer, or its text."""
        try:
            return self.construct_yaml_int(node)
        except ValueError:
            return str(node.value)


SettingsLoader.add_constructor("tag:yaml.org,2002:int", SettingsLoader.construct_integer)


def parse_yaml(path: Path) -> Any:
    """The content of a YAML file; `UserError` when the file is missing or malformed."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    try:
        return yaml.load(text, SettingsLoader)
    except yaml.YAMLError as error:
        place = without_secrets(" ".join(str(error).split()))
        raise UserError(f"{path} is not valid YAML: {place}") from None
    except RecursionError:
        raise UserError(f"{path} is nested too deeply: write it flatter") from None
    except Exception as error:  # noqa: BLE001 - YAML's conversions raise almost anything
        raise UserError(
            f"{path} has a value that is not of its kind, such as a date or an integer "
            f"({cut(first_line(error))}): quote it or fix it"
        ) from None


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping; `UserError` when the file is missing, malformed or no mapping."""
    content = parse_yaml(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a mapping of names to values")
    return content


def _field(first: Any) -> str:
    """Dotted name of an error's field, without the tag of a union."""
    parts = [named(part) for part in first["loc"]] or [""]
    if parts[0] == "source" and parts[1:2] != ["kind"]:
        del parts[1:2]
    return ".".join(parts)


def sentence(error: ValidationError, origin: str) -> str:
    """The first validation error as one sentence that names the field."""
    first = error.errors()[0]
    field = _field(first)
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    match first["type"]:
        case "extra_forbidden":
            problem = f"unknown parameter `{field}`: remove it or fix its spelling"
        case "missing":
            section, _, name = field.rpartition(".")
            problem = f"`{section}` needs `{name}`" if section else f"needs `{name}`"
        case "union_tag_invalid":
            tag, known = first["ctx"]["tag"], first["ctx"]["expected_tags"].replace("'", "")
            problem = f"`{field}.kind` = {shown(tag)}: use one of {known}"
        case _:
            start = f"`{field}` = {shown(first['input'])}: " if field else ""
            problem = start + first["msg"].removeprefix("Value error, ")
    return f"{origin}: {problem}{more}"


def build_settings(kind: type[Kind], values: Mapping[str, Any], origin: str) -> Kind:
    """Validated settings from plain values; `UserError` names `origin` and the field."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError(sentence(error, origin)) from None


def project_path(root: Path, name: str) -> Path:
    """Path of a project's file or folder; a project inside another takes what it lacks from it."""
    own = root / name
    outer = root.resolve().parent / name
    return outer if not own.exists() and outer.exists() else own


def _layers(task: str, root: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What `params.yaml` says of all tasks, and a task's layers of sections, the lowest first."""
    get_task(task)
    params = read_yaml(root / "params.yaml")
    unknown = set(params) - {"preset", "seed", "tasks"}
    if unknown:
        raise UserError(f"params.yaml: unknown parameter `{min(map(named, unknown))}`: remove it")
    preset_name = params.get("preset", "demo")
    presets = sorted(path.stem for path in project_path(root, "presets").glob("*.yaml"))
    if preset_name not in presets:
        raise UserError(
            f"params.yaml: unknown preset {shown(preset_name)}: choose {', '.join(presets)}"
        )
    tasks = params.get("tasks")
    if not isinstance(tasks, dict) or task not in tasks:
        raise UserError(f"params.yaml: `tasks` has no entry `{task}`: add one, `{{}}` will do")
    own = {} if tasks[task] is None else tasks[task]
    if not isinstance(own, dict):
        raise UserError(f"params.yaml: `tasks.{task}` must be a mapping of sections")
    preset_file = f"presets/{preset_name}.yaml"
    preset = read_yaml(project_path(root, "presets") / f"{preset_name}.yaml")
    for_task = _of_task(preset.pop("tasks", None), task, preset_file)
    layers = {
        preset_file: preset,
        f"{preset_file}, tasks.{task}": for_task,
        f"params.yaml, tasks.{task}": own,
    }
    for origin, layer in layers.items():
        known = PRESET_SECTIONS if origin.startswith(preset_file) else SECTIONS
        for section, fields in layer.items():
            if section not in known:
                raise UserError(
                    f"{origin}: unknown section `{named(section)}`: use {', '.join(known)}"
                )
            if not isinstance(fields, dict):
                raise UserError(f"{origin}: `{section}` must be a mapping of fields")
    return {"task": task, "preset": preset_name, "seed": params.get("seed", 0)}, layers


def _of_task(tasks: Any, task: str, preset_file: str) -> dict[str, Any]:
    """What the entry `tasks` of a preset says of one task."""
    if tasks is not None and not isinstance(tasks, dict):
        raise UserError(f"{preset_file}: `tasks` must be a mapping of tasks")
    own = (tasks or {}).get(task)
    if own is not None and not isinstance(own, dict):
        raise UserError(f"{preset_file}: `tasks.{task}` must be a mapping of sections")
    return own or {}


def listed_tasks(root: Path) -> list[str]:
    """The tasks that `params.yaml` lists; `UserError` if there is none."""
    tasks = read_yaml(root / "params.yaml").get("tasks")
    if not isinstance(tasks, dict) or not tasks:
        raise UserError("params.yaml: `tasks` lists no task: add one, `colourization: {}` will do")
    return [get_task(named(name)).name for name in tasks]


def _without_nulls(
    kind: type[TaskSettings], section: str, fields: dict[str, Any]
) -> dict[str, Any]:
    """What `params.yaml` sets of a section; a null of an unknown field stays, as an error."""
    section_kind = kind.model_fields[section].annotation
    known = section_kind.model_fields if isinstance(section_kind, type) else fields
    return {n: value for n, value in fields.items() if value is not None or n not in known}


def load_settings(kind: type[TaskKind], task: str, root: Path = Path()) -> TaskKind:
    """Settings of a task: its preset with its own entries in `params.yaml` on top.

    A null in `params.yaml` leaves what the preset says.

    Args:
        kind: which settings; only the sections that it has are read.
        task: name of a task.
        root: directory that holds `params.yaml` and, unless its parent does, `presets/`.

    Raises:
        UserError: a file is missing or malformed, or a field is unknown or out of range.
    """
    common, layers = _layers(task, root)
    *presets, own = layers.values()
    values = {name: value for name, value in common.items() if name in kind.model_fields}
    for section in kind.model_fields.keys() & set(SECTIONS):
        layered = [layer[section] for layer in presets if section in layer]
        if section in own:
            layered.append(_without_nulls(kind, section, own[section]))
        for fields in layered:
            values[section] = {**values.get(section, {}), **fields}
    return build_settings(kind, values, f"params.yaml, task {task}")
