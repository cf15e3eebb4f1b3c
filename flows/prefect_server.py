"""`python -m flows.prefect_server`: Prefect's server, which answers its own page only.

Prefect's own command answers every host name and every origin. Login and allowed origins are
Prefect's settings, read from the environment (`PREFECT_SERVER_API_AUTH_STRING`,
`PREFECT_SERVER_CORS_ALLOWED_ORIGINS`).
"""

import argparse
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from prefect.server.api.server import create_app
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.database.dependencies import set_database_config
from prefect.settings import (
    PREFECT_API_DATABASE_CONNECTION_URL,
    PREFECT_SERVER_API_KEEPALIVE_TIMEOUT,
    PREFECT_SERVER_LOGGING_LEVEL,
)
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

from chimle.io.loopback import App, Message, OwnPageOnly, Receive, Send
from flows.serve_guard import TOKEN
from flows.server_arguments import add_server_arguments

HEADER = "chimle-serve"
"""Response header with that token: by it `make serve` knows its own server."""


class _WritersWait(AioSqliteConfiguration):
    """SQLite whose transactions take the lock of writers when they begin.

    Prefect's own begin as readers. One that then writes fails at once, "database is locked", if
    another has written meanwhile; SQLite's busy timeout of a minute does not help there.
    """

    @asynccontextmanager
    async def begin_transaction(
        self,
        session: AsyncSession,
        with_for_update: bool = True,  # noqa: ARG002 - always
    ) -> AsyncIterator[AsyncSessionTransaction]:
        async with super().begin_transaction(session, with_for_update=True) as transaction:
            yield transaction


class _Signed:
    """ASGI middleware that adds `HEADER` to every response."""

    def __init__(self, app: App, token: str) -> None:
        self.app, self.header = app, (HEADER.encode(), token.encode())

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        async def signed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), self.header]
            await send(message)

        await self.app(scope, receive, signed)


def main(host: str, port: int, public: list[str]) -> None:
    """Serve until SIGTERM."""
    # At lower levels Apprise writes the addresses of notifications.
    logging.getLogger("apprise").setLevel(logging.WARNING)
    address = PREFECT_API_DATABASE_CONNECTION_URL.value()
    if address.startswith("sqlite"):
        set_database_config(_WritersWait(connection_url=address))
    app: App = create_app(final=True)
    app = _Signed(OwnPageOnly(app, public), os.environ.get(TOKEN, ""))
    uvicorn.run(
        app,
        host=host,
        port=port,
        timeout_keep_alive=PREFECT_SERVER_API_KEEPALIVE_TIMEOUT.value(),
        log_level=PREFECT_SERVER_LOGGING_LEVEL.value().lower(),
        server_header=False,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    add_server_arguments(parser)
    arguments = parser.parse_args()
    main(arguments.host, arguments.port, arguments.public)
