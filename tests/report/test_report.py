"""The report: self-contained, complete, escaped, repeatable; missing files are named."""

import base64
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markupsafe import escape
from PIL import Image
from rich.console import Console

from chimle.errors import UserError
from chimle.images.decode import read_rgb, write_png
from chimle.metrics.metric_table import metric_rows
from chimle.metrics.registry import plain_name, split_headline
from chimle.report.page import OVERVIEW_BYTES, render
from chimle.tasks import TASKS
from stages import report, summary
from tests.support.projects import write_project

TASK = "decompression"
METRICS = {
    "lpips_squeeze_random": 0.05,
    "lpips_squeeze_random_best_of_3": 0.03,
    "diversity_lpips_squeeze_random": 0.02,
    "psnr": 19.5,
    "psnr_low": 18.25,
    "psnr_high": 20.75,
    "agreement_psnr": 25.0,
    "frechet_squeeze_random": 1.5,
    "kernel_squeeze_random": -0.01,
    "precision_squeeze_random": 0.9,
    "recall_squeeze_random": 0.8,
    "frechet_squeeze_random_deviation": 0.1,
    "input_baseline_lpips_squeeze_random": 0.07,
    "input_baseline_psnr": 21.0,
    "input_baseline_frechet_squeeze_random": 1.5,
}
EVIL = "<script>alert('x')</script>&"


def write_results(
    root: Path,
    task: str,
    side: int = 32,
    samples: int = 3,
    metrics: Mapping[str, float] = METRICS,
) -> None:
    """Outputs of train and evaluate for one task, from noise."""
    generator = np.random.default_rng(len(task))
    folder = root / "galleries" / task
    entries = []
    for number in range(2):
        names = [f"{number:02}_sample_{j:02}.png" for j in range(samples)]
        entry: dict[str, Any] = {"id": f"{EVIL}{number}", "samples": names}
        for part in ("input", "target"):
            entry[part] = f"{number:02}_{part}.png"
        for name in (entry["input"], entry["target"], *names):
            shape = (side, side, 3)
            write_png(folder / str(name), generator.integers(0, 256, shape, dtype=np.uint8))
        entries.append(entry)
    (folder / "gallery.json").write_text(json.dumps(entries))
    provenance = {
        "n": 21,
        "samples_per_input": samples,
        "preset": "demo",
        "seed": 0,
        "extractor": {"name": "squeeze_random", "origin": "random", "sha256": "ab" * 32},
        "training_budget": {"betas": [0.9, 0.999], "note": EVIL},
        "warnings": [f"no weights {EVIL}"],
    }
    summaries = root / "metrics"
    (summaries / "details").mkdir(parents=True, exist_ok=True)
    for folder, values in zip(
        (summaries, summaries / "details"), split_headline(metrics), strict=True
    ):
        (folder / f"{task}.json").write_text(json.dumps(values))
    (summaries / f"{task}.provenance.json").write_text(json.dumps(provenance))
    curves = root / "curves"
    (curves / "best_of_k").mkdir(parents=True, exist_ok=True)
    (curves / "best_of_k" / f"{task}.csv").write_text(
        "k,lpips,low,high\n1,0.05,0.04,0.06\n2,0.04,0.03,0.05\n3,0.03,0.02,0.04\n"
    )
    (curves / f"{task}.csv").write_text(
        "step,round,loss,loss_level_1,loss_level_2,search_distance_level_1\n"
        "10,1,0.5,0.2,0.3,0.11\n20,1,0.4,0.1,0.3,0.11\n"
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(tmp_path, {task: {} for task in TASKS})
    for task in TASKS:
        write_results(tmp_path, task)
    return tmp_path


def test_page_holds_everything_it_shows(project: Path) -> None:
    report.main(project)
    page = (project / "report" / "index.html").read_text(encoding="utf-8")
    sources = re.findall(r"(?:src|href|srcset|data|action|poster)\s*=\s*[\"']([^\"']*)", page)
    assert sources
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in sources)
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest|<link|<iframe", page)
    assert str(project) not in page
    for name, task in TASKS.items():
        assert f'<section id="{name}"' in page
        assert task.title in page
        folder = project / "galleries" / name
        for path in folder.glob("*.png"):
            assert base64.b64encode(path.read_bytes()).decode() in page


def test_a_page_to_publish_is_small_and_has_no_contact_sheet(project: Path) -> None:
    sheet = project / "data" / "contact" / f"{TASK}.png"
    write_png(sheet, np.zeros((8, 8, 3), dtype=np.uint8))
    report.main(project)
    whole = (project / "report" / "index.html").read_text(encoding="utf-8")
    report.publish(project, project / "published.html")
    page = (project / "published.html").read_text(encoding="utf-8")
    assert 'class="contact"' in whole
    assert 'class="contact"' not in page
    assert "data:image/png" not in page
    sources = re.findall(r"data:image/webp;base64,([^\"']*)", page)
    assert len(sources) == whole.count("data:image/png") - 1
    assert len(page) < len(whole)
    first = sorted((project / "galleries").glob("*/00_input.png"))[0]
    shown = [np.asarray(Image.open(io.BytesIO(base64.b64decode(text)))) for text in sources]
    assert min(np.abs(image - read_rgb(first).astype(float)).mean() for image in shown) < 60, (
        "of noise"
    )


def test_page_defines_every_metric(project: Path) -> None:
    page = render(project, [TASK]).replace("<wbr>", "")
    for name in METRICS:
        assert (f"<code>{name}</code>" in page) is (plain_name(name) == name)
    terms = page.split("Definition of each metric")[1]
    for row in metric_rows(METRICS):
        assert row.metric is not None
        for text in (row.meaning, row.metric.span, row.metric.formula, row.metric.source):
            assert str(escape(text)) in terms
    assert "18.2 – 20.8" in page
    assert page.count('class="number better"') == 2, "in the table and at the top of the page"
    assert "N = 21" in page
    assert "Random features." in page
    assert page.count("<polyline") == 6, "two levels' loss, one's distance, best of k and its ends"
    assert all(row.meaning and row.higher_is_better is not None for row in metric_rows(METRICS))


def test_text_is_escaped(project: Path) -> None:
    page = render(project, [TASK])
    assert EVIL not in page
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert") >= 4


def test_same_inputs_give_the_same_bytes(project: Path) -> None:
    outputs = []
    for _ in range(2):
        report.main(project)
        names = ("index.html", "overview.png")
        outputs.append([(project / "report" / name).read_bytes() for name in names])
    assert outputs[0] == outputs[1]
    assert sorted(p.name for p in (project / "report").iterdir()) == ["index.html", "overview.png"]


def test_no_warning_with_real_weights(project: Path) -> None:
    path = project / "metrics" / f"{TASK}.provenance.json"
    content = json.loads(path.read_text())
    content["extractor"]["origin"], content["warnings"] = "file", []
    path.write_text(json.dumps(content))
    page = render(project, [TASK])
    assert "Random features." not in page
    assert 'class="warning' not in page


def test_overview_stays_small(tmp_path: Path) -> None:
    """Noise is the worst case: it does not compress."""
    write_project(tmp_path, {task: {} for task in TASKS})
    for task in TASKS:
        write_results(tmp_path, task, side=128, samples=8)
    report.main(tmp_path)
    path = tmp_path / "report" / "overview.png"
    assert path.stat().st_size < OVERVIEW_BYTES
    assert read_rgb(path).shape[1] > 7 * 32


@pytest.mark.parametrize(
    "name",
    [
        f"metrics/{TASK}.json",
        f"metrics/{TASK}.provenance.json",
        f"metrics/details/{TASK}.json",
        f"curves/best_of_k/{TASK}.csv",
        f"galleries/{TASK}/gallery.json",
        f"galleries/{TASK}/01_sample_02.png",
        f"curves/{TASK}.csv",
    ],
)
def test_missing_file_is_named(project: Path, name: str) -> None:
    (project / name).unlink()
    with pytest.raises(UserError, match=re.escape(name)):
        report.main(project)
    assert not (project / "report").exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (f"metrics/{TASK}.json", "{", "damaged"),
        (f"metrics/{TASK}.json", "[]", "must map"),
        (f"metrics/{TASK}.json", '{"psnr": NaN}', "`psnr`"),
        (f"metrics/{TASK}.json", '{"psnr": "high"}', "`psnr`"),
        (f"metrics/{TASK}.provenance.json", '{"n": 3}', "`samples_per_input`"),
        (f"metrics/{TASK}.provenance.json", "3", "must map"),
        (f"galleries/{TASK}/gallery.json", "[]", "no image"),
        (f"galleries/{TASK}/gallery.json", '[{"id": "a"}]', "entry 0"),
        (
            f"galleries/{TASK}/gallery.json",
            '[{"id": "a", "input": "../../params.yaml", "target": "t", "samples": ["s"]}]',
            "entry 0",
        ),
        (f"galleries/{TASK}/00_target.png", "text", "no PNG"),
        (f"curves/{TASK}.csv", "step,loss_level_1\n1,nan\n", "line 2"),
        (f"curves/{TASK}.csv", "step,loss_level_1\n1\n", "`loss_level_1`"),
        (f"curves/{TASK}.csv", "loss_level_1\n1\n", "`step`"),
        (f"curves/best_of_k/{TASK}.csv", "k,lpips\n1,0.5\n", "`low`"),
        (f"curves/best_of_k/{TASK}.csv", "k,lpips\n1,much\n", "`lpips`"),
        (f"metrics/details/{TASK}.json", '{"ssim": null}', "`ssim`"),
    ],
)
def test_damaged_file_is_named(project: Path, name: str, content: str, says: str) -> None:
    (project / name).write_text(content)
    with pytest.raises(UserError, match=re.escape(says)) as caught:
        render(project, [TASK])
    assert name in str(caught.value)


def test_short_run_has_no_curve(project: Path) -> None:
    (project / "curves" / f"{TASK}.csv").write_text("step,round,loss,loss_level_1\n")
    assert "too short" in render(project, [TASK])


def test_report_needs_a_task(tmp_path: Path) -> None:
    write_project(tmp_path, {})
    with pytest.raises(UserError, match="lists no task"):
        report.main(tmp_path)


def test_summary_prints_tables_and_path(project: Path) -> None:
    buffer = io.StringIO()
    summary.main(project, Console(file=buffer, width=200))
    text = buffer.getvalue()
    assert all(task.title in text for task in TASKS.values())
    assert "lpips_squeeze_random" in text
    assert "0.05" in text
    assert "N = 21" in text
    assert "kernel_squeeze_random" not in text, "headline numbers alone"
    assert text.count("no weights") == 1
    assert str(project.resolve() / "report" / "index.html") in text
