"""Contact sheets: small, repeatable, with every split and camera."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chimle.data.pair.pairs_sheet import LARGEST_BYTES, pairs_sheet
from chimle.tasks import TASKS
from tests.support.cameras import write_camera
from tests.support.projects import noise_image
from tests.support.shared_archives import paired, settings_for


@pytest.mark.parametrize("task", TASKS)
def test_sheets_stay_small(tmp_path: Path, task: str) -> None:
    """Even of noise, which no encoder makes small."""
    (tmp_path / "photos").mkdir()
    for number in range(20):
        image = np.roll(noise_image((130, 128 + number)), number, axis=1)
        Image.fromarray(image).save(tmp_path / "photos" / f"{number}.png")
    source = {"kind": "folder", "path": str(tmp_path / "photos")}
    pairs = paired(tmp_path, settings_for(task, source, size=128))
    raw = tmp_path / "data" / "raw" / task
    content = pairs_sheet(pairs, raw)
    assert len(content) < LARGEST_BYTES
    assert content == pairs_sheet(pairs, raw)


def test_cameras_have_rows_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "cameras"
    days = [f"201305{day:02}_120000" for day in range(1, 13)]
    nights = [f"201305{day:02}_230000" for day in range(1, 9)]
    write_camera(folder / "town", {"day": days, "night": nights})
    source = {"kind": "folder", "path": str(folder)}
    own = settings_for("night_to_day", source, timelapse={"split": "date"})
    heights = []
    for more in (False, True):
        if more:
            write_camera(folder / "hill", {"day": days}, place=1)
        pairs = paired(tmp_path / str(more), own)
        raw = tmp_path / str(more) / "data" / "raw" / "night_to_day"
        heights.append(Image.open(io.BytesIO(pairs_sheet(pairs, raw))).height)
    assert heights[1] > heights[0]
