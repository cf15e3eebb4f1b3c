"""Mistyped addresses: recognised, and never printed with their login."""

from pathlib import Path

import pytest

import chimle
from chimle.data.fetch.source_addresses import local_path
from chimle.errors import UserError, describe_os_error
from chimle.io.urls import mistake, plain
from chimle.settings.shown_values import shown
from tests.support.command import run

LOGIN = "KEY:do-not-print-me@"
MISTYPED = [
    f"{before}{scheme}{slashes}{LOGIN}host/x{behind}"
    for scheme in ("s3", "S3", "hf", "https", "git+https", "git+ssh")
    for before, slashes, behind in (
        (" ", "://", ""),
        ("\ufeff", "://", ""),
        ("", "://", " "),
        ("", "://", "\n"),
        ("", ":/", ""),
        (" ", ":/", ""),
        ("", ":///", ""),
        ("", ":\\\\", ""),
        ("", ":/\\", ""),
        ("", "//", ""),
        ("", " ://", ""),
        ("", "\t://", ""),
    )
] + [f"s3:{LOGIN}host/x", f"https:{LOGIN}host/x"]
"""With `@main:models/x`, also ways to name a repository."""
GOOD = [
    "s3://bucket/my folder/x@y",
    "hf://user/name@revision",
    "https://host:8080/a@b.zip",
    "git+https://host/x@main:models/x",
    "git+git@host:x/y@main:models/x",
    "git+https-mirror:x/y@main:models/x",
    "git+file:///folder/x@main:models/x",
    "file:///folder/a@b.zip",
    "folder/x",
    "s3/models/x",
    "C:\\me@work\\x",
]


@pytest.mark.parametrize("address", MISTYPED)
def test_a_mistyped_address_is_refused_without_its_login(address: str, tmp_path: Path) -> None:
    in_repository = "" if address.endswith(" ") else "@main:models/x"
    for read in (
        chimle.load,
        lambda text: chimle.load(f"{text}{in_repository}"),
        lambda text: local_path(text, tmp_path),
    ):
        with pytest.raises(UserError, match=r"no address|unseen character") as caught:
            read(address)
        assert "do-not-print-me" not in str(caught.value)
    assert "do-not-print-me" not in plain(address)


@pytest.mark.parametrize("address", [text for text in MISTYPED if "\t" not in text])
def test_a_setting_or_a_path_that_is_one_is_shown_without_its_login(address: str) -> None:
    assert "do-not-print-me" not in shown(address)
    if ":" in address.partition("KEY")[0]:
        path = Path(address)
        for error in (UserError(f"{path} does not exist"), UserError(f"no folder {path}")):
            assert "do-not-print-me" not in str(error)
        described = describe_os_error(FileNotFoundError(2, "No such file", str(path)))
        assert "do-not-print-me" not in described


@pytest.mark.parametrize("address", ["http:///x", "s3:///", "https://", "git+https://\\x"])
def test_one_without_a_host_says_so(address: str) -> None:
    assert "host or a bucket" in str(mistake(address))


def test_one_with_too_few_slashes_says_so() -> None:
    assert str(mistake("http:/x")).endswith("write its scheme, a colon and two slashes")


@pytest.mark.parametrize("address", GOOD)
def test_other_addresses_and_paths_are_none(address: str) -> None:
    assert mistake(address) is None
    assert plain(address) == address
    assert str(UserError(f"{address} does not exist")) == f"{address} does not exist"


def test_a_folder_of_such_a_name_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:" / "x").mkdir(parents=True)
    assert local_path("s3:/x", tmp_path) == tmp_path / "s3:" / "x"
    with pytest.raises(UserError, match=r"bundle\.json"):
        chimle.load("s3:/x")


@pytest.mark.parametrize("secret", ["a@do-not-print-me", "a/do-not-print-me", "do-not-print-me/a"])
def test_a_password_with_a_slash_or_an_at_sign_is_not_shown(secret: str) -> None:
    address = f"s3://KEY:{secret}@bucket/x"
    assert "do-not-print-me" not in plain(address)
    assert "do-not-print-me" not in shown(address)
    assert shown("https://host:8080/a@b") == "'https://host:8080/a@b'"


def test_commands_show_no_login(tmp_path: Path) -> None:
    address = f"s3:/{LOGIN}bucket/x"
    for arguments in (
        ("show", address),
        ("sample", tmp_path / "a.png", "--model", f" s3://{LOGIN}bucket/x"),
        ("sample", f"https://{LOGIN}host/a.png", "--task", "colourization"),
        ("pack", "--push", f" hf://{LOGIN}user/name", "--task", "colourization"),
    ):
        done = run(*arguments)
        assert done.returncode == 2, done.stderr
        assert "do-not-print-me" not in done.stderr
        assert done.stderr.count("\n") == 1
