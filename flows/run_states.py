"""How runs end: the names of their last states, and runs that had ended when they were started."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from prefect import Flow, get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.events import emit_event
from prefect.runtime import flow_run

NOTHING_CHANGED = "Nothing changed"
NOT_PUBLISHED = "Not published"
AGAIN = "AwaitingRetry"
"""State of a run that is to start again."""
AGAIN_SAYS = "Was "
"""First word of the message by which our automations start a run again; the web page has others."""
_ENDS = {StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED}
ENDED = "chimle.flow-run.ended"
"""Event with which a run itself tells its end."""
_LEAST_SECONDS = 5.0
"""How long a run takes at least: a server that hears of its first heartbeat and of its end at once
may take them in the wrong order, and then takes the run for dead."""

P = ParamSpec("P")
R = TypeVar("R")


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


def tell_end(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:
    """Emit the event `ENDED` of a run that has reached its last state.

    A server takes in the states of a run in their order. Where the first one is missing, as with a
    schedule that was set minutes before it was due, it keeps the others back for a quarter of an
    hour; heartbeats and this event it takes in at once.
    """
    of = {
        "prefect.resource.id": f"prefect.flow.{flow_run.flow_id}",
        "prefect.resource.name": flow.name,
    }
    emit_event(
        ENDED,
        resource={"prefect.resource.id": f"prefect.flow-run.{flow_run.id}"},
        related=[{**of, "prefect.resource.role": "flow"}],
        payload={"state": state.name or state.type.value},
    )


def emit_end_event(flow: Flow[P, R]) -> Flow[P, R]:
    """Let a flow's runs tell their ends."""
    for register in (flow.on_completion, flow.on_failure, flow.on_cancellation):
        register(tell_end)
    return flow


@contextmanager
def min_duration(seconds: float) -> Iterator[None]:
    """Hold up the end of the block until so much time has passed since it began."""
    begun = time.monotonic()
    try:
        yield
    finally:
        time.sleep(max(0.0, begun + seconds - time.monotonic()))


def skip_if_ended(function: Callable[P, State]) -> Callable[P, State]:
    """Let a flow that had ended end again as it did, without doing anything."""

    @wraps(function)
    @min_duration(_LEAST_SECONDS)
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
