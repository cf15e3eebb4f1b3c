"""A web server of this process that keeps what is posted to it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    """What arrived at a running server.

    Attributes:
        address: `HOST:PORT`.
        messages: the JSON of each request, in order.
        status: what every request is answered.
    """

    def __init__(self) -> None:
        self.address, self.status = "", 200
        self.messages: list[dict[str, Any]] = []

    def told(self, *words: str) -> bool:
        """Whether one message has all the words in its title and text."""
        texts = [f"{each['title']}\n{each['message']}" for each in self.messages]
        return any(all(word in text for word in words) for text in texts)


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A server on a port of this machine."""
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.messages.append({**json.loads(body), "path": self.path})
            self.send_response(hook.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook.address = f"127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield hook
        server.shutdown()
