"""Local servers: answer their own page only, and reach them without a proxy."""

import ipaddress
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

_NAMES = ("localhost", "127.0.0.1", "::1")
_REFUSAL = b"This server answers requests of its own page only."

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def bypass_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """`NO_PROXY`, in both spellings, with the names of this machine added."""
    found = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    names = [name.strip() for name in found.split(",") if name.strip()]
    joined = ",".join([*names, *(name for name in _NAMES if name not in names)])
    return {"NO_PROXY": joined, "no_proxy": joined}


def _is_address(name: str | None) -> bool:
    try:
        ipaddress.ip_address(name or "")
    except ValueError:
        return False
    return True


class OwnPageOnly:
    """ASGI middleware that refuses requests of other web pages and under other host names.

    A page of another origin sends its `Origin`; a page that rebinds a DNS name to this machine
    sends that name as `Host`. An IP address as `Host` cannot be rebound.
    """

    def __init__(self, app: App, public: Collection[str] = ()) -> None:
        """Wrap an application.

        Args:
            app: the application.
            public: origins, such as `https://HOST`, under which a reverse proxy serves it.
        """
        self.app, self.public = app, frozenset(public)
        self.names = {"localhost", *(urlsplit(origin).hostname for origin in public)}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] not in ("http", "websocket") or self._is_own(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": _REFUSAL})

    def _is_own(self, scope: Message) -> bool:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        if name not in self.names and not _is_address(name):
            return False
        return origin is None or origin in self.public or origin == f"http://{host}"
