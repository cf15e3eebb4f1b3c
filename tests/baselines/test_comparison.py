"""The comparison's stages on a tiny project: runs become a table, a plot and a image grid."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from chimle.baselines.figures import _colour
from chimle.baselines.methods import METHODS
from chimle.baselines.statistics import change, relative_interval
from chimle.baselines.tables import known_table, page
from chimle.data.dataset import Pair
from chimle.data.fetch.fetching import fetch
from chimle.data.pair.make_pairs import make_pairs
from chimle.errors import UserError
from chimle.images.decode import read_rgb
from chimle.settings.comparison import load_comparison
from chimle.settings.evaluate import EvaluateStageSettings
from chimle.settings.reading import load_settings
from chimle.settings.run import RunSettings
from stages import compare, evaluate, known_modes, known_modes_table, run_method
from tests.support.projects import TINY, tiny_bundle, write_photographs, write_project

TASK = "colourization"
COMPARISON = {
    "known_modes": {
        "methods": ["chimle", "regression"],
        "seeds": [0, 1],
        "seconds": 0.2,
        "pairs": 48,
        "inputs": 2,
        "samples": 4,
    },
    "run_method": {
        "tasks": [TASK],
        "methods": ["chimle", "regression"],
        "seeds": [0, 1],
        "seconds": 0.2,
        "shown": 2,
    },
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_photographs(tmp_path / "photos")
    root = write_project(tmp_path, {TASK: {"source": {"kind": "folder", "path": "photos"}}}, TINY)
    (root / "comparison").mkdir()
    (root / "comparison" / "params.yaml").write_text(yaml.safe_dump(COMPARISON))
    return root


def test_pairs_that_are_too_small_are_refused(project: Path) -> None:
    """Crops that reach out of a pair would be of its corner, or none at all."""
    settings = load_settings(RunSettings, TASK, project)
    raw, pairs = project / "data" / "raw" / TASK, project / "data" / "pairs" / TASK
    fetch(settings, project, raw)
    smaller = settings.model_copy(update={"pair": settings.pair.model_copy(update={"size": 16})})
    make_pairs(smaller, raw, pairs, project / "scratch")
    with pytest.raises(UserError, match=r"`tower.resolution` 32 is larger than the pairs, 16"):
        run_method.main(TASK, "chimle", 0, project)
    tiny_bundle(project / "models" / TASK, TASK)
    with pytest.raises(UserError, match=r"models/colourization, 32 is larger than the pairs, 16"):
        evaluate.main(load_settings(EvaluateStageSettings, TASK, project), project)
    assert not (project / "metrics").exists()


def test_runs_become_a_table_a_plot_and_a_grid(project: Path) -> None:
    settings = load_settings(RunSettings, TASK, project)
    raw, pairs = project / "data" / "raw" / TASK, project / "data" / "pairs" / TASK
    fetch(settings, project, raw)
    make_pairs(settings, raw, pairs, project / "scratch")
    for name in ("chimle", "regression"):
        for seed in (0, 1):
            run_method.main(TASK, name, seed, project)
    assert not any((project / "scratch" / "run_method").iterdir())
    compare.main(project)
    results = project / "comparison" / "results"
    said = (results / "comparison.md").read_text()
    assert "| CHIMLE |" in said
    assert "| regression |" in said
    assert "±" in said
    assert "% to " in said
    numbers = json.loads((results / "comparison.json").read_text())[TASK]
    assert numbers["regression"]["diversity_lpips_squeeze_random"] == 0
    # Two inputs and targets above, two methods below with two samples each.
    assert read_rgb(results / f"{TASK}.png").shape == (3 * (96 + 4 + 22) + 4, 4 * 100 + 4, 3)
    assert read_rgb(results / "fidelity-diversity.png").std() > 5


def test_known_modes_become_a_table_and_a_figure(project: Path) -> None:
    for name in ("chimle", "regression"):
        for seed in (0, 1):
            known_modes.main(name, seed, project)
    known_modes_table.main(project)
    folder = project / "comparison"
    found = json.loads((folder / "known_modes.json").read_text())
    assert set(found["covered"]["chimle"]) == {"coarse", "fine", "both"}
    assert "| both | 12 | regression |" in (folder / "known_modes.md").read_text()
    assert read_rgb(folder / "known_modes.png").std() > 5


def test_a_run_that_is_missing_is_a_sentence(project: Path) -> None:
    with pytest.raises(UserError, match="colourization chimle 0"):
        compare.main(project)
    with pytest.raises(UserError, match="known_modes chimle 0"):
        known_modes_table.main(project)


def test_every_method_has_a_colour_of_its_own() -> None:
    assert len({_colour(name) for name in METHODS}) == len(METHODS)


def test_inputs_and_samples_of_the_grid_belong_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of twelve pairs, whose numbers sort otherwise than their names; pair n has the grey 9 n."""
    greys = [np.full((8, 8, 3), 9 * number, np.uint8) for number in range(12)]
    pairs = [Pair(f"{number:02}", grey, grey) for number, grey in enumerate(greys)]
    drawn = [(pair, pair.input[None].repeat(2, axis=0)) for pair in pairs]
    folder = tmp_path / "comparison" / "runs" / f"{TASK}-chimle-0"
    folder.mkdir(parents=True)
    shown = list[evaluate.Drawn]()
    predictions = list(evaluate.predictions(drawn, range(12), shown))
    assert [one.id for one in predictions] == [pair.id for pair in pairs]
    run_method.write_images(folder, shown)

    def checked(inputs: Any, targets: Any, samples: Any) -> np.ndarray:
        for number, (image, target) in enumerate(zip(inputs, targets, strict=True)):
            for one in (image, target, *samples["chimle"][number]):
                assert one.max() == one.min() == 9 * number
        return greys[0]

    monkeypatch.setattr(compare, "grid", checked)
    compare.task_grid(tmp_path, TASK, [one_run("chimle", 0, [0.1], 1.0)])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is damaged: run `python -m stages"),
        (b'{"values": {"lpi', "is damaged: run `python -m stages"),
        (b"\xff\xfe\x00", "is damaged: run `python -m stages"),
        (b"[]", "has no `"),
        (b'{"method": "chimle", "fine": {}}', "has no `"),
    ],
)
def test_a_run_that_is_damaged_is_a_sentence(project: Path, content: bytes, said: str) -> None:
    names = (f"runs/{TASK}-chimle-0/scores.json", "known_modes/chimle-0.json")
    for name, main in zip(names, (compare.main, known_modes_table.main), strict=True):
        path = project / "comparison" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"chimle-0.*{said}.*chimle 0` again"):
            main(project)


@pytest.mark.parametrize(
    ("section", "field", "value", "said"),
    [
        ("run_method", "tasks", ["colouring"], "unknown task 'colouring'"),
        ("run_method", "second", 3, "unknown parameter `run_method.second`"),
        ("known_modes", "seconds", 0, "`known_modes.seconds` = 0"),
    ],
)
def test_bad_parameters_are_a_sentence(
    project: Path, section: str, field: str, value: object, said: str
) -> None:
    values = {**COMPARISON, section: {**COMPARISON[section], field: value}}
    (project / "comparison" / "params.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=said):
        load_comparison(project)


def one_run(method: str, seed: int, rows: list[float], frechet: float) -> dict[str, Any]:
    values = {"lpips_squeeze": float(np.mean(rows)), "frechet_squeeze": frechet}
    return {
        "task": TASK,
        "method": method,
        "seed": seed,
        "preset": "demo",
        "parameters": 10,
        "seconds": 1.0,
        "steps": 2,
        "values": values,
        "rows": {"lpips_squeeze": rows},
        "provenance": {
            "n": len(rows),
            "samples_per_input": 3,
            "extractor": {"name": "squeeze", "origin": "file"},
        },
    }


def test_a_change_is_relative_to_chimle_and_paired_by_input() -> None:
    first = list(np.linspace(0.1, 0.9, 40))
    runs = [
        one_run("chimle", 0, first, 10.0),
        one_run("chimle", 1, first, 14.0),
        one_run("cimle", 0, [1.5 * x for x in first], 18.0),
    ]
    found = change(runs, TASK, "cimle", "lpips_squeeze")
    assert found.relative == pytest.approx(0.5)
    # The ratio is the same for every input: whichever are drawn, it does not vary.
    assert found.interval == pytest.approx((0.5, 0.5))
    sets = change(runs, TASK, "cimle", "frechet_squeeze")
    assert sets.relative == pytest.approx(0.5)
    assert sets.interval is None
    own = change(runs, TASK, "chimle", "frechet_squeeze")
    assert own.deviation == pytest.approx(np.std([10, 14], ddof=1))
    assert own.relative is None
    assert "(+50%, +50% to +50%)" in page(runs)


def test_the_page_says_what_each_method_with_runs_is() -> None:
    methods = page([one_run("cimle", 0, [0.5], 1.0), one_run("chimle", 0, [0.5], 1.0)])
    methods = methods.split("## Methods\n\n")[1]
    assert methods == "".join(
        f"- {METHODS[name].title}: {METHODS[name].meaning}\n" for name in ("chimle", "cimle")
    )


def test_an_interval_holds_what_it_estimates() -> None:
    generator = np.random.default_rng(0)
    other = generator.uniform(0.5, 1.5, 200)
    low, high = relative_interval(other * generator.uniform(0.6, 1.0, 200), other)
    assert low < -0.2 < high
    assert high - low < 0.06


def test_the_table_of_modes_gives_means_and_extremes() -> None:
    run = {"modes": 3, "frequency_error": 0.1, "least_error": 0.1, "off": 0.0, "steps": 10}
    found = {"chimle": [{"coarse": {**run, "covered": covered}} for covered in (0.9, 1.0)]}
    assert "| coarse | 3 | CHIMLE | 95.0% | 90.0%, 100.0% | 0.10 |" in known_table(found)
