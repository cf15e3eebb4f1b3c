"""Loggers show a run's curve and samples, and change neither its bits nor its key."""

import csv
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from chimle.errors import UserError
from chimle.loggers.log_run import LOGGERS, LoggedRun, chosen_loggers
from chimle.loggers.logger import Logger, Run, flat
from chimle.loggers.mlflow_logger import MlflowLogger
from chimle.loggers.preview import Preview
from chimle.loggers.wandb_logger import WandbLogger
from chimle.settings.tower import TowerSettings
from chimle.tasks import Wiring
from chimle.tower.generator import Tower
from tests.training.test_training import TASK, make_project, outputs, train

ROUNDS, STEPS, SIDE = 2, 6, 32
"""Of the tiny project."""


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same training without loggers and with two, both to the end."""
    plain, logged = (make_project(tmp_path_factory.mktemp(name)) for name in ("plain", "logged"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CHIMLE_LOGGERS", raising=False)
        assert train(plain).returncode == 0
        patch.setenv("CHIMLE_LOGGERS", "tensorboard, dvclive")
        done = train(logged)
    assert done.returncode == 0, done.stderr
    assert "left out" not in done.stderr
    return plain, logged


def run_folder(root: Path) -> Path:
    (folder,) = (root / "scratch" / "logs" / TASK).iterdir()
    return folder


def test_nothing_of_the_run_changes(projects: tuple[Path, Path]) -> None:
    plain, logged = projects
    assert outputs(plain) == outputs(logged)
    keys = [[p.name for p in (root / "scratch/train" / TASK).iterdir()] for root in projects]
    assert keys[0] == keys[1] == [run_folder(logged).name]
    assert not (plain / "scratch" / "logs").exists()


def test_tensorboard_holds_the_curve_and_samples_of_each_round(
    projects: tuple[Path, Path],
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logged = projects[1]
    events = EventAccumulator(str(run_folder(logged)))
    events.Reload()
    with (logged / "curves" / f"{TASK}.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows
    for name in set(rows[0]) - {"step", "round"}:
        shown = {event.step: event.value for event in events.Scalars(name)}
        expected = {int(row["step"]): float(row[name]) for row in rows}
        assert shown == pytest.approx(expected, rel=1e-5)
    assert all(event.value > 0 for event in events.Scalars("images_per_second"))
    images = events.Images("samples")
    assert [image.step for image in images] == [STEPS * (n + 1) for n in range(ROUNDS)]
    assert images[0].width > 6 * SIDE
    assert images[0].encoded_image_string != images[1].encoded_image_string


def test_dvclive_holds_the_curve(projects: tuple[Path, Path]) -> None:
    folder = run_folder(projects[1]) / "dvclive"
    with (folder / "plots" / "metrics" / "loss.tsv").open() as file:
        steps = [int(row["step"]) for row in csv.DictReader(file, delimiter="\t")]
    assert steps == [STEPS, 10, ROUNDS * STEPS]  # Every tenth, and the last of a round.
    assert (folder / "plots" / "images" / "samples.png").stat().st_size > 0
    assert not list(projects[1].glob("**/dvc.yaml"))


def log_twice(kind: Callable[[Run], Logger], folder: Path) -> None:
    """Two processes' worth of one run: four steps, two sheets."""
    run = Run(TASK, "0123456789abcdef", folder, {"seed": 0, "tower": {"widths": [8, 8]}})
    for before in (0, 2):
        logger = kind(run)
        for step in (1, 2):
            logger.curve(before + step, {"loss": 1 / (before + step)})
        logger.samples(before + 2, np.zeros((64, 96, 3), np.uint8))
        logger.close()


def test_mlflow_continues_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    log_twice(MlflowLogger, tmp_path / "log")
    (losses,) = tmp_path.glob("runs/*/*/metrics/loss")
    rows = [line.split()[1:] for line in losses.read_text().splitlines()]
    assert [(int(step), float(loss)) for loss, step in rows] == [(n, 1 / n) for n in range(1, 5)]
    assert (losses.parents[1] / "params" / "tower.widths").read_text() == "[8, 8]"
    assert len(list(tmp_path.glob("runs/*/*/artifacts/images/samples*.png"))) == 2


@pytest.mark.slow
def test_wandb_keeps_a_run_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    log_twice(WandbLogger, tmp_path / "log")
    runs = list(tmp_path.glob(f"log/wandb/offline-run-*-{TASK}-0123456789abcdef"))
    assert len(runs) == 2
    for run in runs:
        assert len(list(run.glob("files/media/images/samples_*.png"))) == 1


@pytest.mark.parametrize("name", LOGGERS)
def test_a_missing_package_names_the_extra(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = {"tensorboard": "torch.utils.tensorboard", "dvclive": "dvclive.live"}
    module = imported.get(name, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"pip install 'chimle\[{name}\]'"):
        LOGGERS[name](Run("task", "key", tmp_path, {}))
    extras = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f"\n{name} = [" in extras


def test_an_unknown_logger_lists_the_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHIMLE_LOGGERS", "tensorbord")
    with pytest.raises(UserError, match="unknown logger 'tensorbord': use tensorboard, mlflow"):
        chosen_loggers()
    monkeypatch.setenv("CHIMLE_LOGGERS", " wandb,,mlflow , wandb")
    assert chosen_loggers() == ["wandb", "mlflow"]


class Kept:
    """Keeps what it is told; fails at a step."""

    def __init__(self, fails_at: int) -> None:
        self.fails_at, self.steps = fails_at, list[int]()

    def curve(self, step: int, values: Mapping[str, float]) -> None:
        if step == self.fails_at:
            raise ConnectionError("the server is gone\nand more")
        assert values == {"loss": 1.0}
        self.steps.append(step)

    def samples(self, step: int, sheet: np.ndarray) -> None:
        raise AssertionError(f"no preview was given, yet {sheet.shape} at step {step}")

    def close(self) -> None:
        self.steps.append(-1)


def test_samples_that_cannot_be_drawn_end_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: Preview, _tower: Tower) -> np.ndarray:
        raise torch.OutOfMemoryError("the device's memory is full\nand more")

    monkeypatch.setattr(Preview, "sheet", full)
    logger, tower = Kept(fails_at=0), Tower(TowerSettings(), Wiring.GENERIC)
    run = LoggedRun({"kept": logger}, Preview.__new__(Preview))
    for step in (1, 2):
        run.round_done(step, tower)
        run.curve(step, {"step": step, "loss": 1.0})
    assert logger.steps == [1, 2]
    expected = "no samples are shown from here on (the device's memory is full)\n"
    assert capsys.readouterr().err == expected


def test_a_logger_that_fails_is_named_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = Kept(fails_at=2), Kept(fails_at=0)
    run = LoggedRun({"first": first, "second": second})
    for step in (1, 2, 3):
        run.curve(step, {"step": step, "loss": 1.0})
    run.close()
    assert (first.steps, second.steps) == ([1], [1, 2, 3, -1])
    assert capsys.readouterr().err == (
        "logger first failed and is left out from here on (the server is gone)\n"
    )


def test_settings_are_flattened() -> None:
    nested = {"seed": 0, "tower": {"widths": [8, 8], "blocks": 1}, "note": None}
    assert flat(nested) == {
        "seed": 0,
        "tower.widths": "[8, 8]",
        "tower.blocks": 1,
        "note": "None",
    }
