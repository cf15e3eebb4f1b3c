"""`python -m flows.push_uncached REMOTE STAGE...`: push what `dvc push --run-cache` leaves out.

Metrics and curves are kept in Git, not in DVC's cache, so DVC pushes the run cache's entries
without these files. Another machine then finds an entry that it cannot restore, and trains again.
"""

import argparse
from collections.abc import Iterator, Sequence

from dvc.repo import Repo
from dvc_data.hashfile.hash_info import HashInfo

from chimle.errors import UserError, guarded


def find_uncached(repo: Repo, target: str) -> Iterator[HashInfo]:
    """Hashes of the uncached outputs of a stage and of all stages before it."""
    for stage in repo.stage.collect(target, with_deps=True):
        for output in stage.outs:
            if not output.use_cache and output.hash_info:
                # The run cache has put its content into the cache, under its hash.
                output.use_cache = True
                for objects in output.get_used_objs().values():
                    yield from objects


def push_uncached(remote: str, targets: Sequence[str]) -> None:
    """Push the uncached outputs of several stages.

    Raises:
        UserError: the remote refused one.
    """
    with Repo() as repo, repo.lock:
        found = {info for target in targets for info in find_uncached(repo, target)}
        failed = repo.cloud.push(found, remote=remote).failed
    if failed:
        raise UserError(f"DVC remote `{remote}` refused {len(failed)} of {len(found)} files")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("remote")
    parser.add_argument("stages", nargs="+")
    arguments = parser.parse_args()
    guarded(lambda: push_uncached(arguments.remote, arguments.stages))
