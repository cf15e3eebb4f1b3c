"""Where memory is full, a command is one sentence that names what to lower."""

import subprocess
import sys
from pathlib import Path

import pytest

from chimle.cli.sample_command import batch_failure
from chimle.errors import is_memory_full
from chimle.images.decode import write_png
from tests.support.helpers import ROOT
from tests.support.projects import noise_image, tiny_bundle

LIMITED = """
import resource, sys, warnings
warnings.simplefilter("ignore")
import chimle.bundles.export, chimle.inference.sample_files, chimle.metrics.score_files
from chimle.cli.main import main
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {megabytes} * 2**20,) * 2)
main()
"""


def run_limited(megabytes: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """`chimle` in a process that may take so much memory beside its modules."""
    command = [sys.executable, "-c", LIMITED.format(megabytes=megabytes), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def one_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in errors[0]


linux = pytest.mark.skipif(sys.platform != "linux", reason="limits are read from /proc")


@linux
def test_scores_of_images_that_do_not_fit(tmp_path: Path) -> None:
    for place in ("outputs/a/0.png", "outputs/a/1.png", "targets/a.png"):
        write_png(tmp_path / place, noise_image((1500, 1500)))
    given = ("--targets", tmp_path / "targets", "--weights", "random")
    done = run_limited(400, "score", tmp_path / "outputs", *given)
    one_sentence(done, "too little memory", "smaller images, fewer samples of each input")


@linux
def test_an_export_of_a_size_that_does_not_fit(tmp_path: Path) -> None:
    model = ("--model", tiny_bundle(tmp_path / "bundle", "night_to_day"), "--format", "torch")
    done = run_limited(400, "export", *model, "--size", "8192x8192", "-o", tmp_path / "tower.pt2")
    one_sentence(done, "too little memory", "give a smaller `--size`")
    assert not (tmp_path / "tower.pt2").exists()


@linux
def test_a_sample_of_an_image_that_does_not_fit(tmp_path: Path) -> None:
    model = ("--model", tiny_bundle(tmp_path / "bundle", "night_to_day"))
    write_png(tmp_path / "a.png", noise_image((3000, 3000)))
    done = run_limited(400, "sample", tmp_path / "a.png", *model, "-o", tmp_path / "out")
    one_sentence(done, "a.png does not fit into memory: reduce it first")


def test_a_full_memory_and_other_errors() -> None:
    full = (
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB.\nSee documentation"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1.00 GB)"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    )
    for error in full:
        assert is_memory_full(error)
        assert "does not fit into memory" in batch_failure(error, Path("a.png"))
    for other in (
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("unsupported memory format option"),
        ValueError("out of memory"),
    ):
        assert not is_memory_full(other)
        assert not batch_failure(other, Path("a.png"))
