"""`python -m flows.setup_server`: what a Prefect server must know before the flows run on it.

The global concurrency limit of GPU slots, the work pool, and three automations that start a run
again: one that crashed, one whose process is silent, one that its worker never began. Run it as
often as you like: what is there is brought up to date.
"""

import argparse
import asyncio
from datetime import timedelta
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker

from chimle.errors import guarded
from chimle.provenance import digest
from flows.flow_settings import SlotSettings, load_flow_settings
from flows.run_states import AGAIN, AGAIN_SAYS, ENDED, NOT_PUBLISHED, NOTHING_CHANGED
from flows.slots import list_devices

POOL = "chimle"
"""Name of the work pool, as `prefect.yaml` knows it."""
FLOWS = ["pipeline", "train", "evaluate", "sweep"]
SILENCE = timedelta(seconds=90)
"""A run without a heartbeat for so long is dead; it sends one every 30 seconds."""
START = timedelta(seconds=120)
"""A run that was handed to a worker begins within this time, or the worker died."""
PAUSE = timedelta(seconds=10)
"""A crashed run starts again after this time: its worker reports a death twice, one second apart,
and a run that started again in between would be taken for dead."""

_PREFIX = "chimle: start again what was "
_RUN = "prefect.flow-run."
_STATES = {AGAIN, "Completed", "Failed", "Cancelled", "TimedOut", NOTHING_CHANGED, NOT_PUBLISHED}
_ENDS = {ENDED, *(_RUN + state for state in _STATES)}
"""Events. Not `Crashed`: two automations on one event lock each other out of SQLite."""
_OURS = {"prefect.resource.role": "flow", "prefect.resource.name": FLOWS}


def set_slots(client: SyncPrefectClient, settings: SlotSettings, slots: int | None) -> None:
    """Create the limit; an existing one changes only where `slots` says so."""
    existing = [x for x in client.read_global_concurrency_limits() if x.name == settings.limit]
    if existing and slots is None:
        return
    count = slots or max(1, len(list_devices()))
    client.upsert_global_concurrency_limit_by_name(settings.limit, count)


def _start_again(name: str, after: str, expect: set[str], within: timedelta) -> AutomationCore:
    """Starts a run of ours again when, after one event, none of the expected ones comes in time."""
    return AutomationCore(
        name=_PREFIX + name,
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after={_RUN + after},
            expect=expect,
            match={"prefect.resource.id": f"{_RUN}*"},  # type: ignore[arg-type]
            match_related=_OURS,  # type: ignore[arg-type]
            for_each={"prefect.resource.id"},
            threshold=1,
            within=within,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.SCHEDULED, name=AGAIN, message=f"{AGAIN_SAYS}{name}."
            )
        ],
    )


def automations() -> list[AutomationCore]:
    """The automations, each named by what has become of a run."""
    return [
        _start_again(
            "silent, its process dead", "heartbeat", {_RUN + "heartbeat", *_ENDS}, SILENCE
        ),
        _start_again("never begun by its worker", "Pending", {_RUN + "Running", *_ENDS}, START),
        _start_again("crashed", "Crashed", {_RUN + AGAIN}, PAUSE),
    ]


def _definition(automation: AutomationCore) -> str:
    """Names an automation's content, so that an unchanged one is known again."""
    content = automation.model_dump(mode="json", include={"trigger", "actions"})
    for names in ("after", "expect", "for_each"):
        content["trigger"][names].sort()
    return f"Made by make server-setup, {digest(content)[:12]}."


async def set_automations() -> None:
    """Replace the automations that carry our prefix by today's.

    One that is there already stays: with it the server would forget which runs it watches.
    """
    wanted = {_definition(automation): automation for automation in automations()}
    async with get_client() as client:
        for existing in await client.read_automations():
            if existing.description in wanted:
                del wanted[existing.description]
            elif existing.name.startswith(_PREFIX):
                await client.delete_automation(existing.id)
        for description, automation in wanted.items():
            automation.description = description
            await client.create_automation(automation)


def set_pool(client: SyncPrefectClient) -> None:
    """Create the process work pool; one that exists, of whatever type, stays as it is."""
    template = ProcessWorker.get_default_base_job_template()
    try:
        client.create_work_pool(
            WorkPoolCreate(name=POOL, type="process", base_job_template=template)
        )
    except ObjectAlreadyExists:
        return


def main(root: Path, slots: int | None) -> None:
    """All of it."""
    settings = load_flow_settings(root).slots
    with get_client(sync_client=True) as client:
        set_slots(client, settings, slots)
        set_pool(client)
        asyncio.run(set_automations())
        limit = client.read_global_concurrency_limit_by_name(settings.limit)
        print(f"{client.api_url} has {limit.limit} slots `{limit.name}` and work pool `{POOL}`")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="project directory (default: .)")
    parser.add_argument(
        "--slots", type=int, help="trainings at once (default: keep, or one per CUDA device)"
    )
    arguments = parser.parse_args()
    guarded(lambda: main(arguments.root, arguments.slots))
