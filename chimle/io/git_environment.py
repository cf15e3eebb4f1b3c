"""The environment of Git commands that work in the folder that they run in."""

from collections.abc import Mapping

_REPOSITORY = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)


def without_repository(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which no variable names a repository.

    Git sets such variables for its hooks, where they win over the folder of a command: it would
    change the repository whose hook runs.
    """
    return {name: value for name, value in environment.items() if name not in _REPOSITORY}
