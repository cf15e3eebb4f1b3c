"""Import closure: the files of this repository that a program imports, found in their source.

Imports inside functions count, whether or not they run. Imports for type checkers alone do not.
A file beside a module that the module names in a string, such as a template, belongs to it.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the packages: the repository's, in a checkout."""
PACKAGES = ("chimle", "stages")
"""Packages whose files are followed."""
_LOGGERS = (
    *("dvclive_logger", "log_run", "logger", "mlflow_logger", "preview"),
    *("tensorboard_logger", "wandb_logger"),
)
EXEMPT = {
    **{f"chimle/loggers/{name}.py": "it shows a training and changes nothing" for name in _LOGGERS},
    "chimle/__init__.py": "it offers `chimle.load` to users; no program of this repository uses it",
    "chimle/perceptual/torch_cache.py": "how weights are downloaded does not change what they are: "
    "whoever asks for them checks their SHA-256",
}
"""Files that are imported and yet are no dependency, with the reason."""


class _Imports(ast.NodeVisitor):
    """Collects names of modules, and of what may be a module in a package."""

    def __init__(self, package: str) -> None:
        self.package, self.names = package, set[str]()

    def visit_Import(self, node: ast.Import) -> None:
        self.names.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        parts = self.package.split(".")
        above = parts[: len(parts) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        self.names.add(base)
        self.names.update(f"{base}.{alias.name}" for alias in node.names)

    def visit_If(self, node: ast.If) -> None:
        name = getattr(node.test, "attr", getattr(node.test, "id", None))
        for child in node.orelse if name == "TYPE_CHECKING" else ast.iter_child_nodes(node):
            self.visit(child)


def _is_blank(path: Path) -> bool:
    """Whether a file is the `__init__.py` of a package and holds a docstring at most."""
    if path.name != "__init__.py":
        return False
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


def _files_of(name: str, root: Path) -> Iterator[Path]:
    """Files that run when a module is imported, its packages' first; none if it is no module."""
    parts = name.split(".")
    if parts[0] not in PACKAGES:
        return
    for depth in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:depth])
        for path in (place / "__init__.py", place.with_suffix(".py")):
            if path.is_file():
                yield path


def _uses(path: Path, root: Path) -> Iterator[Path]:
    """Files that a module uses directly."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = _Imports(".".join(path.relative_to(root).parts[:-1]))
    imports.visit(tree)
    for name in sorted(imports.names):
        yield from _files_of(name, root)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            named = node.value
            if named.isprintable() and "/" not in named and "." in named.strip("."):
                beside = path.parent / named
                if beside.suffix != ".py" and beside.is_file():
                    yield beside


def import_closure(program: Path, root: Path = ROOT) -> list[str]:
    """Files that a program imports, itself included: paths relative to `root`, sorted.

    Docstrings-only `__init__.py` files and `EXEMPT` are left out.

    Args:
        program: source file of a module.
        root: folder that holds `PACKAGES`.
    """
    found, waiting = set[Path](), [program.resolve()]
    while waiting:
        path = waiting.pop()
        if path in found or path.relative_to(root).as_posix() in EXEMPT or _is_blank(path):
            continue
        found.add(path)
        if path.suffix == ".py":
            waiting.extend(_uses(path, root))
    return sorted(path.relative_to(root).as_posix() for path in found)


def _is_whole(folder: Path, files: set[Path]) -> bool:
    """Whether every file of a folder is among the files, blank `__init__.py` aside."""
    inside = (
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and "__pycache__" not in path.parts
    )
    return all(path in files or _is_blank(path) for path in inside)


def with_folders(closure: Iterable[str], root: Path = ROOT) -> list[str]:
    """A closure with each folder that lies in it as a whole in place of the folder's files."""
    files = {root / name for name in closure}
    found = set[str]()
    for path in files:
        # The largest folder first; a package as a whole is never one dependency.
        above = [folder for folder in path.parents if folder.is_relative_to(root)][:-2]
        whole = next((folder for folder in reversed(above) if _is_whole(folder, files)), path)
        found.add(whole.relative_to(root).as_posix())
    return sorted(found)
