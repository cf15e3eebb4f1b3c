"""The HTTP protocol of `chimle explore`, which closes a connection that does not get on."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

from chimle.cli.explore.time_limits import TimeLimits

_CHECKS = 20
"""Checks of a connection in the shorter of its limits."""


def limited_protocol(limits: TimeLimits) -> type[H11Protocol]:
    """HTTP that closes connections whose header is late, or whose client reads no response.

    The body has its limits in `time_limits.in_time`: that request can be answered in words.
    """
    pause = min(limits.header, limits.silence) / _CHECKS

    class LimitedProtocol(H11Protocol):
        _check: asyncio.TimerHandle
        _header_since: float
        _taken_at: float
        _unsent = 0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._header_since = self._taken_at = self.loop.time()
            self._check = self.loop.call_later(pause, self._check_limits)

        def connection_lost(self, exc: Exception | None) -> None:
            self._check.cancel()
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            self._header_since = self.loop.time()
            super().on_response_complete()

        def _check_limits(self) -> None:
            self._check = self.loop.call_later(pause, self._check_limits)
            now, before = self.loop.time(), self._unsent
            self._unsent = self.transport.get_write_buffer_size()
            if not self._unsent or self._unsent < before:
                self._taken_at = now
            # The cycle is that of the last request whose header has arrived.
            waits = self.cycle is None or self.cycle.response_complete
            if now - self._taken_at > limits.silence:
                self.transport.abort()
            elif waits and now - self._header_since > limits.header:
                self.timeout_keep_alive_handler()

    return LimitedProtocol
