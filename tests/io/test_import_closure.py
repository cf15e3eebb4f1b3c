"""Import closure: what a program imports, however it does so, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from chimle.io.import_closure import EXEMPT, ROOT, import_closure, with_folders

FILES = {
    "stages/__init__.py": "",
    "stages/run.py": "import json\nfrom chimle import used\nfrom chimle.page import page\n",
    "stages/other.py": "import chimle.unused\n",
    "chimle/__init__.py": '"""Docstring."""\n',
    "chimle/used.py": (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from chimle import for_types\nelse:\n    import chimle.at_run\n"
        "def late():\n    from chimle.late.deep import value\n"
        "    if value:\n        import chimle.conditional\n"
    ),
    "chimle/for_types.py": "",
    "chimle/at_run.py": "import chimle.used\n",
    "chimle/conditional.py": "",
    "chimle/unused.py": "",
    "chimle/late/__init__.py": "print('a package that does something')\n",
    "chimle/late/deep.py": "from .beside import value\nfrom .. import above\n",
    "chimle/late/beside.py": "value = 'unused.py'\n",
    "chimle/above.py": "",
    "chimle/page/__init__.py": '"""Docstring."""\n',
    "chimle/page/page.py": "NAME = 'page.html.j2'\n",
    "chimle/page/page.html.j2": "<p>",
    "chimle/page/__pycache__/page.pyc": "",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_all_that_is_imported_and_nothing_else(tree: Path) -> None:
    assert import_closure(tree / "stages" / "run.py", tree) == [
        "chimle/above.py",
        "chimle/at_run.py",
        "chimle/conditional.py",
        "chimle/late/__init__.py",
        "chimle/late/beside.py",
        "chimle/late/deep.py",
        "chimle/page/page.html.j2",
        "chimle/page/page.py",
        "chimle/used.py",
        "stages/run.py",
    ]


def test_a_folder_stands_for_its_files_where_all_are_imported(tree: Path) -> None:
    closure = import_closure(tree / "stages" / "run.py", tree)
    assert with_folders(closure, tree) == [
        "chimle/above.py",
        "chimle/at_run.py",
        "chimle/conditional.py",
        "chimle/late",
        "chimle/page",
        "chimle/used.py",
        "stages/run.py",
    ]
    (tree / "chimle" / "late" / "new.py").write_text("")
    assert "chimle/late" not in with_folders(closure, tree)


def test_exemptions_are_files_and_have_a_reason() -> None:
    for name, reason in EXEMPT.items():
        assert (ROOT / name).is_file()
        assert reason


def test_a_module_that_runs_is_in_its_closure(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python itself loads for a program, asked from Python; exemptions are loaded, too."""
    monkeypatch.setattr("chimle.io.import_closure.EXEMPT", {})
    code = (
        "import sys, stages.train\n"
        "for m in list(sys.modules.values()):\n"
        "    print(getattr(m, '__file__', None) or '')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = {Path(line) for line in done.stdout.splitlines() if line}
    ours = {path.relative_to(ROOT).as_posix() for path in loaded if path.is_relative_to(ROOT)}
    ours = {name for name in ours if name.startswith(("chimle/", "stages/"))}
    modules = {name for name in ours if not name.endswith("/__init__.py")}
    assert len(modules) > 30
    assert modules <= set(import_closure(ROOT / "stages" / "train.py"))
