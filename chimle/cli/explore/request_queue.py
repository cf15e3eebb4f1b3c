"""Queue of requests: one is computed at a time, in the order of arrival; its length is bounded."""

import asyncio
from collections.abc import AsyncGenerator


class QueueFullError(Exception):
    """As many requests wait as may; the message says so in one sentence."""


class RequestQueue:
    """The requests that are computed or wait, in the order of arrival.

    It belongs to one event loop; no method is called from another thread.
    """

    def __init__(self, most_waiting: int) -> None:
        """An empty queue.

        Args:
            most_waiting: requests that may wait while one is computed.
        """
        self.most_waiting = most_waiting
        self._tickets: list[Ticket] = []
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """Number of requests that are computed or wait."""
        return len(self._tickets)

    def join(self) -> "Ticket":
        """A place at the end; `QueueFullError` where there is none."""
        if len(self._tickets) > self.most_waiting:
            raise QueueFullError(
                f"{self.most_waiting} requests are waiting already: try again in a minute"
            )
        ticket = Ticket(self)
        self._tickets.append(ticket)
        return ticket

    def place_of(self, ticket: "Ticket") -> int:
        """Number of requests before this one."""
        return self._tickets.index(ticket)

    def leave(self, ticket: "Ticket") -> None:
        """Take a request out; those after it move up."""
        if ticket in self._tickets:
            self._tickets.remove(ticket)
            self._changed.set()
            self._changed = asyncio.Event()

    async def changed(self) -> None:
        """Wait until a request leaves."""
        await self._changed.wait()


class Ticket:
    """The place of one request in a queue."""

    def __init__(self, queue: RequestQueue) -> None:
        self.queue = queue

    async def places(self) -> AsyncGenerator[int, None]:
        """Numbers of requests before this one, each time that it falls; ends when it is its turn.

        The consumer must not wait for anything else between two of them.
        """
        last = None
        while place := self.queue.place_of(self):
            if place != last:
                yield place
            last = place
            await self.queue.changed()

    def leave(self) -> None:
        """Leave the queue, computed or not; a second call does nothing."""
        self.queue.leave(self)
