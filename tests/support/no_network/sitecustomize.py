"""Block every network but loopback, in this process and in Python children that inherit the path.

Python imports a module of this name at startup if its folder is on `PYTHONPATH`. Hosts that are not
this machine are unknown, and addresses that are not loopback are unreachable, as on a machine
without a network.
"""

import errno
import ipaddress
import os
import socket
from typing import Any

_connect, _connect_ex = socket.socket.connect, socket.socket.connect_ex
_getaddrinfo = socket.getaddrinfo


def is_local(host: object) -> bool:
    """Whether a host, as name or address, is this machine."""
    name = host.decode() if isinstance(host, bytes) else host
    if not name or not isinstance(name, str):
        return True
    if name in ("localhost", socket.gethostname()) or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _check(address: Any) -> None:
    # Addresses of Unix sockets are paths, not tuples.
    if isinstance(address, tuple) and not is_local(address[0]):
        raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))


def connect(self: socket.socket, address: Any) -> None:
    """`socket.connect` to loopback and Unix sockets only."""
    _check(address)
    _connect(self, address)


def connect_ex(self: socket.socket, address: Any) -> int:
    """`socket.connect_ex` to loopback and Unix sockets only."""
    try:
        _check(address)
    except OSError as error:
        return error.errno or errno.ENETUNREACH
    return _connect_ex(self, address)


def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
    """`socket.getaddrinfo` that knows this machine only; literal addresses are parsed."""
    if is_local(host) or _is_literal(host):
        return _getaddrinfo(host, *arguments, **options)
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def _is_literal(host: Any) -> bool:
    try:
        ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host)
    except ValueError:
        return False
    return True


def block() -> None:
    """Replace the functions of `socket`."""
    socket.socket.connect = connect  # type: ignore[method-assign, assignment]
    socket.socket.connect_ex = connect_ex  # type: ignore[method-assign, assignment]
    socket.getaddrinfo = getaddrinfo


block()
