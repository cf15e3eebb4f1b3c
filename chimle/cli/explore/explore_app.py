"""The web application of `chimle explore`: its page, its example, and samples of an image.

It keeps nothing between requests: each names all that it needs, so that no request of one person
changes what another sees.
"""

import base64
import hashlib
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from chimle.cli.explore import sample_grid
from chimle.cli.explore.draw_events import DrawRequest, draw_events
from chimle.cli.explore.event_stream import EventStream
from chimle.cli.explore.request_queue import QueueFullError, RequestQueue
from chimle.cli.explore.time_limits import TimeLimits, in_time
from chimle.errors import UserError
from chimle.images.decode import png_bytes
from chimle.images.formats import extension_of, image_extensions
from chimle.inference.model import Model
from chimle.io.html_templates import render_html
from chimle.io.loopback import App, Message, OwnPageOnly, Receive, Send

MOST_WAITING = 8
"""Requests that may wait while one is computed."""
LARGEST_UPLOAD = 128 * 2**20
"""Bytes of an image file."""
LONGEST_NAME = 200
"""Letters of a file's name that a message repeats."""


class ExploreApp:
    """Handlers of the requests. `folder` holds uploads until they are drawn."""

    def __init__(self, model: Model, folder: Path, worker: Executor, limits: TimeLimits) -> None:
        self.model, self.folder, self.worker, self.limits = model, folder, worker, limits
        self.queue = RequestQueue(MOST_WAITING)
        self.page = render_page(model)

    async def show_page(self, _request: Request) -> Response:
        """The page."""
        headers = {"content-security-policy": content_policy(self.page)}
        return Response(self.page, media_type="text/html", headers=headers)

    async def show_example(self, _request: Request) -> Response:
        """The example as PNG: a cup, which may have any colour."""
        from skimage import data

        return Response(png_bytes(data.coffee()), media_type="image/png")

    async def draw(self, request: Request) -> EventStream | Response:
        """Draw samples of the image in the request's body."""
        query = request.query_params
        try:
            grid = sample_grid.grid_of(query, self.model.levels)
        except UserError as error:
            return PlainTextResponse(f"{error}.", 400)
        name = query.get("name", "the image")[:LONGEST_NAME]
        try:
            body = in_time(request.stream(), self.limits)
            file = await save_upload(body, self.folder, extension_of(name))
        except UserError as error:
            return PlainTextResponse(f"{name} {error}.", 413)
        except TimeoutError:
            late = f"{name} arrives too slowly or not at all: send it again."
            return PlainTextResponse(late, 408, {"connection": "close"})
        except ClientDisconnect:
            return Response(status_code=400)
        drawn = DrawRequest(file, name, query.get("degrade") == "1", grid)
        return self._queued(drawn)

    def _queued(self, request: DrawRequest) -> EventStream | Response:
        try:
            ticket = self.queue.join()
        except QueueFullError as error:
            request.image.unlink()
            return PlainTextResponse(f"{error}.", 503, {"retry-after": "60"})
        clean_up = partial(request.image.unlink, missing_ok=True)
        return EventStream(ticket, draw_events(self.model, request), self.worker, clean_up)


async def save_upload(body: AsyncIterator[bytes], folder: Path, extension: str) -> Path:
    """A request's body as a file; `UserError` where it is larger than `LARGEST_UPLOAD`."""
    suffix = extension if extension in image_extensions() else ""
    received = 0
    with tempfile.NamedTemporaryFile(suffix=suffix, dir=folder, delete=False) as file:
        path = Path(file.name)
        try:
            async for chunk in body:
                received += len(chunk)
                if received > LARGEST_UPLOAD:
                    raise UserError(f"has more than {LARGEST_UPLOAD >> 20} MiB: reduce it first")
                file.write(chunk)
        except BaseException:
            path.unlink()
            raise
    return path


def render_page(model: Model) -> str:
    """The page for a model, as HTML."""
    return render_html(
        Path(__file__).with_name("explore.html.j2"),
        title=model.bundle.settings.definition.title,
        levels=model.levels,
        extensions=",".join(["image/*", *sorted(image_extensions())]),
        limits=sample_grid,
        largest_upload=LARGEST_UPLOAD,
    )


def content_policy(page: str) -> str:
    """Content security policy: the page's own style and script run, nothing is loaded elsewhere."""
    style, script = (
        base64.b64encode(hashlib.sha256(found.encode()).digest()).decode()
        for found in (_inside(page, "style"), _inside(page, "script"))
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "img-src blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def _inside(page: str, tag: str) -> str:
    found = re.search(f"<{tag}>(.*)</{tag}>", page, re.DOTALL)
    assert found is not None
    return found[1]


class SafeHeaders:
    """ASGI middleware that adds headers against sniffed types, leaks and embedding."""

    HEADERS: Mapping[bytes, bytes] = {
        b"x-content-type-options": b"nosniff",
        b"referrer-policy": b"no-referrer",
        b"cross-origin-resource-policy": b"same-origin",
    }

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self.app(scope, receive, self._sending(send))

    def _sending(self, send: Send) -> Callable[[Message], Awaitable[None]]:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self.HEADERS.items()]
            await send(message)

        return with_headers


def build_app(model: Model, folder: Path, worker: Executor, limits: TimeLimits) -> Starlette:
    """The application; `worker` has one thread and computes all that is drawn."""
    app = ExploreApp(model, folder, worker, limits)
    routes = [
        Route("/", app.show_page, methods=["GET"]),
        Route("/example", app.show_example, methods=["GET"]),
        Route("/samples", app.draw, methods=["POST"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(OwnPageOnly), Middleware(SafeHeaders)])
