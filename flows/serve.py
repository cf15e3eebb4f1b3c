"""`make serve`: a Prefect server with the deployments, and a worker, until Ctrl-C.

The server's data are in `.prefect/` of the checkout and are kept. A server or worker that dies is
started again. At the end every process is stopped; the next `make serve` starts interrupted runs
again, and their trainings continue from their last state.
"""

import argparse
import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Sequence
from pathlib import Path

from chimle.errors import UserError, first_line, guarded
from flows.command import DATABASE, NOTIFY, environment, run_quietly
from flows.login import FILE, load_login
from flows.prefect_server import HEADER
from flows.serve_guard import TOKEN, end_descendants, ended_with
from flows.server_arguments import add_server_arguments
from flows.setup_server import POOL, slot_count
from flows.worktrees import remove_orphaned

_START_SECONDS = 300
LATE = "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS"
_GRACE_SECONDS = 20
_PAUSE_SECONDS = 2.0


class _StopError(Exception):
    """Ctrl-C or SIGTERM."""


class Service:
    """A process that is started again whenever it ends."""

    def __init__(self, name: str, command: Sequence[str], root: Path, env: dict[str, str]) -> None:
        self.name, self.command, self.root, self.env = name, list(command), root, env
        self.process: subprocess.Popen[bytes] | None = None

    def keep_running(self) -> None:
        """Start the process if it does not run."""
        if self.process is not None and self.process.poll() is None:
            return
        if self.process is not None:
            print(f"{self.name} ended ({self.process.returncode}): starting it again", flush=True)
        # In a session of its own: Ctrl-C must not reach it directly.
        self.process = subprocess.Popen(
            self.command, cwd=self.root, env=self.env, start_new_session=True
        )

    def stop(self) -> None:
        """End the process group with SIGTERM, then with SIGKILL."""
        if self.process is None:
            return
        for number, wait in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, 5)):
            if self.process.poll() is None:
                os.killpg(self.process.pid, number)
                try:
                    self.process.wait(wait)
                except subprocess.TimeoutExpired:
                    continue


def _check_port(host: str, port: int) -> None:
    """`UserError` if something listens on the port already, or nothing can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
        # Some systems let two programs listen, on one address and on all.
        with socket.socket(family) as probe:
            probe.settimeout(5)
            taken = probe.connect_ex((_reachable(host), port)) == 0
    except (OSError, UnicodeError) as error:
        taken = getattr(error, "errno", None) == errno.EADDRINUSE
        if not taken:
            raise UserError(
                f"nothing can listen on port {port} of {host} ({first_line(error)}): name an "
                "address of this machine, and a port from 1024 on: make serve HOST=127.0.0.1 "
                "PORT=4201"
            ) from None
    if taken:
        raise UserError(
            f"another program already uses port {port} of {host}: stop it, or name another "
            "port: make serve PORT=4201"
        )


def _reachable(host: str) -> str:
    """Where a server that listens on this address is reached from this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def _wait_for_server(server: Service, url: str, token: str) -> None:
    """Wait for this server; nothing is sent to another one that took the port meanwhile."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if server.process is None or server.process.poll() is not None:
            raise UserError(f"the server ended at once: is another one running at {url}?")
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as response:
                if response.headers.get(HEADER) == token:
                    return
            raise UserError(f"another Prefect server answers at {url}: name another port")
        except OSError:
            time.sleep(0.5)
    raise UserError(f"the server at {url} did not answer within {_START_SECONDS} seconds")


def _environment(root: Path, url: str, origins: Sequence[str], token: str) -> dict[str, str]:
    """The environment of server, worker and flows."""
    login = load_login(root)
    return environment(
        PREFECT_HOME=str(root / ".prefect"),
        PREFECT_API_URL=url,
        PREFECT_API_AUTH_STRING=login,
        PREFECT_SERVER_API_AUTH_STRING=login,
        PREFECT_SERVER_CORS_ALLOWED_ORIGINS=",".join(origins),
        # Relative: a browser may reach the page under another name than this machine does.
        PREFECT_SERVER_UI_API_URL="/api",
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        DO_NOT_TRACK="1",
        # Logs and artifacts of runs that `trim` has removed.
        PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED="events,orphans",
        # A worker asks for new runs every 15 seconds: a run that waits longer than that is late.
        PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS=os.environ.get(LATE, "120"),
        # With leases in memory, slots that were taken when the server ended would stay taken.
        PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE="prefect.server.concurrency.lease_storage.filesystem",
        CHIMLE_ROOT=str(root),
        **{TOKEN: token},
    )


def _database() -> dict[str, str]:
    """The database that the user has named, for the server alone."""
    return {name: os.environ[name] for name in DATABASE if name in os.environ}


def _welcome(origin: str, host: str) -> str:
    lines = [
        f"Prefect: {origin}  (Ctrl-C stops everything)",
        f"The login is the line in {FILE}. In another terminal:",
        f'  export PREFECT_API_URL={origin}/api PREFECT_API_AUTH_STRING="$(cat {FILE})"',
    ]
    if not _is_loopback(host):
        lines.append(
            f"Other machines reach it on {host} and need this login, which they send unencrypted: "
            "use TLS or an SSH tunnel (docs/howto-schedule.md)."
        )
    return "\n".join(lines)


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")


def _origin(host: str, port: int) -> str:
    name = _reachable(host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def serve(root: Path, host: str, port: int, slots: int | None, public: Sequence[str]) -> None:
    """Run server and worker until a signal comes.

    Args:
        root: the checkout.
        host: address to listen on.
        port: port to listen on.
        slots: trainings at once; None: as before, or one per GPU.
        public: origins under which a reverse proxy serves the page.
    """
    _check_port(host, port)
    origin, token = _origin(host, port), uuid.uuid4().hex
    env = _environment(root, f"{origin}/api", [origin, *public], token)
    start = [sys.executable, "-m", "flows.prefect_server", "--host", host, "--port", str(port)]
    start += [word for each in public for word in ("--public", each)]
    server = Service("the server", start, root, {**env, **_database()})
    work = ["prefect", "worker", "start", "--pool", POOL, "--name", f"local-{port}"]
    worker = Service("the worker", work, root, env)
    with ended_with(root, env):
        try:
            server.keep_running()
            _wait_for_server(server, f"{origin}/api", token)
            more = ["--slots", str(slots)] if slots else []
            setup = [sys.executable, "-m", "flows.setup_server", *more]
            # Without an address an earlier one is removed, which the setup alone would keep.
            run_quietly(setup, root, {**env, NOTIFY: os.environ.get(NOTIFY, "")})
            run_quietly([sys.executable, "-m", "flows.deployments"], root, env)
            print(_welcome(origin, host), flush=True)
            while True:
                server.keep_running()
                worker.keep_running()
                time.sleep(_PAUSE_SECONDS)
        except _StopError:
            print("stopping", flush=True)
        finally:
            worker.stop()
            server.stop()
            end_descendants(token)
            remove_orphaned(root)


def _stop(_number: int, _frame: object) -> None:
    # A second signal must not interrupt the shutdown.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _StopError


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="project directory (default: .)")
    add_server_arguments(parser)
    parser.add_argument(
        "--slots", type=slot_count, help="trainings at once (default: one per GPU, or 1)"
    )
    arguments = parser.parse_args()
    for sent in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sent, _stop)
    with contextlib.suppress(_StopError):  # It comes before anything runs.
        guarded(
            lambda: serve(
                arguments.root.resolve(),
                arguments.host,
                arguments.port,
                arguments.slots,
                arguments.public,
            )
        )
