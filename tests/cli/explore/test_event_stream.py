"""The response to a request of the page, whose events are computed in a thread."""

import asyncio
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("anyio", reason="the extra `explore` is absent")

from chimle.cli.explore.event_stream import EventStream
from chimle.cli.explore.request_queue import RequestQueue


def test_for_who_goes_away_what_is_computed_then_is_the_last() -> None:
    queue, computed, cleaned = RequestQueue(1), list[int](), threading.Event()
    left = threading.Event()

    def events() -> Generator[dict[str, Any], None, None]:
        for number in range(9):
            computed.append(number)
            if number == 2:
                assert left.wait(60)
            yield {"number": number}

    async def run() -> None:
        sent, gone = [], asyncio.Event()

        async def send(message: Any) -> None:
            sent.append(message)
            if len(sent) == 3:  # The start, and two events.
                gone.set()

        async def receive() -> Any:
            await gone.wait()
            return {"type": "http.disconnect"}

        stream = EventStream(queue.join(), events(), worker, cleaned.set)
        await asyncio.wait_for(stream({}, receive, send), 60)

    with ThreadPoolExecutor(1) as worker:
        asyncio.run(run())
        assert len(queue) == 0
        left.set()
    assert computed in ([0, 1], [0, 1, 2])
    assert cleaned.is_set()
