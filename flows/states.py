"""How runs end: the names of their last states, and runs that had ended when they were started."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.runtime import flow_run

NOTHING_CHANGED = "Nothing changed"
NOT_PUBLISHED = "Not published"
AGAIN = "AwaitingRetry"
"""State of a run that is to start again."""
AGAIN_SAYS = "Was "
"""First word of the message by which our automations start a run again; the web page has others."""
_ENDS = {StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED}
_LEAST_SECONDS = 3.0
"""How long a run takes at least. A server that heard its first heartbeat after its end would take
it for dead, start it again, and so forth without end."""

P = ParamSpec("P")


def ended_before(states: list[State]) -> State | None:
    """How a run had ended before one of our automations started it again; None if it had died.

    A busy server may hear a run's last heartbeat after its end, and take the run for dead.

    Args:
        states: all that the run was in, the present one included.
    """
    past = sorted(states, key=lambda state: state.timestamp)
    begun = [
        number
        for number, state in enumerate(past)
        if state.name == AGAIN and (state.message or "").startswith(AGAIN_SAYS)
    ]
    if not begun or not begun[-1] or past[begun[-1] - 1].type not in _ENDS:
        return None
    end = past[begun[-1] - 1]
    return State(type=end.type, name=end.name, message=end.message)


@contextmanager
def lasting(seconds: float) -> Iterator[None]:
    """Hold up the end of the block until so much time has passed since it began."""
    begun = time.monotonic()
    try:
        yield
    finally:
        time.sleep(max(0.0, begun + seconds - time.monotonic()))


def once(function: Callable[P, State]) -> Callable[P, State]:
    """Let a flow that had ended end again as it did, without doing anything."""

    @wraps(function)
    @lasting(_LEAST_SECONDS)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> State:
        run = flow_run.get_id()
        if run and (flow_run.get_run_count() or 1) > 1:
            with get_client(sync_client=True) as client:
                end = ended_before(client.read_flow_run_states(UUID(run)))
            if end is not None:
                get_run_logger().info("this run had ended: nothing is done again")
                return end
        return function(*args, **kwargs)

    return wrapper
