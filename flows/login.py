"""The login of this installation's Prefect server: a secret in a file of mode 600."""

import os
import secrets
import stat
from pathlib import Path

from chimle.errors import UserError

FILE = Path(".prefect") / "login"
"""Relative to the checkout; Git ignores the folder."""


def load_login(root: Path) -> str:
    """`USER:PASSWORD` of this installation; made at the first call.

    Raises:
        UserError: other users may read the file.
    """
    path = root / FILE
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if stat.S_IMODE(path.parent.stat().st_mode) & 0o077:
        path.parent.chmod(0o700)  # The database beside it holds the addresses of notifications.
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise UserError(
                f"{path} may be read by other users: remove it, and a new login is made"
            ) from None
        return _read(path)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(f"chimle:{secrets.token_urlsafe(24)}\n")
    return _read(path)


def _read(path: Path) -> str:
    login = path.read_text(encoding="utf-8").strip()
    if ":" not in login:
        raise UserError(f"{path} must hold USER:PASSWORD: remove it, and a new login is made")
    return login
