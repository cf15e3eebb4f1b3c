"""Subprocesses of a flow: ended with it, output streamed, failures classified.

A transient failure is worth another attempt; bad input is not.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from chimle.errors import TransientError, UserError
from chimle.io import s3
from chimle.io.download import LATER
from chimle.io.git_environment import without_repository
from chimle.training.run_lock import WAIT
from flows.stall import StallLimit, StallWatch

_TRANSIENT = re.compile(
    r"exited with (-9|-15|137|143)\b|[Uu]nable to acquire lock|is busy|\.lock': File exists"
    r"|[Cc]onnection (reset|refused|aborted|error|closed|was)|[Cc]ould not connect|[Tt]imed? ?out"
    r"|[Tt]emporary failure in name resolution|[Cc]ould not resolve host|early EOF"
    # Git's and curl's words for a lost network.
    r"|[Ff]ailed to connect|[Cc]ouldn't connect|[Uu]nable to connect|[Nn]etwork is unreachable"
    r"|[Nn]o route to host|[Nn]etwork is down|returned error: (408|425|429|5\d\d)|RPC failed"
    r"|hung up unexpectedly|unexpected disconnect|[Bb]roken pipe|Empty reply|Recv failure"
    r"|SSL_ERROR_SYSCALL|gnutls_handshake|transfer closed with|Name or service not known"
    r"|SlowDown|ServiceUnavailable|InternalError|Service Unavailable|Bad Gateway"
    r"|\b(HTTP|status|code)[ :]*5\d\d\b|An error occurred \(5\d\d\)|EndpointConnectionError"
)
_BAD_INPUT = re.compile(r"exited with 2\b")
DATABASE = tuple(
    f"PREFECT_{part}_DATABASE_{field}"
    for part in ("SERVER", "API")
    for field in ("CONNECTION_URL", "PASSWORD")
)
"""Name the server's database; without them SQLite in `.prefect/`. `API` is Prefect's older name."""
NOTIFY = "CHIMLE_NOTIFY"
"""Holds the addresses of notifications; only the setup of the server reads it."""
SECRETS = (
    "PREFECT_API_AUTH_STRING",
    "PREFECT_SERVER_API_AUTH_STRING",
    "PREFECT_API_KEY",
    "PREFECT_CLIENT_CUSTOM_HEADERS",
    *DATABASE,
    NOTIFY,
)
"""Login, database and notifications of the server, which no command of a flow needs."""
_TAIL_LINES = 40
_GUARD = str(Path(__file__).resolve().parent / "process_guard.py")


class CommandError(Exception):
    """A permanent failure of a command."""


def failure(code: int, output: str) -> Exception:
    """The exception that a failed command stands for.

    Args:
        code: its exit code, not 0; above 128 a signal ended it.
        output: the last lines that it printed.
    """
    lines = [line for line in output.splitlines() if line.strip()] or [f"exit code {code}"]
    errors = [line for line in lines if line.lower().startswith("error: ")]
    sentence = (errors or lines)[-1].strip()
    if s3.BOTO_NO_CREDENTIALS in sentence:
        return UserError(
            f"this machine has no credentials for S3: {s3.SET_CREDENTIALS}, where the worker starts"
        )
    if _BAD_INPUT.search(output) or (code == 2 and errors):
        own = next((line for line in lines if line.startswith("error: ")), sentence)
        own = own.removeprefix("error: ")
        return TransientError(own) if own.endswith(LATER) else UserError(own)
    # A traceback's lines of source are indented, and `timeout=` there is no reason.
    reasons = "\n".join(line for line in lines if not line[0].isspace())
    if code in (128 + signal.SIGKILL, 128 + signal.SIGTERM) or _TRANSIENT.search(reasons):
        return TransientError(sentence)
    return CommandError(sentence)


def environment(**extra: str) -> dict[str, str]:
    """The environment of a command: this interpreter's programs first, no warnings.

    A training that another run of a flow computes is waited for: points of a sweep may share one.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    own = without_repository(os.environ)
    inherited = {name: value for name, value in own.items() if name not in SECRETS}
    return {**inherited, "PATH": path, "PYTHONWARNINGS": "ignore", WAIT: "1", **extra}


def run_quietly(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
    """Run a short command of the server's.

    Args:
        command: program and arguments.
        cwd: directory to run in.
        env: the whole environment.

    Raises:
        UserError: it failed; with the last line that it printed.
    """
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        reason = lines[-1] if lines else f"exit code {done.returncode}"
        raise UserError(f"`{' '.join(command)}` failed: {reason}")


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """What a process prints, line by line, without empty lines."""
    assert process.stdout is not None
    for line in process.stdout:
        if text := line.rstrip():
            yield text


class Commands:
    """The commands of one flow run; `stop` ends those that run.

    Attributes:
        root: the project; its orphaned work trees are removed if this process dies.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(
        self,
        command: Sequence[str],
        cwd: Path,
        say: Callable[[str], None],
        *,
        env: Mapping[str, str] | None = None,
        locks: Sequence[int] = (),
        stall: StallLimit | None = None,
    ) -> str:
        """Run a command and pass each line of its output to `say`.

        Args:
            command: program and arguments.
            cwd: directory to run in.
            say: called with each line, without its newline.
            env: added to the environment.
            locks: file descriptors of locks that the command holds until it has ended.
            stall: ends the command after too long without progress.

        Returns:
            The last lines of its output.

        Raises:
            UserError: a stage ended with exit code 2; its own sentence.
            TransientError: a transient failure, such as a source that cannot be reached.
            CommandError: any other failure.
        """
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        with self._guarded(command, cwd, env or {}, locks) as process:
            watch = StallWatch(stall, process.terminate) if stall else None
            with watch.running() if watch else nullcontext():
                for text in _lines(process):
                    if watch:
                        watch.note_progress()
                    tail.append(text)
                    say(text)
                code = process.wait()
        if watch and watch.stalled:
            raise TransientError(f"{command[0]} made {stall}")
        if code and self._stopped:
            raise CommandError(f"{command[0]} was ended: its run is being stopped")
        if code:
            raise failure(code, "\n".join(tail))
        return "\n".join(tail)

    @contextmanager
    def _guarded(
        self, command: Sequence[str], cwd: Path, env: Mapping[str, str], locks: Sequence[int]
    ) -> Iterator[subprocess.Popen[str]]:
        """The command under `process_guard`, which ends it when the block ends."""
        read_end, write_end = os.pipe()
        # By its path: the revision in the work tree may have another guard, or none.
        guard = [sys.executable, "-P", _GUARD, str(read_end), str(self.root)]
        process = None
        try:
            with self._lock:
                if self._stopped:
                    raise CommandError("this run is being stopped")
                process = subprocess.Popen(
                    [*guard, *command],
                    cwd=cwd,
                    env=environment(**env),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=(read_end, *locks),
                    start_new_session=True,
                    text=True,
                    errors="replace",
                )
                self._running.add(process)
            yield process
        finally:
            os.close(read_end)
            os.close(write_end)
            if process is not None:
                process.wait()
                with self._lock:  # `stop` goes through the set meanwhile.
                    self._running.discard(process)

    def stop(self) -> None:
        """End all running commands with their descendants; refuse new ones."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()
