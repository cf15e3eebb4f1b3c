"""The queue of requests: order, places, leaving, and its bound."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from chimle.cli.explore.request_queue import QueueFullError, RequestQueue, Ticket


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 10))


async def follow(ticket: Ticket, places: list[int]) -> None:
    """Write down a ticket's places until it is its turn."""
    async for place in ticket.places():
        places.append(place)  # noqa: PERF401 - each is read before the last comes


async def settle() -> None:
    """Let all other tasks run until they wait."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_the_first_does_not_wait() -> None:
    async def test() -> None:
        places: list[int] = []
        await follow(RequestQueue(1).join(), places)
        assert places == []

    run(test())


def test_places_fall_in_the_order_of_arrival() -> None:
    async def test() -> None:
        queue = RequestQueue(5)
        tickets = [queue.join() for _ in range(3)]
        second, third = [], []  # type: list[int], list[int]
        waits = [
            asyncio.create_task(follow(tickets[1], second)),
            asyncio.create_task(follow(tickets[2], third)),
        ]
        await settle()
        assert (second, third) == ([1], [2])
        tickets[0].leave()
        await waits[0]
        await settle()
        assert (second, third) == ([1], [2, 1])
        assert not waits[1].done()
        tickets[1].leave()
        await waits[1]
        assert third == [2, 1]

    run(test())


def test_who_leaves_while_waiting_is_not_waited_for() -> None:
    async def test() -> None:
        queue = RequestQueue(5)
        tickets = [queue.join() for _ in range(4)]
        last: list[int] = []
        wait = asyncio.create_task(follow(tickets[3], last))
        await settle()
        tickets[1].leave()
        await settle()
        tickets[2].leave()
        tickets[0].leave()
        await wait
        assert last == [3, 2]
        assert len(queue) == 1

    run(test())


def test_a_place_is_told_once_though_others_behind_leave() -> None:
    async def test() -> None:
        queue = RequestQueue(5)
        tickets = [queue.join() for _ in range(3)]
        places: list[int] = []
        wait = asyncio.create_task(follow(tickets[1], places))
        await settle()
        tickets[2].leave()
        await settle()
        assert places == [1]
        tickets[0].leave()
        await wait

    run(test())


def test_it_is_bounded_and_has_room_again_after_one_left() -> None:
    async def test() -> None:
        queue = RequestQueue(2)
        tickets = [queue.join() for _ in range(3)]
        with pytest.raises(QueueFullError, match="2 requests are waiting already: try again"):
            queue.join()
        tickets[1].leave()
        tickets[1].leave()
        assert len(queue) == 2
        queue.join()
        with pytest.raises(QueueFullError):
            queue.join()

    run(test())
