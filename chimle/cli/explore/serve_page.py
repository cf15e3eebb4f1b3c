"""Serve the page of `chimle explore` on this machine's loopback address only."""

import contextlib
import signal
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chimle.cli.explore.time_limits import TimeLimits
from chimle.errors import UserError
from chimle.inference.model import Model

MOST_CONNECTIONS = 64
"""Connections at once; further ones get status 503."""


_LIMITS = TimeLimits()


def serve_page(model: Model, port: int, limits: TimeLimits = _LIMITS) -> None:
    """Serve until interrupted; `UserError` when the port is taken or a package is absent."""
    try:
        import uvicorn

        from chimle.cli.explore.explore_app import build_app
        from chimle.cli.explore.limited_protocol import limited_protocol
    except ImportError as error:
        package = (error.name or "").split(".")[0]
        if package not in ("anyio", "starlette", "uvicorn"):
            raise
        raise UserError(f"explore needs {package}: pip install 'chimle[explore]'") from None
    with (
        listener(port) as listening,
        tempfile.TemporaryDirectory(prefix="chimle-explore-") as folder,
        ThreadPoolExecutor(1) as worker,
        contextlib.suppress(KeyboardInterrupt),
        interrupted_by(signal.SIGTERM),
    ):
        config = uvicorn.Config(
            build_app(model, Path(folder), worker, limits),
            http=limited_protocol(limits),
            log_level="warning",
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=1,
            ws="none",
            server_header=False,
        )
        print(f"Open http://127.0.0.1:{port} in a browser; Ctrl-C ends.", flush=True)
        uvicorn.Server(config).run(sockets=[listening])


@contextlib.contextmanager
def interrupted_by(number: signal.Signals) -> Iterator[None]:
    """Within it, a signal interrupts as Ctrl-C does, so that temporary folders are removed.

    The server sends itself the signal that has ended it once more, which by default would end the
    process at once.
    """
    before = signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(number, before)


def listener(port: int) -> socket.socket:
    """A socket that listens on loopback; `UserError` when the port is taken."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise UserError(f"port {port} cannot be used ({error}): name another") from None
