"""`python -m flows.setup_server`: prepare a Prefect server for the flows.

It creates or updates the global concurrency limit of GPU slots, the work pool, and three
automations that start a run again: one that crashed, one whose process sends no heartbeat, one
that its worker never began. With `CHIMLE_NOTIFY` in the environment it also sets up notifications,
or removes them if the variable is empty. It may be run again at any time.
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
from flows.command import NOTIFY
from flows.flow_settings import NotificationSettings, SlotSettings, load_flow_settings
from flows.notifications import crash_notice, read_address, save_address, state_notices
from flows.run_states import AGAIN, AGAIN_PREFIX, ENDED, NOT_PUBLISHED, NOTHING_CHANGED
from flows.server_errors import check_named, server_errors
from flows.slots import list_devices

POOL = "chimle"
"""Name of the work pool, as `prefect.yaml` knows it."""
FLOWS = ["pipeline", "train", "evaluate", "sweep", "trim"]
SILENCE = timedelta(seconds=90)
"""A run without a heartbeat for this time is dead; it sends one every 30 seconds."""
START = timedelta(seconds=120)
"""A worker that has not begun a run after this time is dead."""
PAUSE = timedelta(seconds=10)
"""Delay before a crashed run starts again. Its worker reports the crash twice, one second apart; a
run that started again in between would be taken for dead."""

_PREFIX = "chimle: "
_START_AGAIN = f"{_PREFIX}start again what was "
_TELL = f"{_PREFIX}tell of what needs a person"
_RUN = "prefect.flow-run."
_STATES = {AGAIN, "Completed", "Failed", "Cancelled", "TimedOut", NOTHING_CHANGED, NOT_PUBLISHED}
_ENDS = {ENDED, *(_RUN + state for state in _STATES)}
"""Events of a run's end. Without `Crashed`: two automations on one event block each other in
SQLite."""
_OURS: dict[str, str | list[str]] = {
    "prefect.resource.role": "flow",
    "prefect.resource.name": FLOWS,
}


def set_slots(client: SyncPrefectClient, settings: SlotSettings, slots: int | None) -> None:
    """Create the limit; an existing one changes only if `slots` is given."""
    existing = [x for x in client.read_global_concurrency_limits() if x.name == settings.limit]
    if existing and slots is None:
        return
    count = slots or max(1, len(list_devices()))
    client.upsert_global_concurrency_limit_by_name(settings.limit, count)


def _start_again(
    name: str, after: str, expect: set[str], within: timedelta, block: str | None
) -> AutomationCore:
    """Starts a run again if, after one event, none of the expected ones follows in time.

    With a block of an address, it tells so.
    """
    again = ChangeFlowRunState(
        state=StateType.SCHEDULED, name=AGAIN, message=f"{AGAIN_PREFIX}{name}."
    )
    return AutomationCore(
        name=_START_AGAIN + name,
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after={_RUN + after},
            expect=expect,
            match={"prefect.resource.id": f"{_RUN}*"},
            match_related=_OURS,
            for_each={"prefect.resource.id"},
            threshold=1,
            within=within,
        ),
        actions=[again, *([crash_notice(block, name)] if block else [])],
    )


def automations(
    settings: NotificationSettings | None = None, block: str | None = None
) -> list[AutomationCore]:
    """Three that start a run again, each named by the reason, and one for the other notifications.

    Args:
        settings: what is told.
        block: with the address to tell it to; None: nothing is told.
    """
    settings = settings or NotificationSettings()
    crashed = block if "crashed" in settings.events else None
    alive, begun = {_RUN + "heartbeat", *_ENDS}, {_RUN + "Running", *_ENDS}
    return [
        _start_again("silent, its process dead", "heartbeat", alive, SILENCE, crashed),
        _start_again("never begun by its worker", "Pending", begun, START, crashed),
        _start_again("crashed", "Crashed", {_RUN + AGAIN}, PAUSE, crashed),
        *(state_notices(settings, block, _OURS, _TELL) if block else []),
    ]


def _definition(automation: AutomationCore) -> str:
    """A description that identifies an automation's content."""
    content = automation.model_dump(mode="json", include={"trigger", "actions"})
    for names in ("after", "expect", "for_each"):
        content["trigger"][names].sort()
    return f"Made by make server-setup, {digest(content)[:12]}."


async def set_automations(wanted_ones: list[AutomationCore]) -> None:
    """Replace the automations with our prefix by these.

    An unchanged one is kept, because a new one would not know the runs that it watches.
    """
    wanted = {_definition(automation): automation for automation in wanted_ones}
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
    """Create the process work pool; an existing one, of whatever type, is kept."""
    template = ProcessWorker.get_default_base_job_template()
    try:
        client.create_work_pool(
            WorkPoolCreate(name=POOL, type="process", base_job_template=template)
        )
    except ObjectAlreadyExists:
        return


def slot_count(text: str) -> int:
    """An argument of a command line as a number of slots.

    Raises:
        ArgumentTypeError: it is no number from 1 on.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number from 1 on")
    return int(text)


def main(root: Path, slots: int | None) -> None:
    """Prepare the server.

    Raises:
        UserError: none is named, it does not answer, or a setting is bad.
    """
    check_named()
    settings, address = load_flow_settings(root), read_address()
    with server_errors(), get_client(sync_client=True) as client:
        set_slots(client, settings.slots, slots)
        set_pool(client)
        block = save_address(client, address)
        asyncio.run(set_automations(automations(settings.notifications, block)))
        limit = client.read_global_concurrency_limit_by_name(settings.slots.limit)
        told = ", ".join(settings.notifications.events) if block else ""
        print(f"{client.api_url} has {limit.limit} slots `{limit.name}` and work pool `{POOL}`")
        print(f"notifications: {told or f'none, {NOTIFY} holds no address'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="project directory (default: .)")
    parser.add_argument(
        "--slots", type=slot_count, help="trainings at once (default: keep, or one per CUDA device)"
    )
    arguments = parser.parse_args()
    guarded(lambda: main(arguments.root, arguments.slots))
