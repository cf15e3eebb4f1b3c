"""What grows is listed with sizes, and `trim` removes what is old and can be made again."""

import os
import shutil
import time
from pathlib import Path

import pytest
import yaml
from prefect import get_client

from chimle.errors import TransientError
from flows.disk import list_usage
from flows.revisions import RESULTS
from flows.trim import trim
from flows.worktrees import no_run, work_tree
from tests.support.helpers import ROOT
from tests.support.repositories import commit, run

pytestmark = pytest.mark.timeout(600)
OLD = time.time() - 100 * 86_400
SIZE = 2**21


def unused(root: Path, name: str) -> None:
    """Leave a version of `data` in the cache that nothing needs."""
    (root / "data").write_bytes(name.encode() * SIZE)
    run(root, "dvc", "add", "-q", "data")
    run(root, "git", "checkout", "-q", "data.dvc")
    run(root, "dvc", "checkout", "-q", "--force")


def add(root: Path, name: str, days: float = 0) -> str:
    """Track another version of `data` by DVC and commit it, as of so many days ago."""
    (root / "data").write_bytes(name.encode() * SIZE)
    run(root, "dvc", "add", "-q", "data")
    date = f"{int(time.time() - days * 86_400)} +0000"
    return commit(root, name, {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date})


def make_results(root: Path, name: str, days: float) -> str:
    """Keep results whose file no branch has; returns the reference."""
    made = add(root, name, days)
    reference = f"{RESULTS}{made}"
    run(root, "git", "update-ref", reference, made)
    run(root, "git", "reset", "-q", "--hard", "HEAD~1")
    run(root, "dvc", "checkout", "-q")
    return reference


def cached(root: Path) -> set[str]:
    """First letters of the files in DVC's cache."""
    files = (root / ".dvc" / "cache" / "files").rglob("*")
    return {file.read_text()[0] for file in files if file.is_file()}


def aged(path: Path, content: str = "x") -> Path:
    """A file that was written long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(path, (OLD, OLD))
    return path


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose cache holds `m` of a branch, `n` and `o` of new and old results, and `u`."""
    root = tmp_path_factory.mktemp("template") / "project"
    root.mkdir()
    run(root, "git", "init", "-q", "-b", "main")
    run(root, "dvc", "init", "-q")
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "params.yaml").write_text("{}\n")
    (root / "flows.yaml").write_text(yaml.safe_dump({"retry": {"delays_seconds": []}}))
    (root / ".gitignore").write_text("/scratch\n/.prefect/\n/data\n")
    inner = root / "showcase"
    inner.mkdir()
    run(inner, "dvc", "init", "-q", "--subdir")
    (inner / "dvc.yaml").write_text("stages: {}\n")
    (inner / ".gitignore").write_text("/scratch\n/data\n/models\n")
    add(root, "m")
    add(inner, "s")
    make_results(root, "o", days=100)
    make_results(root, "n", days=10)
    unused(root, "u")
    unused(inner, "v")
    assert cached(root) == {"m", "n", "o", "u"}
    assert cached(inner) == {"s", "v"}
    return root


@pytest.fixture
def root(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project, to be trimmed."""
    root = tmp_path / "project"
    shutil.copytree(template, root, symlinks=True)
    monkeypatch.chdir(root)
    return root


def test_what_grows_is_listed_with_sizes(root: Path) -> None:
    aged(root / "scratch" / "train" / "colourization" / "key" / "state.pt", "x" * 3 * 2**20)
    aged(root / ".prefect" / "prefect.db", "x" * 2**20)
    inner = root / "showcase"
    aged(inner / "scratch" / "train" / "colourization" / "key" / "state.pt", "x" * 2**20)
    aged(inner / "models" / "colourization" / "weights", "x" * 5)
    found = {usage.name: usage for usage in list_usage(root)}
    assert found[".dvc/cache"].size == 4 * SIZE
    assert found["refs/chimle/results"].count == 2
    assert found["refs/chimle/results"].size > 0
    assert found["scratch/train"].size == 3 * 2**20
    assert found["showcase/.dvc/cache"].size == 2 * SIZE
    assert found["showcase/scratch/train"].size == 2**20
    assert found["showcase/models"].size == 5
    paths = os.pathsep.join((str(ROOT), os.environ["PYTHONPATH"]))
    lines = run(root, "python", "-m", "flows.disk", env={"PYTHONPATH": paths}).splitlines()
    assert lines[0].split() == ["what", "size", "count", "trimmed", "by"]
    assert any(
        line.split() == ["scratch/train", "3.0", "MiB", "1", "scratch_days"] for line in lines
    )
    rows = [line.split() for line in lines]
    assert ["scratch/train", "3.0", "MiB", "1", "scratch_days"] in rows
    assert [".prefect", "1.0", "MiB", "1", "runs_days"] in rows


@pytest.mark.usefixtures("api")
def test_trim_removes_what_is_old_and_nothing_else(root: Path) -> None:
    scratch = root / "scratch"
    gone = [
        aged(scratch / "train" / "colourization" / "old" / "state.pt"),
        aged(scratch / "downloads" / "old.zip"),
        aged(scratch / "features" / "0a" / "features.npy"),
        aged(root / "showcase" / "scratch" / "train" / "colourization" / "old" / "state.pt"),
    ]
    stay = [
        aged(scratch / "fetch" / "task" / "key" / "first.png"),
        aged(scratch / "locks" / "task.lock"),
        aged(scratch / "hashes.json"),
    ]
    # Written to lately: all of it stays.
    (scratch / "fetch" / "task" / "key" / "last.png").write_text("x")
    dry = trim(dry_run=True, return_state=True)
    assert dry.message == "1 results, 4 entries of scratch and 0 runs would go."
    assert cached(root) == {"m", "n", "o", "u"}
    assert all(path.exists() for path in gone)
    done = trim(runs_days=0, return_state=True)
    assert done.is_completed(), done.message
    assert "1 results, 0.0 MiB of scratch and 1 runs removed" in str(done.message)
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in stay)
    assert cached(root) == {"m", "n"}
    assert cached(root / "showcase") == {"s"}
    listed = run(root, "git", "for-each-ref", "--format=%(refname)").splitlines()
    assert len([name for name in listed if name.startswith(RESULTS)]) == 1
    assert not [name for name in listed if name.startswith("refs/remotes")]
    with get_client(sync_client=True) as client:
        assert len(client.read_flow_runs()) == 1
    # What the flow protects the kept results from.
    run(root, "dvc", "gc", "--all-commits", "--force")
    assert cached(root) == {"m"}


@pytest.mark.usefixtures("api")
def test_a_cache_of_two_projects_is_trimmed_for_both(root: Path) -> None:
    inner, cache = root / "showcase", root / ".dvc" / "cache"
    run(inner, "dvc", "cache", "dir", "-q", "--local", str(cache))
    add(inner, "w")
    unused(inner, "x")
    assert {"w", "x"} < cached(root)
    assert [usage.name for usage in list_usage(root)].count(".dvc/cache") == 1
    done = trim(results_days=0, return_state=True)
    assert done.is_completed(), done.message
    assert cached(root) == {"m", "w"}


def test_nothing_is_trimmed_while_a_run_works(root: Path) -> None:
    with (
        work_tree(root, "at-work", "HEAD"),
        pytest.raises(TransientError, match="other runs use DVC's cache: at-work"),
        no_run(root, print),
    ):
        raise AssertionError
    with no_run(root, print):
        assert not list((root / "scratch" / "work-trees").glob("at-work*"))
