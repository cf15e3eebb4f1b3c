"""Errors of the Prefect server as sentences, for command lines."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.settings import PREFECT_API_URL

from chimle.errors import UserError, first_line

_NO_LOGIN = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
_OUT_OF_REACH = "Failed to reach API"
"""First words of Prefect's error for a server that does not answer; it has no type of its own."""


def check_named() -> None:
    """`UserError` unless a server is named: Prefect would prepare one of this process's own."""
    if not PREFECT_API_URL.value():
        raise UserError(
            "PREFECT_API_URL names no Prefect server: export it, as http://127.0.0.1:4200/api, and "
            "PREFECT_API_AUTH_STRING, the line in the server's .prefect/login"
        )


@contextmanager
def server_errors() -> Iterator[None]:
    """Turn a server that does not answer, or refuses, into a `UserError`."""
    server = f"the Prefect server at {PREFECT_API_URL.value()}"
    away = f"{server} does not answer: start it with `make serve`, or correct PREFECT_API_URL"
    try:
        yield
    except (httpx.TransportError, httpx.InvalidURL):
        raise UserError(away) from None
    except httpx.HTTPStatusError as error:
        if error.response.status_code in _NO_LOGIN:
            raise UserError(
                f"{server} refuses the login: export PREFECT_API_AUTH_STRING, the line in its "
                ".prefect/login"
            ) from None
        raise UserError(f"{server} refuses: {first_line(error)}") from None
    except RuntimeError as error:
        if not str(error).startswith(_OUT_OF_REACH):
            raise
        raise UserError(away) from None
