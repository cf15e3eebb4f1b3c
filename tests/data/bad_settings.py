"""Settings of sources that are refused."""

from typing import Any

from tests.data.bad_inputs import BadInput

_IN = "params.yaml, task decompression: "


def _row(what: str, says: str, kind: str = "url", **fields: Any) -> BadInput:
    return BadInput("Settings", what, _IN + says, lambda world: world.source(kind, **fields))


_ADDRESS = ["https://example.org/a.tar"]

TABLE = [
    _row(
        "an unknown kind of source",
        "`source.kind` = 'ftp': use one of builtin, folder, url, s3, catalogue",
        "ftp",
    ),
    _row(
        "an unknown field",
        "unknown parameter `source.archive`: remove it or fix its spelling…",
        archives=_ADDRESS,
        archive="x",
    ),
    _row("no archives", "`source` = …: needs either `archives`, addresses to fetch, or `listing`"),
    _row(
        "an empty list of archives",
        "`source` = …: needs either `archives`, addresses to fetch, or `listing`",
        archives=[],
    ),
    _row("an empty address", "`source.archives.0.address` = '': …", archives=[""]),
    _row(
        "an address with a password where a list should be",
        "`source.archives` = 'https://example.org/a?…': …",
        archives="https://user:pass@example.org/a?token=hidden",
    ),
    _row(
        "a SHA-256 that is none",
        "`source.archives.0.sha256` = 'abc': …",
        archives=[{"address": "a", "sha256": "abc"}],
    ),
    _row(
        "no patience at all",
        "`source.timeout_seconds` = 0: …",
        archives=_ADDRESS,
        timeout_seconds=0,
    ),
    _row("less than no retries", "`source.retries` = -1: …", archives=_ADDRESS, retries=-1),
    _row("no files allowed", "`source.most_files` = 0: …", archives=_ADDRESS, most_files=0),
    _row(
        "a path out of the archive",
        "`source.path` = '../x': must stay within what is unpacked: no `..`, no leading `/`",
        archives=_ADDRESS,
        path="../x",
    ),
    _row(
        "an absolute path",
        "`source.inputs` = '/x': must stay within what is unpacked: no `..`, no leading `/`",
        archives=_ADDRESS,
        inputs="/x",
    ),
    _row(
        "two ways to inputs",
        "…`inputs` and `side_by_side` exclude each other…",
        archives=_ADDRESS,
        inputs="x",
        side_by_side="left",
    ),
    _row("no bucket", "`source.address` = 'https://x': …", "s3", address="https://x"),
    _row("a bucket behind a login", "`source.address` = 's3://b/': …", "s3", address="s3://k:s@b/"),
    _row(
        "a SHA-256 of a prefix",
        "…`sha256` is of an archive; a prefix has none…",
        "s3",
        address="s3://b/set/",
        sha256="0" * 64,
    ),
    _row("no transfers at all", "`source.transfers` = 0: …", "s3", address="s3://b/", transfers=0),
    _row(
        "nothing that could be done about damage",
        "`source.damaged` = 'ignore': …",
        "folder",
        path="x",
        damaged="ignore",
    ),
]
