"""SIGKILL at random moments of training, worker and flow: all completes, to the same bits.

`make faults` kills twenty times and more; `make test` does so only a few times.
"""

import os
import random
import time
from pathlib import Path

import psutil
import pytest

from tests.support.helpers import KILLS
from tests.support.repositories import TASKS, commit, outputs, run, set_parameter, tiny_repository
from tests.support.stack import Stack, add_flows, check_never_from_zero, serving
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.timeout(2400), pytest.mark.slow]

VICTIMS = {
    "training": ("stages.train",),
    "trained": ("-m stages.train",),
    "flow": ("-m prefect.engine",),
    "worker": ("prefect", "worker", "start"),
}
SHARES = {"training": 0.3, "trained": 0.3, "flow": 0.25, "worker": 0.15}
"""Of the kills, but one of each kind at least. A training that is killed at once has kept nothing
yet; one that is `trained` has kept a state."""
CHOSEN = TASKS[:2]
MOST_SECONDS = 900


def serial_outputs(root: Path, clone: Path, revision: str) -> dict[str, str]:
    """Outputs of an undisturbed serial `dvc repro` of the chosen tasks, in a clone that is kept."""
    if not clone.exists():
        run(root, "git", "clone", "-q", str(root), str(clone))
    run(clone, "git", "fetch", "-q")
    run(clone, "git", "checkout", "-q", "--force", revision)
    run(clone, "dvc", "repro", *(f"evaluate@{task}" for task in CHOSEN))
    return outputs((clone / "dvc.lock").read_text())


def has_kept_a_state(root: Path, process: psutil.Process) -> bool:
    """Whether a training has written the state of its own task since it began."""
    task = process.cmdline()[-1].split()[-1]
    begun = process.create_time()
    states = (root / "scratch" / "train" / task).glob("*/state.pt")
    try:
        return any(state.stat().st_mtime > begun for state in states)
    except FileNotFoundError:
        return False


def killed(stack: Stack, kind: str, chance: random.Random) -> bool:
    """Kill a random process of a kind, if there is one.

    One that is `trained` is stopped while its state is looked at, else it might end meanwhile.
    """
    found = stack.processes(*VICTIMS[kind])
    if not found:
        return False
    if kind != "trained":
        time.sleep(chance.uniform(0, 3))
    process = chance.choice(found)
    try:
        process.suspend()
        alive = process.status() != psutil.STATUS_ZOMBIE
        if alive and (kind != "trained" or has_kept_a_state(stack.root, process)):
            process.kill()
            return True
        process.resume()
    except psutil.NoSuchProcess:
        pass
    return False


def kill_one(stack: Stack, kind: str, chance: random.Random, running: str) -> bool:
    """Kill a random process of a kind at a random moment; False if the run ended before."""
    # A flow that died just after its worker is missed by its heartbeat only.
    deadline = time.monotonic() + MOST_SECONDS
    while time.monotonic() < deadline:
        if killed(stack, kind, chance):
            return True
        if kind != "worker" and stack.run(running)["state"]["type"] == "COMPLETED":
            return False
        time.sleep(0.05)
    raise AssertionError(f"no {kind} to kill\n{stack.log(running)}")


def some_kills(chance: random.Random) -> list[str]:
    """Kinds of processes, to be killed from the last to the first.

    The last kill is a training's: no later one loses the line that says that it continues.
    """
    kills = [kind for kind, share in SHARES.items() for _ in range(max(1, round(share * KILLS)))]
    kills.remove("trained")
    return ["trained", *chance.sample(kills, len(kills))]


def test_kills_change_nothing(tmp_path: Path) -> None:
    seed = int(os.environ.get("CHIMLE_FAULT_SEED", "0"))
    chance = random.Random(seed)
    root = tiny_repository(tmp_path / "project", {"rounds": 8, "steps_per_round": 12})
    add_flows(root, retry={"delays_seconds": [0.5] * 20, "restarts": 20})
    kills, night, resumed = some_kills(chance), 0, 0
    # More slots than trainings: one that died with its holder is free only after its lease.
    with serving(root, slots=8) as stack:
        while kills:
            night += 1
            set_parameter(root, CHOSEN[0], "train", learning_rate=1e-3 + night * 1e-5)
            set_parameter(root, CHOSEN[1], "train", learning_rate=1e-3 + night * 1e-5)
            revision = commit(root, f"night {night}")
            running = stack.start("pipeline/nightly", tasks=CHOSEN)
            while kills and kill_one(stack, kills[-1], chance, running):
                kills.pop()
            assert stack.wait(running, MOST_SECONDS, ("COMPLETED",))
            log = stack.log(running)
            resumed += log.count("continues from round")
            for task in CHOSEN:
                check_never_from_zero(log, task)
            lock = run(root, "git", "show", f"refs/chimle/results/{revision}:dvc.lock")
            assert outputs(lock) == serial_outputs(root, tmp_path / "serial", revision)
        assert resumed > 0
        wait_until(lambda: stack.slots_taken() == 0, 240)
    assert not stack.processes("stages.")
    assert not stack.processes("prefect")
    assert len(run(root, "git", "worktree", "list").splitlines()) == 1
