"""Run a command line in this process: its output and exit code, without starting Python."""

import io
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from tests.support.helpers import ROOT


def in_process(
    main: Callable[[], None],
    *arguments: object,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
) -> subprocess.CompletedProcess[str]:
    """Run a command's `main` like a process with `-W ignore`.

    Args:
        main: reads `sys.argv`; exceptions other than `SystemExit` propagate.
        arguments: the command's arguments.
        env: environment variables to add.
        cwd: the current folder.
    """
    stdout, stderr, code = io.StringIO(), io.StringIO(), 0
    command = ["program", *map(str, arguments)]
    with (
        patch.object(sys, "argv", command),
        patch.object(sys, "excepthook", sys.excepthook),
        patch.dict(os.environ, env or {}),
        chdir(cwd),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            main()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
    return subprocess.CompletedProcess(command, code, stdout.getvalue(), stderr.getvalue())
