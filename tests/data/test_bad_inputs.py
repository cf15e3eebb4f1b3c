"""Every bad input: one sentence, exit code 2, good data as it was."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.data.bad_inputs import BadInput, all_bad_inputs, document
from tests.support.helpers import ROOT
from tests.support.misbehaving import Site
from tests.support.projects import write_project
from tests.support.world import TASK, World, tar

TABLE = all_bad_inputs()
SECRETS = ("hidden", "user:pass", "do-not-print-me")


def everything(root: Path) -> dict[str, bytes | None]:
    """All files and folders of a project but for what is its scratch."""
    found: dict[str, bytes | None] = {}
    for above, folders, files in os.walk(root):
        if Path(above) == root and "scratch" in folders:
            folders.remove("scratch")
        found |= {str(Path(above, name)): None for name in folders}
        found |= {str(Path(above, name)): Path(above, name).read_bytes() for name in files}
    return found


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name)
def test_a_bad_input_is_one_sentence(
    bad: BadInput, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad.make(world)
    before = everything(world.root)
    monkeypatch.setattr(sys, "argv", [bad.stage, TASK, "--root", str(world.root)])
    with pytest.raises(SystemExit) as stopped:
        import_module(f"stages.{bad.stage}").command()
    out, err = capsys.readouterr()
    *remarks, sentence = err.splitlines()
    assert stopped.value.code == 2
    assert bad.pattern().fullmatch(sentence.removeprefix("error: ")), sentence
    assert sentence.startswith("error: ")
    assert not any("rror" in line for line in remarks)
    assert not any(secret in out + err for secret in SECRETS)
    assert everything(world.root) == before


def test_a_process_ends_with_one_sentence(site: Site, tmp_path: Path) -> None:
    """As the tests above, but for whatever else a process might print."""
    address = site.put("/a.tar", tar(("../evil.png", b"x")))
    root = write_project(tmp_path, {TASK: {"source": {"kind": "url", "archives": [address]}}})
    command = [sys.executable, "-m", "stages.fetch", TASK, "--root", str(root)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ")
    assert not (root / "data").exists()


def test_the_table_is_long_enough_and_names_are_unique() -> None:
    assert len(TABLE) >= 60
    assert len({bad.name for bad in TABLE}) == len(TABLE)


def test_the_page_lists_the_table() -> None:
    page = (ROOT / "docs" / "bad-inputs.md").read_text(encoding="utf-8")
    assert page == "\n".join(document()).rstrip() + "\n"
