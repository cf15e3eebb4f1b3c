"""The pipeline as DVC runs it: a real `dvc repro` in a clone of the project."""

import json
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from PIL import Image

import chimle
from chimle.errors import UserError
from tests.support.projects import tiny_bundle
from tests.support.repositories import TASKS, run, set_parameter, stages_run


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, reference: Path) -> Path:
    """A repository with this code and a tiny preset, reproduced once; to be changed by tests."""
    root = tmp_path_factory.mktemp("copy") / "project"
    shutil.copytree(reference, root, symlinks=True)
    return root


def test_everything_is_there(project: Path) -> None:
    assert "<!doctype html>" in (project / "report" / "index.html").read_text()
    for task in TASKS:
        metrics = json.loads((project / "metrics" / f"{task}.json").read_text())
        assert metrics["diversity_lpips_squeeze_random"] > 0
        origin = json.loads((project / "metrics" / f"{task}.provenance.json").read_text())
        assert origin["extractor"]["origin"] == "random"
        assert origin["warnings"]
    assert "Report:" in run(project, sys.executable, "-m", "stages.summary")


def test_an_unchanged_project_does_nothing(project: Path) -> None:
    printed = run(project, "dvc", "repro")
    assert not stages_run(printed)
    assert "didn't change" in printed
    assert run(project, "git", "status", "--porcelain") == ""


def test_status_is_empty_and_a_check_of_sources_keeps_it_so(project: Path) -> None:
    up_to_date = "Data and pipelines are up to date.\n"
    assert run(project, "dvc", "status") == up_to_date
    assert run(project, sys.executable, "-m", "stages.check") == ""
    assert run(project, "dvc", "status") == up_to_date


def test_headlines_are_compared_alone_and_the_rest_on_demand(project: Path) -> None:
    name = f"metrics/details/{TASKS[0]}.json"
    shown = json.loads(run(project, "dvc", "metrics", "show", "--json"))[""]["data"]
    assert sorted(shown) == sorted(f"metrics/{task}.json" for task in TASKS)
    assert all(3 <= len(found["data"]) <= 7 for found in shown.values())
    own = json.loads(run(project, "dvc", "metrics", "show", "--json", name))[""]["data"]
    assert own[name]["data"]["input_baseline_psnr"] > 0
    assert run(project, "git", "ls-files", name) == ""


def test_again_from_nothing_gives_the_same_hashes(project: Path) -> None:
    lock = (project / "dvc.lock").read_text()
    shutil.rmtree(project / "scratch")  # With its state a finished run would not train again.
    run(project, "dvc", "repro", "--force", "train@colourization", "evaluate@colourization")
    assert (project / "dvc.lock").read_text() == lock


def test_a_second_clone_makes_the_same_pairs(project: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(project), str(clone))
    run(clone, "dvc", "repro", *(f"pair@{task}" for task in TASKS))
    assert run(clone, "git", "status", "--porcelain") == ""


def test_one_learning_rate_retrains_one_task(project: Path) -> None:
    path = project / "params.yaml"
    before = path.read_text()
    set_parameter(project, "colourization", "train", learning_rate=5e-4)
    try:
        plan = run(project, "dvc", "status")
    finally:
        path.write_text(before)
    lines = (line.rstrip(":") for line in plan.splitlines() if line and not line[0].isspace())
    stages = set(lines)
    assert "train@colourization" in stages
    assert not any(stage.startswith(("fetch", "pair")) for stage in stages)
    assert not any("@" in stage and not stage.endswith("@colourization") for stage in stages)


def test_a_task_that_is_gone_makes_the_report_stale(project: Path) -> None:
    """And nothing else; its files are still there."""
    params, stages = project / "params.yaml", project / "dvc.yaml"
    before = {path: path.read_text() for path in (params, stages)}
    content = yaml.safe_load(before[params])
    del content["tasks"][TASKS[-1]]
    params.write_text(yaml.safe_dump(content))
    stages.write_text(before[stages].replace(f", {TASKS[-1]}]", "]"))
    try:
        plan = run(project, "dvc", "status")
    finally:
        for path, text in before.items():
            path.write_text(text)
    assert [line for line in plan.splitlines() if not line[0].isspace()] == ["report:"]


def test_a_model_opens_from_git_and_packs_with_its_metrics(project: Path, tmp_path: Path) -> None:
    address = f"git+{project}@HEAD:models/{TASKS[-1]}"
    described = json.loads(run(project, sys.executable, "-m", "chimle", "show", address, "--json"))
    own = chimle.load(project / "models" / TASKS[-1]).bundle
    assert described["task"] == TASKS[-1]
    assert described["commit"] == own.provenance["commit"]
    with pytest.raises(UserError, match="at v9 cannot be read"):
        chimle.load(f"git+{project}@v9:models/{TASKS[-1]}")

    chimle_ = (sys.executable, "-m", "chimle")
    packed = tmp_path / "night.zip"
    run(project, *chimle_, "pack", "--task", TASKS[-1], "--license", "cc0-1.0", "-o", str(packed))
    loaded = chimle.load(packed).bundle
    assert loaded.license == "cc0-1.0"
    assert loaded.settings == own.settings
    with zipfile.ZipFile(packed) as archive:
        names = ["README.md", "bundle.json", "metrics.json", "samples.png", "weights.safetensors"]
        assert archive.namelist() == names
        card = archive.read("README.md").decode()
        content = json.loads(archive.read("metrics.json"))
    measured = json.loads((project / "metrics" / f"{TASKS[-1]}.json").read_text())
    details = json.loads((project / "metrics" / "details" / f"{TASKS[-1]}.json").read_text())
    assert content["metrics"] == measured
    assert content["details"] == details
    assert card.startswith("---\nlicense: cc0-1.0\n")
    assert "{{" not in card
    assert f"| psnr | {measured['psnr']:.4g} | {details['input_baseline_psnr']:.4g} |" in card
    assert "random features" in card

    # Another model of the same task: its card must not boast with these numbers.
    other = tiny_bundle(tmp_path / "other", TASKS[-1])
    pack_other = (*chimle_, "pack", "--model", str(other), "-o", str(tmp_path / "other.zip"))
    printed = run(project, *pack_other, check=False)
    assert "measured on another model" in printed
    assert not (tmp_path / "other.zip").exists()
    run(project, *pack_other[:-1], str(tmp_path / "plain"), "--project", str(tmp_path))
    assert "## Evaluation" not in (tmp_path / "plain" / "README.md").read_text()


def test_pairs_and_bundles_are_described_and_drawn(project: Path, tmp_path: Path) -> None:
    for place, key, size in (
        (f"data/pairs/{TASKS[1]}", "pairs", (2 * 128, 6 * 128)),
        (f"data/pairs/{TASKS[1]}/manifest.json", "pairs", None),
        (f"models/{TASKS[1]}", "model bundle", (6 * 128, 128)),
    ):
        file = tmp_path / "image.png"
        command = ("-m", "chimle", "show", place, "--json", "--image", str(file))
        described = json.loads(run(project, sys.executable, *command))
        assert described["what"] == key
        assert described["task"] == TASKS[1]
        with Image.open(file) as image:
            assert size is None or (image.width >= size[0] and image.height >= size[1])
        file.unlink()


def test_an_experiment_sets_a_field_from_the_command_line(project: Path) -> None:
    """The command of `params.yaml`, as a user types it; trains one task and evaluates it."""
    field = "tasks.colourization.train.learning_rate"
    name = "metrics/colourization.json"
    before = run(project, "git", "rev-parse", "HEAD").strip()
    try:
        printed = run(
            project, "dvc", "exp", "run", "-S", f"{field}=0.0005", "evaluate@colourization"
        )
        assert stages_run(printed) == {"train", "evaluate"}
        changed = json.loads(run(project, "dvc", "params", "diff", "--json"))["params.yaml"]
        assert changed == {field: {"old": None, "new": 0.0005}}
        assert run(project, "git", "diff", "--stat", "--", name)
    finally:
        run(project, "git", "checkout", "-q", before, "--", ".")
        run(project, "dvc", "checkout", "-q")
