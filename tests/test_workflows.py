"""Workflows of GitHub: forks need no secret, and nothing of a stranger runs where it may write."""

import base64
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.helpers import ROOT
from tests.support.repositories import BIN, run

FOLDER = ROOT / ".github"
WORKFLOWS = sorted((FOLDER / "workflows").glob("*.yml"))
HEAD = "a" * 40
IMAGE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
CALLS = """
const calls = [];
const call = (name, answer) => async (given) => {
  calls.push([name, given]);
  if (answer instanceof Error) throw answer;
  return { data: answer };
};
const none = Object.assign(new Error("Not Found"), { status: 404 });
const [folder, pulls, comments, branch] = JSON.parse(process.argv[1]);
const sha = { sha: "c0ffee" };
const github = {
  paginate: async (method, given) => (await method(given)).data,
  rest: {
    pulls: { list: call("list", pulls) },
    git: {
      createBlob: call("createBlob", sha),
      getRef: call("getRef", branch ? { object: { sha: "parent" } } : none),
      createTree: call("createTree", sha),
      createCommit: call("createCommit", sha),
      createRef: call("createRef", {}),
      updateRef: call("updateRef", {}),
    },
    issues: {
      listComments: call("listComments", comments),
      createComment: call("createComment", {}),
      updateComment: call("updateComment", {}),
    },
  },
};
const run = { head_sha: "HEAD", head_branch: "try", head_repository: { owner: { login: "fork" } } };
const context = { repo: { owner: "me", repo: "chimle" }, payload: { workflow_run: run } };
require("./.github/comment.js")({ github, context, folder }).then(
  () => console.log(JSON.stringify(calls)));
"""


def read(path: Path) -> dict[str, Any]:
    # YAML reads the key `on` as true.
    found: dict[Any, Any] = yaml.safe_load(path.read_text())
    return {**found, "on": found[True]}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_workflow_runs_foreign_code_with_rights(path: Path) -> None:
    text, found = path.read_text(), read(path)
    assert "pull_request_target" not in found["on"]
    assert "secrets." not in text
    rights = found["permissions"]
    if "pull_request" in found["on"]:
        assert rights == {"contents": "read"}
    for job in found["jobs"].values():
        assert "permissions" not in job
        for step in job["steps"]:
            # An expression inside of a script would run what a branch's name says.
            assert "${{" not in step.get("run", "") + step.get("with", {}).get("script", "")
            if "checkout" in step.get("uses", ""):
                # The token would stay in the checkout, for all that runs in it.
                assert step["with"].pop("persist-credentials") is False
                if "write" in rights.values():
                    assert not step["with"], "a workflow that may write checks out its own branch"


def test_tests_run_on_two_pythons() -> None:
    job = read(FOLDER / "workflows" / "tests.yml")["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.13"]


def test_the_comment_belongs_to_the_demo() -> None:
    demo, comment = (read(FOLDER / "workflows" / f"{name}.yml") for name in ("demo", "comment"))
    assert comment["on"]["workflow_run"]["workflows"] == [demo["name"]]
    (upload,) = (s for s in demo["jobs"]["demo"]["steps"] if "upload-artifact" in s.get("uses", ""))
    (download,) = (
        s for s in comment["jobs"]["comment"]["steps"] if "download-artifact" in s.get("uses", "")
    )
    assert upload["with"]["name"] == download["with"]["name"]


def calls(folder: Path, pull: str, comments: list[Any], branch: bool) -> dict[str, Any]:
    """What the script asks of GitHub's API, by the names of its functions."""
    if not shutil.which("node"):
        pytest.skip("node is absent")
    pulls = [{"number": 7, "head": {"sha": pull}}]
    given = json.dumps([str(folder), pulls, comments, branch])
    done = subprocess.run(
        ["node", "-e", CALLS.replace("HEAD", HEAD), given],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture
def found(tmp_path: Path) -> Path:
    """A table that tries to be more, and an image."""
    (tmp_path / "metrics.md").write_text("| psnr | @all <b> [a](https://evil.example) #1 |\n")
    (tmp_path / "overview.png").write_bytes(IMAGE)
    return tmp_path


def test_a_comment_holds_table_and_image(found: Path) -> None:
    made = calls(found, HEAD, [], branch=False)
    body = made["createComment"]["body"]
    assert made["createComment"]["issue_number"] == 7
    assert "| psnr |" in body
    assert "https://raw.githubusercontent.com/me/chimle/c0ffee/7.png" in body
    table = body[body.index("| psnr") : body.index("![")]
    assert not re.search(r"@\w|<|[][!]|://|#1", table)
    assert "&#60;b&#62;" in table
    assert base64.b64decode(made["createBlob"]["content"]) == IMAGE
    assert made["createRef"]["ref"] == "refs/heads/pull-request-images"
    assert made["list"]["head"] == "fork:try"


def test_a_later_run_replaces_the_comment(found: Path) -> None:
    ours = {"id": 3, "user": {"type": "Bot"}, "body": "<!-- chimle demo -->"}
    copied = ours | {"id": 2, "user": {"type": "User"}}
    made = calls(found, HEAD, [copied, ours], branch=True)
    assert made["updateComment"]["comment_id"] == 3
    assert "createComment" not in made
    assert made["createCommit"]["parents"] == ["parent"]
    assert made["updateRef"]["ref"] == "heads/pull-request-images"


def test_what_is_no_image_is_not_published(found: Path) -> None:
    (found / "overview.png").write_text("<svg>")
    made = calls(found, HEAD, [], branch=False)
    assert "createBlob" not in made
    assert "![" not in made["createComment"]["body"]


def test_another_commit_than_the_run_s_gets_no_comment(found: Path) -> None:
    assert set(calls(found, "b" * 40, [], branch=False)) == {"list"}


@pytest.mark.timeout(1800)
def test_the_demo_s_step_writes_table_and_image(reference: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(reference, project, symlinks=True)
    steps = read(FOLDER / "workflows" / "demo.yml")["jobs"]["demo"]["steps"]
    (step,) = (step for step in steps if step.get("name") == "Write metrics and image")
    base = run(project, "git", "rev-parse", "HEAD~1").strip()
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    run(project, "bash", "-e", "-c", step["run"], env={"BASE": base, "PATH": path})
    table = (project / "comment" / "metrics.md").read_text()
    assert table.startswith("| Path ")
    assert "metrics/colourization.json" in table
    assert (project / "comment" / "overview.png").read_bytes().startswith(IMAGE[:8])


def test_the_developer_s_container_is_built_from_the_lock() -> None:
    folder = ROOT / ".devcontainer"
    described = json.loads((folder / "devcontainer.json").read_text())
    text = (folder / described["build"]["dockerfile"]).read_text()
    assert "-r /tmp/requirements.lock" in text
    assert "COPY requirements.lock /tmp/" in text
    assert (folder / described["build"]["context"] / "requirements.lock").exists()
