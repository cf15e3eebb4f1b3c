"""An HTTP server with configurable faults, which counts what it sends."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any


@dataclass
class Served:
    """Content of one path, and how it is sent.

    Attributes:
        content: the bytes.
        statuses: answered one after the other before it behaves.
        etag: entity tag; None: none; `changing`: another one at every request.
        modified: `Last-Modified`.
        ranges: whether parts are given.
        head: whether HEAD is answered.
        length: `Content-Length` that is claimed; None: the true one; 0: none, chunked.
        cuts: the connection ends after so many bytes of each of the first answers.
        stalls_after: nothing more comes after so many bytes.
        redirect: where it leads instead.
        retry_after: header of bad statuses.
        wrong_part: parts begin one byte later than asked for.
        pause: seconds between chunks of `chunk` bytes.
        chunk: bytes.
        turns_into: content that replaces it after the first GET.
    """

    content: bytes = b""
    statuses: list[int] = field(default_factory=list)
    etag: str | None = '"one"'
    modified: str | None = None
    ranges: bool = True
    head: bool = True
    length: int | None = None
    cuts: list[int] = field(default_factory=list)
    stalls_after: int | None = None
    redirect: str | None = None
    retry_after: str | None = None
    wrong_part: bool = False
    pause: float = 0.0
    chunk: int = 64 * 1024
    turns_into: bytes | None = None


@dataclass(frozen=True)
class Request:
    """What was asked.

    Attributes:
        method: GET or HEAD.
        path: without query.
        start: offset that was asked for; None: the whole.
    """

    method: str
    path: str
    start: int | None


class Site:
    """The paths of a running server.

    Attributes:
        address: of the server.
        paths: what lies there.
        requests: all that were made, in order.
        sent: bytes of bodies so far.
        ends: set when those that stall should go.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.paths: dict[str, Served] = {}
        self.requests: list[Request] = []
        self.sent = 0
        self.ends = Event()

    def put(self, path: str, content: bytes = b"", **behaviour: Any) -> str:
        """Serve something; returns its address."""
        self.paths[path] = Served(content, **behaviour)
        return f"{self.address}{path}"

    def gets(self, path: str) -> list[Request]:
        """What was asked with GET of a path."""
        return [one for one in self.requests if (one.method, one.path) == ("GET", path)]


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """Silence."""

        def do_HEAD(self) -> None:
            self._answer(head=True)

        def do_GET(self) -> None:
            self._answer(head=False)

        def _answer(self, *, head: bool) -> None:
            self.close_connection = True
            path = self.path.partition("?")[0]
            served = site.paths.get(path, Served(statuses=[404] * 99))
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            start = int(match[1]) if match else None
            site.requests.append(Request(self.command, path, start))
            with suppress(OSError):  # The other side has gone.
                self._speak(served, start, match[2] if match else "", head=head)

        def _speak(self, served: Served, start: int | None, last: str, *, head: bool) -> None:
            if served.redirect is not None:
                self._status(302, {"Location": served.redirect, "Content-Length": "0"})
                return
            if served.statuses:
                wait = {"Retry-After": served.retry_after} if served.retry_after else {}
                self._status(served.statuses.pop(0), {"Content-Length": "0", **wait})
                return
            if head and not served.head:
                self._status(405, {"Content-Length": "0"})
                return
            content, etag = served.content, served.etag
            if etag == "changing":
                etag = f'"{time.monotonic_ns()}"'
            headers = {"ETag": etag, "Last-Modified": served.modified}
            condition = self.headers.get("If-Range")
            if not served.ranges or (condition and condition not in headers.values()):
                start = None
            if start is not None and start >= len(content):
                self._status(416, {"Content-Length": "0"})
                return
            if start is None:
                start, status = 0, 200
            else:
                start, status = start + served.wrong_part, 206
                end = int(last) if last else len(content) - 1
                headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
                content = content[: end + 1]
            body = content[start:]
            if served.length == 0:
                headers["Transfer-Encoding"] = "chunked"
            else:
                claimed = len(body) if served.length is None else served.length
                headers["Content-Length"] = str(claimed)
            self._status(status, headers)
            if not head:
                self._send(served, body)
            if not head and not last and served.turns_into is not None:
                served.content, served.turns_into = served.turns_into, None
                served.etag = '"two"'

        def _status(self, status: int, headers: dict[str, str | None]) -> None:
            self.send_response(status)
            self.send_header("Connection", "close")
            for name, value in headers.items():
                if value is not None:
                    self.send_header(name, value)
            self.end_headers()

        def _send(self, served: Served, body: bytes) -> None:
            cut = served.cuts.pop(0) if served.cuts else len(body)
            sent = 0
            for offset in range(0, min(cut, len(body)), served.chunk):
                chunk = body[offset : min(offset + served.chunk, cut)]
                if served.stalls_after is not None and sent >= served.stalls_after:
                    site.ends.wait()
                    return
                if served.length == 0:
                    self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
                else:
                    self.wfile.write(chunk)
                sent += len(chunk)
                site.sent += len(chunk)
                if served.pause:
                    time.sleep(served.pause)
            if served.length == 0 and cut >= len(body):
                self.wfile.write(b"0\r\n\r\n")

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""


@contextmanager
def misbehaving_server() -> Iterator[Site]:
    """A server of this process; nothing lies there yet."""
    site = Site("")
    server = _Server(("127.0.0.1", 0), _handler(site))
    site.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.ends.set()
        server.shutdown()
        server.server_close()
