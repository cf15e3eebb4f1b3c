"""Final states of runs, and runs that are started again after their end."""

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
AGAIN_PREFIX = "Was "
"""First word of the message with which our automations start a run again."""
_ENDS = {StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED}
ENDED = "chimle.flow-run.ended"
"""Event that a run emits at its end."""
_MIN_SECONDS = 5.0
"""Shortest duration of a run. A server that receives the first heartbeat and the end at once may
process them in the wrong order, and then takes the run for dead."""

P = ParamSpec("P")
R = TypeVar("R")


def ended_before(states: list[State]) -> State | None:
    """The final state of a run before an automation started it again; None if it had died.

    A busy server may process a run's last heartbeat after its end, and take the run for dead.

    Args:
        states: all states of the run, the present one included.
    """
    past = sorted(states, key=lambda state: state.timestamp)
    begun = [
        number
        for number, state in enumerate(past)
        if state.name == AGAIN and (state.message or "").startswith(AGAIN_PREFIX)
    ]
    if not begun or not begun[-1] or past[begun[-1] - 1].type not in _ENDS:
        return None
    end = past[begun[-1] - 1]
    return State(type=end.type, name=end.name, message=end.message)


def emit_end(flow: Flow[..., Any], flow_run: FlowRun, state: State) -> None:
    """Emit the event `ENDED` of a run that has reached its final state.

    A server processes the states of a run in order. Where the first one is missing, as with a
    schedule that was set minutes before it was due, it delays the others by a quarter of an hour;
    heartbeats and this event are processed at once.
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
    """Make the runs of a flow emit `ENDED`."""
    for register in (flow.on_completion, flow.on_failure, flow.on_cancellation):
        register(emit_end)
    return flow


@contextmanager
def min_duration(seconds: float) -> Iterator[None]:
    """Delay the end of the block until this time has passed since its beginning."""
    begun = time.monotonic()
    try:
        yield
    finally:
        time.sleep(max(0.0, begun + seconds - time.monotonic()))


def skip_if_ended(function: Callable[P, State]) -> Callable[P, State]:
    """Make a run that had ended return its final state again, without running."""

    @wraps(function)
    @min_duration(_MIN_SECONDS)
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
