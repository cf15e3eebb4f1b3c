"""Notifications by e-mail, Slack or a webhook, sent by the Prefect server.

The address is one or several of Apprise's, https://appriseit.com/services/, and stands in the
environment variable `CHIMLE_NOTIFY`, because it holds passwords. `python -m flows.setup_server`
stores it as a block, which Prefect encrypts; automations send what `flows.yaml` chooses. Without
the variable what is stored stays; an empty one removes it.
"""

import logging
import os

from prefect.blocks.notifications import SlackWebhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from pydantic import SecretStr

from chimle.errors import UserError
from flows.command import NOTIFY
from flows.flow_settings import NotificationSettings
from flows.run_states import NOT_PUBLISHED

_BLOCK = "chimle-notifications"
_EVENTS = {
    "failed": "prefect.flow-run.Failed",
    "not published": f"prefect.flow-run.{NOT_PUBLISHED}",
    "late": "prefect.flow-run.Late",
}
"""The event of each kind. Crashes are told by the automations that start a run again."""
_SUBJECT = "chimle: {{ flow_run.name }}: {{ flow_run.state.name }}"
_BODY = "{{ flow_run.state.message }}\n{{ flow_run|ui_url }}"
_CRASH_SUBJECT = "chimle: {% if flow_run %}{{ flow_run.name }}{% else %}a run{% endif %}: crashed"


def read_address() -> str | None:
    """The address in the environment, empty if the variable is; None if it is not set.

    Raises:
        UserError: Apprise does not know it; the message does not quote it.
    """
    address = os.environ.get(NOTIFY)
    if address is None or not (address := address.strip()):
        return address
    from apprise import Apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # It quotes the address.
    if not Apprise().add(address):
        raise UserError(
            f"{NOTIFY} holds no address that Apprise knows: write for instance "
            "mailtos://USER:PASSWORD@HOST, slack://TOKENS or jsons://HOST/PATH"
        )
    return address


def save_address(client: SyncPrefectClient, address: str | None) -> str | None:
    """Store the address as a block.

    Of Prefect's blocks, this one hands any address to Apprise.

    Args:
        client: of the server.
        address: an empty one removes the block; None leaves it as it is.

    Returns:
        The block's identity; None if there is none.
    """
    if address:
        block = SlackWebhook(url=SecretStr(address), notify_type="warning")
        return str(block.save(_BLOCK, overwrite=True))
    try:
        found = client.read_block_document_by_name(_BLOCK, "slack-webhook")
    except ObjectNotFound:
        return None
    if address is None:
        return str(found.id)
    client.delete_block_document(found.id)
    return None


def crash_notice(block: str, reason: str) -> SendNotification:
    """Tells that a run died and starts again."""
    link = "{% if flow_run %}{{ flow_run|ui_url }}{% endif %}"
    body = f"It was {reason}, and starts again.\n{link}"
    return SendNotification(block_document_id=block, subject=_CRASH_SUBJECT, body=body)


def state_notices(
    settings: NotificationSettings, block: str, related: dict[str, str | list[str]], name: str
) -> list[AutomationCore]:
    """The automation that tells of failed, unpublished and late runs; none if none is chosen."""
    expect = {_EVENTS[kind] for kind in settings.events if kind in _EVENTS}
    trigger = EventTrigger(
        posture=Posture.Reactive,
        expect=expect,
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related=related,
        for_each={"prefect.resource.id"},
        threshold=1,
    )
    action = SendNotification(block_document_id=block, subject=_SUBJECT, body=_BODY)
    return [AutomationCore(name=name, trigger=trigger, actions=[action])] if expect else []
