"""The end of `make serve` in the middle of a training, and the next one."""

from pathlib import Path

import pytest

from tests.support.repositories import TASKS, run, tiny_repository
from tests.support.stack import ENDED, add_flows, check_never_from_zero, serving, serving_at
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.timeout(2400), pytest.mark.slow]


def test_a_run_goes_on_after_ctrl_c_and_the_next_make_serve(tmp_path: Path) -> None:
    root = tiny_repository(tmp_path / "project", {"rounds": 12, "steps_per_round": 12})
    add_flows(root)
    task = TASKS[0]
    with serving(root, slots=1) as stack:
        running = stack.start("train/on-demand", task=task)
        wait_until(lambda: f"{task}: round 2/" in stack.log(running), 300)
        for training in stack.processes("stages.train"):
            training.suspend()  # It must not end before it is stopped.
    assert not stack.processes("stages.")
    assert not stack.processes("prefect")
    with serving(root, slots=1) as stack:
        # The server misses the heartbeat, and gives the lost slot back.
        assert stack.wait(running, 600)["state"]["type"] == "COMPLETED"
        log = stack.log(running)
        assert log.count("continues from round") == 1
        check_never_from_zero(log, task)
        wait_until(lambda: stack.slots_taken() == 0, 240)


def test_a_make_serve_that_is_killed_leaves_nothing_and_another_can_start(tmp_path: Path) -> None:
    """As the system does that runs out of memory, or a terminal that is closed."""
    root = tiny_repository(tmp_path / "project", {"rounds": 500})
    add_flows(root)
    with serving(root, slots=1) as stack:
        running = stack.start("train/on-demand", task=TASKS[0])
        wait_until(lambda: stack.processes("stages.train"), 300)
        stack.process.kill()
        stack.process.wait()
        stack.wait_gone("")
        assert len(run(root, "git", "worktree", "list").splitlines()) == 1
    with serving_at(stack.port, root, 1) as stack:
        assert stack.run(running)["state"]["type"] not in ENDED
