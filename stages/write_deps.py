"""Write into each `dvc.yaml` which source files a stage depends on: those that its program imports.

Dependencies on data, parameters and everything else stay as they are written. The showcase runs the
stages of the root's `dvc.yaml` in a folder of its own, so its file is written whole.
"""

import re
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from chimle.errors import UserError, guarded
from chimle.io.files import write_text
from chimle.io.import_closure import PACKAGES, import_closure, with_folders
from stages._command import root_parser

FILES = (Path("dvc.yaml"), Path("comparison/dvc.yaml"))
"""Where stages are defined, relative to the project."""
NESTED = Path("showcase/dvc.yaml")
"""The root's stages for the project in that folder, which has its own `params.yaml`."""
_NESTED_HEADER = """\
# Written by `make graph` from ../dvc.yaml: its stages, for the parameters and data of this folder.
"""
_PROGRAM = re.compile(r"\bpython -m (stages\.\w+)")


def round_trip() -> YAML:
    """A reader and writer of YAML that keeps comments and layout."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def code_deps(command: str, root: Path, folders: bool) -> list[str]:
    """Source files that a stage's program imports, the program first.

    Args:
        command: the stage's.
        root: the repository.
        folders: whether a folder stands for its files where the program imports all of them.

    Raises:
        UserError: the command runs no program of `stages/`.
    """
    found = _PROGRAM.search(command)
    if found is None:
        raise UserError(f"`{command}` runs no `python -m stages.<name>`")
    program = root / Path(*found[1].split(".")).with_suffix(".py")
    own = program.relative_to(root).as_posix()
    names = import_closure(program, root)
    if folders:
        names = with_folders(names, root)
    return [own, *(name for name in names if name != own)]


def is_code(name: str, prefix: str) -> bool:
    """Whether a dependency is a source file or a folder of them."""
    return name.startswith(tuple(f"{prefix}{package}/" for package in PACKAGES))


def with_code_deps(file: Path, root: Path) -> str:
    """The text of a `dvc.yaml` whose stages depend on what their programs import."""
    yaml = round_trip()
    content = yaml.load((root / file).read_text(encoding="utf-8"))
    prefix = "../" * (len(file.parts) - 1)
    for stage in content["stages"].values():
        deps: list[Any] = stage.get("deps") or []
        others = [name for name in deps if not is_code(name, prefix)]
        # In another DVC project than the root's, ignore files do not apply to these folders.
        names = code_deps(stage["cmd"], root, folders=not prefix)
        deps[:] = [*(prefix + name for name in names), *others]
        stage["deps"] = deps
    text = StringIO()
    yaml.dump(content, text)
    return text.getvalue()


def _is_preset(name: Any) -> bool:
    """Whether a stage's parameters are those of a preset's file, `{file: keys}`."""
    return isinstance(name, dict) and next(iter(name)).startswith("presets/")


def _nested_names(names: list[Any]) -> list[Any]:
    """Files of parameters as a folder inside the project names them: it shares the presets."""
    shared = [name for name in names if _is_preset(name)]
    own = [name for name in names if name not in shared]
    return own + [{f"../{file}": keys for file, keys in entry.items()} for entry in shared]


def nested_project(root: Path) -> str:
    """The text of the showcase's `dvc.yaml`: the root's stages, run for that folder."""
    yaml = round_trip()
    content = yaml.load((root / "dvc.yaml").read_text(encoding="utf-8"))
    content.pop("artifacts", None)
    for stage in content["stages"].values():
        command = stage["cmd"]
        stage["cmd"] = f"cd .. && {command} --root {NESTED.parent}"
        others = [name for name in stage["deps"] if not is_code(name, "")]
        stage["deps"] = [*(f"../{name}" for name in code_deps(command, root, False)), *others]
        if "params" in stage:
            stage["params"] = _nested_names(stage["params"])
    text = StringIO()
    yaml.dump(content, text)
    stages = text.getvalue()
    return _NESTED_HEADER + stages[stages.index("vars:") :]


def written_files(root: Path) -> dict[Path, str]:
    """The text that every `dvc.yaml` is to have, by its path in the repository."""
    return {NESTED: nested_project(root), **{file: with_code_deps(file, root) for file in FILES}}


def main(root: Path) -> None:
    """Write every `dvc.yaml` whose dependencies are not what the programs import."""
    root = root.resolve()
    for file, text in written_files(root).items():
        path = root / file
        if not path.exists() or text != path.read_text(encoding="utf-8"):
            write_text(path, text)
            print(f"{file}: dependencies written")


if __name__ == "__main__":
    arguments = root_parser(__doc__).parse_args()
    guarded(lambda: main(arguments.root))
