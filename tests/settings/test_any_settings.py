"""Any text as `params.yaml` or as a preset gives settings or one sentence."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from chimle.errors import UserError
from chimle.settings.comparison import load_comparison
from chimle.settings.reading import (
    PRESET_SECTIONS,
    build_settings,
    listed_tasks,
    load_settings,
    read_yaml,
)
from chimle.settings.run import RunSettings
from chimle.settings.shown_values import shown
from chimle.tasks import TASKS
from tests.support.helpers import ROOT
from tests.support.projects import write_project

TASK = "decompression"
LONG = "9" * 4400
ODD_VALUES = (
    *("2026-99-99", "2026-02-30 25:00:00", "!!timestamp x", "!!int ''", "!!bool x", "!!float x"),
    *(LONG, f"0x{'f' * 5000}", f"1{':59' * 2500}", ".nan", "-.inf", "1e999", "null", "~", "0o7"),
    *("!!binary x", "!!binary aGk=", "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a: 1]", "!x y"),
    *("[" * 500, "[" * 500 + "]" * 500, "{a: " * 400 + "1" + "}" * 400, "&a [*a]", "&a {b: *a}"),
    *(
        '"\\0"',
        '"a\\0b"',
        '"\\ud800"',
        '"\\x7f"',
        "http://[::1",
        "'https://a:b@c/d?e'",
        "- 1",
        "=",
        "<<",
    ),
    *(
        "[1, a, 2026-01-01]",
        "{1: 2}",
        "{2026-01-01: 1, a: 2}",
        "{[1]: 2}",
        "{? {a: 1} : 2}",
        "*none",
    ),
)
"""What YAML converts, nests or refuses."""
SECTIONS = ("source", *PRESET_SECTIONS)


def field_names(kind: type[Any]) -> list[str]:
    """Names of all fields of settings."""
    return sorted(
        name
        for section in kind.model_fields.values()
        if hasattr(section.annotation, "model_fields")
        for name in section.annotation.model_fields
    )


NAMES = [
    *field_names(RunSettings),
    *(
        "kind",
        "path",
        "inputs",
        "archives",
        "address",
        "sha256",
        "timeout_seconds",
        "name",
        "listing",
    ),
]
scalars = st.one_of(
    st.sampled_from(ODD_VALUES),
    st.sampled_from(
        ["builtin", "folder", "url", "s3", "catalogue", "random", "0", "1", "0.5", "[8]"]
    ),
    st.integers(-(2**80), 2**80).map(str),
    st.floats().map(str),
    st.text(max_size=8).map(lambda text: yaml.safe_dump(text).removesuffix("...\n").strip()),
    st.text(max_size=8),
)
keys = st.one_of(st.sampled_from(NAMES), scalars)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(keys, inner, max_size=3).map(
            lambda items: f"{{{', '.join(f'{key}: {value}' for key, value in items.items())}}}"
        ),
    ),
    max_leaves=6,
)


def mapping(names: st.SearchStrategy[str], inner: st.SearchStrategy[str]) -> Any:
    return st.dictionaries(names, inner, max_size=4).map(
        lambda items: f"{{{', '.join(f'{name}: {value}' for name, value in items.items())}}}"
    )


sections = mapping(
    st.one_of(st.sampled_from(SECTIONS), keys), st.one_of(mapping(keys, values), values)
)
tasks = mapping(st.one_of(st.sampled_from([TASK, *TASKS]), keys), st.one_of(sections, values))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("any"), {TASK: {}})


def load(root: Path) -> None:
    """Everything that is read of a project's parameters; only the project's own error may leave."""
    for act in (
        lambda: load_settings(RunSettings, TASK, root),
        lambda: listed_tasks(root),
        lambda: load_comparison(root),
    ):
        try:
            act()
        except UserError as error:
            sentence = str(error)
            assert "\n" not in sentence.strip()
            assert len(sentence) < 2000


@settings(max_examples=60)
@given(text=st.one_of(st.text(), values, sections))
def test_any_text_as_parameters(text: str, project: Path) -> None:
    (project / "params.yaml").write_text(text, encoding="utf-8", errors="replace")
    (project / "comparison").mkdir(exist_ok=True)
    shutil.copy(project / "params.yaml", project / "comparison" / "params.yaml")
    load(project)


@settings(max_examples=40)
@given(content=st.binary(max_size=60))
def test_any_bytes_as_parameters(content: bytes, project: Path) -> None:
    (project / "params.yaml").write_bytes(content)
    load(project)


@settings(max_examples=80)
@given(preset=st.one_of(st.just("demo"), values), own=st.one_of(tasks, values), seed=scalars)
def test_any_values_as_parameters(preset: str, own: str, seed: str, project: Path) -> None:
    (project / "params.yaml").write_text(
        f"preset: {preset}\nseed: {seed}\ntasks: {own}\n", encoding="utf-8", errors="replace"
    )
    load(project)


@settings(max_examples=60)
@given(text=st.one_of(sections, tasks.map(lambda own: f"tasks: {own}"), values))
def test_any_preset(text: str, project: Path) -> None:
    (project / "params.yaml").write_text(f"preset: odd\ntasks: {{{TASK}: {{}}}}\n")
    (project / "presets" / "odd.yaml").write_text(text, encoding="utf-8", errors="replace")
    load(project)


@pytest.mark.parametrize("value", ODD_VALUES, ids=lambda value: value[:12])
@pytest.mark.parametrize(
    "place", ["tasks: {decompression: {train: {rounds: %s}}}", "seed: %s", "%s"]
)
def test_an_odd_value(value: str, place: str, project: Path) -> None:
    """In each place; as a key, too."""
    for text in (place % value, place.replace("rounds: %s", "%s: 1") % value, f"{value}: 1"):
        (project / "params.yaml").write_text(f"{text}\n")
        load(project)


@pytest.mark.parametrize(
    ("preset", "says"),
    [
        ("tasks: [1]", "`tasks` must be a mapping of tasks"),
        ("tasks: text", "`tasks` must be a mapping of tasks"),
        ("tasks: {decompression: [1]}", "`tasks.decompression` must be a mapping of sections"),
        ("tasks: {decompression: {train: 1}}", "`train` must be a mapping of fields"),
    ],
)
def test_tasks_of_a_preset_are_mappings(preset: str, says: str, tmp_path: Path) -> None:
    write_project(tmp_path, {TASK: {}})
    (tmp_path / "presets" / "demo.yaml").write_text(preset)
    with pytest.raises(UserError, match=rf"presets/demo\.yaml.*{says}"):
        load_settings(RunSettings, TASK, tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed: 2026-99-99", "has a value that is not of its kind"),
        ("a: !!bool x", "has a value that is not of its kind"),
        ("[" * 500 + "]" * 500, "is nested too deeply"),
        ("a: [https://user:pass@c/d?token", r"is not valid YAML.*://c/d\?…"),
    ],
)
def test_what_yaml_cannot_convert_is_named(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"params\.yaml {says}") as caught:
        read_yaml(tmp_path / "params.yaml")
    assert "pass" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ({"kind": "folder", "path": "a\0b"}, "path"),
        ({"kind": "url", "archives": ["a\0b"]}, "archives.0.address"),
        ({"kind": "url", "archives": ["a"], "timeout_seconds": 86401}, "timeout_seconds"),
    ],
)
def test_what_no_system_call_takes_is_named(
    source: dict[str, Any], field: str, tmp_path: Path
) -> None:
    write_project(tmp_path, {TASK: {"source": source}})
    with pytest.raises(UserError, match=rf"`source\.{field}` = "):
        load_settings(RunSettings, TASK, tmp_path)


@pytest.mark.parametrize("value", [LONG, f"-{LONG}", f"0x{'f' * 5000}", "9" * 50, str(-(2**64))])
@pytest.mark.parametrize(
    "field",
    [
        *("pair.size", "pair.group", "train.batch_size", "train.rounds", "search.memory"),
        *("evaluate.samples", "tower.resolution", "perceptual.shift"),
    ],
)
def test_an_integer_beyond_all_sizes_is_named_by_its_field(
    field: str, value: str, tmp_path: Path
) -> None:
    section, name = field.split(".")
    write_project(tmp_path, {})
    text = f"preset: demo\ntasks: {{{TASK}: {{{section}: {{{name}: {value}}}}}}}\n"
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"^params\.yaml, task {TASK}: `{field}[^=]* = ") as caught:
        load_settings(RunSettings, TASK, tmp_path)
    assert len(str(caught.value)) < 500


def test_a_huge_integer_in_a_list_is_named_too() -> None:
    values = {"task": TASK, "preset": "demo", "search": {"candidates": [4, 2**70, 2, 2]}}
    with pytest.raises(UserError, match=r"`search\.candidates"):
        build_settings(RunSettings, values, "settings")


def test_a_huge_integer_ends_a_stage_with_exit_code_two(tmp_path: Path) -> None:
    write_project(tmp_path, {})
    text = f"preset: demo\ntasks: {{{TASK}: {{train: {{batch_size: {LONG}}}}}}}\n"
    (tmp_path / "params.yaml").write_text(text)
    command = [sys.executable, "-m", "stages.train", TASK, "--root", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "`train.batch_size` = " in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_values_are_shown_in_short() -> None:
    loop: list[Any] = []
    loop.append(loop)
    wide = [list(range(1000))] * 1000
    huge = 16**5000
    for value in (loop, wide, huge, "x" * 10**6, {huge: {huge: [huge]}}, b"\0" * 10**6):
        assert len(shown(value)) < 200
        assert "\n" not in shown(value)
    assert shown(huge) == "an integer of 20001 bits"
    assert shown("https://user:pass@c/d?token=1") == "'https://c/d?…'"
    assert "pass" not in shown(["https://" + "u" * 500 + ":pass@c/d"])
