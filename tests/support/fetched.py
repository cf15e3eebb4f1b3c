"""Images that arrive in a project, and what arrived."""

from typing import Any

from chimle.data.fetch.fetching import fetch
from chimle.data.manifests import SOURCE, read_records
from chimle.settings.reading import load_settings
from chimle.settings.run import RunSettings
from stages import check as check_stage
from tests.support.world import TASK, World, png, tar

PHOTOS = tuple((f"photos/{number}.png", png((40 + number, 40))) for number in range(6))
ARCHIVE = tar(*PHOTOS)


def fetched(world: World) -> dict[str, bytes]:
    """Fetch the task's source; names and bytes of its targets."""
    out = world.root / "data" / "raw" / TASK
    fetch(load_settings(RunSettings, TASK, world.root), world.root, out)
    targets = out / "targets"
    files = (path for path in targets.rglob("*") if path.is_file())
    return {path.relative_to(targets).as_posix(): path.read_bytes() for path in files}


def records(world: World) -> list[dict[str, Any]]:
    return list(read_records(world.root / "data" / "raw" / TASK, SOURCE))


def check(world: World, accept: bool = False) -> str:
    """What the check stage writes."""
    check_stage.main(load_settings(RunSettings, TASK, world.root), world.root, accept)
    return (world.root / "data" / "sources" / f"{TASK}.json").read_text()
