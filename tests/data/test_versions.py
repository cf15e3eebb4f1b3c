"""Data under DVC: through a remote that speaks S3, and from a source that changes."""

import shutil
from pathlib import Path

import boto3
import pytest
import yaml

from tests.data.misbehaving import Site
from tests.data.test_pairing_kills import contents
from tests.data.world import tar
from tests.projects import write_photographs
from tests.repositories import commit, run, tiny_repository
from tests.servers import CREDENTIALS

TASK = "colourization"


def test_sources_and_pairs_go_through_a_remote_and_come_back(
    tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"AWS_ENDPOINT_URL": s3, **CREDENTIALS}.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="data-store")
    root = tiny_repository(tmp_path / "project")
    run(root, "dvc", "repro", f"pair@{TASK}")
    commit(root, "data")
    made = contents(root / "data")
    run(root, "dvc", "remote", "add", "--default", "store", "s3://data-store/dvc")
    run(root, "dvc", "remote", "modify", "store", "endpointurl", s3)
    run(root, "dvc", "push")
    shutil.rmtree(root / ".dvc" / "cache")
    shutil.rmtree(root / "data")
    run(root, "dvc", "pull", f"pair@{TASK}", f"fetch@{TASK}", f"check@{TASK}")
    assert contents(root / "data") == made


def photographs(folder: Path, seed: int) -> bytes:
    write_photographs(folder, count=8, seed=seed)
    return tar(*((path.name, path.read_bytes()) for path in sorted(folder.iterdir())))


def test_a_source_that_changed_is_told_and_can_be_accepted(tmp_path: Path, site: Site) -> None:
    address = site.put("/set.tar", photographs(tmp_path / "one", seed=1), etag='"one"')
    root = tiny_repository(tmp_path / "project")
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["tasks"][TASK]["source"] = {"kind": "url", "archives": [address]}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    run(root, "dvc", "repro", f"pair@{TASK}")
    first = contents(root / "data" / "pairs")
    assert address in (root / "data" / "checksums.json").read_text()
    asked = len(site.gets("/set.tar"))
    run(root, "dvc", "repro", f"pair@{TASK}")
    assert len(site.gets("/set.tar")) == asked

    site.put("/set.tar", photographs(tmp_path / "two", seed=2), etag='"two"')
    said = run(root, "dvc", "repro", f"pair@{TASK}", check=False)
    assert f"error: {address} has changed since it was first fetched" in said
    assert contents(root / "data" / "pairs") == first
    run(root, "python", "-m", "stages.check", TASK, "--accept")
    run(root, "dvc", "repro", f"pair@{TASK}")
    assert contents(root / "data" / "pairs") != first
