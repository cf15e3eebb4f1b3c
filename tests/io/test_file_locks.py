"""Locks on files: held once, freed when their holder ends, inherited by its children."""

import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from chimle.io.file_locks import is_held, locked


def test_a_held_lock_is_reported_or_waited_for(tmp_path: Path) -> None:
    """A second holder gets None without waiting; a freed lock can be taken again."""
    path = tmp_path / "folder" / "lock"
    waited: list[str] = []
    with locked(path) as first:
        assert first is not None
        with locked(path, wait=False, on_wait=lambda: waited.append("x")) as second:
            assert second is None
        assert is_held(path)
    assert not waited
    assert not is_held(path)
    with locked(path, wait=False) as again:
        assert again is not None
    assert not is_held(tmp_path / "none")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


WITHOUT_FCNTL = """
import sys; from pathlib import Path
sys.modules["fcntl"] = None
from chimle.io.file_locks import is_held, locked
waits = lambda: print("waits", flush=True)
print("in use" if is_held(Path(sys.argv[1])) else "free", flush=True)
with locked(Path(sys.argv[1]), wait="wait" in sys.argv, on_wait=waits) as held:
    print("held" if held is not None else "not held", flush=True)
    sys.stdin.read()
"""


def test_locks_where_the_system_has_no_fcntl(tmp_path: Path) -> None:
    """One process holds it, another one waits, and a killed one lets go."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "ignore", "-c", WITHOUT_FCNTL, str(tmp_path / "lock")]
        pipe = subprocess.PIPE
        return subprocess.Popen([*command, *arguments], stdin=pipe, stdout=pipe, text=True)

    def line(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()

    with start() as first:
        assert (line(first), line(first)) == ("free", "held")
        with start() as second:
            assert (line(second), line(second)) == ("in use", "not held")
            second.communicate()
        with start("wait") as third:
            assert (line(third), line(third)) == ("in use", "waits")
            first.kill()
            first.wait()  # Until then its number is taken.
            assert line(third) == "held"
            assert third.communicate()[0] == ""
            assert third.returncode == 0
        with start() as fourth:
            assert (line(fourth), line(fourth)) == ("free", "held")
            fourth.communicate()


def test_a_lock_is_of_the_file_that_is_there_when_its_holder_has_removed_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run" / "lock"
    with ThreadPoolExecutor(1) as thread, ExitStack() as late:
        waits = threading.Event()
        with locked(path):
            second = thread.submit(late.enter_context, locked(path, on_wait=waits.set))
            assert waits.wait(60)
            shutil.rmtree(path.parent)
        assert second.result() is not None
        with locked(path, wait=False) as third:
            assert third is None


def test_a_child_keeps_an_inherited_lock(tmp_path: Path) -> None:
    """The descriptor can be handed to a child, which then holds the lock."""
    path = tmp_path / "lock"
    with locked(path) as descriptor:
        assert descriptor is not None
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"],
            stdin=subprocess.PIPE,
            pass_fds=(descriptor,),
        )
    with locked(path, wait=False) as other:
        assert other is None
    child.communicate()
    with locked(path, wait=False) as other:
        assert other is not None
