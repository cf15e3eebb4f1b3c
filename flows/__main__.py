"""`python -m flows FLOW [NAME=VALUE ...]`: run a flow in this process, with or without a server.

A value is JSON; what is not JSON is text: `python -m flows pipeline branch=nightly`.
"""

import argparse
import json
from collections.abc import Collection
from typing import Any

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL

from chimle.errors import UserError, guarded
from flows.pipeline import pipeline
from flows.project import open_project
from flows.server_errors import server_errors
from flows.setup_server import set_slots
from flows.sweep import sweep
from flows.training import evaluate, train
from flows.trim import trim

FLOWS = {flow.name: flow for flow in (pipeline, train, evaluate, sweep, trim)}


def _is_text(flow: str, name: str) -> bool:
    """Whether a parameter of a flow takes text alone, or nothing."""
    schema = FLOWS[flow].parameters.properties.get(name, {})
    kinds = {kind.get("type") for kind in schema.get("anyOf", [schema])}
    return "string" in kinds <= {"string", "null"}


def read_parameters(flow: str, words: list[str]) -> dict[str, Any]:
    """`NAME=VALUE` words as parameters of a flow.

    A number is text where the parameter is: a commit's hash may have digits only.

    Raises:
        UserError: a word has no `=`.
    """
    parameters: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise UserError(f"`{word}` is not a parameter: write NAME=VALUE")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        number = isinstance(value, int | float) and _is_text(flow, name)
        parameters[name] = text if number else value
    return parameters


def check_names(flow: str, given: Collection[str]) -> None:
    """`UserError` where a flow has no parameter of a given name, or needs one that is not given."""
    known, needed = FLOWS[flow].parameters.properties, FLOWS[flow].parameters.required
    if unknown := [name for name in given if name not in known]:
        raise UserError(
            f"{flow} has no parameter `{unknown[0]}`: remove it or name one of {', '.join(known)}"
        )
    if missing := [name for name in needed if name not in given]:
        raise UserError(f"{flow} needs `{missing[0]}`: add {missing[0]}=VALUE")


def run(name: str, words: list[str]) -> None:
    """Run a flow; a failure becomes a `UserError` with its message."""
    parameters = read_parameters(name, words)
    check_names(name, parameters)
    if not PREFECT_API_URL.value():
        # Prefect's ephemeral server starts without the concurrency limit.
        with open_project() as project, get_client(sync_client=True) as client:
            set_slots(client, project.settings.slots, None)
    try:
        with server_errors():
            state: Any = FLOWS[name](return_state=True, **parameters)
    except (ValueError, TypeError) as error:
        raise UserError(f"{name}: {' '.join(str(error).split())}") from None
    if not state.is_completed():
        raise UserError(" ".join((state.message or f"{name} ended as {state.name}").split()))
    print(state.message)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("flow", choices=FLOWS)
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE")
    arguments = parser.parse_args()
    guarded(lambda: run(arguments.flow, arguments.parameters))
