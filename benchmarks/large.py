"""A large photograph through each trained tower: time, memory, agreement, seams between bands.

    python -m benchmarks.large [--photo FILE] [--models models | --pretrained] [--only TASK ...]
        [--keep FOLDER]

Each line is one process that does what `chimle sample PHOTO --degrade -n 1` does.

Seams are measured at every row where a band of some level begins. `across` is the mean absolute
difference, in levels of 255, between the rows on either side of such a border. `inside` is the same
between neighbouring rows 16, 32, 48 and 64 rows away from a border: the pyramid, and the blocks of
a JPEG input, cause differences of their own with that period. Without seams both are equal up to
chance.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image
from skimage import data

from benchmarks.measure import machine, peak_gib
from chimle.bundles.task_models import PRETRAINED
from chimle.inference.banded import BandedTower
from chimle.inference.load_model import load
from chimle.inference.sample_files import SampleTask, sample_file
from chimle.inference.sample_request import SampleRequest
from chimle.metrics.agreement import agreement
from chimle.settings.degradation import DegradationSettings
from chimle.tasks import TASKS
from chimle.tower.level import Level

SIDES = (4000, 3000)
"""Width and height of the image that is made without `--photo`."""
PERIOD = 16
"""Period, in rows, of the differences that the pyramid and JPEG cause."""


def measure(bundle: str, photo: Path, out: Path) -> dict[str, Any]:
    """Draw one sample for `photo`; its cost, and the differences across and inside bands."""
    borders: set[tuple[int, int]] = set()

    class RecordedTower(BandedTower):
        """Records the rows where its bands begin, with the height of the feature map."""

        def _borders(self, level: Level, height: int, width: int, reach: int) -> list[int]:
            rows = super()._borders(level, height, width, reach)
            borders.update((row, height) for row in rows[1:-1])
            return rows

    model = load(bundle)
    with patch("chimle.inference.model.BandedTower", RecordedTower):
        task = SampleTask(photo, out / photo.stem)
        report = sample_file(model, task, SampleRequest(count=1, degrade=True), grid=False)
    peak = peak_gib()
    (file,) = report["samples"].values()
    sample = np.asarray(Image.open(file))
    image = sample.astype(np.float32)
    steps = np.abs(np.diff(image, axis=0)).mean(axis=(1, 2))
    # steps[r - 1] lies between the rows r - 1 and r.
    height = len(image)
    across = {row * height // of - 1 for row, of in borders}
    inside = []
    for row in across:
        near = {row + PERIOD * k for k in range(-4, 5)} - across
        inside.append(np.mean([steps[other] for other in near if 0 <= other < len(steps)]))
    definition = model.bundle.settings.definition
    given = model.degraded(np.asarray(Image.open(photo).convert("RGB")))
    agreed = agreement(sample[None], given, definition, DegradationSettings())
    return {
        "agreement": ", ".join(f"{name} {value:.4g}" for name, value in agreed.items()),
        "width": image.shape[1],
        "height": height,
        "seconds": report["seconds"],
        "peak_gib": peak,
        "borders": len(across),
        "across": float(steps[sorted(across)].mean()) if across else float("nan"),
        "inside": float(np.mean(inside)) if inside else float("nan"),
    }


def example(folder: Path) -> Path:
    """A built-in photograph at `SIDES`, as a file."""
    path = folder / "large.png"
    Image.fromarray(data.coffee()).resize(SIDES, Image.Resampling.BICUBIC).save(path)
    return path


def in_process(bundle: str, photo: Path, out: Path) -> dict[str, Any]:
    """`measure` in a process of its own, so that its memory is measured alone."""
    command = [sys.executable, "-m", "benchmarks.large", "--photo", str(photo)]
    command += ["--keep", str(out), "--bundle", bundle]
    results: dict[str, Any] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    return results


def main() -> None:
    """Print the table at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", type=Path, help="a good photograph; default: a built-in one")
    parser.add_argument("--models", type=Path, default=Path("models"), help="folder of bundles")
    parser.add_argument("--pretrained", action="store_true", help="the package's models instead")
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS), help="tasks")
    parser.add_argument("--keep", type=Path, help="folder for the samples; default: none")
    parser.add_argument("--bundle", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        keep = arguments.keep or Path(temporary)
        photo = arguments.photo or example(Path(temporary))
        if arguments.bundle:
            print(json.dumps(measure(arguments.bundle, photo, keep)))
            return
        lines = [
            f"{'task':17} {'sample':>10} {'seconds':>7} {'peak GiB':>8} "
            f"{'borders':>7} {'across':>7} {'inside':>7}  agreement"
        ]
        for task in arguments.only:
            bundle = arguments.models / task
            if arguments.pretrained:
                bundle = PRETRAINED / f"{task}.zip"
            results = in_process(str(bundle), photo, keep / task)
            size = f"{results['width']}x{results['height']}"
            lines.append(
                f"{task:17} {size:>10} {results['seconds']:7.1f} {results['peak_gib']:8.2f} "
                f"{results['borders']:7} {results['across']:7.3f} {results['inside']:7.3f}  "
                f"{results['agreement']}"
            )
    print(machine(), *lines, sep="\n")


if __name__ == "__main__":
    main()
