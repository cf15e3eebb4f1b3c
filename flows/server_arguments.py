"""What `make serve` and the server that it starts share of their command lines."""

import argparse
from urllib.parse import urlsplit

_LAST_PORT = 65_535


def port_number(text: str) -> int:
    """An argument of a command line as a port.

    Raises:
        ArgumentTypeError: it is no number from 1 to 65535.
    """
    if not text.isdecimal() or not 1 <= int(text[:9]) <= _LAST_PORT:
        raise argparse.ArgumentTypeError(f"`{text}` is not a port from 1 to {_LAST_PORT}")
    return int(text)


def public_origin(text: str) -> str:
    """An argument of a command line as an origin, as browsers write it: without a final slash.

    Raises:
        ArgumentTypeError: it is more or less than a scheme and a host, perhaps with a port.
    """
    try:
        parts = urlsplit(text)
        origin = f"{parts.scheme}://{parts.netloc}".lower()
        good = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        good, origin = False, ""
    if not good or text.lower() not in (origin, f"{origin}/"):
        raise argparse.ArgumentTypeError("it must be an origin: write https://HOST, and no path")
    return origin


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where a server listens, and under which names it is reached."""
    parser.add_argument("--host", default="127.0.0.1", help="address (default: this machine only)")
    parser.add_argument("--port", type=port_number, default=4200, help="port (default: 4200)")
    parser.add_argument(
        "--public",
        action="append",
        type=public_origin,
        default=[],
        help="https://HOST of a reverse proxy",
    )
