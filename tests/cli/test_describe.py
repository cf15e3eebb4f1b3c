"""What `chimle show` says of an address, and the contact sheet that it writes."""

from pathlib import Path
from typing import Any

import pytest

from chimle.bundles.bundle import DESCRIPTION, METRICS
from chimle.cli.describe import describe, draw
from chimle.data.manifests import PAIRS, SOURCE, write_records
from chimle.errors import UserError
from tests.support.command import run
from tests.support.projects import tiny_bundle


@pytest.mark.parametrize("skipped", [0, 2])
def test_a_source_says_what_was_skipped_if_anything_was(tmp_path: Path, skipped: int) -> None:
    header = {"kind": "folder", "side_by_side": None, "skipped": [{"name": "a"}] * skipped}
    record = {"file": "targets/a.png", "sha256": "0", "phash": "0", "source": "a.png"}
    write_records(tmp_path, SOURCE, header, [{**record, "bytes": 9, "width": 3, "height": 4}])
    found = describe(tmp_path)
    assert found["files"] == 1
    assert found.get("skipped") == (skipped or None)
    assert "versions" not in found  # A folder's files have none.


def test_a_source_names_few_versions(tmp_path: Path) -> None:
    header: dict[str, Any] = {"kind": "archive", "side_by_side": None, "skipped": []}
    record = {"sha256": "0", "phash": "0", "source": "a", "bytes": 9, "width": 3, "height": 4}
    for count, shown in ((1, ["0"]), (9, ["0", "1", "2", "3", "4", "..."])):
        records = [{**record, "file": f"targets/{n}.png", "version": str(n)} for n in range(count)]
        write_records(tmp_path, SOURCE, header, records)
        assert describe(tmp_path)["versions"] == shown


def test_a_task_s_own_model_is_drawn_by_the_task_s_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_bundle(tmp_path / "models" / "colourization", "colourization")
    monkeypatch.chdir(tmp_path)
    for number, address in enumerate(("colourization", "models/colourization")):
        draw(address, tmp_path / f"{number}.png")
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()
    inside = run("show", "colourization", "--image", "models/colourization/sheet.png", cwd=tmp_path)
    assert inside.returncode == 2
    assert "which is only read" in inside.stderr


def test_the_file_that_says_what_a_folder_holds_stands_for_it(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", "colourization", levels=1)
    assert describe(bundle / DESCRIPTION) == describe(bundle)
    header: dict[str, Any] = {"kind": "folder", "side_by_side": None, "skipped": []}
    record = {"file": "targets/a.png", "sha256": "0", "phash": "0", "source": "a.png"}
    lines = [{**record, "bytes": 9, "width": 3, "height": 4}]
    write_records(tmp_path, SOURCE, header, lines)
    assert describe(tmp_path / SOURCE) == describe(tmp_path)
    for name in (DESCRIPTION, PAIRS):
        with pytest.raises(UserError, match=f"{name} does not exist"):
            describe(tmp_path / name)


@pytest.mark.parametrize(
    "content",
    ["[" * 10**5, '{"metrics": 3}', "{", '{"metrics": {"psnr": 9}}'],
    ids=["deep", "number", "cut", "whole"],
)
def test_metrics_of_a_bundle_are_shown_or_left_out(tmp_path: Path, content: str) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", "colourization", levels=1)
    (bundle / METRICS).write_text(content)
    assert describe(bundle).get("metrics") == ({"psnr": 9} if "psnr" in content else None)


@pytest.mark.parametrize(
    ("name", "advice"),
    [("raw", "name a folder of pairs or a model bundle"), ("tower.pth", "import it first")],
)
def test_what_has_no_images_to_draw_says_what_has(tmp_path: Path, name: str, advice: str) -> None:
    with pytest.raises(UserError) as caught:
        draw(tmp_path / name, tmp_path / "sheet.png")
    assert str(caught.value) == f"{tmp_path / name} has no images to draw: {advice}"
    assert not (tmp_path / "sheet.png").exists()
