"""Folders of outputs, and `chimle score` on them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from chimle.cli.main import app
from chimle.images.decode import write_png
from chimle.metrics.prediction import Prediction


def write(root: Path, predictions: list[Prediction], name: Callable[[str, int], str]) -> None:
    """Targets, inputs, and outputs under a naming."""
    for prediction in predictions:
        write_png(root / "targets" / f"{prediction.id}.png", prediction.target)
        assert prediction.input is not None
        write_png(root / "inputs" / f"{prediction.id}.png", prediction.input)
        for number, sample in enumerate(prediction.samples):
            write_png(root / "outputs" / name(prediction.id, number), sample)


def run(root: Path, *extra: object, outputs: str = "outputs") -> Result:
    given = ["score", str(root / outputs), "--weights", "random", *map(str, extra)]
    if outputs == "outputs":
        given += ["--targets", str(root / "targets")]
    return CliRunner().invoke(app, given)


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: "), result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    for word in words:
        assert word in result.stderr


def scored(root: Path, *extra: object, outputs: str = "outputs") -> dict[str, Any]:
    result = run(root, *extra, "--json", outputs=outputs)
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.stdout)
    return content
