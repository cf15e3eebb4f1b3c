"""Time limits of `chimle explore`: no client holds a connection by sending or reading nothing.

Computing a response has none.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Limits in seconds.

    Attributes:
        header: for all of a request's header, from the connection or the last response on.
        silence: without a byte of a request's body, or without one taken of a response.
        body: for all of a request's body.
    """

    header: float = 10.0
    silence: float = 30.0
    body: float = 300.0


async def in_time(chunks: AsyncIterator[bytes], limits: TimeLimits) -> AsyncIterator[bytes]:
    """The chunks of a request's body.

    Raises:
        TimeoutError: its client was silent for too long, or needs too long for all of it.
    """
    end = time.monotonic() + limits.body
    while True:
        async with asyncio.timeout(min(limits.silence, end - time.monotonic())):
            chunk = await anext(chunks, None)
        if chunk is None:
            return
        yield chunk
