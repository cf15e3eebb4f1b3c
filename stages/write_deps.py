"""Write into each `dvc.yaml` which source files a stage depends on: those that its program imports.

Dependencies on data, parameters and everything else stay as they are written.
"""

import os
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
_PROGRAM = re.compile(r"\bpython -m (stages\.\w+)")


def round_trip() -> YAML:
    """A reader and writer of YAML that keeps comments and layout."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def code_deps(command: str, root: Path) -> list[str]:
    """Source files and folders that a stage's program imports, the program first.

    Raises:
        UserError: the command runs no program of `stages/`.
    """
    found = _PROGRAM.search(command)
    if found is None:
        raise UserError(f"`{command}` runs no `python -m stages.<name>`")
    program = root / Path(*found[1].split(".")).with_suffix(".py")
    own = program.relative_to(root).as_posix()
    names = with_folders(import_closure(program, root), root)
    return [own, *(name for name in names if name != own)]


def is_code(name: str, prefix: str) -> bool:
    """Whether a dependency is a source file or a folder of them."""
    return name.startswith(tuple(f"{prefix}{package}/" for package in PACKAGES))


def with_code_deps(file: Path, root: Path) -> str:
    """The text of a `dvc.yaml` whose stages depend on what their programs import."""
    yaml = round_trip()
    content = yaml.load((root / file).read_text(encoding="utf-8"))
    for stage in content["stages"].values():
        here = (root / file).parent / stage.get("wdir", ".")
        above = Path(os.path.relpath(root, here)).as_posix()
        prefix = "" if above == "." else f"{above}/"
        deps: list[Any] = stage.get("deps", [])
        others = [name for name in deps if not (isinstance(name, str) and is_code(name, prefix))]
        deps[:] = [*(prefix + name for name in code_deps(stage["cmd"], root)), *others]
    text = StringIO()
    yaml.dump(content, text)
    return text.getvalue()


def main(root: Path) -> None:
    """Write every `dvc.yaml` whose dependencies are not what the programs import."""
    root = root.resolve()
    for file in FILES:
        text = with_code_deps(file, root)
        if text != (root / file).read_text(encoding="utf-8"):
            write_text(root / file, text)
            print(f"{file}: dependencies written")


if __name__ == "__main__":
    arguments = root_parser(__doc__).parse_args()
    guarded(lambda: main(arguments.root))
