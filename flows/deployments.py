"""`python -m flows.deployments`: deploy `prefect.yaml`, and keep what an operator has set.

Prefect's own command makes paused schedules active again and removes those that were added by hand.
"""

import os
from collections.abc import Sequence

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse

from chimle.errors import guarded
from flows.command import SECRETS, environment, run_quietly
from flows.revisions import project_root
from flows.server_errors import check_named, server_errors

_COMMAND = ("prefect", "--no-prompt", "deploy", "--all")
_ROOT = "CHIMLE_ROOT"
"""The checkout in which runs start; `prefect.yaml` names this variable."""


def _deploy() -> None:
    login = {name: os.environ[name] for name in SECRETS if name in os.environ}
    root = project_root()
    # Prefect deploys the name of a variable that is not set, and every later run fails.
    env = environment(**login, **{_ROOT: os.environ.get(_ROOT) or str(root)})
    run_quietly(_COMMAND, root, env)


def _restore(
    client: SyncPrefectClient, found: DeploymentResponse, before: Sequence[DeploymentSchedule]
) -> None:
    """Pause what was paused, and add what `prefect.yaml` does not name."""
    for old in before:
        same = next((new for new in found.schedules if new.schedule == old.schedule), None)
        if same is None and old.slug is None:
            again = [(old.schedule, old.active)]
            client.create_deployment_schedules(found.id, again, parameters=old.parameters)
        elif same is not None and same.active != old.active:
            client.update_deployment_schedule(found.id, same.id, active=old.active)


def main() -> None:
    """Deploy.

    Raises:
        UserError: no server is named, it does not answer, or `prefect.yaml` cannot be deployed.
    """
    check_named()
    with server_errors(), get_client(sync_client=True) as client:
        before = {found.id: found.schedules for found in client.read_deployments()}
        _deploy()
        for found in client.read_deployments():
            _restore(client, found, before.get(found.id, []))


if __name__ == "__main__":
    guarded(main)
