"""Settings: every preset loads, every mistake is named."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from chimle.errors import UserError
from chimle.settings.reading import load_settings, read_yaml
from chimle.settings.run import RunSettings
from chimle.tasks import TASKS
from tests.support.helpers import PRESETS, ROOT
from tests.support.projects import TINY, write_project

SETTINGS = ROOT / "chimle" / "settings"


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("task", TASKS)
def test_shipped_presets_are_valid(tmp_path: Path, preset: str, task: str) -> None:
    (tmp_path / "presets").symlink_to(ROOT / "presets")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**params, "preset": preset}))
    settings = load_settings(RunSettings, task, tmp_path)
    assert settings.perceptual.weights == ("random" if preset == "demo" else "official")


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"train": {"learing_rate": 1}}, "unknown parameter `train.learing_rate`"),
        ({"train": {"batch_size": -1}}, "`train.batch_size` = -1"),
        ({"train": {"learning_rate": float("nan")}}, "`train.learning_rate`"),
        ({"train": {"betas": [1.0, 0.999]}}, "`train.betas.0` = 1.0"),
        ({"train": {"level_weights": [1, 1, -1]}}, "`train.level_weights.2` = -1"),
        ({"train": {"level_weights": [0, 0, 0]}}, "`train.level_weights` = [0, 0, 0]"),
        ({"trian": {}}, "unknown section `trian`"),
        ({"tower": {"widths": [8, 8]}}, "`widths` has 2 levels"),
        ({"tower": {"resolution": 40}}, "must be divisible by 2"),
        ({"search": {"candidates": [4]}}, "`search.candidates` has 1 entries"),
        ({"pair": {"size": 16}}, "smaller than `tower.resolution`"),
        ({"pair": {"test": 0.6, "validation": 0.5}}, "must stay below 1"),
        ({"source": {"kind": "folder"}}, "needs `path`"),
        ({"source": {"kind": "bucket"}}, "`source.kind` = 'bucket'"),
        ({"train": 3}, "`train` must be a mapping"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, own: dict[str, Any], message: str) -> None:
    write_project(tmp_path, {"colourization": own})
    with pytest.raises(UserError) as caught:
        load_settings(RunSettings, "colourization", tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"params\.yaml does not exist"):
        load_settings(RunSettings, "colourization", tmp_path)
    write_project(tmp_path, {"colourization": {}})
    (tmp_path / "params.yaml").write_text("preset: [")
    with pytest.raises(UserError, match=r"params\.yaml is not valid YAML"):
        load_settings(RunSettings, "colourization", tmp_path)
    (tmp_path / "params.yaml").write_text("preset: dmo\n")
    with pytest.raises(UserError, match="unknown preset 'dmo': choose demo"):
        load_settings(RunSettings, "colourization", tmp_path)
    with pytest.raises(UserError, match="unknown task 'colorisation'"):
        load_settings(RunSettings, "colorisation", tmp_path)


def test_random_features_stay_out_of_serious_presets(tmp_path: Path) -> None:
    write_project(tmp_path, {"colourization": {}})
    (tmp_path / "presets" / "small.yaml").write_text(yaml.safe_dump(TINY))
    params = (tmp_path / "params.yaml").read_text().replace("demo", "small")
    (tmp_path / "params.yaml").write_text(params)
    with pytest.raises(UserError, match="never uses random features"):
        load_settings(RunSettings, "colourization", tmp_path)


def test_a_key_given_twice_is_named(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("preset: demo\nseed: 1\nseed: 2\ntasks: {}\n")
    with pytest.raises(UserError, match=r"`seed` is given twice.*line 3"):
        read_yaml(tmp_path / "params.yaml")


@pytest.mark.parametrize("name", sorted(p.stem for p in SETTINGS.glob("*.py")))
def test_every_field_has_a_docstring(name: str) -> None:
    """The page of settings leaves out fields that have none."""
    for node in ast.walk(ast.parse((SETTINGS / f"{name}.py").read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ClassDef):
            continue
        for field, following in zip(node.body, [*node.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign):
                assert isinstance(following, ast.Expr), (node.name, ast.unparse(field))
                assert isinstance(following.value, ast.Constant), (node.name, ast.unparse(field))
