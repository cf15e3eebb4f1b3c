"""Addresses as they may be printed."""

import re
from urllib.parse import urlsplit

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def plain(address: str) -> str:
    """An address without user, password, query and fragment, which may be secret."""
    scheme = SCHEME.match(address)
    if not scheme:
        return address
    try:
        parts = urlsplit(address)
    except ValueError:
        return f"{scheme[0]}…"
    return f"{scheme[0]}{parts.netloc.rpartition('@')[2]}{parts.path}"
