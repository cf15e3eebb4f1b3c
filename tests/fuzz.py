"""Damaged files and random arguments for the command line: `make fuzz SECONDS=60`.

Whatever it is given, `chimle` ends with code 0 or 2 and one sentence per error, changes no input,
writes nothing outside the output folder, and stays below `MEMORY`. The same holds for the stage
that fetches an archive.
"""

import argparse
import hashlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chimle.cli.main import main as chimle_main
from chimle.tasks import TASKS
from stages import fetch
from tests.support.fuzz_files import write_world
from tests.support.in_process import in_process
from tests.support.projects import write_project

MEMORY = 4 * 2**30
"""Bytes of memory that the process may take."""
PATIENCE = 300
"""Seconds that one command may take."""


def hashes(root: Path) -> dict[str, str]:
    """SHA-256 of every file below `root` but for the output folder."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and not path.is_relative_to(root / "out")
    }


@st.composite
def damaged(draw: st.DrawFn, contents: dict[str, bytes]) -> tuple[str, bytes]:
    """A file's name and its content after a few flips, cuts and splices."""
    name = draw(st.sampled_from(sorted(contents)))
    content = bytearray(contents[name])
    for _ in range(draw(st.integers(1, 4))):
        if not content:
            break
        place = draw(st.integers(0, len(content) - 1))
        match draw(st.sampled_from(("flip", "set", "cut", "remove", "splice", "repeat"))):
            case "flip":
                content[place] ^= draw(st.integers(1, 255))
            case "set":
                value = draw(st.sampled_from((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff")))
                content[place : place + 4] = value
            case "cut":
                del content[place:]
            case "remove":
                del content[place : place + draw(st.integers(1, 64))]
            case "splice":
                other = contents[draw(st.sampled_from(sorted(contents)))]
                start = draw(st.integers(0, len(other) - 1))
                content[place:place] = other[start : start + draw(st.integers(1, 256))]
            case _:
                content[place:place] = content[place : place + draw(st.integers(1, 64))]
    return name, bytes(content)


def values(root: Path) -> st.SearchStrategy[str]:
    """Values of options: numbers of any size, paths of any kind, odd text."""
    paths = [str(path) for path in sorted((root / "files").iterdir())]
    places = [str(root / name) for name in ("bundle", "files", "none", "files/*", "files/[", "**")]
    odd = ["", "-", "--", ".", "..", "nul", "a" * 300, "é", "\udcff", "a\nb", "7.7", "1.2.3.4", "x"]
    return st.one_of(
        st.sampled_from([*TASKS, "cpu", "onnx", "pytorch", "squeeze", "random", "mit"]),
        st.sampled_from(paths + places),
        st.sampled_from(odd),
        st.integers(-(2**70), 2**70).map(str),
        st.integers(0, 9).map(str),
        st.lists(st.integers(0, 9), max_size=5).map(lambda counts: ",".join(map(str, counts))),
        st.text(st.characters(blacklist_characters="\0"), max_size=12),
    )


OPTIONS = {
    "sample": "--task --model -n --seed --first --sample --from --keep-level --to --match "
    "--candidates --weights --degrade --grid --no-grid --json",
    "score": "--targets --inputs --task --backbone --weights --inception --jpeg-quality --seed "
    "--json",
    "import": "--task --resolution --check --license",
    "export": "--task --model --format --size",
    "pack": "--task --model --license --project",
    "show": "--json",
    "explore": "--task --port",
}
FLAGS = {"--degrade", "--grid", "--no-grid", "--json"}


@st.composite
def arguments(draw: st.DrawFn, root: Path) -> list[str]:
    """A command with random options and values; it writes to the output folder only."""
    command = draw(st.sampled_from(sorted(OPTIONS)))
    line = [command]
    if command in ("sample", "score", "import", "show"):
        line += draw(st.lists(values(root), max_size=2))
    for option in draw(st.lists(st.sampled_from(OPTIONS[command].split()), max_size=4)):
        line += [option] if option in FLAGS else [option, draw(values(root))]
    if command in ("sample", "export", "pack") and draw(st.booleans()):
        line += ["--model", str(root / "bundle")]
    if command in ("import", "export", "pack"):
        line += ["-o", draw(st.sampled_from((str(root / "out" / "x"), str(root / "files"))))]
    if command in ("sample", "score"):
        line += ["-o", str(root / "out")]
    if command == "sample":
        line += ["-n", "1"]
    if command == "explore":  # With a model it would serve for ever.
        line += ["--model", str(root / draw(st.sampled_from(("none", "files", "out"))))]
    return [*line, "--weights", "random"] if command == "score" else line


@contextmanager
def time_limit() -> Iterator[None]:
    """Raise where a command takes longer than `PATIENCE`."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"still running after {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def check(root: Path, line: list[str]) -> int:
    """Run a command and check what the module promises; returns its exit code."""
    shutil.rmtree(root / "out", ignore_errors=True)
    work = root / "work"
    work.mkdir(exist_ok=True)
    before = hashes(root)
    with time_limit():
        if line[0] == "fetch":
            source = {"kind": "url", "archives": [line[1]]}
            project = write_project(root / "out" / "project", {"decompression": {"source": source}})
            line = ["decompression", "--root", str(project)]
            done = in_process(fetch.command, *line, cwd=work)
        else:
            done = in_process(chimle_main, *line, cwd=work)
    assert done.returncode in (0, 2), (done.returncode, done.stderr[-500:])
    assert "Traceback" not in done.stderr, done.stderr[-500:]
    errors = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    asked_for_help = not done.stderr and "Usage" in done.stdout
    assert done.returncode == 0 or errors or asked_for_help, done.stderr
    assert hashes(root) == before, "an input is changed, or a file lies outside the output folder"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert peak < MEMORY, f"{peak / 2**30:.1f} GiB"
    return done.returncode


def commands_for(root: Path, name: str) -> list[list[str]]:
    """The commands that read a file of this name."""
    file, out = str(root / "files" / name), str(root / "out")
    sample = ["sample", "-n", "1", "--no-grid", "-o", out]
    if name.startswith("photos."):
        return [["fetch", file]]
    if name.endswith(".zip"):
        return [["show", file], [*sample, str(root / "files" / "image.png"), "--model", file]]
    if name.endswith(".pth"):
        return [["show", file], ["import", file, "--task", "night_to_day", "-o", f"{out}/bundle"]]
    if name.endswith(".csv"):
        return [["score", file, "--weights", "random", "-o", out]]
    return [[*sample, file, "--model", str(root / "bundle")]]


def fuzz(root: Path, seconds: float, examples: int = 50) -> tuple[Counter[str], Counter[str]]:
    """Try damaged files and arguments for some time.

    Returns:
        How many inputs were tried, by kind and exit code; and the failures, by their last line.
    """
    contents = write_world(root)
    tried, found = Counter[str](), Counter[str]()
    quick = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )

    @quick
    @given(damaged(contents))
    def files(case: tuple[str, bytes]) -> None:
        name, content = case
        path = root / "files" / name
        path.write_bytes(content)
        try:
            for line in commands_for(root, name):
                tried[f"{path.suffix} exit {check(root, line)}"] += 1
        finally:
            path.write_bytes(contents[name])

    @quick
    @given(arguments(root))
    def lines(line: list[str]) -> None:
        tried[f"arguments of {line[0]} exit {check(root, line)}"] += 1

    for name in contents:
        for line in commands_for(root, name):
            assert check(root, line) == 0, ("a valid file is refused", line)
    end = time.monotonic() + seconds
    while True:
        for attempt in (files, lines):
            try:
                attempt()
            except Exception as error:  # noqa: BLE001 - every failure is counted
                found[f"{type(error).__name__}: {error}".replace(str(root), "ROOT")[:300]] += 1
                traceback.print_exc()
            if time.monotonic() > end:
                return tried, found


def main() -> None:
    """Fuzz for some time and print what was tried and found; exit code 1 if anything was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    given_: Any = parser.parse_args()
    os.environ["CHIMLE_DEVICE"] = "cpu"
    with tempfile.TemporaryDirectory() as name:
        tried, found = fuzz(Path(name), given_.seconds)
    for kind, count in sorted(tried.items()):
        print(f"{count:7} {kind}")
    print(f"{tried.total():7} in all; {len(found)} failures")
    for text, count in found.most_common():
        print(f"{count:7} times {text}")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
