"""`params.yaml`: it lists every field, and `dvc exp run -S` sets each of them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from chimle.bundles.weights_record import write_weights_record
from chimle.errors import UserError
from chimle.settings.model_settings import ModelSettings
from chimle.settings.reading import PRESET_SECTIONS, load_settings
from chimle.settings.run import RunSettings
from chimle.tasks import TASKS
from stages import write_params
from stages.write_deps import FILES
from stages.write_params import section_fields, with_all_fields, with_all_sections
from tests.support.helpers import PRESETS, ROOT
from tests.support.projects import write_project
from tests.support.repositories import commit, run

TASK = "colourization"
READS = {
    "fetch": ("source",),
    "pair": ("pair",),
    "train": ("tower", "perceptual", "search", "train"),
    "evaluate": ("perceptual", "evaluate"),
}
"""Sections of the settings that a stage loads."""


WEIGHTS = "data/weights/${item.task}.json"
"""Record of the files of weights that settings name."""
READ_WEIGHTS = {"train": ["perceptual", "start"], "evaluate": ["perceptual"]}
"""Settings of a stage that may name such a file."""


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_every_field_stands_in_params() -> None:
    text = (ROOT / "params.yaml").read_text()
    assert with_all_fields(text) == text, "run `make graph`"
    tasks = read(ROOT / "params.yaml")["tasks"]
    for sections in tasks.values():
        assert set(sections) == {"source", *PRESET_SECTIONS}
        assert all(list(sections[name]) == section_fields(name) for name in PRESET_SECTIONS)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_section_stands_in_presets(preset: str) -> None:
    text = (ROOT / "presets" / f"{preset}.yaml").read_text()
    assert with_all_sections(text, list(TASKS)) == text, "run `make graph`"


def test_a_field_that_is_gone_leaves_and_one_that_is_set_stays() -> None:
    text = "tasks:\n  colourization:\n    train:\n      ema: 0.5  # Why.\n      old_name: null\n"
    written = with_all_fields(text)
    train = yaml.safe_load(written)["tasks"][TASK]["train"]
    assert list(train) == section_fields("train")
    assert train["ema"] == 0.5
    assert "ema: 0.5  # Why.\n" in written


def test_a_task_of_null_gets_all_fields(tmp_path: Path) -> None:
    root = write_project(tmp_path, {TASK: None}, {"tasks": None})  # type: ignore[dict-item]
    write_params.main(root)
    assert list(read(root / "params.yaml")["tasks"][TASK]["train"]) == section_fields("train")
    assert set(read(root / "presets" / "demo.yaml")["tasks"][TASK]) == set(PRESET_SECTIONS)


@pytest.mark.parametrize("name", ["params.yaml", "presets/demo.yaml"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"tasks: [colourization]", "`tasks`"),
        (b"tasks: {colourization: text}", "`tasks.colourization` must be a mapping"),
        (b"tasks: {colourization: {train: 3}}", "`tasks.colourization.train` must be a mapping"),
        (b"tasks:\n\tcolourization:", "is not valid YAML"),
        (b"# caf\xe9", "is not valid YAML"),
        (b"", "must hold a mapping"),
    ],
)
def test_what_cannot_be_completed_stays_and_is_a_sentence(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    root = write_project(tmp_path, {TASK: {}})
    before = {file: file.read_bytes() for file in root.rglob("*.yaml")} | {root / name: content}
    (root / name).write_bytes(content)
    with pytest.raises(UserError, match=name.replace(".", r"\.")) as caught:
        write_params.main(root)
    assert said in str(caught.value)
    assert {file: file.read_bytes() for file in root.rglob("*.yaml")} == before


def test_a_null_is_what_the_preset_says_but_a_typo_is_an_error(tmp_path: Path) -> None:
    write_project(tmp_path, {TASK: {"train": {"learning_rate": None}}})
    plain = load_settings(ModelSettings, TASK, write_project(tmp_path / "plain", {TASK: {}}))
    assert load_settings(ModelSettings, TASK, tmp_path) == plain
    write_project(tmp_path, {TASK: {"train": {"learing_rate": None}}})
    with pytest.raises(UserError, match=r"unknown parameter `train\.learing_rate`"):
        load_settings(ModelSettings, TASK, tmp_path)


@pytest.mark.parametrize("stage", READS)
def test_a_stage_depends_on_the_sections_that_it_loads(stage: str) -> None:
    declared = read(ROOT / "dvc.yaml")["stages"][stage]["params"]
    of_task = {f"tasks.${{item.task}}.{section}" for section in READS[stage]}
    named = {name for name in declared if isinstance(name, str)}
    assert named - {"seed"} == of_task
    assert ("seed" in named) is (stage != "fetch")
    files = (entry for entry in declared if isinstance(entry, dict))
    presets = {name: fields for file in files for name, fields in file.items()}
    sections = [section for section in READS[stage] if section in PRESET_SECTIONS]
    expected = [*sections, *(f"tasks.${{item.task}}.{section}" for section in sections)]
    assert presets.pop(WEIGHTS, []) == READ_WEIGHTS.get(stage, [])
    assert presets == ({"presets/${preset}.yaml": expected} if expected else {})


def test_the_comparison_depends_on_the_sections_that_it_loads() -> None:
    declared = read(ROOT / FILES[1])["stages"]["run_method"]["params"]
    sections = (*READS["train"], "evaluate")
    of_task = [f"tasks.${{item.task}}.{section}" for section in sections]
    files = {name: fields for entry in declared[2:] for name, fields in entry.items()}
    assert files == {
        "../params.yaml": ["preset", "seed", *of_task],
        "../presets/${preset}.yaml": [*sections, *of_task],
        f"../{WEIGHTS}": ["perceptual"],  # No run of it starts from weights.
    }


def test_the_records_of_weights_are_those_of_the_parameters(tmp_path: Path) -> None:
    for task in read(ROOT / "params.yaml")["tasks"]:
        write_weights_record(load_settings(ModelSettings, task, ROOT), tmp_path)
        name = f"data/weights/{task}.json"
        assert (tmp_path / name).read_text() == (ROOT / name).read_text(), "run stages.check"


SHOW = """\
stages:
  show:
    cmd: python show.py
    params:
      - tasks.colourization
    outs:
      - shown.json:
          cache: false
"""
PROGRAM = """\
from pathlib import Path
from chimle.settings.reading import load_settings
from chimle.settings.run import RunSettings
Path("shown.json").write_text(load_settings(RunSettings, "colourization").model_dump_json())
"""


@pytest.mark.slow
def test_dvc_exp_run_sets_every_field_of_a_preset(tmp_path: Path) -> None:
    """All values of preset `small`, each by `-S`, over preset `demo`."""
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    (tmp_path / "dvc.yaml").write_text(SHOW)
    (tmp_path / "show.py").write_text(PROGRAM)
    run(tmp_path, "git", "init", "-q")
    run(tmp_path, "dvc", "init", "-q")
    commit(tmp_path, "start")
    params = read(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params | {"preset": "small"}))
    expected = load_settings(RunSettings, TASK, tmp_path)
    run(tmp_path, "git", "checkout", "-q", "--", "params.yaml")

    wanted = json.loads(expected.model_dump_json())
    fields = {
        f"tasks.{TASK}.{section}.{field}": wanted[section][field]
        for section in PRESET_SECTIONS
        for preset in PRESETS
        for field in read(ROOT / "presets" / f"{preset}.yaml").get(section, {})
    }
    assert len(fields) > 25
    set_all = [f"-S{name}={json.dumps(value)}" for name, value in fields.items()]
    printed = run(tmp_path, "dvc", "exp", "run", *set_all, env={"PYTHONPATH": str(ROOT)})
    assert "Running stage 'show'" in printed
    shown = json.loads((tmp_path / "shown.json").read_text())
    for name, value in fields.items():
        section, field = name.split(".")[2:]
        if value is not None:
            assert shown[section][field] == value
    changed = json.loads(run(tmp_path, "dvc", "params", "diff", "--json"))["params.yaml"]
    assert set(changed) >= {
        name for name, value in fields.items() if isinstance(value, int | float)
    }
