"""The report: whole, self-contained, the same bytes again."""

import json
from pathlib import Path

import numpy as np
import pytest

from chimle.errors import UserError
from chimle.images.decode import write_png
from chimle.pictures import contact_sheet
from chimle.report import explain, metric_rows, overview, render

TASK = "colourization"


def results(root: Path) -> Path:
    (root / "metrics").mkdir(parents=True)
    (root / "curves").mkdir()
    metrics = {"lpips_x": 0.1, "do_nothing_lpips_x": 0.2, "psnr": 10.0, "do_nothing_psnr": 12.0}
    origin = {"n": 4, "samples_per_input": 2, "warnings": ["<b>random</b>"], "seed": 0}
    (root / "metrics" / f"{TASK}.json").write_text(json.dumps(metrics))
    (root / "metrics" / f"{TASK}.provenance.json").write_text(json.dumps(origin))
    (root / "curves" / f"{TASK}.csv").write_text(
        "step,round,loss,loss_level_1\n10,1,0.5,0.5\n20,1,0.2,0.2\n"
    )
    entry = {"id": "a<b", "input": "i.png", "target": "t.png", "samples": ["0.png", "1.png"]}
    folder = root / "pictures" / TASK
    for name in ("i.png", "t.png", "0.png", "1.png"):
        write_png(folder / name, np.full((8, 8, 3), 90, dtype=np.uint8))
    (folder / "gallery.json").write_text(json.dumps([entry]))
    return root


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    page = render(results(tmp_path), [TASK])
    assert "http://" not in page and "https://" not in page
    assert "Colourization" in page and "a&lt;b" in page and "&lt;b&gt;random" in page
    assert page.count("data:image/png;base64,") >= 5
    assert page == render(tmp_path, [TASK])
    assert overview(tmp_path, [TASK]) == overview(tmp_path, [TASK])


def test_missing_results_are_named(tmp_path: Path) -> None:
    results(tmp_path)
    (tmp_path / "metrics" / f"{TASK}.json").unlink()
    with pytest.raises(UserError, match=r"colourization\.json does not exist"):
        render(tmp_path, [TASK])


def test_verdicts_know_which_way_is_better() -> None:
    rows = {
        row.name: row.verdict
        for row in metric_rows(
            {"lpips_x": 0.1, "do_nothing_lpips_x": 0.2, "psnr": 1, "do_nothing_psnr": 2, "z": 1}
        )
    }
    assert rows == {"lpips_x": "better", "psnr": "worse", "z": ""}
    assert "nearest" in explain("lpips_vgg_best_of_10")[0]


def test_contact_sheet_places_pictures() -> None:
    dark = np.zeros((4, 4, 3), dtype=np.uint8)
    sheet = contact_sheet([[dark, dark], [dark]], side=8)
    assert sheet.shape == (28, 28, 3)
    assert (sheet[4:12, 4:12] == 0).all() and (sheet[16:24, 16:24] == 255).all()
