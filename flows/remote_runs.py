"""Runs of another deployment: started once, and waited for until they end for good."""

import itertools
import time
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.deployments import run_deployment

from chimle.errors import TransientError, UserError
from flows.server_errors import server_errors

RESTART = timedelta(minutes=5)
"""A crashed run that the server has not started again after this time stays so. Its automation does
that after `flows.setup_server.PAUSE`; a server without the automations never does."""
_POLL_SECONDS = 5.0


def _asking(deployment: str, missing: str = "") -> AbstractContextManager[None]:
    """Errors of the server while it is asked for a deployment or, with `missing`, for a run."""
    known = "`prefect deployment ls` lists them"
    unknown = f"the Prefect server has no deployment `{deployment}`: {known}"
    return server_errors(deployment, missing or unknown, TransientError)


def check_deployment(name: str) -> None:
    """Check that the server knows a deployment.

    Raises:
        UserError: it has none of this name.
        TransientError: it does not answer.
    """
    flow, _, own = name.partition("/")
    if not flow or not own or "/" in own:
        raise UserError(f"`{name}` names no deployment: write FLOW/NAME, such as train/gpu")
    with _asking(name), get_client(sync_client=True) as client:
        client.read_deployment_by_name(name)


def _last_state(client: SyncPrefectClient, run: UUID) -> State:
    """The state in which a run ends for good.

    A run that crashed has ended only if the server does not start it again in time.
    """
    crash, since = None, 0.0
    while True:
        state = client.read_flow_run(run).state
        if state is not None and state.is_final():
            if not state.is_crashed():
                return state
            if state.id != crash:
                crash, since = state.id, time.monotonic()
            elif time.monotonic() - since > RESTART.total_seconds():
                return state
        time.sleep(_POLL_SECONDS)


def run_elsewhere(deployment: str, parameters: dict[str, Any], key: str) -> State:
    """Run a deployment and wait for its end.

    A run that an earlier call with the same key started is taken up, whether it is under way or has
    completed. One that ended otherwise before this call is followed by a new one.

    Args:
        deployment: `FLOW/NAME`.
        parameters: of the run.
        key: names what is run, and for whom.

    Returns:
        The final state.

    Raises:
        UserError: there is no such deployment, or it refuses the parameters.
        TransientError: the server does not answer; the run goes on, and another call takes it up.
    """
    for number in itertools.count(1):
        with _asking(deployment):
            started: Any = run_deployment(
                deployment, parameters=parameters, timeout=0, idempotency_key=f"{key}-{number}"
            )
        removed = f"the run of `{deployment}` was removed from the server: start a new run"
        with _asking(deployment, removed), get_client(sync_client=True) as client:
            state = _last_state(client, started.id)
        # As it was when it was started or found: a run may fail before it is asked for again.
        before = started.state
        if state.is_completed() or before is None or state.id != before.id:
            return state
    raise AssertionError  # Not reached: `count` has no end.
