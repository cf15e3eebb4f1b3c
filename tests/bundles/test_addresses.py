"""Bundles from S3, over HTTP from a server of its protocol."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import torch

import chimle
from chimle.bundles.pack import pack
from chimle.errors import UserError
from tests.support.command import run
from tests.support.projects import noise_image, tiny_bundle
from tests.support.servers import CREDENTIALS, free_port, s3_server

BUCKET = "towers"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of an S3 server for this module's tests."""
    with s3_server() as address:
        yield address


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment in which boto3 finds the server; the folder of the uploaded bundle."""
    for key, value in {"AWS_ENDPOINT_URL": endpoint, **CREDENTIALS}.items():
        monkeypatch.setenv(key, value)
    folder = tiny_bundle(tmp_path / "bundle", "night_to_day")
    pack(chimle.load(folder).bundle, tmp_path / "one.zip", "cc0-1.0", tmp_path)
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    for path in folder.iterdir():
        client.upload_file(str(path), BUCKET, f"models/night/{path.name}")
    client.upload_file(str(tmp_path / "one.zip"), BUCKET, "one.zip")
    client.put_object(Bucket=BUCKET, Key="half/bundle.json", Body=b"{")
    client.put_object(Bucket=BUCKET, Key="half/weights.safetensors", Body=b"")
    client.put_object(Bucket=BUCKET, Key="text.zip", Body=b"no archive")
    client.put_object(Bucket=BUCKET, Key="fat/bundle.json", Body=b" " * (2**22 + 1))
    return folder


def test_a_prefix_and_an_archive_equal_the_folder(bucket: Path) -> None:
    image = torch.from_numpy(noise_image((17, 24))).permute(2, 0, 1) / 255
    expected = chimle.load(bucket).sample(image, n=1)
    for address in ("s3://towers/models/night", "s3://towers/models/night/", "s3://towers/one.zip"):
        found = chimle.load(address).sample(image, n=1)
        assert torch.equal(found[0], expected[0])


@pytest.mark.usefixtures("bucket")
def test_each_bad_address_is_one_sentence() -> None:
    for address, words in (
        ("s3://towers/none", "cannot be read .*there is no such"),
        ("s3://towers/none.zip", "cannot be read .*there is no such"),
        ("s3://nowhere/at/all", "cannot be read"),
        ("s3://towers/half", "is damaged"),
        ("s3://towers/text.zip", "is damaged or no model bundle"),
        ("s3://towers/fat", "no model bundle"),
        ("s3://towers/half/", "^s3://towers/half/bundle.json is damaged"),
    ):
        with pytest.raises(UserError, match=words) as caught:
            chimle.load(address)
        assert str(caught.value).startswith(address), "not the copy's path"


def test_a_login_in_an_address_of_s3_is_refused_and_not_printed() -> None:
    """S3 takes its keys from elsewhere; no bucket has such a name."""
    with pytest.raises(UserError, match=r"^s3://towers/none is no address") as caught:
        chimle.load("s3://KEY:secret@towers/none")
    assert "secret" not in str(caught.value)


@pytest.mark.usefixtures("bucket")
def test_the_command_line_reads_s3_and_prints_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("show", "s3://towers/one.zip", "--json")
    assert done.returncode == 0, done.stderr
    assert '"license": "cc0-1.0"' in done.stdout, done.stderr
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    done = run("show", "s3://towers/one.zip")
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "do-not-print-me" not in done.stderr + done.stdout
