"""Time from a shell to the result: import, help and one image, each in a process of its own.

    python -m benchmarks.startup [--python ENVIRONMENT/bin/python] [--repeats 5]

Measures an installation from outside of a checkout, for instance a wheel in an empty environment.
Files are in the system's cache; processor time does not depend on what else the machine does.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.measure import machine
from chimle.bundles.task_models import PRETRAINED

SIDE = 512
"""Side of the image that is sampled, pixels."""
_SAMPLE = ("sample", "photo.png", "--task", "colourization", "--degrade")
_SCORE = ("score", "outputs", "--targets", "targets", "--weights", "random")


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        name: as the table shows it.
        arguments: of `chimle`, or a program for `python -c`.
        limit: seconds that it may take on two cores; None: it has no limit.
    """

    name: str
    arguments: tuple[str, ...] | str
    limit: float | None = None


CASES = (
    Case("import chimle", "import chimle", 1.5),
    Case("chimle.load(..)", "import chimle; chimle.load('colourization')"),
    Case("chimle --help", ("--help",), 1.5),
    Case("chimle sample --help", ("sample", "--help"), 1.5),
    Case("chimle sample -n 1", (*_SAMPLE, "-n", "1"), 6),
    Case("chimle sample", _SAMPLE),
    Case("chimle score", _SCORE),
    Case("chimle show", ("show", "model.zip")),
)


def command(python: Path, case: Case) -> list[str]:
    """The process that a case measures."""
    if isinstance(case.arguments, str):
        return [str(python), "-c", case.arguments]
    return [str(python), "-c", "from chimle.cli.main import main; main()", *case.arguments]


def measure(python: Path, case: Case, folder: Path) -> tuple[float, float]:
    """Seconds of wall-clock and of processor time of one process.

    Raises:
        SystemExit: the process fails; the message is its output.
    """
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(
        command(python, case), cwd=folder, env=environment, capture_output=True, text=True
    )
    spent, after = time.perf_counter() - started, os.times()
    if done.returncode:
        raise SystemExit(f"{case.name} fails: {done.stdout}{done.stderr}")
    user = after.children_user - before.children_user
    return spent, user + after.children_system - before.children_system


def write_image(path: Path, seed: int = 0) -> None:
    """A smooth random colour image."""
    path.parent.mkdir(exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path)


def write_files(folder: Path) -> None:
    """What the commands read: an image, a sample with its target, and a bundle."""
    write_image(folder / "photo.png")
    write_image(folder / "targets" / "photo.png")
    write_image(folder / "outputs" / "photo_0.png", seed=1)
    shutil.copy(PRETRAINED / "colourization.zip", folder / "model.zip")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="interpreter")
    parser.add_argument("--repeats", type=int, default=5, help="processes per line")
    arguments = parser.parse_args()
    # Not resolved: the link itself names the environment.
    python = arguments.python.absolute()
    print(machine())
    print(f"{'command':22} {'seconds':>8} {'processor':>9} {'limit':>6}")
    with tempfile.TemporaryDirectory() as name:
        write_files(Path(name))
        for case in CASES:
            measure(python, case, Path(name))
            runs = [measure(python, case, Path(name)) for _ in range(arguments.repeats)]
            wall, processor = (statistics.median(times) for times in zip(*runs, strict=True))
            limit = "" if case.limit is None else f"{case.limit:6.1f}"
            print(f"{case.name:22} {wall:8.2f} {processor:9.2f} {limit}")


if __name__ == "__main__":
    main()
