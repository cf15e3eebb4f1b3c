"""Servers that do not give what they should."""

# ruff: noqa: E501

import json
import socket
from collections.abc import Callable
from threading import Thread
from typing import Any

from tests.data.bad_inputs import BadInput
from tests.support.servers import free_port
from tests.support.world import World, png, tar

GOOD = tar(("a.png", png()))
BIG = tar(("a.png", png((300, 300))))
_AT = "http://…/a.tar "


def _row(what: str, says: str, content: bytes = GOOD, **behaviour: Any) -> BadInput:
    return BadInput("Servers", what, says, lambda world: world.serve(content, **behaviour))


def _hidden(world: World) -> None:
    address = world.site.put("/a.tar", statuses=[404] * 9)
    world.url(address.replace("://", "://user:pass@") + "?token=hidden")


def _fields(content: bytes = GOOD, **fields: Any) -> Callable[[World], None]:
    return lambda world: world.url(world.site.put("/a.tar", content), **fields)


def _pinned(world: World) -> None:
    archive = {"address": world.site.put("/a.tar", GOOD), "sha256": "0" * 64}
    world.source("url", archives=[archive])


def _silent(world: World) -> None:
    world.url(world.site.put("/a.tar", GOOD, stalls_after=0), timeout_seconds=0.2)


def _stalls(world: World) -> None:
    world.url(
        world.site.put("/a.tar", BIG, stalls_after=512, chunk=512, ranges=False),
        timeout_seconds=0.2,
    )


def _endless(world: World) -> None:
    world.url(world.site.put("/a.tar", bytes(10**6), length=0), most_bytes=1000)


def _nobody(world: World) -> None:
    world.url(f"http://127.0.0.1:{free_port()}/a.tar")


def _other_language(world: World) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def speak() -> None:
        for _ in range(4):
            with listener.accept()[0] as client:
                client.recv(1000)
                client.sendall(b"SSH-2.0-nothing\r\n")

    Thread(target=speak, daemon=True).start()
    world.url(f"http://127.0.0.1:{listener.getsockname()[1]}/a.tar")


def _no_tls(world: World) -> None:
    world.url(world.site.put("/a.tar", GOOD).replace("http:", "https:"))


def _recorded(world: World, **entry: Any) -> str:
    address = world.site.put("/a.tar", GOOD)
    checksums = world.root / "data" / "checksums.json"
    checksums.write_text(json.dumps({address: {"sha256": "0" * 64, **entry}}))
    world.url(address)
    return address


def _checksums(text: str) -> Callable[[World], None]:
    def make(world: World) -> None:
        address = world.serve(GOOD)
        path = world.root / "data" / "checksums.json"
        path.write_text(text.replace("ADDRESS", address))

    return make


def _bad_checksums(what: str, says: str, text: str) -> BadInput:
    said = f"…/data/checksums.json is damaged ({says}): fix it or take it back from Git"
    return BadInput("Records of checksums", what, said, _checksums(text))


def _url(what: str, says: str, address: str) -> BadInput:
    return BadInput("Addresses", what, says, lambda world: world.url(address))


_FAILED = _AT + "cannot be fetched (the server answers {}; 2 attempts): try again later"
_ACCEPT = "run `python -m stages.check TASK --accept` to take what is there now"
_PIN = ", or name its `sha256`, which is then all that counts"

TABLE = [
    _row(
        "403",
        f"{_AT}cannot be fetched (the server answers 403 Forbidden): ask its owner for access or download it by hand",
        statuses=[403] * 9,
    ),
    _row(
        "401",
        f"{_AT}cannot be fetched (the server answers 401 Unauthorized): its server wants a user: https://USER:PASSWORD@HOST/... or a .netrc",
        statuses=[401] * 9,
    ),
    _row(
        "404",
        f"{_AT}cannot be fetched (the server answers 404 Not Found): fix its address in `source.archives`",
        statuses=[404] * 9,
    ),
    _row(
        "410",
        f"{_AT}cannot be fetched (the server answers 410 Gone): it is gone for good, name another address in `source.archives`",
        statuses=[410] * 9,
    ),
    _row(
        "418",
        f"{_AT}cannot be fetched (the server answers 418 I'm a Teapot): fix its address in `source.archives`",
        statuses=[418] * 9,
    ),
    _row("500 for ever", _FAILED.format("500 Internal Server Error"), statuses=[500] * 9),
    _row("502 for ever", _FAILED.format("502 Bad Gateway"), statuses=[502] * 9),
    _row("503 for ever", _FAILED.format("503 Service Unavailable"), statuses=[503] * 9),
    _row("429 for ever", _FAILED.format("429 Too Many Requests"), statuses=[429] * 9),
    _row(
        "503 that asks for hours",
        f"{_AT}cannot be fetched (the server answers 503 Service Unavailable): its server asks to wait 9999 seconds",
        statuses=[503] * 9,
        retry_after="9999",
    ),
    BadInput(
        "Servers",
        "404 behind a password and a token",
        f"{_AT}cannot be fetched (the server answers 404 Not Found): fix its address in `source.archives`",
        _hidden,
    ),
    _row(
        "redirects in a circle",
        f"{_AT}redirects more than 10 times: fix its address",
        redirect="/a.tar",
    ),
    _row(
        "a redirect to a file of this machine",
        f"{_AT}redirects to `file:`: only http and https are read",
        redirect="file:///etc/passwd",
    ),
    _row(
        "a redirect to FTP",
        f"{_AT}redirects to `ftp:`: only http and https are read",
        redirect="ftp://example.org/a.tar",
    ),
    _row(
        "a redirect to nowhere",
        f"`source.archives`: {_AT}leads to no valid address: fix it",
        redirect="http://[nowhere",
    ),
    BadInput(
        "Servers",
        "nobody listens",
        f"{_AT}cannot be fetched (connection refused; 2 attempts): try again later",
        _nobody,
    ),
    BadInput(
        "Servers",
        "a server of another kind",
        f"{_AT}cannot be fetched (the connection broke off; 2 attempts): try again later",
        _other_language,
    ),
    BadInput(
        "Servers",
        "HTTPS where there is none",
        "https://…/a.tar cannot be fetched (no valid TLS connection): fix the address in `source.archives`",
        _no_tls,
    ),
    BadInput(
        "Servers",
        "silence",
        f"{_AT}cannot be fetched (the server was silent for 0.2 seconds; 2 attempts): try again later",
        _silent,
    ),
    BadInput(
        "Servers",
        "silence in the middle",
        f"{_AT}cannot be fetched (the server was silent for 0.2 seconds; 2 attempts): try again later",
        _stalls,
    ),
    _row(
        "a body that is always cut off",
        f"{_AT}cannot be fetched (the connection broke off; 2 attempts): try again later",
        cuts=[100] * 9,
        ranges=False,
    ),
    _row(
        "a chunked body that is cut off",
        f"{_AT}cannot be fetched (the connection broke off; 2 attempts): try again later",
        cuts=[100] * 9,
        length=0,
        ranges=False,
    ),
    _row(
        "a length that is too large",
        f"{_AT}cannot be fetched (the connection broke off; 2 attempts): try again later",
        length=len(GOOD) + 50,
        ranges=False,
    ),
    _row(
        "a length that is too small",
        f"{_AT}is damaged at a.png (unexpected end of data): fetch or pack it again",
        length=600,
    ),
    _row(
        "a page instead of an archive",
        f"{_AT}is no tar, zip or image: name one that is",
        b"<html>please log in</html>",
    ),
    _row("nothing at all", f"{_AT}is empty: fetch or pack it again", b""),
    _row(
        "another ETag at every request",
        f"{_AT}became another file while it was fetched: run again{_PIN}",
        etag="changing",
    ),
    BadInput(
        "Servers",
        "a file larger than allowed",
        f"{_AT}is larger than `source.most_bytes` 1,000: raise that",
        _fields(most_bytes=1000),
    ),
    BadInput(
        "Servers",
        "a file without end",
        f"{_AT}is larger than `source.most_bytes` 1,000: raise that",
        _endless,
    ),
    BadInput(
        "Servers",
        "another SHA-256 than settings name",
        f"{_AT}has SHA-256 …, not the {'0' * 64} that its `sha256` in `source` names",
        _pinned,
    ),
    BadInput(
        "Servers",
        "another ETag than recorded",
        f"{_AT}has changed since it was first fetched: {_ACCEPT}{_PIN}",
        lambda world: _recorded(world, etag='"other"'),
    ),
    BadInput(
        "Servers",
        "another size than recorded",
        f"{_AT}has changed since it was first fetched: {_ACCEPT}{_PIN}",
        lambda world: _recorded(world, size=1),
        "check",
    ),
    BadInput(
        "Servers",
        "another content than recorded",
        f"{_AT}has SHA-256 …, not the {'0' * 64} that …/data/checksums.json recorded: {_ACCEPT}",
        lambda world: _recorded(world, etag='"one"'),
    ),
    _bad_checksums("no JSON", "Expecting…", "{"),
    _bad_checksums("a list", "it holds no mapping of addresses", "[]"),
    _bad_checksums("no SHA-256", "the entry of …", '{"ADDRESS": {"size": 1}}'),
    _bad_checksums("a SHA-256 that is none", "the entry of …", '{"ADDRESS": {"sha256": "abc"}}'),
    _bad_checksums(
        "a size that is no number",
        "the entry of …",
        '{"ADDRESS": {"sha256": "' + "0" * 64 + '", "size": "1"}}',
    ),
    _url(
        "an unknown scheme",
        "`source.archives`: gopher://example.org/a is neither https, http, file nor a path",
        "gopher://example.org/a",
    ),
    _url(
        "S3 as an address",
        "`source.archives`: s3://bucket/a is neither https, http, file nor a path: use `kind: s3`",
        "s3://bucket/a",
    ),
    _url(
        "a file of another machine",
        "`source.archives`: file://host/a.tar names a host: write file:///PATH",
        "file://host/a.tar",
    ),
    _url("no host", "`source.archives`: http://:80/a.tar names no host", "http://:80/a.tar"),
    _url(
        "three slashes",
        "`source.archives`: http:///… is no address: write a host or a bucket right after the two "
        "slashes",
        "http:///a.tar",
    ),
    _url(
        "a port that is none",
        "`source.archives`: http://… is no valid address",
        "http://example.org:port/a.tar",
    ),
    _url(
        "an address with an open bracket",
        "`source.archives`: http://… is no valid address",
        "http://[::1",
    ),
    _url("a file that does not exist", "`source.archives`: …/none.tar does not exist", "none.tar"),
    _url("a folder", "`source.archives`: …/data is a folder: use `kind: folder`", "data"),
]
