"""Which samples a request of the page draws."""

import re

import pytest

from chimle.cli.explore.sample_grid import grid_of
from chimle.errors import UserError
from chimle.inference.sample_names import Name


def names(query: dict[str, str], levels: int = 4) -> list[list[str]]:
    return [[str(name) for name in row] for row in grid_of(query, levels).rows]


def test_six_plain_samples_by_default() -> None:
    grid = grid_of({}, 4)
    assert names({}) == [["00", "01", "02", "03", "04", "05"]]
    assert grid.shared == 0
    assert grid.text == "6 samples that share nothing but the input."
    assert grid_of({"count": "1"}, 4).text == "One sample."


def test_variations_keep_the_coarse_codes() -> None:
    query = {"base": "3", "keep": "1", "count": "3"}
    assert names(query) == [["03", "3.4.4.4", "3.5.5.5"]]
    grid = grid_of(query, 4)
    assert grid.text == "Variations of 03: they share its coarsest level."
    finest = grid_of({"base": "3.5.5.5", "keep": "3", "count": "2"}, 4)
    assert finest.names == (Name((3, 5, 5, 5)), Name((3, 5, 5, 6)))
    assert finest.text.endswith("coarsest 3 levels. These differ in the finest level only.")


def test_a_map_has_coarse_choices_across_and_fine_ones_down() -> None:
    query = {"kind": "map", "columns": "3", "rows": "2"}
    assert names(query) == [["00", "01", "02"], ["0.1.1.1", "1.2.2.2", "2.3.3.3"]]
    assert grid_of(query, 4).text == (
        "Across: coarse codes (level 1). Down: finer codes (levels 2 to 4)."
    )
    two = names(query | {"split": "2"})
    assert two == [["00", "01", "02"], ["0.0.1.1", "1.1.2.2", "2.2.3.3"]]


def test_every_map_differs_in_all_cells_and_shares_codes_in_a_column() -> None:
    for split in range(1, 4):
        grid = grid_of({"kind": "map", "split": str(split), "columns": "6", "rows": "6"}, 4)
        assert len(set(grid.names)) == 36
        columns = list(zip(*grid.rows, strict=True))
        coarse = [{name.numbers[:split] for name in column} for column in columns]
        assert all(len(codes) == 1 for codes in coarse)
        assert len(set.union(*coarse)) == 6


def test_a_map_continues_from_a_sample() -> None:
    query = {"kind": "map", "base": "3.4.4.4", "keep": "1", "columns": "2", "rows": "2"}
    assert names(query) == [["3.4.4.4", "3.5.5.5"], ["3.4.5.5", "3.5.6.6"]]
    assert grid_of(query, 4).text.endswith("All share the coarsest level of 3.4.4.4.")


@pytest.mark.parametrize(
    ("query", "levels", "sentence"),
    [
        ({"count": "13"}, 4, "`count` must be a whole number from 1 to 12"),
        ({"count": "0"}, 4, "`count` must be a whole number from 1 to 12"),
        ({"count": "six"}, 4, "`count` must be a whole number from 1 to 12"),
        ({"count": "9" * 5000}, 4, "`count` must be a whole number from 1 to 12"),
        ({"kind": "map", "columns": "7"}, 4, "`columns` must be a whole number from 1 to 6"),
        ({"kind": "map", "split": "4"}, 4, "`split` must be a whole number from 1 to 3"),
        ({"kind": "all"}, 4, "`kind` must be samples or map"),
        ({"base": "1.2"}, 4, "'1.2' names no sample"),
        ({"base": "1", "keep": "4"}, 4, "`keep` must be a whole number from 1 to 3"),
        ({"kind": "map", "base": "1", "keep": "3"}, 4, "`split` has no value that fits"),
        ({"kind": "map"}, 1, "`split` has no value that fits"),
    ],
)
def test_values_out_of_bounds_are_one_sentence(
    query: dict[str, str], levels: int, sentence: str
) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        grid_of(query, levels)
