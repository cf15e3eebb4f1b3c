"""The progress that a training shows is no condition of the training."""

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.training_progress import TrainingProgress, read_round
from tests.support.servers import free_port

LINE = "colourization: round {}/9: loss per level 0.412 nan, 25 candidates/s, 3 images/s, 4 s"


def test_a_round_is_read_from_the_line_that_training_prints() -> None:
    found = read_round(LINE.format(4))
    assert found is not None
    assert (found.number, found.rounds, found.loss) == (4, 9, "0.412 nan")
    assert read_round("colourization: continues from round 4, step 2") is None


@pytest.mark.filterwarnings("ignore:Artifact creation outside of a flow")
def test_a_training_goes_on_while_the_server_is_away() -> None:
    progress = TrainingProgress("colourization")
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}):
        progress.read("colourization: continues from round 4, step 2")
        for number in (4, 5):
            progress.read(LINE.format(number))
    assert progress.artifact is None
