"""What one GPU shows in a few minutes: correctness first, then speed, a line per finding.

    python -m benchmarks.gpu --out FOLDER [--only PART ...] [--dry]
    python -m benchmarks.gpu --bring

Each part runs in a process of its own under a time limit (`benchmarks.gpu_parts`); what it prints
is written to FOLDER/gpu.md as it comes, so that a part that is cut off leaves its findings.
`--dry` runs every part at tiny sizes on the CPU, to test the script before a machine is rented.
"""

import argparse
import subprocess
import sys
import threading
import time
from pathlib import Path

from chimle.errors import UserError, guarded

LIMITS = {"codes": 60, "agreement": 120, "repeat": 120, "speed": 240}
"""Seconds that each part may take on a GPU, in the order in which they run."""
DRY_LIMIT = 600
"""Seconds that each part of a dry run may take."""
BRING = """\
Beside a checkout and PyTorch with CUDA the parts need: pydantic (with pydantic-core,
annotated-types, typing-inspection), lpips 0.1.4, safetensors, pyyaml, rich, numpy, pillow.
For `python -m stages.train TASK` also: data/pairs/TASK, params.yaml, presets/, and the perceptual
weights that `tasks.TASK.perceptual.weights` names."""


def run_part(name: str, dry: bool, record: Path) -> bool:
    """Run a part; whether it ended well. Its lines go to the terminal and the record."""
    command = [sys.executable, "-m", "benchmarks.gpu_parts", name, *(["--dry"] if dry else [])]
    started = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    timer = threading.Timer(DRY_LIMIT if dry else LIMITS[name], child.kill)
    timer.start()
    with record.open("a") as file:
        file.write(f"\n## {name}\n\n")
        assert child.stdout is not None
        for line in child.stdout:
            print(line, end="", flush=True)
            file.write(line)
            file.flush()
        code = child.wait()
        timer.cancel()
        spent = time.monotonic() - started
        outcome = "ended" if code == 0 else f"failed with code {code}"
        print(f"{name}: {outcome} after {spent:.0f} s", flush=True)
        file.write(f"\n{name}: {outcome} after {spent:.0f} s\n")
    return code == 0


def main(out: Path, only: list[str], dry: bool) -> None:
    """Run the parts; `UserError` names those that failed."""
    out.mkdir(parents=True, exist_ok=True)
    failed = [name for name in only or list(LIMITS) if not run_part(name, dry, out / "gpu.md")]
    if failed:
        raise UserError(f"{', '.join(failed)} failed: {out / 'gpu.md'} says where")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("scratch/gpu"))
    parser.add_argument("--only", nargs="+", choices=LIMITS, default=[])
    parser.add_argument("--dry", action="store_true", help="tiny sizes on the CPU")
    parser.add_argument("--bring", action="store_true", help="print what a bare machine needs")
    arguments = parser.parse_args()
    if arguments.bring:
        print(BRING)
    else:
        guarded(lambda: main(arguments.out, arguments.only, arguments.dry))
