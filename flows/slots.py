"""GPU slots: the server limits how many trainings run at once, this machine assigns a device."""

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency

from chimle.errors import TransientError, UserError
from chimle.io.file_locks import locked
from flows.flow_settings import SlotSettings
from flows.server_errors import server_errors

_POLL_SECONDS = 2.0
_SAY_SECONDS = 5.0
"""After this time a run says that it waits for a slot."""
_NO_LIMIT = "must be created before"
"""Words of Prefect's error for a limit that does not exist; the error has no type of its own."""


@dataclass(frozen=True)
class Slot:
    """The right to train on one device.

    Attributes:
        device: number or name of the CUDA device; empty for the CPU.
        locks: descriptors that keep the device taken as long as a child holds them.
    """

    device: str
    locks: tuple[int, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """Environment in which a process sees only this device."""
        return {"CUDA_VISIBLE_DEVICES": self.device}

    def with_lock(self, lock: int) -> "Slot":
        """The slot with another descriptor that a child holds."""
        return Slot(self.device, (*self.locks, lock))

    def __str__(self) -> str:
        return f"CUDA device {self.device}" if self.device else "the CPU"


def list_devices() -> list[str]:
    """The CUDA devices that this process may use; empty on a machine without."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [name.strip() for name in allowed.split(",") if name.strip() not in ("", "-1")]
    try:
        command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.split()


@contextmanager
def take_device(devices: list[str], say: Callable[[str], None]) -> Iterator[Slot]:
    """A device that no other process of this user holds; waits until one is free."""
    if not devices:
        yield Slot("")
        return
    folder = Path(tempfile.gettempdir()) / f"chimle-devices-{os.getuid()}"
    waiting = False
    while True:
        for device in devices:
            with ExitStack() as held:
                file = folder / f"{device.replace('/', '-')}.lock"
                lock = held.enter_context(locked(file, wait=False))
                if lock is not None:
                    yield Slot(device, (lock,))
                    return
        if not waiting:
            say("every CUDA device of this machine is taken: waiting for one")
            waiting = True
        time.sleep(_POLL_SECONDS)


@contextmanager
def slot(settings: SlotSettings, say: Callable[[str], None]) -> Iterator[Slot]:
    """One of the server's slots, and a device of this machine for it.

    Raises:
        UserError: the server has no such limit; without one everything would run at once.
        TransientError: the server does not answer.
    """
    with ExitStack() as held:
        message = f"no slot of `{settings.limit}` is free: waiting for one"
        waiting = threading.Timer(_SAY_SECONDS, say, [message])
        waiting.start()
        try:
            held.enter_context(
                concurrency(
                    settings.limit,
                    strict=True,
                    lease_duration=settings.lease_seconds,
                    # A restart of the server must not stop a training: the lease is renewed
                    # afterwards, and the device's lock holds meanwhile.
                    raise_on_lease_renewal_failure=False,
                )
            )
        except ConcurrencySlotAcquisitionError as error:
            if _NO_LIMIT not in str(error):
                with server_errors(settings.limit, later=TransientError):
                    raise (error.__cause__ or error) from None
            raise UserError(
                f"the Prefect server has no concurrency limit `{settings.limit}`: "
                "run `make server-setup`"
            ) from error
        finally:
            waiting.cancel()
        yield held.enter_context(take_device(list_devices(), say))
