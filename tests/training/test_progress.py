"""Lines that training prints at the end of a round."""

from types import SimpleNamespace

import pytest

from chimle.training import progress
from chimle.training.progress import Progress

USAGE = {"images_per_second": 8.0}


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=made.monotonic))
    return made


def test_a_round_without_search_has_its_own_duration_and_no_candidates(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Progress("colourization", 2, 10)
    for number in range(2):
        shown.round_started()
        clock.now += 60
        shown.round_done(number, [0.5], USAGE)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "colourization: round 1/2: loss per level 0.500, 8 images/s, 1m00s"
    assert lines[1] == lines[0].replace("1/2", "2/2")


def test_candidates_are_counted_over_the_search_and_the_duration_over_the_round(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Progress("colourization", None, 10)
    shown.round_started()
    clock.now = 20
    shown.searching(0, 4)
    clock.now = 30
    shown.searched(50)
    clock.now = 60
    shown.round_done(0, [0.25, 0.5], USAGE)
    line = "round 1: loss per level 0.250 0.500, 5 candidates/s, 8 images/s, 1m00s"
    assert capsys.readouterr().err == f"colourization: {line}\n"
