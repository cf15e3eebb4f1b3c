"""What a command imports before it works; `python -m benchmarks.startup` measures the time."""

import subprocess
import sys
from pathlib import Path

from tests.support.helpers import ROOT
from tests.support.projects import tiny_bundle

LISTED = "\nimport sys; print(*sys.modules)"


def imported(program: str) -> set[str]:
    """Names of the modules that a program has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", program + LISTED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


def test_import_and_help_need_no_torch() -> None:
    assert not {"torch", "numpy", "pydantic"} & imported("import chimle")
    # Typer exits after the help.
    shown = "import sys; from chimle.cli.main import app; app(['--help'], standalone_mode=False)"
    assert not {"torch", "numpy", "pydantic"} & imported(shown)


def test_loading_a_model_needs_no_compiler(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "bundle", "decompression")
    found = imported(f"import chimle; chimle.load({str(folder)!r})")
    assert "torch" in found
    assert not {"torch._dynamo", "sympy"} & found
