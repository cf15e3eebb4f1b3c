"""Write every field of every section into `params.yaml`, and every task's sections into presets.

A field that is not set stays null, which means what the preset says. `dvc exp run -S` changes only
fields that stand in the file, and DVC tracks only sections that stand in a preset.
"""

from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from chimle.errors import UserError, guarded
from chimle.io.files import write_text
from chimle.settings.reading import PRESET_SECTIONS, listed_tasks, read_yaml
from chimle.settings.run import RunSettings
from stages._command import root_parser
from stages.write_deps import round_trip


def section_fields(section: str) -> list[str]:
    """Names of a section's fields, in the order of its class."""
    kind = RunSettings.model_fields[section].annotation
    assert isinstance(kind, type)
    assert issubclass(kind, BaseModel)
    return list(kind.model_fields)


def _ordered(present: Any, names: list[str]) -> CommentedMap:
    """The mapping with all the names in their order, those that are missing as null."""
    found = present if isinstance(present, CommentedMap) else CommentedMap()
    if list(found) == names:
        return found
    if not found:
        found.fa.set_block_style()
    for name in [name for name, value in found.items() if value is None and name not in names]:
        del found[name]  # A field that was removed or renamed.
    for place, name in enumerate(names):
        if name not in found:
            found.insert(place, name, None)
    return found


def with_all_fields(text: str) -> str:
    """The text of a `params.yaml` with all fields; values and comments stay."""
    yaml = round_trip()
    content = yaml.load(text)
    tasks = content["tasks"]
    for name in tasks:
        if tasks[name] is None:
            tasks[name] = CommentedMap()
        task = tasks[name]
        for section in PRESET_SECTIONS:
            task[section] = _ordered(task.get(section), section_fields(section))
    return _dumped(yaml, content)


def with_all_sections(text: str, tasks: list[str]) -> str:
    """The text of a preset with all sections of all tasks; values and comments stay."""
    yaml = round_trip()
    content = yaml.load(text)
    if content.get("tasks") is None:
        content["tasks"] = CommentedMap()
    of_tasks = content["tasks"]
    for task in tasks:
        own = of_tasks.get(task)
        if not own:
            own = of_tasks[task] = CommentedMap()
        for section in PRESET_SECTIONS:
            if section not in own:
                own[section] = CommentedMap()
                own[section].fa.set_flow_style()
    return _dumped(yaml, content)


def _dumped(yaml: YAML, content: Any) -> str:
    def null(representer: Any, _: None) -> Any:
        return representer.represent_scalar("tag:yaml.org,2002:null", "null")

    yaml.representer.add_representer(type(None), null)
    stream = StringIO()
    yaml.dump(content, stream)
    return stream.getvalue()


def _mapping(value: Any, path: Path, place: str) -> dict[Any, Any]:
    """A mapping of a file, empty where it is null; `UserError` where it is anything else."""
    if not isinstance(value, dict | None):
        raise UserError(f"{path}: `{place}` must be a mapping of names to values")
    return value or {}


def _checked(path: Path) -> str:
    """The text of a `params.yaml` or preset; `UserError` where its sections are no mappings."""
    tasks = _mapping(read_yaml(path).get("tasks"), path, "tasks")
    for task, sections in tasks.items():
        for name, fields in _mapping(sections, path, f"tasks.{task}").items():
            _mapping(fields, path, f"tasks.{task}.{name}")
    return path.read_text(encoding="utf-8")


def main(root: Path) -> None:
    """Write `params.yaml` and the presets where fields or sections are missing.

    Raises:
        UserError: one of them is missing, malformed, or lists no tasks.
    """
    params, tasks = root / "params.yaml", listed_tasks(root)
    texts = {params: with_all_fields(_checked(params))}
    for preset in sorted((root / "presets").glob("*.yaml")):
        texts[preset] = with_all_sections(_checked(preset), tasks)
    for path, text in texts.items():
        if text != path.read_text(encoding="utf-8"):
            write_text(path, text)
            print(f"{path.relative_to(root)}: fields written")


if __name__ == "__main__":
    arguments = root_parser(__doc__).parse_args()
    guarded(lambda: main(arguments.root))
