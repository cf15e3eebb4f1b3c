"""Addresses as they may be printed, and those that are mistyped."""

import re
from urllib.parse import urlsplit

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_UNSEEN = re.compile(r"[\s\x00-\x1f\x7f\u200b-\u200f\u2060\ufeff]")
"""Blanks and characters that are not shown."""
_MEANT = re.compile(
    r"(?:git\+)?(?:(?:s3|hf|https?|ftps?|file|ssh|git)(?::[/\\]+|[/\\]{2,})|(?:s3|hf|https?|ftps?):)",
    re.IGNORECASE,
)
"""How an address begins, with any number of slashes."""
_FORM = re.compile(r"(?:git\+)?file://|[A-Za-z][A-Za-z0-9+.-]*://[^/\\]", re.IGNORECASE)
"""How it is to begin."""
_WITHOUT_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[/\\]|$)")
_MISTYPED_LOGIN = re.compile(
    r"(?P<beginning>\b(?!file:)[A-Za-z][A-Za-z0-9+.-]+\s*:(?:/(?!/)|/{3,}|[/\\]*\\[/\\]*)"
    r"|\b(?:s3|hf|https?|ftps?|ssh)(?::|//+)(?![/\\]))"
    r"(?:[^/\\\s:@]+:\S*@|[^/\\\s]*@)",
    re.IGNORECASE,
)


def plain(address: str) -> str:
    """An address without user, password, query and fragment, which may be secret.

    Of one that has no parts, or is mistyped, only the beginning.
    """
    scheme = SCHEME.match(address)
    if not scheme:
        return _beginning(address) or address
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 - a login with a slash reads as a host with a port that is none
    except ValueError:
        return f"{scheme[0]}…"
    if not parts.netloc and "file" not in parts.scheme:
        return f"{scheme[0]}…"
    return f"{scheme[0]}{parts.netloc.rpartition('@')[2]}{parts.path}"


def mistake(address: str) -> str | None:
    """What is wrong with a text that is meant as an address and would be read as a path; or None.

    The sentence shows nothing that may be secret.
    """
    beginning = _beginning(address)
    if beginning is None:
        return None
    inner = address.strip()
    if inner != address or _UNSEEN.search(inner.replace(" ", "")) or not _MEANT.match(inner):
        return f"a blank or an unseen character is before, in or behind {beginning}: remove it"
    if _FORM.match(address):
        return None
    if _WITHOUT_HOST.match(address):
        return f"{beginning} is no address: write a host or a bucket right after the two slashes"
    return f"{beginning} is no address: write its scheme, a colon and two slashes"


def _beginning(address: str) -> str | None:
    """`SCHEME:…` of a text that is meant as an address; None for any other."""
    found = _MEANT.match(_UNSEEN.sub("", address))
    return f"{found[0]}…" if found else None


def without_mistyped_logins(text: str) -> str:
    """A text without user and password of addresses that are not written with two slashes.

    `Path` writes every address so.
    """
    return _MISTYPED_LOGIN.sub(r"\g<beginning>", text)
