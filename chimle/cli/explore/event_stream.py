"""ASGI response that sends events as lines of JSON, computed when the queue comes to it."""

import asyncio
import json
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from contextlib import aclosing

import anyio

from chimle.cli.explore.draw_events import Event
from chimle.cli.explore.request_queue import Ticket
from chimle.io.loopback import Message, Receive, Send


class EventStream:
    """Places in the queue as `{"before": n}`, then the events, one JSON line each.

    Computing and sending do not wait for each other: a client that reads slowly holds up nobody.
    A client that goes away leaves the queue; the sample that is computed then is the last one.
    """

    def __init__(
        self,
        ticket: Ticket,
        events: Generator[Event, None, None],
        worker: Executor,
        clean_up: Callable[[], None],
    ) -> None:
        """A response to one request.

        Args:
            ticket: its place in the queue.
            events: computed one after another in `worker`.
            worker: of one thread.
            clean_up: called in `worker` once no further event is computed, perhaps twice.
        """
        self.ticket, self.events, self.worker = ticket, events, worker
        self.clean_up = clean_up
        self.lines: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the response."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._compute)
                group.start_soon(self._watch, receive, group.cancel_scope)
                await self._send(send)
                group.cancel_scope.cancel()
        finally:
            self._end()

    async def _compute(self) -> None:
        try:
            async with aclosing(self.ticket.places()) as places:
                async for place in places:
                    self._put({"before": place})
            loop = asyncio.get_running_loop()
            while event := await loop.run_in_executor(self.worker, next, self.events, None):
                self._put(event)
        finally:
            self._end()

    def _put(self, event: Event) -> None:
        self.lines.put_nowait(json.dumps(event).encode() + b"\n")

    def _end(self) -> None:
        # The generator ends in its own thread, before the next request's begins there.
        self.worker.submit(self.events.close)
        self.worker.submit(self.clean_up)
        self.ticket.leave()
        self.lines.put_nowait(None)

    async def _send(self, send: Send) -> None:
        headers = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while (line := await self.lines.get()) is not None:
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _watch(self, receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()
