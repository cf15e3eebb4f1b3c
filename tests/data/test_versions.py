"""Data under DVC: through a remote that speaks S3, and from a source that changes."""

import shutil
from pathlib import Path

import boto3
import pytest
import yaml

from tests.data.test_pairing_kills import contents
from tests.support.misbehaving import Site
from tests.support.projects import write_photographs
from tests.support.repositories import commit, run, stages_run, tiny_repository
from tests.support.servers import CREDENTIALS
from tests.support.world import tar

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
    with (root / ".dvc" / "config").open("a", encoding="utf-8") as config:
        config.write(f"['remote \"store\"']\nurl = s3://data-store/dvc\nendpointurl = {s3}\n")
    run(root, "dvc", "push", "--remote", "store")
    shutil.rmtree(root / ".dvc" / "cache")
    shutil.rmtree(root / "data")
    run(root, "dvc", "pull", "--remote", "store", f"pair@{TASK}", f"fetch@{TASK}")
    run(root, "git", "checkout", "--", "data")
    assert contents(root / "data") == made


def images(folder: Path, seed: int) -> bytes:
    write_photographs(folder, count=8, seed=seed)
    return tar(*((path.name, path.read_bytes()) for path in sorted(folder.iterdir())))


def test_a_source_that_changed_is_told_and_can_be_accepted(tmp_path: Path, site: Site) -> None:
    address = site.put("/set.tar", images(tmp_path / "one", seed=1), etag='"one"')
    root = tiny_repository(tmp_path / "project")
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["tasks"][TASK]["source"] = {"kind": "url", "archives": [address]}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    run(root, "dvc", "repro", f"fetch@{TASK}")
    first = contents(root / "data" / "raw")
    assert address in (root / "data" / "checksums.json").read_text()
    asked = len(site.gets("/set.tar"))
    run(root, "python", "-m", "stages.check", TASK)
    assert not stages_run(run(root, "dvc", "repro", f"fetch@{TASK}"))
    assert len(site.gets("/set.tar")) == asked

    site.put("/set.tar", images(tmp_path / "two", seed=2), etag='"two"')
    said = run(root, "python", "-m", "stages.check", TASK, check=False)
    assert f"error: {address} has changed since it was first fetched" in said
    assert contents(root / "data" / "raw") == first
    accepted = run(root, "python", "-m", "stages.check", TASK, "--accept")
    assert f"{TASK}: the source is new or has changed" in accepted
    run(root, "dvc", "repro", f"fetch@{TASK}")
    assert contents(root / "data" / "raw") != first
