"""A command line run in this process: what it says and its exit code, without a start of Python."""

import io
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from unittest.mock import patch

from tests.support.helpers import ROOT


def in_process(
    main: Callable[[], None], *arguments: object, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess:
    """Run a command's `main` as a process at `ROOT` with `-W ignore` would.

    Args:
        main: reads `sys.argv`; what it raises but for `SystemExit` is raised here.
        arguments: the command's arguments.
        env: variables beside those of this process.
    """
    said, complained, code = io.StringIO(), io.StringIO(), 0
    command = ["program", *map(str, arguments)]
    with (
        patch.object(sys, "argv", command),
        patch.object(sys, "excepthook", sys.excepthook),
        patch.dict(os.environ, env or {}),
        chdir(ROOT),
        redirect_stdout(said),
        redirect_stderr(complained),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            main()
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    return subprocess.CompletedProcess(command, code, said.getvalue(), complained.getvalue())
