"""Errors of the Prefect server as sentences."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL

from chimle.errors import TRANSIENT_STATUSES, TransientError, UserError, first_line

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
def server_errors(
    asked: str = "", missing: str = "", later: type[UserError] | type[TransientError] = UserError
) -> Iterator[None]:
    """Turn errors of the server into sentences.

    Args:
        asked: what is asked for, where a refusal is to name it.
        missing: the sentence where the server does not know it.
        later: what a failure becomes that a later attempt may not meet, such as a server that does
            not answer; a refusal is a `UserError`.
    """
    server = f"the Prefect server at {PREFECT_API_URL.value()}"
    away = f"{server} does not answer: start it with `make serve`, or correct PREFECT_API_URL"
    try:
        yield
    except ObjectNotFound:
        if not missing:
            raise
        raise UserError(missing) from None
    except (httpx.TransportError, httpx.InvalidURL):
        raise later(away) from None
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status in _NO_LOGIN:
            raise UserError(
                f"{server} refuses the login: export PREFECT_API_AUTH_STRING, the line in its "
                ".prefect/login"
            ) from None
        kind = later if status in TRANSIENT_STATUSES else UserError
        raise kind(f"{server} refuses{asked and f' `{asked}`'}: {first_line(error)}") from None
    except RuntimeError as error:
        if not str(error).startswith(_OUT_OF_REACH):
            raise
        raise later(away) from None
