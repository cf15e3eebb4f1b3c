"""An empty argument is one sentence, whatever would have read it."""

from pathlib import Path

import pytest

from tests.support.command import run


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (("sample", "photo.png", "--task", "colourization", "-o", ""), " after `-o`"),
        (("sample", "photo.png", "--model", ""), " after `--model`"),
        (("sample", "photo.png", "--model="), " after `--model`"),
        (("score", "outputs", "--targets=", "--weights", "random"), " after `--targets`"),
        (("sample", ""), ""),
        (("show", ""), ""),
    ],
)
def test_an_empty_value_is_refused(arguments: tuple[str, ...], place: str, tmp_path: Path) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert f"error: an empty value{place}: give one, or leave it out" in done.stderr
    assert not list(tmp_path.iterdir())
