"""Publication: bundles are uploaded, results are committed on a branch."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, model_validator

from chimle.errors import UserError
from flows.bundles import Published, check_address, list_artifacts, upload
from flows.git import find_commit
from flows.git_remotes import push
from flows.project import Project, Say
from flows.revisions import check_branch, commit_results, move, results_ref, same_content
from flows.worktrees import WorkTree


class PublishOptions(BaseModel):
    """What to do with results that pass the gate; by default they are only kept."""

    model_config = ConfigDict(frozen=True)

    branch: str | None = None
    """Local branch to commit them to."""
    git_remote: str | None = None
    """Git remote to push that branch to."""
    dvc_remote: str | None = None
    """DVC remote to push data, models and run cache to."""
    bundles: str | None = None
    """`s3://BUCKET/PREFIX` for model bundles."""
    license: str | None = None
    """SPDX identifier of the weights' license."""

    @model_validator(mode="after")
    def _complete(self) -> "PublishOptions":
        if self.bundles:
            check_address(self.bundles)
            if not self.license:
                raise UserError("`bundles` needs `license`, the weights' SPDX identifier")
        return self


class Release(BaseModel):
    """What was published."""

    bundles: dict[str, Published] = {}
    """Uploaded bundles, by task."""
    branch_commit: str | None = None
    """The branch's new tip; None if nothing was committed."""

    def sentence(self, options: PublishOptions) -> str:
        """What was published, as a message."""
        done = [f"{task} {bundle.version} uploaded" for task, bundle in self.bundles.items()]
        if options.dvc_remote:
            done.append(f"pushed to DVC remote `{options.dvc_remote}`")
        if self.branch_commit:
            done.append(f"committed on `{options.branch}` as {self.branch_commit[:12]}")
        elif options.branch:
            done.append(f"`{options.branch}` has it already")
        return f"Done; {', '.join(done)}." if done else "Done; nothing was to be published."


def _upload_bundles(
    project: Project, tree: WorkTree, tasks: list[str], options: PublishOptions, say: Say
) -> dict[str, Published]:
    assert options.bundles
    assert options.license
    found = {}
    with tempfile.TemporaryDirectory(prefix="chimle-bundles-") as folder:
        for task in tasks:
            file = Path(folder) / f"{task}.zip"
            pack = ["python", "-m", "chimle", "pack", "--task", task, "--license", options.license]
            project.commands.run([*pack, "-o", str(file)], tree.path, say, locks=(tree.lock,))
            found[task] = upload(file, task, options.bundles)
            say(f"{found[task].address}: SHA-256 {found[task].sha256}, read back and equal")
    return found


def _commit_branch(
    project: Project, tree: WorkTree, revision: str, options: PublishOptions
) -> str | None:
    """Commit on the branch; None if its tip holds the same already.

    Raises:
        UserError: it has been checked out since the run began.
    """
    assert options.branch
    root, reference = project.root, f"refs/heads/{options.branch}"
    tip = find_commit(root, reference)
    parents = [tip, revision] if tip and tip != revision else [revision]
    made = commit_results(tree.path, parents, f"Results of {revision[:12]}")
    if tip and same_content(root, tip, made):
        return None
    check_branch(root, options.branch)
    move(root, reference, made, tip)
    return made


def publish(
    project: Project,
    tree: WorkTree,
    tasks: list[str],
    revision: str,
    options: PublishOptions,
    say: Say,
) -> Release:
    """Upload and commit as the options say; nothing is uploaded or committed twice.

    The branch moves last, so that what it refers to is in its place.
    """
    release = Release()
    if options.bundles:
        release.bundles = _upload_bundles(project, tree, tasks, options, say)
        list_artifacts(tree.path / "dvc.yaml", release.bundles)
    if options.branch:
        release.branch_commit = _commit_branch(project, tree, revision, options)
        if options.git_remote:
            push(project.commands, options.git_remote, options.branch)
    return release


def record(
    project: Project, tree: WorkTree, revision: str, outcome: str, request: Sequence[str]
) -> None:
    """Keep the results as the revision's reference; the message holds outcome and request."""
    made = commit_results(tree.path, [revision], "\n".join([outcome, "", *request]))
    name = results_ref(revision)
    move(project.root, name, made, find_commit(project.root, name))
